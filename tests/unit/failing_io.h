/*
 * failing_io.h - the real table, of which one call can be made to fail, or whose
 * transfers are cut short and interrupted.
 */
#ifndef FAILING_IO_H
#define FAILING_IO_H

#include <errno.h>
#include <string.h>

#include "engine/disk/io.h"

struct failing_io {
	struct quiver_io table; /* first: `self` of the functions */
	long fail_at; /* the call that fails, from 1; 0 = none */
	int error; /* what it returns, negative */
	long calls; /* made so far */
	size_t transfer_max; /* bytes a read or write moves at most; 0 = any */
	int interrupts; /* -EINTR so many times before each transfer or sync */
	int interrupted; /* so far before the one at hand */
	int syncs; /* fdatasync and fsync that went through */
};

static inline struct failing_io *failing_self(const struct quiver_io *self)
{
	return (struct failing_io *)(uintptr_t)self;
}

static inline bool failing_now(struct failing_io *f)
{
	return ++f->calls == f->fail_at;
}

static inline bool failing_interrupt(struct failing_io *f)
{
	if (f->interrupted < f->interrupts) {
		f->interrupted++;
		return true;
	}
	f->interrupted = 0;
	return false;
}

/* Of transfers and syncs: what this one fails with, or 0. */
static inline int failing_trouble(struct failing_io *f)
{
	if (failing_interrupt(f))
		return -EINTR;
	return failing_now(f) ? f->error : 0;
}

static inline int failing_open(const struct quiver_io *self, int dir_fd, const char *name,
                               int flags, mode_t mode)
{
	struct failing_io *f = failing_self(self);

	return failing_now(f)
	               ? f->error
	               : quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);
}

static inline int failing_close(const struct quiver_io *self, int fd)
{
	struct failing_io *f = failing_self(self);
	bool fail = failing_now(f);
	int r = quiver_io_posix()->close(quiver_io_posix(), fd);

	return fail ? f->error : r;
}

static inline ssize_t failing_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                                    uint64_t offset)
{
	struct failing_io *f = failing_self(self);
	int e = failing_trouble(f);

	if (e)
		return e;
	if (f->transfer_max && length > f->transfer_max)
		length = f->transfer_max;
	return quiver_io_posix()->pread(quiver_io_posix(), fd, to, length, offset);
}

static inline ssize_t failing_pwritev(const struct quiver_io *self, int fd,
                                      const struct iovec *parts, int count, uint64_t offset)
{
	struct failing_io *f = failing_self(self);
	struct iovec first = { .iov_base = parts[0].iov_base, .iov_len = f->transfer_max };
	int e = failing_trouble(f);

	if (e)
		return e;
	if (f->transfer_max == 0)
		return quiver_io_posix()->pwritev(quiver_io_posix(), fd, parts, count, offset);
	if (first.iov_len > parts[0].iov_len)
		first.iov_len = parts[0].iov_len;
	return quiver_io_posix()->pwritev(quiver_io_posix(), fd, &first, 1, offset);
}

static inline int failing_sync(const struct quiver_io *self, int fd, bool data)
{
	const struct quiver_io *real = quiver_io_posix();
	struct failing_io *f = failing_self(self);
	int e = failing_trouble(f);

	if (e)
		return e;
	f->syncs++;
	return data ? real->fdatasync(real, fd) : real->fsync(real, fd);
}

static inline int failing_fdatasync(const struct quiver_io *self, int fd)
{
	return failing_sync(self, fd, true);
}

static inline int failing_fsync(const struct quiver_io *self, int fd)
{
	return failing_sync(self, fd, false);
}

static inline int failing_write_out(const struct quiver_io *self, int fd, uint64_t offset,
                                    uint64_t length)
{
	int e = failing_trouble(failing_self(self));

	return e ? e : quiver_io_posix()->write_out(quiver_io_posix(), fd, offset, length);
}

static inline int failing_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	struct failing_io *f = failing_self(self);

	return failing_now(f) ? f->error
	                      : quiver_io_posix()->truncate(quiver_io_posix(), fd, length);
}

/* As a full disk: half of it is there before it fails. */
static inline int failing_allocate(const struct quiver_io *self, int fd, uint64_t offset,
                                   uint64_t length)
{
	struct failing_io *f = failing_self(self);
	bool fail = failing_now(f);
	int r = quiver_io_posix()->allocate(quiver_io_posix(), fd, offset,
	                                    fail ? length / 2 + 1 : length);

	return fail ? f->error : r;
}

static inline int failing_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                                 uint64_t offset)
{
	struct failing_io *f = failing_self(self);

	return failing_now(f)
	               ? f->error
	               : quiver_io_posix()->map_at(quiver_io_posix(), fd, at, length, offset);
}

static inline int failing_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	struct failing_io *f = failing_self(self);

	return failing_now(f) ? f->error : quiver_io_posix()->stat(quiver_io_posix(), fd, st);
}

static inline void failing_io_init(struct failing_io *f)
{
	memset(f, 0, sizeof(*f));
	f->error = -EIO;
	f->table = *quiver_io_posix();
	f->table.open = failing_open;
	f->table.close = failing_close;
	f->table.pread = failing_pread;
	f->table.pwritev = failing_pwritev;
	f->table.map_to_store = io_map_nothing;
	f->table.fdatasync = failing_fdatasync;
	f->table.fsync = failing_fsync;
	f->table.write_out = failing_write_out;
	f->table.truncate = failing_truncate;
	f->table.allocate = failing_allocate;
	f->table.map_at = failing_map_at;
	f->table.stat = failing_stat;
}

/* Make the call after next `skip` calls fail with `error`. */
static inline void failing_io_arm(struct failing_io *f, long skip, int error)
{
	f->calls = 0;
	f->fail_at = skip + 1;
	f->error = error;
}

static inline void failing_io_disarm(struct failing_io *f)
{
	f->fail_at = 0;
}

#endif
