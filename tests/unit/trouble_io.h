/*
 * trouble_io.h - the real table, with trouble from a given call on: calls fail once or for
 * ever, stop half-way, or the process ends, as a kill -9 at that very place would end it.
 * Only calls that change something are counted. For many threads.
 */
#ifndef TROUBLE_IO_H
#define TROUBLE_IO_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "engine/disk/io.h"

enum trouble_kind {
	TROUBLE_CREATE = 1,
	TROUBLE_WRITE = 2,
	TROUBLE_SYNC = 4,
	TROUBLE_TRUNCATE = 8,
	TROUBLE_ALLOCATE = 16,
	TROUBLE_PUNCH = 32,
	TROUBLE_NAME = 64, /* rename, unlink, mkdir */
	TROUBLE_ANY = 127,
};

enum trouble_how {
	TROUBLE_ONCE, /* the one call fails */
	TROUBLE_FROM, /* it and every one after it */
	TROUBLE_EXIT, /* the process ends before it; status 0 */
	TROUBLE_HALF_EXIT, /* a write is done half, then the process ends */
};

#define TROUBLE_FDS 1024

struct trouble_io {
	struct quiver_io table; /* first: `self` of the functions */
	_Atomic long at; /* the call where it begins, from 1; 0 = never */
	_Atomic long calls; /* that count, made so far */
	_Atomic int kinds; /* which calls count, enum trouble_kind */
	_Atomic int how; /* enum trouble_how */
	_Atomic int error; /* negative */
	_Atomic int files; /* which files count: 0 all, else a letter of trouble_letter */
	_Atomic long syncs; /* that went through */
	_Atomic long sync_delay_us; /* a slow disk */
	_Atomic long write_delay_us;
	_Atomic char letters[TROUBLE_FDS]; /* by descriptor */
};

static inline struct trouble_io *trouble_self(const struct quiver_io *self)
{
	return (struct trouble_io *)(uintptr_t)self;
}

/* l a log segment, v i m the columns, s superblock, d durable, x index, r the rows that snapshots have,
 * o else. */
static inline char trouble_letter(const char *name)
{
	size_t n = strlen(name);

	if (n > 4 && strcmp(name + n - 4, ".wal") == 0)
		return 'l';
	if (n > 4 && strcmp(name + n - 4, ".npy") == 0)
		return name[0];
	if (strcmp(name, "superblock") == 0 || strcmp(name, "durable") == 0)
		return name[0];
	if (strncmp(name, "versions", 8) == 0)
		return 'r';
	if (strncmp(name, "regions", 7) == 0)
		return 'n';
	return strncmp(name, "index", 5) == 0 ? 'x' : 'o';
}

/* 0 go on, 1 half, else the error. */
static inline int trouble_now(struct trouble_io *t, int kind, int fd)
{
	int files = atomic_load(&t->files);
	long at = atomic_load(&t->at);
	long call;

	if (!(atomic_load(&t->kinds) & kind))
		return 0;
	if (files && (fd < 0 || fd >= TROUBLE_FDS || atomic_load(&t->letters[fd]) != files))
		return 0;
	call = atomic_fetch_add(&t->calls, 1) + 1;
	if (at == 0 || call < at || (call > at && atomic_load(&t->how) == TROUBLE_ONCE))
		return 0;
	if (atomic_load(&t->how) == TROUBLE_HALF_EXIT && kind == TROUBLE_WRITE)
		return 1;
	if (atomic_load(&t->how) >= TROUBLE_EXIT)
		_exit(0);
	return atomic_load(&t->error);
}

static inline int trouble_open(const struct quiver_io *self, int dir_fd, const char *name,
                               int flags, mode_t mode)
{
	struct trouble_io *t = trouble_self(self);
	int e = flags & O_CREAT ? trouble_now(t, TROUBLE_CREATE, -1) : 0;
	int fd = e ? e : quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);

	if (fd >= 0 && fd < TROUBLE_FDS)
		atomic_store(&t->letters[fd], trouble_letter(name));
	return fd;
}

/* A sector is written wholly or not at all, so half a write ends where a sector does. */
static inline void trouble_half(int fd, const struct iovec *parts, int count, uint64_t offset)
{
	uint64_t length = 0;
	uint64_t end;

	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	end = (offset + length / 2 + 256) / 512 * 512;
	if (end > offset + length)
		end = offset + length;
	for (int i = 0; i < count && offset < end; i++) {
		struct iovec part = parts[i];

		if (part.iov_len > end - offset)
			part.iov_len = end - offset;
		if (quiver_io_posix()->pwritev(quiver_io_posix(), fd, &part, 1, offset) !=
		    (ssize_t)part.iov_len)
			_exit(98);
		offset += part.iov_len;
	}
	_exit(0);
}

