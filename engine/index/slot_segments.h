/*
 * slot_segments.h - how many free slots each segment of slots has, and which segments have the
 * most: who fills one segment after the other writes neighbours, in few pages.
 *
 * Segments lie in classes by how many free slots they have, four for each power of two, each class
 * with a bit for each segment. So the best class is found at once, and in it the lowest segment in
 * the time of a look at 16,384 bits for 2^28 slots. Memory: 9 bytes for each segment, which has
 * SLOTS_SEGMENT slots.
 *
 * No lock of its own: it is guarded by that of the slots.
 */
#ifndef QUIVER_SLOT_SEGMENTS_H
#define QUIVER_SLOT_SEGMENTS_H

#include <stdint.h>

#include "engine/base/sizes.h"

/* 1, 2, 3, and four for each power of two from 4 to 8192, and that of a whole segment. */
#define SEGMENT_CLASSES 52u
#define SEGMENT_NONE UINT64_MAX

struct slot_segments {
	uint64_t words; /* of a class */
	uint16_t *free; /* of each segment */
	uint64_t *
		maps; /* a bit for each segment: of the classes, then of all that have free slots */
	uint64_t counts[SEGMENT_CLASSES]; /* segments in each class */
	uint64_t classes; /* a bit for each class that has any */
};

/* All have no free slots. 0 or -ENOMEM. */
int slot_segments_init(struct slot_segments *segments, uint64_t slots_max);
void slot_segments_destroy(struct slot_segments *segments);

/* The segment has so many free slots. */
void slot_segments_set(struct slot_segments *segments, uint64_t segment, uint32_t free);
static inline uint32_t slot_segments_free(const struct slot_segments *segments, uint64_t segment)
{
	return segments->free[segment];
}

/* The lowest segment at or above `from` with free slots, or SEGMENT_NONE. */
uint64_t slot_segments_lowest(const struct slot_segments *segments, uint64_t from);

/* Going through all that have free slots, from the best class down, in each from the lowest up.
 * All-zero memory begins. The next, or SEGMENT_NONE. */
struct segment_walk {
	uint64_t from; /* segment; of the class that it is at */
	uint32_t past; /* classes that are done with */
};
uint64_t slot_segments_next(const struct slot_segments *segments, struct segment_walk *walk);

#endif
