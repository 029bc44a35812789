/*
 * slots_by_id.h - vectors of a catalog, found by their IDs: for by_id.h.
 */
#ifndef QUIVER_NEAREST_SLOTS_BY_ID_H
#define QUIVER_NEAREST_SLOTS_BY_ID_H

#include "engine/index/catalog.h"
#include "engine/nearest/by_id.h"

/* Fill in the finder; the catalog outlives it. One thread at a time: it is in an epoch section between
 * `find` and `release`. */
void slots_by_id(struct finder *finder, struct catalog *catalog);

#endif
