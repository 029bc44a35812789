/*
 * slots.h - which slots are free, taken and live, and who is still in them.
 *
 * free -> taken (allocated by a commit under way) -> live (published) -> taken
 * (deferred free: superseded, until a checkpoint has made its successor durable and no
 * reader is in it) -> free. Slots are never overwritten while taken.
 */
#ifndef QUIVER_SLOTS_H
#define QUIVER_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/disk/columns.h"
#include "engine/index/index_pages.h"
#include "engine/index/slot_segments.h"

struct slots {
	pthread_mutex_t lock;
	uint64_t rows_max;
	uint64_t *taken; /* lock; a bit for each slot */
	_Atomic uint64_t untold; /* written under the lock; taken is yet to be copied from so many
	                            words of the live map */
	_Atomic uint64_t *live; /* writer lock of the store; subset of taken */
	struct index_pages live_changed; /* pages of the file `index` */
	_Atomic uint32_t *pins; /* readers in a slot that readers.h has no pin for */
	uint64_t rows; /* lock; slots there is room for */
	uint64_t opened; /* lock; slots that there is memory for in the maps */
	uint64_t used; /* lock; every taken slot lies below */
	uint64_t free_below; /* lock; free slots below used */
	uint64_t hint; /* lock; no free slot lies below */
	struct slot_segments segments; /* lock; of the free slots below used */
	uint64_t at, at_end; /* lock; what is left of the segment that is being used up */
	bool packing; /* lock; the lowest are given out instead */
	_Atomic uint64_t
		given; /* written under the lock; slots given out, to follow slots_peek by */
};

/* Address space for rows_max slots; memory is used as slots are touched.
 * 0 or -ENOMEM. */
int slots_init(struct slots *slots, uint64_t rows_max);
void slots_destroy(struct slots *slots);

/* Make room known: after growing, and after opening. 0; -ENOMEM: there is no more memory for the
 * maps, and the room is as it was. Not where there was as much before. */
int slots_set_rows(struct slots *slots, uint64_t rows);

/* Take `count` free slots into out[]: holes of the segment that is being used up, ascending, then of
 * that with the most, or new ones where holes are few; neighbours mostly. 0 or -ENOSPC (none taken).
 * Any thread. */
int slots_take(struct slots *slots, size_t count, uint64_t *out);
/* Take free slots below `below` only, the lowest, ascending, at most `count`; how many were taken. */
size_t slots_take_below(struct slots *slots, uint64_t below, size_t count, uint64_t *out);
/* While it is on slots_take gives out the lowest, too: for who empties the end. Any thread. */
void slots_pack(struct slots *slots, bool on);

struct slots_ahead {
	uint64_t given; /* slots given out so far, slots_given */
	uint64_t tail; /* so many new ones come before the holes */
};
/* The holes that slots_take gives out next unless more come free, in that order, into out[], at most
 * `max`, fewer where they lie far from each other; how many. They stay free. Any thread. */
size_t slots_peek(struct slots *slots, size_t max, uint64_t *out, struct slots_ahead *ahead);
/* Slots given out since the beginning, those of slots_take_below included. Any thread. */
static inline uint64_t slots_given(const struct slots *slots)
{
	return atomic_load_explicit(&slots->given, memory_order_relaxed);
}
/* The segments, of SLOTS_SEGMENT slots, that slots_take gives out from next, in that order, new slots
 * included, at most `max`; how many. It is another order once slots have come free. Any thread. */
size_t slots_next_segments(struct slots *slots, uint64_t *segments, size_t max);

/* Give a taken slot back. Nobody may be in it. Any thread. */
void slots_give(struct slots *slots, uint64_t slot);
/* The same for `count` neighbours, of which none is live: in the time of a few, as each checkpoint
 * takes and gives all long runs of free slots. */
void slots_give_run(struct slots *slots, uint64_t first, uint64_t count);
/* A taken slot holds a published vector now / does not any more. Writer lock. */
void slots_set_live(struct slots *slots, uint64_t slot);
void slots_clear_live(struct slots *slots, uint64_t slot);
bool slots_is_live(const struct slots *slots, uint64_t slot);
/* Not free: live, superseded or held by who is about to write it. While nobody else is there. */
bool slots_is_taken(const struct slots *slots, uint64_t slot);
/* While opening, before anyone else is there: slot holds a vector. */
void slots_load_live(struct slots *slots, uint64_t slot);
/* ... or what only snapshots have; nothing where it is taken already. */
void slots_load_taken(struct slots *slots, uint64_t slot);
/* While opening: where to put a whole live map of `bytes`, zeros so far, and that it is there
 * now: `used` bits, `count` of them set. */
uint64_t *slots_map_room(struct slots *slots, uint64_t bytes);
void slots_map_loaded(struct slots *slots, uint64_t used, uint64_t count);

/* Nothing was loaded: all is free, and none of it used. While opening. */
void slots_forget(struct slots *slots);
/* After that, before slots_is_taken: whatever is live is taken. */
void slots_tell_taken(struct slots *slots);

/* Pins beyond those of readers.h. Any thread; to pin, be in an epoch section that found the
 * slot. */
void slots_pin(struct slots *slots, uint64_t slot);
void slots_unpin(struct slots *slots, uint64_t slot);
bool slots_pinned(const struct slots *slots, uint64_t slot);

/* Lower `used` past free slots at the tail; returns it. */
uint64_t slots_trim(struct slots *slots);
/* If every slot at and above `rows` is free: forget them (rows becomes that), so
 * that the files can be cut. False, nothing changed, otherwise. */
bool slots_cut(struct slots *slots, uint64_t rows);
/* Highest live slot below `below`, or SLOT_NONE. */
uint64_t slots_highest_live(const struct slots *slots, uint64_t below);
/* First run of at least `min` free slots at or after *from and below used: taken,
 * from *from, at most `max` long; its length, 0 where there is none. */
uint64_t slots_take_run(struct slots *slots, uint64_t *from, uint64_t min, uint64_t max);

struct slots_counts {
	uint64_t rows, used, free_below;
};
void slots_counts(struct slots *slots, struct slots_counts *counts);

#endif
