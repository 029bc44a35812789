/*
 * io_posix.c - the table of io.h over the system calls of Linux.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/sizes.h"
#include "engine/disk/io.h"
#include "engine/disk/io_posix_open.h"

/* A signal can interrupt an allocation of many extents each time it begins anew. */
#define ALLOCATE_TRIES 128
#define LIST_FIRST_BYTES 1024u

/* The errno of a call, negative. A quota used up is a full disk to all of the engine, and so is
 * a file that would be larger than this process may make one (RLIMIT_FSIZE). */
static int failure(int number)
{
	return number == EDQUOT || number == EFBIG ? -ENOSPC : -number;
}

/* What a system call returned, as 0 or -errno. */
static int result(int r)
{
	return r == 0 ? 0 : failure(errno);
}

static int posix_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                      mode_t mode)
{
	int fd;

	(void)self;
	if (dir_fd != AT_FDCWD)
		return io_posix_open_below(dir_fd, name, flags, mode);
	/* A path that the user gives is his word, its links too. */
	fd = openat(dir_fd, name, flags | O_CLOEXEC, mode);
	return fd >= 0 ? fd : failure(errno);
}

static int posix_close(const struct quiver_io *self, int fd)
{
	(void)self;
	/* Linux has closed the descriptor by the time it can be interrupted. */
	return close(fd) == 0 || errno == EINTR ? 0 : failure(errno);
}

static ssize_t posix_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                           uint64_t offset)
{
	ssize_t n = pread(fd, to, length, (off_t)offset);

	(void)self;
	return n >= 0 ? n : -errno;
}

static ssize_t posix_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	ssize_t n = pwritev(fd, parts, count, (off_t)offset);

	(void)self;
	return n >= 0 ? n : failure(errno);
}

static int posix_fdatasync(const struct quiver_io *self, int fd)
{
	(void)self;
	return result(fdatasync(fd));
}

static int posix_fsync(const struct quiver_io *self, int fd)
{
	(void)self;
	return result(fsync(fd));
}

static int posix_forget(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
	                     SYNC_FILE_RANGE_WAIT_AFTER;
	int written;

	(void)self;
	/* A sync would write the whole file, and have the device empty its own cache. What either says
	 * may be of an earlier life; what failed goes with the rest. */
	written = sync_file_range(fd, (off_t)offset, (off_t)length, all);
	if (written)
		written = fdatasync(fd);
	(void)written;
	return failure(posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED));
}

static void posix_hint(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length,
                       enum io_hint hint)
{
	int r;

	(void)self;
	if (hint == IO_WILL_READ)
		r = posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_WILLNEED);
	else
		r = sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
	(void)r; /* what is read or synced later tells */
}

static int posix_write_out(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	(void)self;
	return result(sync_file_range(fd, (off_t)offset, (off_t)length,
	                              SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
	                                      SYNC_FILE_RANGE_WAIT_AFTER));
}

static int posix_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	(void)self;
	return result(ftruncate(fd, (off_t)length));
}

static int posix_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	(void)self;
	return result(fstat(fd, st));
}

static int posix_own_as(const struct quiver_io *self, int fd, int other_fd)
{
	struct stat st, other;

	(void)self;
	if (fstat(fd, &st) != 0 || fstat(other_fd, &other) != 0)
		return -errno;
	if ((st.st_mode & 0666) != (other.st_mode & 0666)) {
		/* Only its owner changes the mode: a daemon of root's may no more than CAP_CHOWN. */
		if (st.st_uid != geteuid() && fchown(fd, geteuid(), (gid_t)-1) != 0)
			return -errno;
		if (fchmod(fd, other.st_mode & 0666) != 0)
			return -errno;
	}
	/* Who may not has a file of his own, as all that he makes are. */
	return fchown(fd, other.st_uid, other.st_gid) == 0 || errno == EPERM ? 0 : -errno;
}

/* What allocate does where there is no fallocate(2), as on NFS before 4.2, 9p, ext3 and with many
 * FUSE filesystems. Not what glibc's posix_fallocate(3) does then: it reads a byte of each block
 * and, where that is 0, writes it back, over what another thread has stored there meanwhile. */
static int append_zeros(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	static const uint8_t zeros[ZERO_CHUNK_BYTES];
	uint64_t end = offset + length;
	struct stat st;
	int r = posix_stat(self, fd, &st);

	if (r || (uint64_t)st.st_size > offset)
		return r;
	for (uint64_t at = offset; r == 0 && at < end; at += ZERO_CHUNK_BYTES)
		r = io_write_all(self, fd, zeros,
		                 end - at < ZERO_CHUNK_BYTES ? end - at : ZERO_CHUNK_BYTES, at);
	return r;
}

