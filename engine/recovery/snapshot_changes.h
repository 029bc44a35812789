/*
 * snapshot_changes.h - what differs between two snapshots of a store.
 *
 * A version of a vector that both have lies in the same slot, since what a snapshot has is not moved:
 * so they are compared slot by slot, in memory in proportion to what differs.
 */
#ifndef QUIVER_SNAPSHOT_CHANGES_H
#define QUIVER_SNAPSHOT_CHANGES_H

#include "engine/recovery/snapshot_scan.h"

struct snapshot_change {
	uint64_t id;
	uint32_t slot; /* in the newer one; of what was removed in the older one */
	uint32_t change; /* enum quiver_change */
};

/*
 * Compare. `older` NULL: all of the newer one is added. *out, *count of them in ascending order
 * of the IDs, is malloc'd and the caller's. 0; -EINVAL `older` is not the older one, or of another
 * store; -EUCLEAN one of them lacks rows; -ENOMEM; errors of snapshot_scan_read. Both scans are
 * read from the beginning.
 */
int snapshot_changes(struct snapshot_scan *older, struct snapshot_scan *newer,
                     struct snapshot_change **out, size_t *count, struct quiver_error *error);

#endif
