/*
 * nearest_files.h - the two files of an index of nearest neighbours: written whole, never synced, and
 * read with nothing believed; FORMAT.md, nearest/.
 */
#ifndef QUIVER_NEAREST_FILES_H
#define QUIVER_NEAREST_FILES_H

#include <stddef.h>

#include "engine/disk/io.h"
#include "engine/media/nearest_page.h"

#define NEAREST_CENTROIDS_NAME "nearest/centroids.npy"
#define NEAREST_CELLS_NAME "nearest/cells.npy"

/* Of an array, at a time. */
#define NEAREST_CHUNK_BYTES (1u << 20)

/*
 * Write the file that `page` tells of, but for its sums, in the folder `nearest` below `dir_fd`, which is
 * made where it is missing, in place of the one that is there. `fill` puts `length` bytes of the array
 * from byte `offset` on into `to`; both are multiples of 4. The file gets the owner of `like_fd` (io.h,
 * own_as). *file_bytes: how long it is. 0 or -errno: what was there is there still. Waits for the disk.
 */
int nearest_file_write(const struct quiver_io *io, int dir_fd, int like_fd,
                       const struct nearest_page *page,
                       void (*fill)(void *arg, uint64_t offset, size_t length, void *to), void *arg,
                       uint64_t *file_bytes);

/* One that is being read. */
struct nearest_file {
	const struct quiver_io *io;
	int fd; /* -1: none */
	struct nearest_page page;
	struct nearest_layout layout;
	uint8_t *sums; /* malloc'd */
};

/*
 * Open one and read all but its array. 0; -ENOENT there is none; -EBADMSG damage, also a size that is not
 * its own; -ENOTSUP of a newer version; -ENOMEM; another -errno of reading it. Not to be closed then.
 */
int nearest_file_open(struct nearest_file *file, const struct quiver_io *io, int dir_fd,
                      enum nearest_array array);
/* The array, in order: `take` gets `length` bytes from byte `offset` on, multiples of 4, at most
 * NEAREST_CHUNK_BYTES; those of a page that does not fit its sum, or cannot be read, are zeros. `take`
 * ends it with another value than 0, which is returned. *bad: such pages. 0, -ENOMEM. */
int nearest_file_read(const struct nearest_file *file,
                      int (*take)(void *arg, uint64_t offset, size_t length, const void *from),
                      void *arg, uint64_t *bad);
void nearest_file_close(struct nearest_file *file);

/* Remove both, or with `cells_only` that of the cells alone; the folder stays. 0, also where there are
 * none; or the first -errno. */
int nearest_files_remove(const struct quiver_io *io, int dir_fd, bool cells_only);

#endif
