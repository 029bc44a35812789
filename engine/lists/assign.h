/*
 * assign.h - vectors are put into lists.
 */
#ifndef QUIVER_LISTS_ASSIGN_H
#define QUIVER_LISTS_ASSIGN_H

#include "engine/lists/kmeans.h"
#include "engine/lists/lists.h"

/*
 * Put all vectors that are there and in no list, pending or not, into one. Each slot that is in use is a
 * step that is done. `lists` is watched, or nobody publishes. 0; -EINTR stopped; -ENOMEM. By the thread
 * that keeps them, as the next.
 */
int assign_all(struct lists *lists, struct lists_work *work);
/* The same of those that are pending, at most `max`: *count, how many were looked at. */
int assign_pending(struct lists *lists, size_t max, const _Atomic bool *stop, size_t *count);

#endif
