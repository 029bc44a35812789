/*
 * disk_shim.c - preloaded into a daemon by tests: calls on files fail as told.
 *
 * The file named by QUIVERFS_SHIM_FAULT holds lines "CALL ERRNO" with a number; while
 * it does, CALL (allocate, punch, write or sync) fails with it; with "slow MS" a sync takes
 * longer by so much; with "hold 1" a write waits until that is gone, and the file with ".held" at
 * the end of its name gets a byte for it; with "away 1" what is mounted is detached at once, with "moved 1" the
 * folder above gets a name that ends in ".moved" at once. Read at each call, so that a test can
 * change its mind.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The errno that `call` is to fail with, or 0. errno itself stays. */
static int fault_of(const char *call)
{
	const char *path = getenv("QUIVERFS_SHIM_FAULT");
	char text[256], *line, *rest = text;
	int saved = errno, fault = 0, fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	size_t length = strlen(call);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	text[got > 0 ? got : 0] = '\0';
	if (fd >= 0)
		close(fd);
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, call, length) == 0 && line[length] == ' ')
			fault = atoi(line + length);
	}
	errno = saved;
	return fault;
}

/* The function of the C library. */
static void *next(const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (symbol == NULL)
		abort();
	return symbol;
}

static int failed(int fault)
{
	errno = fault;
	return -1;
}

/* The C library's own names of parameters are reserved ones.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	int (*real)(int, off64_t, off64_t);
	int fault = fault_of("allocate");

	*(void **)&real = next("posix_fallocate64");
	return fault ? fault : real(fd, offset, length);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	int (*real)(int, int, off64_t, off64_t);
	int fault = fault_of(mode & FALLOC_FL_PUNCH_HOLE ? "punch" : "allocate");

	*(void **)&real = next("fallocate64");
	return fault ? failed(fault) : real(fd, mode, offset, length);
}

/* Wait as long as writes are to. */
static void hold(void)
{
	char path[PATH_MAX];
	int fd;

	if (!fault_of("hold"))
		return;
	snprintf(path, sizeof(path), "%s.held", getenv("QUIVERFS_SHIM_FAULT"));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, "", 1) != 1)
		abort();
	close(fd);
	while (fault_of("hold"))
		(void)usleep(10000);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off64_t);
	int fault = fault_of("write");

	hold();
	*(void **)&real = next("pwritev64");
	return fault ? failed(fault) : real(fd, parts, count, offset);
}

/* Files are not mapped to be written, so that each write is seen above. */
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset)
{
	void *(*real)(void *, size_t, int, int, int, off64_t);
	struct stat st;

	*(void **)&real = next("mmap64");
	if ((flags & MAP_TYPE) == MAP_SHARED && (protection & PROT_WRITE) && fstat(fd, &st) == 0 &&
	    S_ISREG(st.st_mode)) {
		errno = EACCES;
		return MAP_FAILED;
	}
	return real(at, length, protection, flags, fd, offset);
}

int fdatasync(int fd)
{
	int (*real)(int);
	int fault = fault_of("sync");

	(void)usleep((useconds_t)fault_of("slow") * 1000);
	*(void **)&real = next("fdatasync");
	return fault ? failed(fault) : real(fd);
}

int fsync(int fd)
{
	int (*real)(int);
	int fault = fault_of("sync");

	(void)usleep((useconds_t)fault_of("slow") * 1000);
	*(void **)&real = next("fsync");
	return fault ? failed(fault) : real(fd);
}

static void move_above(const char *point)
{
	char from[PATH_MAX], to[PATH_MAX + sizeof(".moved")];
	char *end;

	snprintf(from, sizeof(from), "%s", point);
	end = strrchr(from, '/');
	if (!end)
		abort();
	*end = '\0';
	snprintf(to, sizeof(to), "%s.moved", from);
	if (rename(from, to) != 0)
		abort();
}

int mount(const char *source, const char *target, const char *type, unsigned long flags,
          const void *data)
{
	int (*real)(const char *, const char *, const char *, unsigned long, const void *);
	int result;

	*(void **)&real = next("mount");
	result = real(source, target, type, flags, data);
	if (result == 0 && fault_of("away"))
		(void)umount2(target, MNT_DETACH);
	if (result == 0 && fault_of("moved"))
		move_above(target);
	return result;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
