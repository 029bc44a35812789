/* Who has a store open, asked by somebody who has not. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <time.h>

#include "engine/base/latency.h"
#include "engine/store/lock.h"
#include "engine/store/lock_pid.h"
#include "engine/store/lock_text.h"

#define POLL_NS 10000000
/* How long who has just taken the lock may need for its text. */
#define TEXT_WAIT_NS UINT64_C(50000000)

struct asked {
	int dir_fd;
	int fd; /* of LOCK; -1 where there is none */
};

/* A folder with a superblock is taken for a store. */
static int check_store(const struct quiver_io *io, int dir_fd)
{
	int fd = io->open(io, dir_fd, "superblock", O_RDONLY, 0);

	if (fd < 0)
		return fd == -ENOENT ? -EINVAL : fd;
	return io->close(io, fd);
}

/* What is locked of a store. 0 or -errno, then nothing is open. */
static int ask(const struct quiver_io *io, const char *path, struct asked *asked)
{
	int r;

	asked->dir_fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (asked->dir_fd < 0)
		return asked->dir_fd == -ENOTDIR ? -EINVAL : asked->dir_fd;
	r = check_store(io, asked->dir_fd);
	asked->fd = r ? r : io->open(io, asked->dir_fd, LOCK_NAME, O_RDONLY, 0);
	if (r == 0 && asked->fd < 0 && asked->fd != -ENOENT && asked->fd != -EACCES)
		r = asked->fd;
	if (r)
		(void)io->close(io, asked->dir_fd); /* what failed first is the reason */
	return r;
}

static int done(const struct quiver_io *io, const struct asked *asked, int r)
{
	int file = asked->fd < 0 ? 0 : io->close(io, asked->fd);
	int folder = io->close(io, asked->dir_fd);

	return r < 0 ? r : file < 0 ? file : folder < 0 ? folder : r;
}

/* Whether somebody may write to it: 1, 0 or -errno. */
static int is_held(const struct quiver_io *io, const struct asked *asked)
{
	int r = asked->fd < 0 ? 0 : io->locked(io, asked->fd);
	int folder = r ? 0 : io->locked(io, asked->dir_fd);

	/* Some filesystems lock no folders. */
	return r ? r : folder < 0 && asked->fd >= 0 ? 0 : folder;
}

/* Wait for the text of a holder that has only just taken the lock. */
static int read_holder(const struct quiver_io *io, const struct asked *asked,
                       struct quiver_holder *holder)
{
	const struct timespec moment = { .tv_nsec = POLL_NS };
	uint64_t end_ns = clock_monotonic_ns() + TEXT_WAIT_NS;
	int64_t pid;
	int r;

	for (;;) {
		*holder = (struct quiver_holder){ 0 };
		r = is_held(io, asked);
		if (r <= 0)
			return r;
		r = asked->fd < 0 ? 0 : lock_text_read(io, asked->fd, holder);
		if (r < 0)
			return r;
		if (holder->pid != 0 || clock_monotonic_ns() >= end_ns)
			break;
		(void)nanosleep(&moment, NULL); /* a signal only has it look earlier */
	}
	/* One who was killed may have left his name; the kernel knows. */
	if ((asked->fd >= 0 && lock_pids(asked->fd, &pid, 0, 1) > 0) ||
	    lock_pids(asked->dir_fd, &pid, 0, 1) > 0)
		holder->pid = pid;
	if (holder->pid != 0)
		return 0;
	/* One that ends has wiped its name, and may have let go while it was looked for. */
	r = is_held(io, asked);
	return r > 0 ? -EBUSY : r;
}

int quiver_holder(const char *path, struct quiver_holder *holder)
{
	const struct quiver_io *io = quiver_io_posix();
	struct asked asked;
	int r;

	*holder = (struct quiver_holder){ 0 };
	if (!quiver_is_folder(path))
		return 0;
	r = ask(io, path, &asked);
	return r ? r : done(io, &asked, read_holder(io, &asked, holder));
}

int quiver_readers(const char *path, int64_t *pids, size_t max)
{
	const struct quiver_io *io = quiver_io_posix();
	struct asked asked;
	size_t count = 0;
	int r;

	if (!quiver_is_folder(path))
		return 0;
	r = ask(io, path, &asked);
	if (r)
		return r;
	r = is_held(io, &asked);
	if (r == 0 && asked.fd >= 0)
		count = lock_pids(asked.fd, pids, 0, max);
	if (r == 0)
		count = lock_pids(asked.dir_fd, pids, count, max);
	return done(io, &asked, r < 0 ? r : (int)count);
}
