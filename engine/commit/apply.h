/*
 * apply.h - what the leader does with a group: plan, rows, log; then sync and publish.
 * commit_flight.h says what may happen between.
 */
#ifndef QUIVER_APPLY_H
#define QUIVER_APPLY_H

#include "engine/commit/committer.h"

/* Plan and log the requests, whose IDs do not overlap. False: each has its result, and what
 * succeeded is visible; true: they are under way, and so is `group`, and apply_land comes next.
 * Waits for those under way that they clash with. No lock held. */
bool apply_log(struct committer *commits, struct commit_flight *flight,
               struct commit_request *const *group, size_t count);
/* Sync what is under way, where it asked for that, and wait until all before it is visible, and then
 * it, or it has failed: each request has its result. Once; the flight's memory is the caller's again.
 * No lock held. */
void apply_land(struct committer *commits, struct commit_flight *flight);
/* Both. */
void apply_group(struct committer *commits, struct commit_request *const *group, size_t count);

#endif
