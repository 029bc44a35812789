/*
 * contract.c - what the mount promises, tried by system calls alone.
 *
 * usage: contract MNT NAME
 *
 * MNT is the mount of an empty store with vectors of 100 bytes. Prints a line of TAP
 * for each promise, without numbers, each named NAME and what it is; what this kernel
 * cannot give is said as skipped. Needs nothing but libc, so that it runs where there
 * is no Python.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 100
#define HEADER_BYTES 4096 /* of matrix.npy and ids.npy */
#define VECTORS 200 /* for the listing */

static const char *mount_point, *run_name;
static bool failed;

__attribute__((format(printf, 3, 4))) static void say(bool good, const char *what,
                                                      const char *format, ...)
{
	va_list list;

	printf("%s - %s: %s\n", good ? "ok" : "not ok", run_name, what);
	if (!good) {
		failed = true;
		printf("# ");
		va_start(list, format);
		vprintf(format, list);
		va_end(list);
		printf("\n");
	}
	fflush(stdout);
}

static void skip(const char *what, const char *why)
{
	printf("ok - %s: %s # SKIP %s\n", run_name, what, why);
}

/* Paths in the mount, of four calls at once. */
__attribute__((format(printf, 1, 2))) static const char *at(const char *format, ...)
{
	static char paths[4][512];
	static unsigned turn;
	char *path = paths[turn++ % 4];
	va_list list;
	int length = snprintf(path, sizeof(paths[0]), "%s/", mount_point);

	va_start(list, format);
	vsnprintf(path + length, sizeof(paths[0]) - (size_t)length, format, list);
	va_end(list);
	return path;
}

static int put(const char *path, char byte)
{
	char bytes[N];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666), r = 0;

	if (fd < 0)
		return -errno;
	memset(bytes, byte, sizeof(bytes));
	if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		r = -errno;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	return r;
}

/* The byte that all N are, -1 where they differ, -errno less 1000 where it fails. */
static int get(const char *path)
{
	char bytes[N + 1];
	int fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return -errno - 1000;
	got = read(fd, bytes, sizeof(bytes));
	(void)close(fd); /* only read */
	if (got != N)
		return -1;
	for (int i = 1; i < N; i++)
		if (bytes[i] != bytes[0])
			return -1;
	return bytes[0];
}

static void writes(void)
{
	char bytes[N + 1] = { 0 };
	int r, fd;

	r = put(at("vectors/1"), 'a');
	say(r == 0 && get(at("vectors/1")) == 'a', "one write is a vector", "%d", r);

	fd = open(at("vectors/1"), O_WRONLY);
	memset(bytes, 'b', N);
	r = write(fd, bytes, 60) == 60 && get(at("vectors/1")) == 'a';
	say(r, "half a write is seen by nobody", "it is %d", get(at("vectors/1")));
	r = write(fd, bytes, 40) == 40 && close(fd) == 0;
	say(r && get(at("vectors/1")) == 'b', "the rest makes it whole", "%d", errno);

	fd = open(at("vectors/2"), O_WRONLY | O_CREAT | O_EXCL, 0666);
	r = write(fd, bytes, 10) == 10 && access(at("vectors/2"), F_OK) != 0 && errno == ENOENT;
	say(r, "a new vector is not there before it is whole", "%d", errno);
	r = close(fd) != 0 && errno == EINVAL && access(at("vectors/2"), F_OK) != 0;
	say(r, "one that is too short is EINVAL", "%d", errno);

	fd = open(at("vectors/1"), O_WRONLY);
	errno = 0;
	r = pwrite(fd, bytes, N, 1) < 0 && errno == EFBIG;
	say(r, "one that is too long is EFBIG", "%d", errno);
	(void)close(fd); /* nothing was staged, so there is nothing to say */
	say(get(at("vectors/1")) == 'b', "refusals change nothing", "%d", get(at("vectors/1")));

	r = open(at("vectors/01"), O_WRONLY | O_CREAT, 0666) < 0 && errno == EINVAL;
	say(r, "a name that is no ID is EINVAL", "%d", errno);
	r = truncate(at("vectors/1"), 0) != 0 && errno == EINVAL;
	say(r, "truncation is EINVAL", "%d", errno);
	r = unlink(at("vectors/1")) == 0 && get(at("vectors/1")) == -ENOENT - 1000;
	say(r, "a removed vector is gone", "%d", errno);
}