static int posix_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int r = -EINTR;

	for (int i = 0; r == -EINTR && i < ALLOCATE_TRIES; i++)
		r = result(fallocate(fd, 0, (off_t)offset, (off_t)length));
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = append_zeros(self, fd, offset, length);
	return r;
}

static int posix_punch(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	int r = result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
	                         (off_t)length));

	(void)self;
	return r == -ENOSYS ? -EOPNOTSUPP : r;
}

static int posix_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	(void)self;
	return io_posix_rename_below(dir_fd, from, to);
}

static int posix_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	(void)self;
	return io_posix_unlink_below(dir_fd, name);
}

static int posix_mkdir(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode)
{
	(void)self;
	return dir_fd == AT_FDCWD ? result(mkdirat(dir_fd, name, mode))
	                          : io_posix_mkdir_below(dir_fd, name, mode);
}

struct names {
	char *text;
	size_t used, room, count;
};

static int names_add(struct names *names, const char *name)
{
	size_t bytes = strlen(name) + 1;

	if (names->room - names->used < bytes) {
		size_t room = names->room * 2 + LIST_FIRST_BYTES; /* a name is below 256 */
		char *text = realloc(names->text, room);

		if (!text)
			return -ENOMEM;
		names->text = text;
		names->room = room;
	}
	memcpy(names->text + names->used, name, bytes);
	names->used += bytes;
	names->count++;
	return 0;
}

static int read_names(DIR *dir, struct names *names)
{
	struct dirent *entry;
	int r;

	for (errno = 0; (entry = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = names_add(names, entry->d_name);
		if (r < 0)
			return r;
	}
	return -errno;
}

static int posix_list(const struct quiver_io *self, int dir_fd, char **names, size_t *count)
{
	struct names found = { 0 };
	DIR *dir;
	int fd, r;

	(void)self;
	/* A descriptor of its own: a duplicate would share the read position. */
	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		if (close(fd) != 0)
			r = -errno;
		return r;
	}
	r = read_names(dir, &found);
	if (closedir(dir) != 0 && r == 0)
		r = -errno;
	if (r < 0) {
		free(found.text);
		return r;
	}
	*names = found.text;
	*count = found.count;
	return 0;
}

static int posix_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                        uint64_t offset)
{
	void *map = mmap(at, length, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);

	(void)self;
	return map != MAP_FAILED ? 0 : -errno;
}

static void *posix_map_to_store(const struct quiver_io *self, int fd, uint64_t offset,
                                size_t length)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	(void)self;
	return map != MAP_FAILED ? map : NULL;
}

static int posix_unmap(const struct quiver_io *self, void *map, size_t length)
{
	(void)self;
	return result(munmap(map, length));
}

static int posix_lock(const struct quiver_io *self, int fd)
{
	(void)self;
	return result(flock(fd, LOCK_EX | LOCK_NB));
}

static int posix_share(const struct quiver_io *self, int fd)
{
	(void)self;
	return result(flock(fd, LOCK_SH | LOCK_NB));
}

static int posix_locked(const struct quiver_io *self, int fd)
{
	(void)self;
	/* Shared, so that two who only ask do not take each other for a holder. */
	if (flock(fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? 1 : -errno;
	return result(flock(fd, LOCK_UN));
}

static int posix_space(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free,
                       uint64_t *available)
{
	struct statvfs st;

	(void)self;
	if (fstatvfs(fd, &st) != 0)
		return -errno;
	*total = (uint64_t)st.f_blocks * st.f_frsize;
	*free = (uint64_t)st.f_bfree * st.f_frsize;
	*available = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

const struct quiver_io *quiver_io_posix(void)
{
	static const struct quiver_io posix = {
		.open = posix_open,
		.close = posix_close,
		.pread = posix_pread,
		.pwritev = posix_pwritev,
		.fdatasync = posix_fdatasync,
		.fsync = posix_fsync,
		.forget = posix_forget,
		.hint = posix_hint,
		.write_out = posix_write_out,
		.truncate = posix_truncate,
		.allocate = posix_allocate,
		.punch = posix_punch,
		.rename = posix_rename,
		.unlink = posix_unlink,
		.mkdir = posix_mkdir,
		.stat = posix_stat,
		.own_as = posix_own_as,
		.list = posix_list,
		.map_at = posix_map_at,
		.map_to_store = posix_map_to_store,
		.unmap = posix_unmap,
		.lock = posix_lock,
		.share = posix_share,
		.locked = posix_locked,
		.space = posix_space,
	};

	return &posix;
}
