/*
 * meta_upgrade.h - meta.npy of a store of version 1 becomes one of version 2, in a file of its own
 * until the superblock says so; FORMAT.md, "Version 1".
 */
#ifndef QUIVER_META_UPGRADE_H
#define QUIVER_META_UPGRADE_H

#include "engine/disk/columns.h"

struct meta_upgrade {
	int64_t ctime_max_ns; /* of all rows */
	uint64_t bad_rows; /* that do not match their crc, and do not in the new file */
	/* Called after every so many rows. May be NULL. */
	void (*on_rows)(void *arg, uint64_t done, uint64_t rows);
	void *arg;
};

/* Write meta.npy.new from the columns, which are of version 1, and sync it; what is there under the
 * name goes. Nobody stores rows. Fills the two counts. -ENOSPC, -EIO a row or an ID that cannot be
 * read, or else -errno: then there is no such file, unless that cannot be removed either. */
int meta_upgrade_write(const struct columns *columns, struct meta_upgrade *upgrade);
/* How many bytes that takes. */
uint64_t meta_upgrade_bytes(const struct columns *columns);

#endif
