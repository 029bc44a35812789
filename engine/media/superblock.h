/*
 * superblock.h - the page that decides where anything disagrees, as bytes; FORMAT.md.
 */
#ifndef QUIVER_SUPERBLOCK_H
#define QUIVER_SUPERBLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

/* The oldest version that is read, FORMAT.md. */
#define SUPERBLOCK_VERSION_MIN 1u

#define SUPERBLOCK_COPY_BYTES 4096u
#define SUPERBLOCK_SECTOR_BYTES 512u /* what a disk writes at once */
/* Of the snapshots, of the file `index`, of the index of nearest neighbours. */
#define SUPERBLOCK_KEPT_BYTES 96u
/* Of features_to_change: there are snapshots, whose slots and rows must be kept. */
#define SUPERBLOCK_HAS_SNAPSHOTS UINT64_C(1)
#define SUPERBLOCK_FILE_BYTES (2 * SUPERBLOCK_COPY_BYTES)

/* Features without which a program must not open the store: a stream is being received. */
#define SUPERBLOCK_RECEIVING UINT64_C(1)

/* In memory; the layout on disk is superblock.c's own. */
struct superblock {
	/* SUPERBLOCK_VERSION_MIN ... QUIVER_FORMAT_VERSION. Of an open store fixed once it is open, and
	 * read by any thread. */
	uint32_t version;
	struct quiver_geometry geometry;
	bool clean;
	uint64_t sequence;
	uint64_t slots_used;
	uint64_t count;
	uint64_t checkpoint_lsn;
	uint64_t lsn_ceiling;
	uint64_t wal_first; /* segment number */
	struct quiver_attr dir;
	/* Of version 2 on; in version 1 ctimes are mtimes and the rest is zero. */
	int64_t ctime_max_ns; /* no row has a later one */
	struct quiver_description description;
	uint64_t features_to_open; /* SUPERBLOCK_RECEIVING or 0: others are -ENOTSUP */
	uint64_t features_to_change; /* ones that a program must know to change the store */
	uint64_t features_to_pass; /* ones that it need not know */
	uint8_t kept[SUPERBLOCK_KEPT_BYTES]; /* fields of features, as they were found; those of the
	                                        index are zeros here */
	/* The state of the file `index` that is of this checkpoint; 0: there is none. Who sets
	 * checkpoint_lsn sets these. Of version 1 there is none ever. */
	uint64_t index_generation, index_salt;
};

/* What it says of the file `versions`. */
struct versions_extent {
	uint64_t generation; /* 0: there is none */
	uint64_t lsn; /* of the checkpoint that said so */
	uint64_t bytes; /* that count */
};

struct versions_extent superblock_versions(const struct superblock *sb);
void superblock_set_versions(struct superblock *sb, struct versions_extent extent);

/* The salt of a file `index` that is written whole for *sb, as its generation. Not 0. */
uint64_t superblock_index_salt(const struct superblock *sb, uint64_t generation);

void superblock_encode(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES]);
/* Make of one of version 1 what the upgrade writes; FORMAT.md. `ctime_max_ns`: of the rows, whose
 * ctimes are their mtimes. */
void superblock_upgrade(struct superblock *sb, int64_t ctime_max_ns);
/* 0, -EINVAL no magic, -ENOTSUP a newer version or a feature that is not known here, -EUCLEAN damage. `copy` is its place
 * in the file: a page written to the wrong one is damage too. */
int superblock_decode(const uint8_t page[SUPERBLOCK_COPY_BYTES], unsigned copy,
                      struct superblock *sb);
/* Of both copies and what superblock_decode said of each, neither of it -ENOTSUP: the copy to
 * use; -EINVAL, -EUCLEAN with why in `error`, which may be NULL. */
int superblock_choose(const struct superblock copies[2], const int results[2],
                      struct quiver_error *error);

#endif
