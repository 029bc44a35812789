/*
 * slots_take.c - which free slots are given out, and giving them back.
 *
 * Whoever overwrites everywhere leaves holes everywhere. Filled from the lowest up they would have
 * each commit write pages of its own, so one segment after the other is used up, first those that
 * have most. Where there are few holes everywhere, new slots at the tail come first, of those the
 * files have room for anyway: the holes meanwhile become more. So there are more slots in use by a
 * share of SPARSE at most, and the files are not longer for it.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>

#include "engine/index/slots_private.h"

/* Holes are worth filling from one in so many slots on. */
#define SPARSE 8u
/* Looked at for slots that are given out next: as much of the map as fits a core's cache. */
#define PEEK_SEGMENTS 64u

/* Between two runs that are long enough: for so many others may have to wait. */
#define HOLES_AT_ONCE 1024u

/* Take the `count` free slots from `first` on, or give them; a word at a time. Lock held. */
static void put_run(struct slots *slots, uint64_t first, uint64_t count, bool taken)
{
	while (count > 0) {
		uint64_t *word = &slots->taken[first / WORD_BITS];
		uint64_t bit = first % WORD_BITS;
		uint64_t n = count < WORD_BITS - bit ? count : WORD_BITS - bit;
		uint64_t mask = ~UINT64_C(0) >> (WORD_BITS - n) << bit;

		assert((*word & mask) == (taken ? 0 : mask));
		*word ^= mask;
		first += n;
		count -= n;
	}
}

/* Lowest slot in [from, below) that is free or, with `taken`, is not; or `below`. Lock held. */
static uint64_t next_slot(const struct slots *slots, uint64_t from, uint64_t below, bool taken)
{
	const uint64_t all = taken ? 0 : ~UINT64_C(0);
	uint64_t word = from / WORD_BITS;
	uint64_t bits;

	if (from >= below)
		return below;
	bits = (slots->taken[word] ^ all) & (~UINT64_C(0) << (from % WORD_BITS));
	while (!bits) {
		if (++word >= slots_words_for(below))
			return below;
		bits = slots->taken[word] ^ all;
	}
	from = word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
	return from < below ? from : below;
}

static uint64_t segment_end(const struct slots *slots, uint64_t segment)
{
	uint64_t end = (segment + 1) * SLOTS_SEGMENT;

	return end < slots->used ? end : slots->used;
}

/* Of the segment that is being used up. */
static uint64_t current_end(const struct slots *slots)
{
	return slots->at_end < slots->used ? slots->at_end : slots->used;
}

/* Lowest free slot in [from, below) and below used, or `below`. Segments without are passed by. Lock
 * held. */
static uint64_t next_free(const struct slots *slots, uint64_t from, uint64_t below)
{
	while (from < below) {
		uint64_t segment = slot_segments_lowest(&slots->segments, from / SLOTS_SEGMENT);
		uint64_t end;

		if (segment == SEGMENT_NONE || segment * SLOTS_SEGMENT >= below)
			break;
		if (segment * SLOTS_SEGMENT > from)
			from = segment * SLOTS_SEGMENT;
		end = segment_end(slots, segment);
		from = next_slot(slots, from, end, false);
		if (from < end)
			return from < below ? from : below;
		from = (segment + 1) * SLOTS_SEGMENT;
	}
	return below;
}

/* ---- taking ---- */

/* A free slot is the caller's. Lock held. */
static void hand_out(struct slots *slots, uint64_t slot, uint64_t *out)
{
	slots_mark_taken(slots, slot);
	slots_drop_free(slots, slot, 1);
	*out = slot;
}

/* Free slots below `below` and below used, the lowest. Lock held. */
static size_t take_lowest(struct slots *slots, uint64_t below, size_t count, uint64_t *out)
{
	size_t got = 0;

	if (below > slots->used)
		below = slots->used;
	while (got < count && slots->free_below > 0) {
		uint64_t slot = next_free(slots, slots->hint, below);

		if (slot >= below) {
			if (below == slots->used)
				slots->hint = slots->used;
			break;
		}
		slots->hint = slot + 1;
		hand_out(slots, slot, &out[got++]);
	}
	return got;
}

/* Free slots of the segment that is being used up, and then of that which has most. Lock held. */
static size_t take_best(struct slots *slots, size_t count, uint64_t *out)
{
	size_t got = 0;

	while (got < count && slots->free_below > 0) {
		uint64_t end = current_end(slots);
		uint64_t slot = next_slot(slots, slots->at, end, false);
		struct segment_walk best = { 0 };

		if (slot >= end) {
			uint64_t segment = slot_segments_next(&slots->segments, &best);

			slots->at = segment * SLOTS_SEGMENT;
			slots->at_end = slots->at + SLOTS_SEGMENT;
			continue;
		}
		slots->at = slot + 1;
		hand_out(slots, slot, &out[got++]);
	}
	return got;
}

