/*
 * fetching.h - vectors for questions where they are not compared slot by slot: of some IDs, of a snapshot,
 * of a store elsewhere.
 */
#ifndef QUIVER_FETCHING_H
#define QUIVER_FETCHING_H

#include "engine/nearest/comparing.h"
#include "engine/quiver.h"

/* Compare the vectors of ids[], or all that a listing has. Errors of quiver_nearest. */
int fetching_pass(struct quiver *store, struct round *round, const uint64_t *ids, size_t id_count);

#endif
