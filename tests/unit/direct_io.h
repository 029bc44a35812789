/*
 * direct_io.h - the real table, but that who opens with O_DIRECT is told from the others: what he reads
 * is the disk's, and tests make that differ from what the kernel shows. For one thread.
 */
#ifndef DIRECT_IO_H
#define DIRECT_IO_H

#include "unit.h"

#include <fcntl.h>

#include "engine/disk/io.h"

#define DIRECT_FDS 1024
#define DIRECT_READ_MAX 5000u /* not whole blocks */

static struct {
	bool no_open; /* with O_DIRECT */
	bool no_read; /* through it */
	bool short_reads; /* also with signals between them */
	unsigned calls;
	bool is_direct[DIRECT_FDS];
} direct_io;

static inline int direct_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                              mode_t mode)
{
	int fd;

	(void)self;
	if ((flags & O_DIRECT) && direct_io.no_open)
		return -EINVAL;
	fd = quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags & ~O_DIRECT, mode);
	assert_true(fd < DIRECT_FDS);
	if (fd >= 0)
		direct_io.is_direct[fd] = flags & O_DIRECT;
	return fd;
}

static inline ssize_t direct_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                                   uint64_t offset)
{
	(void)self;
	if (direct_io.is_direct[fd] && direct_io.no_read)
		return -EINVAL;
	if (direct_io.is_direct[fd])
		assert_true(offset % 4096 == 0 && length % 4096 == 0 && (uintptr_t)to % 4096 == 0);
	if (direct_io.short_reads && direct_io.calls++ % 3 == 0)
		return -EINTR;
	if (direct_io.short_reads && length > DIRECT_READ_MAX)
		length = DIRECT_READ_MAX;
	return quiver_io_posix()->pread(quiver_io_posix(), fd, to, length, offset);
}

/* The rest of the table is the real one. */
static inline struct quiver_io direct_table(void)
{
	struct quiver_io io = *quiver_io_posix();

	memset(&direct_io, 0, sizeof(direct_io));
	io.open = direct_open;
	io.pread = direct_pread;
	return io;
}

#endif
