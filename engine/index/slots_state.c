/*
 * slots_state.c - what a slot is, and how many are free: for slots.c and slots_take.c.
 */
#include "engine/index/slots_private.h"

static_assert(SLOTS_SEGMENT % WORD_BITS == 0, "a word of the map belongs to one segment");

bool slots_is_live(const struct slots *slots, uint64_t slot)
{
	return atomic_load_explicit(&slots->live[slot / WORD_BITS], memory_order_acquire) >>
	               (slot % WORD_BITS) &
	       1;
}

bool slots_is_taken(const struct slots *slots, uint64_t slot)
{
	return slots->taken[slot / WORD_BITS] >> (slot % WORD_BITS) & 1;
}

void slots_know_taken(struct slots *slots)
{
	uint64_t words = atomic_load_explicit(&slots->untold, memory_order_relaxed);
	uint64_t in_segment = 0;

	for (uint64_t i = 0; i < words; i++) {
		uint64_t segment = i / (SLOTS_SEGMENT / WORD_BITS);
		uint64_t begin = segment * SLOTS_SEGMENT;
		uint64_t length = slots->used - begin < SLOTS_SEGMENT ? slots->used - begin
		                                                      : SLOTS_SEGMENT;

		slots->taken[i] = atomic_load_explicit(&slots->live[i], memory_order_relaxed);
		in_segment += (uint64_t)__builtin_popcountll(slots->taken[i]);
		if (i + 1 == words || (i + 1) % (SLOTS_SEGMENT / WORD_BITS) == 0) {
			slot_segments_set(&slots->segments, segment,
			                  (uint32_t)(length - in_segment));
			in_segment = 0;
		}
	}
	atomic_store_explicit(&slots->untold, 0, memory_order_release);
}

/* A part of each segment that [first, first + count) lies in. */
static void change_free(struct slots *slots, uint64_t first, uint64_t count, bool add)
{
	while (count > 0) {
		uint64_t segment = first / SLOTS_SEGMENT;
		uint32_t left = SLOTS_SEGMENT - (uint32_t)(first % SLOTS_SEGMENT);
		uint32_t n = count < left ? (uint32_t)count : left;
		uint32_t had = slot_segments_free(&slots->segments, segment);

		slot_segments_set(&slots->segments, segment, add ? had + n : had - n);
		first += n;
		count -= n;
	}
}

void slots_add_free(struct slots *slots, uint64_t first, uint64_t count)
{
	change_free(slots, first, count, true);
	slots->free_below += count;
}

void slots_drop_free(struct slots *slots, uint64_t first, uint64_t count)
{
	change_free(slots, first, count, false);
	slots->free_below -= count;
}