static inline ssize_t trouble_pwritev(const struct quiver_io *self, int fd,
                                      const struct iovec *parts, int count, uint64_t offset)
{
	long delay_us = atomic_load(&trouble_self(self)->write_delay_us);
	int e = trouble_now(trouble_self(self), TROUBLE_WRITE, fd);

	if (delay_us)
		usleep((useconds_t)delay_us);
	if (e == 1)
		trouble_half(fd, parts, count, offset);
	return e ? e : quiver_io_posix()->pwritev(quiver_io_posix(), fd, parts, count, offset);
}

static inline int trouble_sync(const struct quiver_io *self, int fd, bool data)
{
	struct trouble_io *t = trouble_self(self);
	const struct quiver_io *real = quiver_io_posix();
	long delay_us = atomic_load(&t->sync_delay_us);
	int e = trouble_now(t, TROUBLE_SYNC, fd);

	if (e)
		return e;
	if (delay_us)
		usleep((useconds_t)delay_us);
	atomic_fetch_add(&t->syncs, 1);
	return data ? real->fdatasync(real, fd) : real->fsync(real, fd);
}

static inline int trouble_fdatasync(const struct quiver_io *self, int fd)
{
	return trouble_sync(self, fd, true);
}

static inline int trouble_fsync(const struct quiver_io *self, int fd)
{
	return trouble_sync(self, fd, false);
}

static inline int trouble_write_out(const struct quiver_io *self, int fd, uint64_t offset,
                                    uint64_t length)
{
	int e = trouble_now(trouble_self(self), TROUBLE_SYNC, fd);

	return e ? e : quiver_io_posix()->write_out(quiver_io_posix(), fd, offset, length);
}

static inline int trouble_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	int e = trouble_now(trouble_self(self), TROUBLE_TRUNCATE, fd);

	return e ? e : quiver_io_posix()->truncate(quiver_io_posix(), fd, length);
}

static inline int trouble_allocate(const struct quiver_io *self, int fd, uint64_t offset,
                                   uint64_t length)
{
	struct stat st;
	int e;

	/* What lies within the file has its blocks, also on a full disk. */
	if (fstat(fd, &st) == 0 && offset + length <= (uint64_t)st.st_size)
		return quiver_io_posix()->allocate(quiver_io_posix(), fd, offset, length);
	e = trouble_now(trouble_self(self), TROUBLE_ALLOCATE, fd);

	return e ? e : quiver_io_posix()->allocate(quiver_io_posix(), fd, offset, length);
}

static inline int trouble_punch(const struct quiver_io *self, int fd, uint64_t offset,
                                uint64_t length)
{
	int e = trouble_now(trouble_self(self), TROUBLE_PUNCH, fd);

	return e ? e : quiver_io_posix()->punch(quiver_io_posix(), fd, offset, length);
}

static inline int trouble_rename(const struct quiver_io *self, int dir_fd, const char *from,
                                 const char *to)
{
	int e = trouble_now(trouble_self(self), TROUBLE_NAME, -1);

	return e ? e : quiver_io_posix()->rename(quiver_io_posix(), dir_fd, from, to);
}

static inline int trouble_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	int e = trouble_now(trouble_self(self), TROUBLE_NAME, -1);

	return e ? e : quiver_io_posix()->unlink(quiver_io_posix(), dir_fd, name);
}

static inline int trouble_mkdir(const struct quiver_io *self, int dir_fd, const char *name,
                                mode_t mode)
{
	int e = trouble_now(trouble_self(self), TROUBLE_NAME, -1);

	return e ? e : quiver_io_posix()->mkdir(quiver_io_posix(), dir_fd, name, mode);
}

static inline void trouble_init(struct trouble_io *t)
{
	memset(t, 0, sizeof(*t));
	t->table = *quiver_io_posix();
	t->table.open = trouble_open;
	t->table.pwritev = trouble_pwritev;
	t->table.map_to_store = io_map_nothing;
	t->table.fdatasync = trouble_fdatasync;
	t->table.fsync = trouble_fsync;
	t->table.write_out = trouble_write_out;
	t->table.truncate = trouble_truncate;
	t->table.allocate = trouble_allocate;
	t->table.punch = trouble_punch;
	t->table.rename = trouble_rename;
	t->table.unlink = trouble_unlink;
	t->table.mkdir = trouble_mkdir;
	atomic_store(&t->kinds, TROUBLE_ANY);
	atomic_store(&t->error, -EIO);
}

/* Trouble at the `at`-th of the calls from now on that are of `kinds`, on files of that letter
 * (0: on any). */
static inline void trouble_arm(struct trouble_io *t, long at, enum trouble_how how, int kinds,
                               int files, int error)
{
	atomic_store(&t->at, 0);
	atomic_store(&t->kinds, kinds);
	atomic_store(&t->files, files);
	atomic_store(&t->how, how);
	atomic_store(&t->error, error);
	atomic_store(&t->calls, 0);
	atomic_store(&t->at, at);
}

static inline void trouble_disarm(struct trouble_io *t)
{
	atomic_store(&t->at, 0);
}

#endif
