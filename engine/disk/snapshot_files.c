#include "engine/disk/snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_NAME "snapshots"

/* Of one that is being made: its name behind a dot, which no snapshot's has. */
#define NEW_NAME_BYTES (QUIVER_SNAPSHOT_NAME_MAX + 2)

static int open_folder(const struct quiver_io *io, int dir_fd)
{
	return io->open(io, dir_fd, FOLDER_NAME, O_RDONLY | O_DIRECTORY, 0);
}

/* What it was for has failed, or is done: read, or synced. So its closing does not count. */
static int close_with(const struct quiver_io *io, int fd, int r)
{
	(void)io->close(io, fd);
	return r;
}

/* The names of snapshots to the front; how many. */
static size_t keep_names(char *names, size_t count)
{
	size_t kept = 0;
	char *to = names;

	for (const char *name = names; count > 0; count--) {
		size_t bytes = strlen(name) + 1;
		const char *next = name + bytes;

		if (quiver_snapshot_name_is_valid(name)) {
			memmove(to, name, bytes);
			to += bytes;
			kept++;
		}
		name = next;
	}
	return kept;
}

/* One that cannot be removed is in nobody's way until a snapshot of its name is made. */
static void clear_new(const struct quiver_io *io, int fd, const char *names, size_t count)
{
	for (const char *name = names; count > 0; count--, name += strlen(name) + 1)
		if (name[0] == '.' && quiver_snapshot_name_is_valid(name + 1))
			(void)io->unlink(io, fd, name);
}

int snapshot_files_list(const struct quiver_io *io, int dir_fd, bool clear, char **names,
                        size_t *count)
{
	int fd = open_folder(io, dir_fd);
	int r;

	*names = NULL;
	*count = 0;
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	r = io->list(io, fd, names, count);
	if (r == 0 && clear) {
		clear_new(io, fd, *names, *count);
		/* A removal whose sync failed, or did not come to it, may be in the kernel's memory
		 * alone: what is not listed shall not come back. */
		r = io_fsync(io, fd);
	}
	r = close_with(io, fd, r);
	if (r) {
		free(*names);
		*names = NULL;
		*count = 0;
		return r;
	}
	*count = keep_names(*names, *count);
	return 0;
}

/* One of the folder's files; -ENOENT also where there is no folder. */
static int open_file(const struct quiver_io *io, int dir_fd, const char *name, int flags)
{
	int folder_fd = open_folder(io, dir_fd);

	if (folder_fd < 0)
		return folder_fd;
	return close_with(io, folder_fd, io->open(io, folder_fd, name, flags, 0));
}

int snapshot_files_read_both(const struct quiver_io *io, int dir_fd, const char *name,
                             const uint8_t store_uuid[16], struct snapshot_page *page,
                             unsigned *copies_bad)
{
	uint8_t file[SNAPSHOT_FILE_BYTES] = { 0 };
	int fd = open_file(io, dir_fd, name, O_RDONLY);
	int first, second;
	int r;

	if (fd < 0)
		return fd;
	/* One copy is enough, so a failure of reading the other does not count. */
	first = io_read_all(io, fd, file, SNAPSHOT_COPY_BYTES, 0);
	second = io_read_all(io, fd, file + SNAPSHOT_COPY_BYTES, SNAPSHOT_COPY_BYTES,
	                     SNAPSHOT_COPY_BYTES);
	r = snapshot_page_decode(file, store_uuid, page, copies_bad);
	if (r == -EUCLEAN)
		r = first && first != -ENODATA ? first : second && second != -ENODATA ? second : r;
	return close_with(io, fd, r);
}

int snapshot_files_read(const struct quiver_io *io, int dir_fd, const char *name,
                        const uint8_t store_uuid[16], struct snapshot_page *page)
{
	unsigned copies_bad;

	return snapshot_files_read_both(io, dir_fd, name, store_uuid, page, &copies_bad);
}

/* The folder, made where it is missing, and on stable storage: also one that is there may be of a
 * making whose sync failed. */
static int make_folder(const struct quiver_io *io, int dir_fd)
{
	int r = io->mkdir(io, dir_fd, FOLDER_NAME, 0700);

	if (r && r != -EEXIST)
		return r;
	r = io_fsync(io, dir_fd);
	return r ? r : open_folder(io, dir_fd);
}

