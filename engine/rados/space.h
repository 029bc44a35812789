/*
 * space.h - how large the pool is, and what is going on: calls of the kind; kind.h.
 */
#ifndef QUIVER_RADOS_SPACE_H
#define QUIVER_RADOS_SPACE_H

#include "engine/store/kind.h"

/* Of the pool: its quota where it has one, else what it holds and what the cluster can still put
 * into it. Zeros where nobody counts: without a manager. */
int space_get(struct quiver *store, unsigned flags, struct quiver_space *space);
void space_stats(struct quiver *store, struct quiver_stats *stats);

#endif
