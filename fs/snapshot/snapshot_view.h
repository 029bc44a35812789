/*
 * snapshot_view.h - a snapshot that is open: a struct fs over a store of its own, within that of the
 * mount.
 */
#ifndef SNAPSHOT_VIEW_H
#define SNAPSHOT_VIEW_H

#include "fs/base/inside.h"
#include "fs/base/worker.h"

struct snapshot_view {
	struct fs fs;
	struct work work; /* to close it */
};

/* Of the snapshot that `is` tells of and the table knows as `guest`. Waits. -ENOENT, -EUCLEAN and other
 * errors of quiver_snapshot_open; -ENOMEM. */
int snapshot_view_new(struct fs *mount, const struct quiver_snapshot *is, struct guest *guest,
                      uint64_t inode_key, struct snapshot_view **view);
/* No request uses it. */
void snapshot_view_free(struct snapshot_view *view);
/* The same by a worker. Never waits; any lock may be held. */
void snapshot_view_close(struct fs *mount, struct snapshot_view *view);

#endif
