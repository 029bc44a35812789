#include "engine/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/health.h"
#include "engine/base/latency.h"
#include "engine/store/lock_pid.h"

#define LOCK_NAME "LOCK"
#define POLL_NS 10000000 /* how long a holder that stops may go unnoticed */
#define NS_PER_MS UINT64_C(1000000)
/* Whoever asks quiver_holder has the lock for an instant, and who has just taken it
 * has not written its text yet: neither is worth a -EBUSY. */
#define WAIT_MIN_NS (50 * NS_PER_MS)
/* "pid ", a number, a newline, "mount ", a path, a newline. */
#define TEXT_BYTES (sizeof(((struct quiver_holder *)0)->mount_point) + 64)

static void nap(void)
{
	const struct timespec time = { .tv_nsec = POLL_NS };

	/* Cut short by a signal, it only looks again earlier. */
	(void)nanosleep(&time, NULL);
}

/* `r`, or where that is no error what closing returns. */
static int close_after(const struct quiver_io *io, int fd, int r)
{
	int closed = io->close(io, fd);

	return r < 0 ? r : closed;
}

/* The text of the file into *holder; pid 0 where it names none. */
static int read_text(const struct quiver_io *io, int fd, struct quiver_holder *holder)
{
	char text[TEXT_BYTES];
	char *line, *end;
	ssize_t n = io->pread(io, fd, text, sizeof(text) - 1, 0);

	*holder = (struct quiver_holder){ 0 };
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	if (strncmp(text, "pid ", 4) != 0)
		return 0;
	errno = 0;
	holder->pid = strtoll(text + 4, &end, 10);
	if (errno != 0 || end == text + 4 || *end != '\n' || holder->pid < 1) {
		holder->pid = 0;
		return 0;
	}
	line = end + 1;
	if (strncmp(line, "mount ", 6) != 0)
		return 0;
	line += 6;
	end = strrchr(line, '\n'); /* the path itself may hold one */
	if (end && (size_t)(end - line) < sizeof(holder->mount_point)) {
		memcpy(holder->mount_point, line, (size_t)(end - line));
		holder->mount_point[end - line] = '\0';
	}
	return 0;
}

/* Whether the lock excludes as well without what could not be written. */
static bool can_do_without(int r)
{
	return r < 0 && health_verdict(HEALTH_LOCK_NAME, r) == HEALTH_IGNORE;
}

/* Leave a text that names nobody. Not an empty file: its block will be needed again, and a
 * full disk may have none. */
static int wipe_text(const struct quiver_io *io, int fd)
{
	int r = io_write_all(io, fd, "\n", 1, 0);

	if (can_do_without(r)) /* it is empty */
		return 0;
	return r < 0 ? r : io->truncate(io, fd, 1);
}

static int write_text(const struct quiver_io *io, int fd, const char *mount_point)
{
	char text[TEXT_BYTES];
	int length = snprintf(text, sizeof(text), "pid %ld\n%s%s%s", (long)getpid(),
	                      mount_point ? "mount " : "", mount_point ? mount_point : "",
	                      mount_point ? "\n" : "");
	int r;

	if (length < 0)
		return -EINVAL;
	if ((size_t)length >= sizeof(text))
		return -ENAMETOOLONG;
	/* First the old holder goes, so that nobody is told of a mixture. */
	r = wipe_text(io, fd);
	if (r == 0)
		r = io_write_all(io, fd, text, (size_t)length, 0);
	return can_do_without(r) ? 0 : r;
}

/* As read_text, for a lock that is held: who only looks has not left a name, and one who was killed
 * may have left his; the kernel knows. */
static int read_holder_text(const struct quiver_io *io, int fd, struct quiver_holder *holder)
{
	int r = read_text(io, fd, holder);
	int64_t pid = lock_pid(fd);

	if (pid > 0)
		holder->pid = pid;
	return r;
}

static void say_busy(const struct quiver_io *io, int fd, const char *path,
                     struct quiver_error *error)
{
	struct quiver_holder holder;

	if (read_holder_text(io, fd, &holder) < 0 || holder.pid == 0)
		error_set(error, "%s: in use by another process", path);
	else if (holder.mount_point[0])
		error_set(error, "%s: in use by process %lld, mounted at %s", path,
		          (long long)holder.pid, holder.mount_point);
	else
		error_set(error, "%s: in use by process %lld", path, (long long)holder.pid);
}