static void readers(void)
{
	char bytes[N];
	int fd, r;
	char *map;

	(void)put(at("vectors/5"), 'a');
	fd = open(at("vectors/5"), O_RDONLY);
	r = read(fd, bytes, 10) == 10 && put(at("vectors/5"), 'b') == 0;
	r = r && read(fd, bytes + 10, N - 10) == N - 10;
	for (int i = 0; i < N; i++)
		r = r && bytes[i] == 'a';
	say(r, "an open file reads the version that it opened", "'%c'", bytes[N - 1]);
	(void)close(fd); /* only read */
	say(get(at("vectors/5")) == 'b', "the next reads the new one", "%d", get(at("vectors/5")));

	fd = open(at("vectors/5"), O_RDONLY);
	map = mmap(NULL, N, PROT_READ, MAP_PRIVATE, fd, 0);
	say(map != MAP_FAILED && map[0] == 'b' && map[N - 1] == 'b', "a map is the vector", "%d",
	    errno);
	if (map != MAP_FAILED)
		(void)munmap(map, N);
	(void)close(fd); /* only read */
	fd = open(at("vectors/5"), O_RDWR);
	map = mmap(NULL, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	say(map == MAP_FAILED && errno == ENODEV, "a map for storing is ENODEV", "%d", errno);
	(void)close(fd); /* nothing was staged */
}

/* Whether control/errors has a line with `words`. */
static bool errors_say(const char *words)
{
	static char text[1 << 16];
	int fd = open(at("control/errors"), O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	(void)close(fd); /* only read */
	text[got > 0 ? got : 0] = '\0';
	return strstr(text, words) != NULL;
}

static void renames(void)
{
	struct utsname system;
	unsigned major = 0, minor = 0;
	bool can;
	int r;

	r = put(at("vectors/.new"), 'n') == 0 && access(at("vectors/.new"), F_OK) == 0;
	say(r, "a scratch file", "%d", errno);
	r = rename(at("vectors/.new"), at("vectors/5")) == 0 && get(at("vectors/5")) == 'n' &&
	    access(at("vectors/.new"), F_OK) != 0;
	say(r, "a scratch file that is renamed is the vector", "%d", errno);
	(void)put(at("vectors/.short"), 's');
	r = truncate(at("vectors/.short"), 3) == 0 &&
	    rename(at("vectors/.short"), at("vectors/5")) != 0 && errno == ENODATA;
	say(r && get(at("vectors/5")) == 'n', "one that is too short is ENODATA", "%d", errno);
	(void)unlink(at("vectors/.short"));

	(void)uname(&system);
	(void)sscanf(system.release, "%u.%u", &major, &minor);
	can = major > 6 || (major == 6 && minor >= 16);
	r = rename(at("vectors/5"), at("vectors/6"));
	if (can)
		say(r == 0 && get(at("vectors/6")) == 'n', "a vector is renamed", "%d", errno);
	else
		say(r != 0 && errno == EXDEV && get(at("vectors/5")) == 'n',
		    "before 6.16 a rename of a vector is EXDEV", "%d", errno);
	say(can || errors_say("not renamed to 6"), "which control/errors tells", "it does not");
	(void)unlink(at(can ? "vectors/6" : "vectors/5"));
}

static void attributes(void)
{
	struct timespec times[2] = { { 1000000000, 123456789 }, { 1000000000, 123456789 } };
	struct stat st, folder;
	int r;

	(void)put(at("vectors/7"), 'a');
	r = utimensat(AT_FDCWD, at("vectors/7"), times, 0) == 0 &&
	    chmod(at("vectors/7"), 0640) == 0;
	r = r && stat(at("vectors/7"), &st) == 0 && st.st_mtim.tv_sec == 1000000000 &&
	    st.st_mtim.tv_nsec == 123456789 && (st.st_mode & 07777) == 0640 && st.st_size == N;
	say(r, "times and modes can be set", "%d", errno);
	r = put(at("vectors/7"), 'b') == 0 && stat(at("vectors/7"), &st) == 0 &&
	    st.st_mtim.tv_sec > 1000000000;
	say(r, "a commit moves the mtime", "%lld", (long long)st.st_mtim.tv_sec);
	(void)stat(at("vectors"), &folder);
	r = put(at("vectors/8"), 'a') == 0 && stat(at("vectors"), &st) == 0;
	say(r && (st.st_mtim.tv_sec != folder.st_mtim.tv_sec ||
	          st.st_mtim.tv_nsec != folder.st_mtim.tv_nsec),
	    "a new vector moves the folder's mtime", "%d", errno);
	(void)unlink(at("vectors/7"));
	(void)unlink(at("vectors/8"));
}

static void listing(void)
{
	bool seen[VECTORS] = { false };
	int count = 0, wrong = 0;
	struct dirent *entry;
	DIR *dir;

	for (int i = 0; i < VECTORS; i++)
		(void)put(at("vectors/%d", 1000 + i), 'l');
	dir = opendir(at("vectors"));
	while (dir && (entry = readdir(dir)) != NULL) {
		long id = strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] == '.')
			continue;
		count++;
		if (id < 1000 || id >= 1000 + VECTORS || seen[id - 1000])
			wrong++;
		else
			seen[id - 1000] = true;
	}
	if (dir)
		(void)closedir(dir);
	say(count == VECTORS && wrong == 0, "each vector is listed once", "%d listed, %d wrong",
	    count, wrong);
	for (int i = 0; i < VECTORS; i++)
		(void)unlink(at("vectors/%d", 1000 + i));
}

