/*
 * repair_snapshots.h - putting right what is damaged of the snapshots of a store.
 */
#ifndef QUIVER_REPAIR_SNAPSHOTS_H
#define QUIVER_REPAIR_SNAPSHOTS_H

#include "engine/recovery/check_say.h"
#include "engine/recovery/lost_found.h"

/* After the log was applied and what is damaged of live vectors was removed, and before any slot is
 * freed. What is removed lands in lost+found. 0; -EBUSY another process has a snapshot open that is
 * to be changed (noted as culprit); -errno. */
int repair_snapshots(struct check *check, const struct lost_found *lost);

#endif