static size_t take_holes(struct slots *slots, size_t count, uint64_t *out)
{
	return slots->packing ? take_lowest(slots, slots->used, count, out)
	                      : take_best(slots, count, out);
}

/* Slots of the tail that are given out before any hole. Lock held. */
static uint64_t tail_first(const struct slots *slots)
{
	bool sparse = slots->free_below < slots->used / SPARSE;

	return sparse && !slots->packing ? slots->rows - slots->used : 0;
}

static void count_given(struct slots *slots, size_t count)
{
	atomic_store_explicit(&slots->given, slots_given(slots) + count, memory_order_relaxed);
}

int slots_take(struct slots *slots, size_t count, uint64_t *out)
{
	size_t got = 0;
	int r = 0;

	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	if (slots->free_below + (slots->rows - slots->used) < count) {
		r = -ENOSPC;
	} else {
		if (tail_first(slots) < count)
			got = take_holes(slots, count, out);
		if (got < count)
			put_run(slots, slots->used, count - got, true);
		for (; got < count; got++)
			out[got] = slots->used++;
		count_given(slots, count);
	}
	pthread_mutex_unlock(&slots->lock);
	return r;
}

size_t slots_take_below(struct slots *slots, uint64_t below, size_t count, uint64_t *out)
{
	size_t got;

	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	got = take_lowest(slots, below, count, out);
	count_given(slots, got);
	pthread_mutex_unlock(&slots->lock);
	return got;
}

/* Lowest free slot from `from` on, or `used`, but for segments in which no run of `min` begins: it
 * would lie in that segment and the next, or have one of them to itself. Lock held. */
static uint64_t next_with_run(const struct slots *slots, uint64_t from, uint64_t min)
{
	uint64_t least = min < SLOTS_SEGMENT ? min : SLOTS_SEGMENT;

	while ((from = next_free(slots, from, slots->used)) < slots->used) {
		uint64_t segment = from / SLOTS_SEGMENT;
		uint64_t free = slot_segments_free(&slots->segments, segment);

		if ((segment + 1) * SLOTS_SEGMENT < slots->used)
			free += slot_segments_free(&slots->segments, segment + 1);
		if (free >= least)
			return from;
		from = (segment + 1) * SLOTS_SEGMENT;
	}
	return slots->used;
}

uint64_t slots_take_run(struct slots *slots, uint64_t *from, uint64_t min, uint64_t max)
{
	uint64_t start = *from;
	uint64_t end;
	uint64_t got = 0;
	unsigned holes = 0;

	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	while ((start = next_with_run(slots, start, min)) < slots->used) {
		end = next_slot(slots, start, slots->used - start < max ? slots->used : start + max,
		                true);
		if (end - start >= min) {
			got = end - start;
			put_run(slots, start, got, true);
			slots_drop_free(slots, start, got);
			break;
		}
		start = end;
		if (++holes % HOLES_AT_ONCE == 0) { /* who commits takes slots, too */
			pthread_mutex_unlock(&slots->lock);
			(void)sched_yield();
			pthread_mutex_lock(&slots->lock);
		}
	}
	pthread_mutex_unlock(&slots->lock);
	*from = start;
	return got;
}

void slots_pack(struct slots *slots, bool on)
{
	pthread_mutex_lock(&slots->lock);
	slots->packing = on;
	pthread_mutex_unlock(&slots->lock);
}

/* ---- looking ahead ---- */

/* Free slots in [from, end), at most `max`; how many. Lock held. */
static size_t look(const struct slots *slots, uint64_t from, uint64_t end, size_t max,
                   uint64_t *out)
{
	size_t got = 0;

	while (got < max && (from = next_slot(slots, from, end, false)) < end)
		out[got++] = from++;
	return got;
}

/* As take_lowest would take them. Lock held. */
static size_t peek_lowest(const struct slots *slots, size_t max, uint64_t *out)
{
	uint64_t from = slots->hint;
	size_t got = 0;

	for (unsigned i = 0; i < PEEK_SEGMENTS && got < max; i++) {
		uint64_t segment = slot_segments_lowest(&slots->segments, from / SLOTS_SEGMENT);

		if (segment == SEGMENT_NONE)
			break;
		if (segment * SLOTS_SEGMENT > from)
			from = segment * SLOTS_SEGMENT;
		got += look(slots, from, segment_end(slots, segment), max - got, out + got);
		from = (segment + 1) * SLOTS_SEGMENT;
	}
	return got;
}