/* Whether, in the maps, a row of `id` is all `byte`. The row of a version before it keeps
 * its ID, so any of them may be the one. */
static bool is_in_maps(const char *matrix, const char *ids, size_t rows, uint64_t id, char byte)
{
	for (size_t i = 0; i < rows; i++) {
		const char *row = matrix + HEADER_BYTES + N * i;
		uint64_t there;

		memcpy(&there, ids + HEADER_BYTES + 8 * i, sizeof(there));
		if (there == id && row[0] == byte && row[N - 1] == byte)
			return true;
	}
	return false;
}

/* Maps that stay open see each put when it returns. */
static void matrix(void)
{
	int fds[2] = { open(at("matrix.npy"), O_RDONLY), open(at("ids.npy"), O_RDONLY) };
	char *maps[2] = { MAP_FAILED, MAP_FAILED };
	struct stat st[2];
	int stale = 0;
	size_t rows;

	if (fds[0] < 0 || fds[1] < 0) {
		say(false, "matrix.npy and ids.npy open", "%d", errno);
		return;
	}
	(void)put(at("vectors/1"), 'a'); /* makes room for rows */
	for (int i = 0; i < 2; i++)
		if (fstat(fds[i], &st[i]) == 0)
			maps[i] =
				mmap(NULL, (size_t)st[i].st_size, PROT_READ, MAP_SHARED, fds[i], 0);
	if (maps[0] == MAP_FAILED || maps[1] == MAP_FAILED) {
		say(false, "matrix.npy and ids.npy are mapped", "%d", errno);
		return;
	}
	rows = ((size_t)st[1].st_size - HEADER_BYTES) / 8;
	for (int i = 0; i < 40; i++) {
		char byte = (char)('A' + i % 26);

		(void)put(at("vectors/%d", i % 7), byte);
		stale += !is_in_maps(maps[0], maps[1], rows, (uint64_t)(i % 7), byte);
	}
	say(stale == 0, "open maps of matrix.npy and ids.npy see each put", "%d of 40 did not",
	    stale);
	for (int i = 0; i < 2; i++) {
		(void)munmap(maps[i], (size_t)st[i].st_size);
		(void)close(fds[i]);
	}
	for (int i = 0; i < 7; i++)
		(void)unlink(at("vectors/%d", i));
}

/* Readers beside a writer: whole vectors only. */
static void torn(void)
{
	int torn_count = 0, reads = 0, status = 0;
	pid_t writer;

	(void)put(at("vectors/9"), 'a');
	writer = fork();
	if (writer == 0) {
		for (int i = 0; i < 500; i++)
			(void)put(at("vectors/9"), (char)('a' + i % 26));
		_exit(0);
	}
	while (waitpid(writer, &status, WNOHANG) == 0) {
		int got = get(at("vectors/9"));

		reads++;
		torn_count += got < 'a' || got > 'z';
	}
	say(torn_count == 0 && reads > 0, "readers beside a writer see whole vectors", "%d of %d",
	    torn_count, reads);
	(void)unlink(at("vectors/9"));
}

int main(int count, char **words)
{
	if (count != 3) {
		fprintf(stderr, "usage: contract MNT NAME\n");
		return 2;
	}
	mount_point = words[1];
	run_name = words[2];
	writes();
	readers();
	renames();
	attributes();
	listing();
	if (access(at("matrix.npy"), R_OK) == 0)
		matrix();
	else
		skip("open maps of matrix.npy and ids.npy see each put", "they are the owner's");
	torn();
	return failed;
}
