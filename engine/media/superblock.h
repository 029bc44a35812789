/*
 * superblock.h - the page that decides where anything disagrees, as bytes; FORMAT.md.
 */
#ifndef QUIVER_SUPERBLOCK_H
#define QUIVER_SUPERBLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define SUPERBLOCK_COPY_BYTES 4096u
#define SUPERBLOCK_SECTOR_BYTES 512u /* what a disk writes at once */
#define SUPERBLOCK_FILE_BYTES (2 * SUPERBLOCK_COPY_BYTES)

/* In memory; the layout on disk is superblock.c's own. */
struct superblock {
	struct quiver_geometry geometry;
	bool clean;
	uint64_t sequence;
	uint64_t slots_used;
	uint64_t count;
	uint64_t checkpoint_lsn;
	uint64_t lsn_ceiling;
	uint64_t wal_first; /* segment number */
	struct quiver_attr dir;
};

void superblock_encode(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES]);
/* 0, -EINVAL no magic, -ENOTSUP a newer version, -EUCLEAN damage. `copy` is its place
 * in the file: a page written to the wrong one is damage too. */
int superblock_decode(const uint8_t page[SUPERBLOCK_COPY_BYTES], unsigned copy,
                      struct superblock *sb);
/* Of both copies and what superblock_decode said of each, neither of it -ENOTSUP: the copy to
 * use; -EINVAL, -EUCLEAN with why in `error`, which may be NULL. */
int superblock_choose(const struct superblock copies[2], const int results[2],
                      struct quiver_error *error);

#endif
