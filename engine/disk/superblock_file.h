/*
 * superblock_file.h - the two copies of the superblock on disk: read, written in turn, synced.
 */
#ifndef QUIVER_SUPERBLOCK_FILE_H
#define QUIVER_SUPERBLOCK_FILE_H

#include "engine/disk/io.h"
#include "engine/media/superblock.h"

/* Of an open store. */
struct superblock_file {
	const struct quiver_io *io;
	int fd; /* owned by the store; -1: not open */
	struct superblock now; /* as written last; checkpoint lock */
};

/* Read both copies, keep the newer valid one. -EUCLEAN neither is valid,
 * -EINVAL not a superblock at all (no magic in either), -ENOTSUP newer format,
 * -errno of the read. `error` may be NULL. `copies_bad` (may be NULL) gets how
 * many copies are invalid, though one was good. */
int superblock_read(const struct quiver_io *io, int fd, struct superblock *sb, int *copies_bad,
                    struct quiver_error *error);

/* sequence += 1, write that copy, fdatasync. On failure the sequence advances once
 * more, so that a retry overwrites the same copy and the good one stays. 0 or -errno. */
int superblock_write(const struct quiver_io *io, int fd, struct superblock *sb);

/* Write the copy that was read to its place once more, and sync it: if its sync failed in an
 * earlier life it may be in the kernel's memory alone, and the next write goes over the other
 * copy, the only one on disk then. 0 or -errno. */
int superblock_again(const struct quiver_io *io, int fd, const struct superblock *sb);
/* Where one copy is bad: whether it is what a crash leaves of writing `next` in its place (the
 * sequence is the one after that of the good copy). 1, 0, or -errno of the read. */
int superblock_torn(const struct quiver_io *io, int fd, const struct superblock *next);

/* Write both copies with another description, one after the other. In *sb it is the new one as soon
 * as the first copy has it: a later life finds that. 0 or -errno, after which *sb can be written
 * again as it is. */
int superblock_describe(const struct quiver_io *io, int fd, struct superblock *sb,
                        const struct quiver_description *description);

/* Write both copies (a new store). */
int superblock_format(const struct quiver_io *io, int fd, struct superblock *sb);

#endif
