/*
 * keep_replay.h - what replaying the log takes from the columns, kept for the snapshots that have it;
 * FORMAT.md, Snapshots.
 */
#ifndef QUIVER_KEEP_REPLAY_H
#define QUIVER_KEEP_REPLAY_H

#include "engine/recovery/recovery.h"

/*
 * Before the log is replayed, and after it was read and made durable: rows in the columns that its records supersede, or
 * whose attributes they change, and that a snapshot has, are put into `versions` and synced. Changes
 * no row. 0, -ENOSPC, -errno.
 */
int keep_before_replay(struct recovery *recovery);

#endif
