/*
 * check_snapshots.h - whether the snapshots of a store have what they had when they were made, and
 * putting right what is damaged of them; FORMAT.md, Snapshots. Used by the check and by a repair.
 */
#ifndef QUIVER_CHECK_SNAPSHOTS_H
#define QUIVER_CHECK_SNAPSHOTS_H

#include "engine/recovery/check_say.h"

/* After the base was read, and before a replay changes it: each snapshot's file, each row that only
 * snapshots have, with its bytes, and how many vectors each snapshot has. Faults go to check->say and
 * into check->result. 0, -ENOMEM, -errno. */
int check_snapshots(struct check *check);

/* How many vectors each snapshot has in the columns and among the versions: one number for each of
 * versions->snapshots behind the damaged ones, malloc'd, the caller's. NULL: -ENOMEM. */
uint64_t *check_snapshot_counts(const struct catalog *catalog);
/* Whether the slot of a version holds its vector. *why in words where it does not. */
bool check_version(const struct catalog *catalog, const struct version_record *record,
                   const char **why);
/* Whether a snapshot that can be read has it, or its slot. */
bool check_version_is_had(const struct versions *versions, const struct version *version);
/* Whether the columns have that very row, so that it has not ended. */
bool check_row_is_there(const struct catalog *catalog, const struct version *version);

#endif