static uint32_t count_free(const struct slots *slots, uint64_t from, uint64_t end)
{
	uint32_t count = 0;

	while ((from = next_slot(slots, from, end, false)) < end) {
		uint64_t until = next_slot(slots, from, end, true);

		count += (uint32_t)(until - from);
		from = until;
	}
	return count;
}

/* For a look at what comes after the segment that is being used up: of itself only what came free
 * behind is left then. Returns what it has, for end_used_up. Lock held. */
static uint32_t as_used_up(struct slots *slots)
{
	uint32_t left = count_free(slots, slots->at, current_end(slots));
	uint32_t free = 0;

	if (left > 0) {
		free = slot_segments_free(&slots->segments, slots->at / SLOTS_SEGMENT);
		slot_segments_set(&slots->segments, slots->at / SLOTS_SEGMENT, free - left);
	}
	return free;
}

static void end_used_up(struct slots *slots, uint32_t free)
{
	if (free > 0)
		slot_segments_set(&slots->segments, slots->at / SLOTS_SEGMENT, free);
}

/* As take_best would. Lock held. */
static size_t peek_best(struct slots *slots, size_t max, uint64_t *out)
{
	struct segment_walk walk = { 0 };
	size_t got = look(slots, slots->at, current_end(slots), max, out);
	uint32_t free = as_used_up(slots);

	for (unsigned i = 1; i < PEEK_SEGMENTS && got < max; i++) {
		uint64_t segment = slot_segments_next(&slots->segments, &walk);
		uint64_t end;

		if (segment == SEGMENT_NONE)
			break;
		end = segment_end(slots, segment);
		if (free > 0 && segment == slots->at / SLOTS_SEGMENT)
			end = slots->at;
		got += look(slots, segment * SLOTS_SEGMENT, end, max - got, out + got);
	}
	end_used_up(slots, free);
	return got;
}

size_t slots_peek(struct slots *slots, size_t max, uint64_t *out, struct slots_ahead *ahead)
{
	size_t got;

	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	ahead->given = slots_given(slots);
	ahead->tail = tail_first(slots);
	got = slots->packing ? peek_lowest(slots, max, out) : peek_best(slots, max, out);
	pthread_mutex_unlock(&slots->lock);
	return got;
}

/* Segments that holes are taken from, at most `max`; how many. Lock held. */
static size_t next_of_holes(struct slots *slots, uint64_t *segments, size_t max)
{
	struct segment_walk walk = { 0 };
	uint64_t segment;
	uint32_t free;
	size_t got = 0;

	if (slots->packing) {
		segment = slot_segments_lowest(&slots->segments, slots->hint / SLOTS_SEGMENT);
		for (; got < max && segment != SEGMENT_NONE;
		     segment = slot_segments_lowest(&slots->segments, segment + 1))
			segments[got++] = segment;
		return got;
	}
	free = as_used_up(slots);
	if (free > 0 && max > 0)
		segments[got++] = slots->at / SLOTS_SEGMENT;
	while (got < max && (segment = slot_segments_next(&slots->segments, &walk)) != SEGMENT_NONE)
		if (free == 0 || segment != slots->at / SLOTS_SEGMENT)
			segments[got++] = segment;
	end_used_up(slots, free);
	return got;
}

/* The same of the tail. Lock held. */
static size_t next_of_tail(const struct slots *slots, uint64_t *segments, size_t max)
{
	size_t got = 0;

	for (uint64_t slot = slots->used; got < max && slot < slots->rows;
	     slot = (slot / SLOTS_SEGMENT + 1) * SLOTS_SEGMENT)
		segments[got++] = slot / SLOTS_SEGMENT;
	return got;
}

size_t slots_next_segments(struct slots *slots, uint64_t *segments, size_t max)
{
	size_t got = 0;

	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	if (tail_first(slots) > 0) {
		got = next_of_tail(slots, segments, max);
		got += next_of_holes(slots, segments + got, max - got);
	} else {
		got = next_of_holes(slots, segments, max);
		got += next_of_tail(slots, segments + got, max - got);
	}
	pthread_mutex_unlock(&slots->lock);
	return got;
}

/* ---- giving back ---- */

void slots_give(struct slots *slots, uint64_t slot)
{
	assert(!slots_is_live(slots, slot));
	slots_give_run(slots, slot, 1);
}

void slots_give_run(struct slots *slots, uint64_t first, uint64_t count)
{
	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	assert(first + count <= slots->used);
	put_run(slots, first, count, false);
	slots_add_free(slots, first, count);
	if (first < slots->hint)
		slots->hint = first;
	pthread_mutex_unlock(&slots->lock);
}
