/*
 * out_file.c - a file that appears whole or not at all.
 */
#include "tools/cli/out_file.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Gather small vectors into writes of this size. */
#define BUFFER_BYTES (1u << 20)
/* The dots, a number and the NUL of a temporary name. */
#define SUFFIX_BYTES 12
/* Of four billion names one is free. */
#define TRIES_MAX 100u

/* Say what went wrong with the file and return it. */
static int fail(const struct out_file *file, const char *what)
{
	int result = errno != 0 ? -errno : -EIO;

	say_error(file->path, "%s: %s", what, strerror(-result));
	return result;
}

/* Whatever is at the name must be something a rename may replace. Says errors. */
static int check_replaceable(const struct out_file *file)
{
	struct stat status;

	if (fstatat(file->folder_fd, file->name, &status, 0) < 0) {
		int result = -errno;

		if (result == -ENOENT)
			return 0;
		say_errno(file->path, result);
		return result;
	}
	if (S_ISREG(status.st_mode))
		return 0;
	say_error(file->path, "exists and is not a regular file; it is not replaced");
	return -EEXIST;
}

/* The folder of the path, and the name in it. Says errors. */
static int open_folder(struct out_file *file)
{
	char folder[PATH_MAX], name[PATH_MAX];
	const char *base;

	if (snprintf(folder, sizeof(folder), "%s", file->path) >= (int)sizeof(folder)) {
		errno = ENAMETOOLONG;
		return fail(file, "cannot be written");
	}
	(void)snprintf(name, sizeof(name), "%s", file->path);
	base = basename(name);
	if (strlen(base) >= sizeof(file->name)) {
		errno = ENAMETOOLONG;
		return fail(file, "cannot be written");
	}
	(void)snprintf(file->name, sizeof(file->name), "%s", base);
	file->folder_fd = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
	return file->folder_fd < 0 ? fail(file, "its folder cannot be opened") : 0;
}

/* A new file beside it; its descriptor. Says errors. */
static int make_temporary(struct out_file *file)
{
	unsigned number = 0;
	int fd = -1;

	errno = EEXIST;
	for (unsigned i = 0; fd < 0 && errno == EEXIST && i < TRIES_MAX; i++) {
		if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
			break;
		(void)snprintf(file->temporary, sizeof(file->temporary), ".%.*s.%08x",
		               NAME_MAX - SUFFIX_BYTES, file->name, number);
		fd = openat(file->folder_fd, file->temporary,
		            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	return fd < 0 ? fail(file, "no file can be made in its folder") : fd;
}

/* Forget what is closed by now, or was never open. */
static void end(struct out_file *file)
{
	if (file->folder_fd >= 0)
		(void)close(file->folder_fd); /* it was only looked into */
	file->folder_fd = -1;
	file->path = NULL;
}

int out_file_open(const char *path, struct out_file *file)
{
	mode_t mask;
	int fd, result;

	memset(file, 0, sizeof(*file));
	file->folder_fd = -1;
	file->path = path;
	result = open_folder(file);
	if (result == 0)
		result = check_replaceable(file);
	fd = result == 0 ? make_temporary(file) : result;
	if (fd < 0) {
		end(file);
		return fd;
	}
	mask = umask(0);
	(void)umask(mask);
	(void)snprintf(file->opened, sizeof(file->opened), "/proc/self/fd/%d", fd);
	file->stream = fdopen(fd, "w");
	if (file->stream == NULL || fchmod(fd, 0666 & ~mask) < 0 ||
	    setvbuf(file->stream, NULL, _IOFBF, BUFFER_BYTES) != 0) {
		result = fail(file, "cannot be written");
		if (file->stream == NULL)
			(void)close(fd);
		out_file_drop(file);
	}
	return result;
}

int out_file_write(struct out_file *file, const void *bytes, size_t length)
{
	errno = 0;
	if (fwrite(bytes, 1, length, file->stream) != length)
		return fail(file, "writing failed");
	return 0;
}

int out_file_write_start(struct out_file *file, const void *bytes, size_t length)
{
	errno = 0;
	if (fseeko(file->stream, 0, SEEK_SET) < 0)
		return fail(file, "writing failed");
	return out_file_write(file, bytes, length);
}

int out_file_sync(struct out_file *file)
{
	errno = 0;
	if (fflush(file->stream) != 0)
		return fail(file, "writing failed");
	if (fsync(fileno(file->stream)) < 0)
		return fail(file, "bringing it to the disk failed");
	return 0;
}

/* Bring the folder of the file, and with it the rename, to stable storage. */
static int sync_folder(const struct out_file *file)
{
	int result = 0;
	int fd = openat(file->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(file, "its folder cannot be opened");
	/* filesystems that cannot sync a folder say EINVAL */
	if (fsync(fd) < 0 && errno != EINVAL)
		result = fail(file, "bringing its folder to the disk failed");
	if (close(fd) < 0 && result == 0)
		result = fail(file, "closing its folder failed");
	return result;
}

/* Whether the temporary name still is that of the open file. */
static bool is_ours(const struct out_file *file)
{
	struct stat opened, named;

	return fstat(fileno(file->stream), &opened) == 0 &&
	       fstatat(file->folder_fd, file->temporary, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Close the file that was synced and give it its name. Says errors. */
static int close_and_rename(struct out_file *file)
{
	FILE *stream = file->stream;

	if (!is_ours(file)) {
		say_error(file->path, "somebody else has changed its folder meanwhile");
		return -ESTALE;
	}
	file->stream = NULL;
	errno = 0;
	if (fclose(stream) != 0)
		return fail(file, "closing it failed");
	if (renameat(file->folder_fd, file->temporary, file->folder_fd, file->name) < 0)
		return fail(file, "cannot be replaced");
	return 0;
}

int out_file_rename(struct out_file *file)
{
	int result = close_and_rename(file);

	if (result < 0) {
		out_file_drop(file);
		return result;
	}
	result = sync_folder(file);
	end(file);
	return result;
}

void out_file_drop(struct out_file *file)
{
	bool ours;

	if (file->path == NULL)
		return;
	ours = file->stream == NULL || is_ours(file);
	if (file->stream != NULL)
		(void)fclose(file->stream); /* what it holds is thrown away */
	if (ours && unlinkat(file->folder_fd, file->temporary, 0) < 0 && errno != ENOENT)
		say_error(file->path, "the leftover %s beside it cannot be removed: %s",
		          file->temporary, strerror(errno));
	file->stream = NULL;
	end(file);
}
