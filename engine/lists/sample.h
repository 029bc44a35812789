/*
 * sample.h - vectors out of the columns, read by who has time.
 */
#ifndef QUIVER_LISTS_SAMPLE_H
#define QUIVER_LISTS_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/index/catalog.h"

#define SAMPLE_POPULATE 22 /* MADV_POPULATE_READ of Linux 5.14, for madvise(2) */

/* The next random number; splitmix64 (Steele et al., "Fast Splittable Pseudorandom Number Generators",
 * OOPSLA 2014). */
uint64_t sample_random(uint64_t *state);

/* Slots below `end` that hold a vector now, at most `max`, spread over all of them and ascending, into
 * slots[]: how many. */
size_t sample_slots(struct catalog *catalog, uint64_t *random, uint64_t end, size_t max,
                    uint32_t *slots);

/* No file is cut below the highest slot that holds a vector at this moment, until sample_unpin: it, or
 * SLOT_NONE. *told: slots that were published before it (published.h). 0 or -ENOMEM. */
int sample_pin(struct catalog *catalog, uint64_t *slot, uint64_t *told);
void sample_unpin(struct catalog *catalog, uint64_t slot);

/* Have the pages of the slots from the first to the last in memory; a hint. */
void sample_fetch(const struct catalog *catalog, uint64_t first, uint64_t last);
/* Copy the vector in a slot, which is not above one that is pinned: false where there is none, or it cannot
 * be read. It may be damaged, or another's by now, or half of it. *id: whose it was. Waits for the disk, and
 * needs no epoch section: a thread of the lowest priority may be kept from ending one. */
bool sample_read(const struct catalog *catalog, uint64_t slot, void *to, uint64_t *id);

#endif
