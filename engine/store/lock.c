#include "engine/store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "engine/base/culprit.h"
#include "engine/base/error.h"
#include "engine/base/latency.h"
#include "engine/store/lock_pid.h"
#include "engine/store/lock_text.h"

#define POLL_NS 10000000 /* how long a holder that stops may go unnoticed */
#define NS_PER_MS UINT64_C(1000000)
/* Whoever asks quiver_holder has the lock for an instant: that is not worth a -EBUSY. */
#define WAIT_MIN_NS (50 * NS_PER_MS)
/* More readers than anybody will look for one by one. */
#define NAMED_MAX 4
/* A number, a name and some words for each of them. */
#define NAMES_BYTES (NAMED_MAX * 64)

static void nap(void)
{
	const struct timespec time = { .tv_nsec = POLL_NS };

	/* Cut short by a signal, it only looks again earlier. */
	(void)nanosleep(&time, NULL);
}

static uint64_t end_of(uint32_t wait_ms)
{
	uint64_t wait_ns = wait_ms * NS_PER_MS;

	return clock_monotonic_ns() + (wait_ns > WAIT_MIN_NS ? wait_ns : WAIT_MIN_NS);
}

/* "12 (quiverfs), 14 (rsync)". */
static void name_processes(const int64_t *pids, size_t count, char names[NAMES_BYTES])
{
	size_t length = 0;

	names[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		struct lock_program program;

		lock_program(pids[i], &program);
		length += (size_t)snprintf(names + length, NAMES_BYTES - length,
		                           program.name[0] ? "%s%" PRId64 " (%s)" : "%s%" PRId64,
		                           i > 0 ? ", " : "", pids[i], program.name);
	}
}

/* Those who read: none of them has left a name. `fd` is what could not be locked. */
static void say_readers(int fd, const char *path, struct quiver_error *error)
{
	int64_t pids[NAMED_MAX + 1];
	char names[NAMES_BYTES];
	size_t count = lock_pids(fd, pids, 0, NAMED_MAX + 1);

	name_processes(pids, count < NAMED_MAX ? count : NAMED_MAX, names);
	if (count == 0)
		error_set(error,
		          "%s: in use by processes that read it, which cannot be seen from here; "
		          "are they in another container or on another machine? To write to it, "
		          "end them first: unmount what is mounted read-only",
		          path);
	else
		error_set(error,
		          "%s: in use by process%s %s%s, which only read%s it; to write to it, end "
		          "%s first: unmount what is mounted read-only",
		          path, count == 1 ? "" : "es", names,
		          count > NAMED_MAX ? " and others" : "", count == 1 ? "s" : "",
		          count == 1 ? "that" : "them");
}

/* Who may write: named by LOCK, if that is what could not be locked, or by the kernel. */
static void say_writer(const struct quiver_io *io, int fd, bool is_file, const char *path,
                       struct quiver_error *error)
{
	struct quiver_holder holder = { 0 };
	char name[NAMES_BYTES];
	int r = is_file ? lock_text_read(io, fd, &holder) : 0;

	/* One who was killed may have left his name; the kernel knows. */
	if (r < 0 || (lock_pids(fd, &holder.pid, 0, 1) == 0 && holder.pid == 0)) {
		error_set(error,
		          "%s: in use by another process, which cannot be seen from here; is it in "
		          "another container or on another machine?",
		          path);
		return;
	}
	name_processes(&holder.pid, 1, name);
	error_set(error, "%s: in use by process %s%s%s", path, name,
	          holder.mount_point[0] ? ", mounted at " : "", holder.mount_point);
}

/* Lock an open file or folder, waiting for a holder that stops. 0, or -EBUSY with a message, or
 * -errno. */
static int hold(const struct quiver_io *io, int fd, bool is_file, bool shared, const char *path,
                uint64_t end_ns, struct quiver_error *error)
{
	int r;

	while ((r = shared ? io->share(io, fd) : io->lock(io, fd)) == -EWOULDBLOCK &&
	       clock_monotonic_ns() < end_ns)
		nap();
	if (r != -EWOULDBLOCK)
		return r;
	if (!shared && io->locked(io, fd) == 0)
		say_readers(fd, path, error);
	else
		say_writer(io, fd, is_file, path, error);
	return -EBUSY;
}

/* The file, if it is open, and the folder. As hold. */
static int hold_both(const struct quiver_io *io, int dir_fd, int fd, bool shared, const char *path,
                     uint32_t wait_ms, struct quiver_error *error)
{
	uint64_t end_ns = end_of(wait_ms);
	int r = fd >= 0 ? hold(io, fd, true, shared, path, end_ns, error) : 0;

	if (r)
		return r;
	r = hold(io, dir_fd, false, shared, path, end_ns, error);
	/* Some filesystems lock no folders. */
	return r == -EBUSY || fd < 0 ? r : 0;
}

/* `r`, after saying why where that has not been said. */
static int tell(int r, const char *path, struct quiver_error *error)
{
	if (r < 0 && r != -EBUSY)
		error_set(error, "%s/%s: %s", path, LOCK_NAME, culprit_why(r));
	return r;
}

int lock_take(const struct quiver_io *io, int dir_fd, const char *path, const char *mount_point,
              uint32_t wait_ms, struct quiver_error *error)
{
	int fd = io->open(io, dir_fd, LOCK_NAME, O_RDWR | O_CREAT, 0600);
	int r;

	if (fd < 0)
		return tell(fd, path, error);
	r = hold_both(io, dir_fd, fd, false, path, wait_ms, error);
	if (r == 0)
		r = lock_text_write(io, fd, mount_point);
	if (r == 0)
		return fd;
	(void)io->close(io, fd); /* what failed first is the reason */
	return tell(r, path, error);
}

int lock_share(const struct quiver_io *io, int dir_fd, const char *path, uint32_t wait_ms, int *fd,
               struct quiver_error *error)
{
	int r;

	*fd = io->open(io, dir_fd, LOCK_NAME, O_RDONLY, 0);
	if (*fd < 0 && *fd != -ENOENT && *fd != -EACCES) {
		r = *fd;
		*fd = -1;
		return tell(r, path, error);
	}
	if (*fd < 0)
		*fd = -1;
	r = hold_both(io, dir_fd, *fd, true, path, wait_ms, error);
	if (r && *fd >= 0) {
		(void)io->close(io, *fd); /* what failed first is the reason */
		*fd = -1;
	}
	return tell(r, path, error);
}

int lock_drop(const struct quiver_io *io, int fd)
{
	int r = lock_text_wipe(io, fd);
	int closed = io->close(io, fd);

	return r < 0 ? r : closed;
}
