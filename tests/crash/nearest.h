/*
 * nearest.h - questions for the nearest neighbours of a store that a crash, or a bad file, has gone over.
 */
#ifndef NEAREST_H
#define NEAREST_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

/* Ask some questions that follow from `seed`, of all vectors and by the index if there is one: whatever
 * that holds, an answer is a vector of the store at the distance that it has, and exact answers are
 * complete. `ids` are all that there may be. 0, or a line in `why` (NULL-terminated, `room` bytes). */
int nearest_look(struct quiver *store, const uint64_t *ids, size_t count, uint64_t seed, char *why,
                 size_t room);

#endif
