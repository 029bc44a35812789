#include "engine/recovery/lost_found.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_NAME "lost+found"
#define COPIES_MAX 10000u /* of one name; nobody repairs a store as often */

int lost_found_open(struct lost_found *lost, const struct quiver_io *io, int dir_fd)
{
	int r = io->mkdir(io, dir_fd, FOLDER_NAME, 0700);

	*lost = (struct lost_found){ .io = io, .dir_fd = dir_fd, .fd = -1 };
	if (r && r != -EEXIST)
		return r;
	lost->fd = io->open(io, dir_fd, FOLDER_NAME, O_RDONLY | O_DIRECTORY, 0);
	return lost->fd < 0 ? lost->fd : 0;
}

int lost_found_sync(const struct lost_found *lost)
{
	return io_fsync(lost->io, lost->fd);
}

int lost_found_close(struct lost_found *lost, int r)
{
	int c = lost->fd >= 0 ? lost->io->close(lost->io, lost->fd) : 0;

	lost->fd = -1;
	return r ? r : c;
}

/* A name that nothing there has yet: what an earlier repair has put there stays. */
static int new_name(const struct lost_found *lost, const char *base, char name[LOST_NAME_BYTES])
{
	for (unsigned n = 1; n <= COPIES_MAX; n++) {
		int fd, r;

		(void)snprintf(name, LOST_NAME_BYTES, n == 1 ? "%s" : "%s.%u", base, n);
		fd = lost->io->open(lost->io, lost->fd, name, O_RDONLY, 0);
		if (fd == -ENOENT)
			return 0;
		/* Whatever it is: it is there. */
		if (fd == -ELOOP || fd == -ENXIO || fd == -EISDIR)
			continue;
		r = fd < 0 ? fd : lost->io->close(lost->io, fd);
		if (r)
			return r;
	}
	return -EEXIST;
}

/* A new file, open. */
static int make(const struct lost_found *lost, const char *base, char name[LOST_NAME_BYTES])
{
	int r = new_name(lost, base, name);

	return r ? r : lost->io->open(lost->io, lost->fd, name, O_RDWR | O_CREAT | O_EXCL, 0600);
}

static int finish(const struct lost_found *lost, int fd, int r)
{
	int c;

	if (r == 0)
		r = io_fsync(lost->io, fd);
	c = lost->io->close(lost->io, fd);
	return r ? r : c;
}

int lost_found_keep(const struct lost_found *lost, const char *base, const void *bytes,
                    uint64_t length, char name[LOST_NAME_BYTES])
{
	int fd = make(lost, base, name);

	return fd < 0 ? fd : finish(lost, fd, io_write_all(lost->io, fd, bytes, length, 0));
}

/* What cannot be read is zeros. */
static int copy(const struct quiver_io *io, int from, int to)
{
	uint8_t *piece = malloc(IO_PIECE_BYTES);
	struct stat st;
	int r = piece ? io->stat(io, from, &st) : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < (uint64_t)st.st_size; at += IO_PIECE_BYTES) {
		uint64_t left = (uint64_t)st.st_size - at;
		uint64_t n = left < IO_PIECE_BYTES ? left : IO_PIECE_BYTES;

		if (io_read_all(io, from, piece, n, at) != 0)
			memset(piece, 0, n);
		r = io_write_all(io, to, piece, n, at);
	}
	free(piece);
	return r;
}

int lost_found_copy(const struct lost_found *lost, const char *from, const char *base,
                    char name[LOST_NAME_BYTES])
{
	int from_fd = lost->io->open(lost->io, lost->dir_fd, from, O_RDONLY, 0);
	int fd, c;
	int r;

	if (from_fd < 0)
		return from_fd;
	fd = make(lost, base, name);
	r = fd < 0 ? fd : finish(lost, fd, copy(lost->io, from_fd, fd));
	c = lost->io->close(lost->io, from_fd);
	return r ? r : c;
}

int lost_found_move(const struct lost_found *lost, const char *from, const char *base,
                    char name[LOST_NAME_BYTES])
{
	char to[LOST_NAME_BYTES + sizeof(FOLDER_NAME "/")];
	int r = new_name(lost, base, name);

	if (r)
		return r;
	(void)snprintf(to, sizeof(to), FOLDER_NAME "/%s", name);
	return lost->io->rename(lost->io, lost->dir_fd, from, to);
}
