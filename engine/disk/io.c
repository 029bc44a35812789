/*
 * io.c - whole transfers over the table of io.h.
 */
#include "engine/disk/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

/* Calls in a row that moved nothing (EINTR, or a count of 0) before giving up: far
 * more than signals can cause, and an end to it all the same. */
#define STALLS_MAX 128

/* Drop `done` bytes from the front of the parts; parts that are used up go. */
static void advance(struct iovec **parts, int *count, size_t done)
{
	while (*count > 0 && done >= (*parts)->iov_len) {
		done -= (*parts)->iov_len;
		(*parts)++;
		(*count)--;
	}
	if (*count > 0) {
		(*parts)->iov_base = (char *)(*parts)->iov_base + done;
		(*parts)->iov_len -= done;
	}
}

int io_open_new(const struct quiver_io *io, int dir_fd, const char *name)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL;
	int fd = io->open(io, dir_fd, name, flags, 0600);
	int r;

	if (fd != -EEXIST)
		return fd;
	r = io->unlink(io, dir_fd, name);
	return r == 0 || r == -ENOENT ? io->open(io, dir_fd, name, flags, 0600) : r;
}

int io_writev_all(const struct quiver_io *io, int fd, struct iovec *parts, int count,
                  uint64_t offset)
{
	int stalls = 0;

	advance(&parts, &count, 0); /* empty parts */
	while (count > 0) {
		ssize_t n = io->pwritev(io, fd, parts, count < IOV_MAX ? count : IOV_MAX, offset);

		if (n < 0 && n != -EINTR)
			return (int)n;
		if (n <= 0) {
			if (++stalls >= STALLS_MAX)
				return -EIO;
			continue;
		}
		stalls = 0;
		offset += (uint64_t)n;
		advance(&parts, &count, (size_t)n);
	}
	return 0;
}

void *io_map_nothing(const struct quiver_io *self, int fd, uint64_t offset, size_t length)
{
	(void)self;
	(void)fd;
	(void)offset;
	(void)length;
	return NULL;
}

void io_hint_nothing(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length,
                     enum io_hint hint)
{
	(void)self;
	(void)fd;
	(void)offset;
	(void)length;
	(void)hint;
}

int io_write_out_nothing(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	(void)self;
	(void)fd;
	(void)offset;
	(void)length;
	return 0;
}

int io_write_all(const struct quiver_io *io, int fd, const void *from, size_t length,
                 uint64_t offset)
{
	/* writev(2) has no const of its own. */
	struct iovec part = { .iov_base = (void *)(uintptr_t)from, .iov_len = length };

	return io_writev_all(io, fd, &part, 1, offset);
}

ssize_t io_read_most(const struct quiver_io *io, int fd, void *to, size_t length, uint64_t offset)
{
	size_t done = 0;
	int stalls = 0;

	while (done < length) {
		ssize_t n = io->pread(io, fd, (char *)to + done, length - done, offset + done);

		if (n == -EINTR && ++stalls < STALLS_MAX)
			continue;
		if (n < 0)
			return n == -EINTR ? -EIO : n;
		if (n == 0)
			break;
		stalls = 0;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_read_all(const struct quiver_io *io, int fd, void *to, size_t length, uint64_t offset)
{
	ssize_t n = io_read_most(io, fd, to, length, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == length ? 0 : -ENODATA;
}

/* Whether a call that returned `*r` was interrupted and is to be made again; a bounded number of
 * times, then it is -EIO. */
static bool again(int *r, int *stalls)
{
	if (*r != -EINTR)
		return false;
	if (++*stalls < STALLS_MAX)
		return true;
	*r = -EIO;
	return false;
}

int io_fdatasync(const struct quiver_io *io, int fd)
{
	int stalls = 0;
	int r;

	do {
		r = io->fdatasync(io, fd);
	} while (again(&r, &stalls));
	return r;
}

int io_fsync(const struct quiver_io *io, int fd)
{
	int stalls = 0;
	int r;

	do {
		r = io->fsync(io, fd);
	} while (again(&r, &stalls));
	return r;
}

int io_write_out(const struct quiver_io *io, int fd, uint64_t offset, uint64_t length)
{
	int stalls = 0;
	int r;

	do {
		r = io->write_out(io, fd, offset, length);
	} while (again(&r, &stalls));
	return r;
}
