/*
 * snapshot.h - making and removing snapshots of an open store.
 */
#ifndef QUIVER_COMMIT_SNAPSHOT_H
#define QUIVER_COMMIT_SNAPSHOT_H

#include "engine/commit/checkpoint.h"

/* As quiver_snapshot_create. `uuid`: that of the one it is a copy of, or NULL for a new one.
 * `description` as of now. No lock held. */
int snapshot_create(struct checkpointer *checkpointer, const char *name, const uint8_t *uuid,
                    const struct quiver_description *description, struct quiver_snapshot *made);
/* As quiver_snapshot_remove. No lock held. */
int snapshot_remove(struct checkpointer *checkpointer, const char *name);

#endif
