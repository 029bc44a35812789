/*
 * apply.h - what the leader does with a group: plan, rows, log, sync, publish.
 */
#ifndef QUIVER_APPLY_H
#define QUIVER_APPLY_H

#include "engine/commit/committer.h"

/* Apply the requests, whose IDs do not overlap; each gets its result. Takes the writer
 * lock. */
void apply_group(struct committer *commits, struct commit_request *const *group, size_t count);

#endif
