/*
 * fetch.h - pages of the vectors of a list, which lie anywhere in the file, before they are read.
 */
#ifndef QUIVER_LISTS_FETCH_H
#define QUIVER_LISTS_FETCH_H

#include "engine/lists/lists.h"

/* Have the vectors in these slots in memory and in the map, or nearly. Any thread. Waits for the disk. */
void fetch_slots(struct lists *lists, const uint32_t *slots, size_t count);

#endif