static int write_new(const struct quiver_io *io, int folder_fd, const char *new_name, int old_fd,
                     const struct snapshot_page *page)
{
	uint8_t file[SNAPSHOT_FILE_BYTES];
	int fd = io_open_new(io, folder_fd, new_name);
	int r = 0;

	if (fd < 0)
		return fd;
	if (old_fd >= 0 && io->own_as)
		r = io->own_as(io, fd, old_fd);
	snapshot_page_encode(page, file);
	if (r == 0)
		r = io_write_all(io, fd, file, sizeof(file), 0);
	if (r == 0)
		r = io_fsync(io, fd);
	r = close_with(io, fd, r);
	if (r)
		(void)io->unlink(io, folder_fd, new_name); /* what failed first is the reason */
	return r;
}

/* The file that goes, locked against those who hold it: a descriptor; -EBUSY; -errno of opening it. */
static int open_locked(const struct quiver_io *io, int folder_fd, const char *name)
{
	/* NFS takes an exclusive lock only where one may write. */
	int fd = io->open(io, folder_fd, name, O_RDWR, 0);
	int r;

	if (fd == -EMLINK)
		fd = io->open(io, folder_fd, name, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = io->lock(io, fd);
	if (r == 0)
		return fd;
	return close_with(io, fd, r == -EWOULDBLOCK ? -EBUSY : r);
}

int snapshot_files_write(const struct quiver_io *io, int dir_fd, const char *name,
                         const struct snapshot_page *page)
{
	char new_name[NEW_NAME_BYTES];
	int folder_fd = make_folder(io, dir_fd);
	int old_fd;
	int r;

	if (folder_fd < 0)
		return folder_fd;
	old_fd = open_locked(io, folder_fd, name);
	r = old_fd < 0 && old_fd != -ENOENT ? old_fd : 0;
	(void)snprintf(new_name, sizeof(new_name), ".%s", name);
	if (r == 0)
		r = write_new(io, folder_fd, new_name, old_fd, page);
	if (r == 0) {
		r = io->rename(io, folder_fd, new_name, name);
		if (r)
			(void)io->unlink(io, folder_fd, new_name); /* as above */
	}
	if (r == 0)
		r = io_fsync(io, folder_fd);
	if (old_fd >= 0)
		r = close_with(io, old_fd, r);
	return close_with(io, folder_fd, r);
}

int snapshot_files_remove(const struct quiver_io *io, int dir_fd, const char *name)
{
	int folder_fd = open_folder(io, dir_fd);
	int fd;
	int r;

	if (folder_fd < 0)
		return folder_fd;
	fd = open_locked(io, folder_fd, name);
	/* What nobody can have open as a snapshot is removed all the same. */
	r = fd == -ELOOP || fd == -ENXIO || fd == -EPERM || fd >= 0 ? 0 : fd;
	if (r == 0)
		r = io->unlink(io, folder_fd, name);
	/* That it is not there may be of a removal whose sync failed. */
	if (r == 0 || r == -ENOENT) {
		int synced = io_fsync(io, folder_fd);

		r = synced ? synced : r;
	}
	if (fd >= 0)
		r = close_with(io, fd, r);
	return close_with(io, folder_fd, r);
}

int snapshot_files_sync(const struct quiver_io *io, int dir_fd)
{
	int fd = open_folder(io, dir_fd);

	return fd < 0 ? fd : close_with(io, fd, io_fsync(io, fd));
}

int snapshot_files_lock(const struct quiver_io *io, int dir_fd, const char *name)
{
	int folder_fd = open_folder(io, dir_fd);
	int fd, c;

	if (folder_fd < 0)
		return folder_fd;
	fd = open_locked(io, folder_fd, name);
	c = io->close(io, folder_fd);
	return fd >= 0 && c ? close_with(io, fd, c) : fd;
}

int snapshot_files_hold(const struct quiver_io *io, int dir_fd, const char *name)
{
	int fd = open_file(io, dir_fd, name, O_RDONLY);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	r = io->share(io, fd);
	if (r == -EWOULDBLOCK)
		r = -EBUSY;
	if (r == 0)
		r = io->stat(io, fd, &st);
	/* It was removed, or another came in its place, before the lock was there. */
	if (r == 0 && st.st_nlink == 0)
		r = -ENOENT;
	return r ? close_with(io, fd, r) : fd;
}
