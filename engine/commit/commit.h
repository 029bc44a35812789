/*
 * commit.h - a commit as those who change vectors see it: through the log in a group, and where
 * the disk is full or the mode has no log by way of a checkpoint.
 */
#ifndef QUIVER_COMMIT_H
#define QUIVER_COMMIT_H

#include "engine/commit/checkpoint.h"
#include "engine/commit/commit_queue.h"

/* Commit, and wait until it is done; any thread, no lock held. 0 or the errors of quiver.h;
 * -ESTALE for a RENAME or MOVE whose source is no longer in src_slot (nothing changed). On
 * failure the slots of the ops are given back, unless the store has failed. */
int commit_submit(struct checkpointer *checkpointer, struct commit_request *request);

#endif
