/*
 * io.h - the one table of functions through which the engine touches files.
 *
 * Tests put their own table in its place to fail, shorten, drop or reorder any
 * call. Every function returns a negative errno on failure. Positioned reads
 * and writes may be short; io_read_all and io_write_all are what the engine
 * calls. `self` is the table itself, so that a test's table can carry state.
 *
 * All functions may be called by any thread.
 */
#ifndef QUIVER_IO_H
#define QUIVER_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/* What is written out in one piece at least: takes half a millisecond. */
#define IO_PIECE_BYTES (UINT64_C(1) << 20)

enum io_hint {
	IO_WILL_READ,
	IO_WRITE_SOON,
};

struct quiver_io {
	/* openat(2) below folder `dir_fd` (AT_FDCWD with a path for the store's
	 * own folder); O_CLOEXEC is added. Links are not followed there, and what is
	 * neither a regular file nor the folder that is wanted, or somebody else's, is
	 * refused (io_posix_open.h). A descriptor or -errno. With O_DIRECT
	 * what is read comes from the disk, after what is dirty of it was written;
	 * -EINVAL, now or from pread, where there is no such thing. */
	int (*open)(const struct quiver_io *self, int dir_fd, const char *name, int flags,
	            mode_t mode);
	/* The descriptor is gone whatever is returned. */
	int (*close)(const struct quiver_io *self, int fd);
	/* Bytes transferred, 0 at end of file, or -errno. */
	ssize_t (*pread)(const struct quiver_io *self, int fd, void *to, size_t length,
	                 uint64_t offset);
	ssize_t (*pwritev)(const struct quiver_io *self, int fd, const struct iovec *parts,
	                   int count, uint64_t offset);
	int (*fdatasync)(const struct quiver_io *self, int fd);
	/* Also for a folder. */
	int (*fsync)(const struct quiver_io *self, int fd);
	/* Drop what the kernel has cached of whole pages of the range (length 0: to the end of the
	 * file); what is dirty is written first, but not synced. What could not be written then, or earlier, is
	 * not there any more: the disk's bytes are. */
	int (*forget)(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length);
	/* A hint, which may come to nothing: begin to read a part of the file into the cache, or
	 * to write what is dirty of it, without waiting. Length 0: to the end. */
	void (*hint)(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length,
	             enum io_hint hint);
	/* Write what is dirty of the range and wait until the device has it. That makes nothing
	 * durable, but the sync after it short: so those who sync other files meanwhile wait for a
	 * piece and not for all. 0 or -errno, which the next sync may not tell again. */
	int (*write_out)(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length);
	int (*truncate)(const struct quiver_io *self, int fd, uint64_t length);
	/* The range is backed by blocks and the file at least as long as its end; what is in it
	 * stays, also what others write to it meanwhile. Where the filesystem cannot, a range that
	 * begins inside of the file is left as it is: then a full disk fails the writes to it. One
	 * that begins at the end, where nobody writes, gets zeros. */
	int (*allocate)(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length);
	/* Give a range back, the length stays. -EOPNOTSUPP where it cannot. */
	int (*punch)(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length);
	/* A name may have one folder before it, to which the same applies. */
	int (*rename)(const struct quiver_io *self, int dir_fd, const char *from, const char *to);
	int (*unlink)(const struct quiver_io *self, int dir_fd, const char *name);
	int (*mkdir)(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode);
	int (*stat)(const struct quiver_io *self, int fd, struct stat *st);
	/* For a file that takes the place of another: give it the owner, group and who may read and
	 * write of that, as far as this process may. 0 or -errno. NULL: there are none on this disk. */
	int (*own_as)(const struct quiver_io *self, int fd, int other_fd);
	/* Names in a folder, without . and .., each NUL-terminated, one after
	 * the other in *names (malloc'd, the caller frees), *count of them. */
	int (*list)(const struct quiver_io *self, int dir_fd, char **names, size_t *count);
	/* Map [offset, offset+length) at exactly `at` (MAP_FIXED, inside a range that
	 * the caller has reserved), shared and read-only. */
	int (*map_at)(const struct quiver_io *self, int fd, void *at, size_t length,
	              uint64_t offset);
	/* For map_store.h, through which all stores in maps go. Map a range of the file, shared:
	 * its address, or NULL where that cannot be; then pwritev is called. `offset` at a page. */
	void *(*map_to_store)(const struct quiver_io *self, int fd, uint64_t offset, size_t length);
	/* Unmap what that has given, all of it. */
	int (*unmap)(const struct quiver_io *self, void *map, size_t length);
	/* Store bytes at a place in such a map: 0, or -EIO, and then some of it may be. NULL, as
	 * in the real table: the processor stores them, with nothing between. */
	int (*store)(const struct quiver_io *self, void *to, const void *from, size_t length);
	/* flock(2) of a file or folder, exclusive, without waiting: 0, -EWOULDBLOCK, or -errno where
	 * the filesystem has no such lock. */
	int (*lock)(const struct quiver_io *self, int fd);
	/* The same, shared. */
	int (*share)(const struct quiver_io *self, int fd);
	/* Whether somebody else holds the exclusive one: 1, 0 or -errno. */
	int (*locked)(const struct quiver_io *self, int fd);
	/* fstatvfs(3) in bytes. */
	int (*space)(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free,
	             uint64_t *available);
};

/* The real file system. Static. */
const struct quiver_io *quiver_io_posix(void);

/* A map_to_store that never maps, so that all is written by calls; a hint that comes to nothing,
 * and a write_out on which, as on any, nothing depends: for tables whose disk is not the real
 * one. */
void *io_map_nothing(const struct quiver_io *self, int fd, uint64_t offset, size_t length);
void io_hint_nothing(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length,
                     enum io_hint hint);
int io_write_out_nothing(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length);

/* A new file, empty, for reading and writing by its owner, in place of one that may be there: that
 * is removed and never opened, since it may be anything. A descriptor or -errno. */
int io_open_new(const struct quiver_io *io, int dir_fd, const char *name);
/* Write everything, going on after short counts and EINTR (a bounded number of
 * calls without progress, then -EIO). 0 or -errno. `parts` is used up. */
int io_writev_all(const struct quiver_io *io, int fd, struct iovec *parts, int count,
                  uint64_t offset);
int io_write_all(const struct quiver_io *io, int fd, const void *from, size_t length,
                 uint64_t offset);
/* Read up to the end of the file, going on as above: how many bytes, or -errno. */
ssize_t io_read_most(const struct quiver_io *io, int fd, void *to, size_t length, uint64_t offset);
/* Read everything; -ENODATA where the file ends before. */
int io_read_all(const struct quiver_io *io, int fd, void *to, size_t length, uint64_t offset);
/* Retry EINTR a bounded number of times. */
int io_fdatasync(const struct quiver_io *io, int fd);
int io_fsync(const struct quiver_io *io, int fd);
int io_write_out(const struct quiver_io *io, int fd, uint64_t offset, uint64_t length);

#endif
