/*
 * plan.h - what a group of commits is going to do: slots looked up, rows, LSNs and log records made.
 * Nothing that others see has changed then. Used by apply.c.
 */
#ifndef QUIVER_PLAN_H
#define QUIVER_PLAN_H

#include "engine/commit/committer.h"

/* Of so many ops, at least one, as of now. 0 or -ENOMEM; plan_free in either case. Any thread. */
int plan_init(struct plan *plan, size_t ops);
void plan_free(struct plan *plan);
/* Ops of all the requests. Any thread. */
size_t plan_count_ops(struct commit_request *const *group, size_t count);

/* Whether the log names only the slots of a request's vectors, which hold the bytes already:
 * half the writing. Whoever waits for a sync gets by with one if all is in the log, so that is
 * how it begins after each. Writer lock; once for each request, as another may sync meanwhile. */
void plan_choose_how(struct committer *commits, struct commit_request *const *group, size_t count);
/* After that. Writer lock: the mode in force decides what is logged. */
uint64_t plan_log_bytes_at_most(const struct committer *commits,
                                struct commit_request *const *group, size_t count);
/* Have what the index needs for it in memory, where that is not all there and many are under way. 0,
 * or why none of them can be planned: as catalog_ready. Writer lock. */
int plan_ready(struct committer *commits, struct commit_request *const *group, size_t count);
/* Plan each request whole or not at all (or each of its ops, where it says so): its result is 0, or
 * why it is not in the plan. Whether the plan has to be synced. LSNs are given out, from
 * plan->first_lsn on, to which the caller goes back where the plan comes to nothing. Writer lock. */
bool plan_group(struct committer *commits, struct plan *plan, struct commit_request *const *group,
                size_t count);
/* A vector that has changed later than the clock says, and gets another name. */
bool plan_is_ahead(const struct plan *plan, const struct commit_op *op);

#endif