/* Lock the open file, waiting for a holder that stops. 0, or -EBUSY with a message, or -errno. */
static int hold(const struct quiver_io *io, int fd, const char *path, uint32_t wait_ms,
                struct quiver_error *error)
{
	uint64_t wait_ns = wait_ms * NS_PER_MS;
	uint64_t end_ns = clock_monotonic_ns() + (wait_ns > WAIT_MIN_NS ? wait_ns : WAIT_MIN_NS);
	int r;

	while ((r = io->lock(io, fd)) == -EWOULDBLOCK && clock_monotonic_ns() < end_ns)
		nap();
	if (r != -EWOULDBLOCK)
		return r;
	say_busy(io, fd, path, error);
	return -EBUSY;
}

/* Take the lock of the open file, and say in it who holds it. */
static int take(const struct quiver_io *io, int fd, const char *path, const char *mount_point,
                bool name, uint32_t wait_ms, struct quiver_error *error)
{
	int r = hold(io, fd, path, wait_ms, error);

	if (r == 0 && name)
		r = write_text(io, fd, mount_point);
	if (r == 0)
		return fd;
	if (r != -EBUSY)
		error_set(error, "%s/%s: %s", path, LOCK_NAME, quiver_strerror(r));
	return close_after(io, fd, r);
}

int lock_take(const struct quiver_io *io, int dir_fd, const char *path, const char *mount_point,
              uint32_t wait_ms, struct quiver_error *error)
{
	int fd = io->open(io, dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);

	if (fd < 0) {
		error_set(error, "%s/%s: %s", path, LOCK_NAME, culprit_why(fd));
		return fd;
	}
	return take(io, fd, path, mount_point, true, wait_ms, error);
}

/* Whether a file that may not be written to may be read all the same. */
static bool may_be_read(int r)
{
	return r == -EACCES || r == -EROFS || r == -EPERM || r == -EMLINK;
}

int lock_take_to_look(const struct quiver_io *io, int dir_fd, const char *path,
                      const char *mount_point, uint32_t wait_ms, bool *named,
                      struct quiver_error *error)
{
	int fd = io->open(io, dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);

	*named = fd >= 0 && mount_point;
	if (may_be_read(fd))
		fd = io->open(io, dir_fd, LOCK_NAME, O_RDONLY, 0);
	if (fd < 0) {
		error_set(error, "%s/%s: %s", path, LOCK_NAME, culprit_why(fd));
		return fd;
	}
	return take(io, fd, path, mount_point, *named, wait_ms, error);
}

int lock_drop(const struct quiver_io *io, int fd)
{
	return close_after(io, fd, wipe_text(io, fd));
}

/* Wait for the text of a holder that has only just taken the lock; who only looks leaves none. */
static int read_holder(const struct quiver_io *io, int fd, struct quiver_holder *holder)
{
	uint64_t end_ns = clock_monotonic_ns() + WAIT_MIN_NS;
	int r;

	for (;;) {
		*holder = (struct quiver_holder){ 0 };
		r = io->locked(io, fd);
		if (r <= 0)
			return r;
		r = read_text(io, fd, holder);
		if (r < 0 || holder->pid != 0 || clock_monotonic_ns() >= end_ns)
			break;
		nap();
	}
	if (r == 0)
		r = read_holder_text(io, fd, holder);
	return r == 0 && holder->pid == 0 ? -EBUSY : r;
}

/* A folder with a superblock is taken for a store. */
static int check_store(const struct quiver_io *io, int dir_fd)
{
	int fd = io->open(io, dir_fd, "superblock", O_RDONLY, 0);

	if (fd < 0)
		return fd == -ENOENT ? -EINVAL : fd;
	return io->close(io, fd);
}

int quiver_holder(const char *path, struct quiver_holder *holder)
{
	const struct quiver_io *io = quiver_io_posix();
	int dir_fd, fd, r;

	*holder = (struct quiver_holder){ 0 };
	dir_fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (dir_fd < 0)
		return dir_fd == -ENOTDIR ? -EINVAL : dir_fd;
	r = check_store(io, dir_fd);
	if (r < 0)
		return close_after(io, dir_fd, r);
	fd = io->open(io, dir_fd, LOCK_NAME, O_RDONLY, 0);
	if (fd < 0) /* never opened, so nobody holds it */
		return close_after(io, dir_fd, fd == -ENOENT ? 0 : fd);
	r = close_after(io, fd, read_holder(io, fd, holder));
	return close_after(io, dir_fd, r);
}
