/*
 * upgrade.h - a store of an earlier version of the format becomes one of this version; FORMAT.md,
 * "Version 1".
 */
#ifndef QUIVER_UPGRADE_H
#define QUIVER_UPGRADE_H

#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"

/* Upgrade a store that was closed cleanly or has been recovered, and that nobody uses: the columns
 * are opened anew. A crash at any point leaves a store of the one version or of the other. Reports
 * what it does, and how far it is. 0; -ENOSPC, -EIO, or else -errno: `error` says why, and the store
 * cannot be used any more, but can be opened anew. */
int upgrade_store(struct catalog *catalog, struct superblock_file *superblock, int dir_fd,
                  struct quiver_error *error);

/* The latest ctime of all rows of a store of version 1, which are their mtimes; INT64_MIN where there
 * is none. Rows that cannot be read have none. */
int64_t upgrade_ctime_max(const struct columns *columns);

#endif
