#include "engine/index/slots.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WORD_BITS 64u
#define PAGE_WORDS (4096 / 8)
#define PIN_BITS 32u
/* A huge page: the maps become usable by so much. */
#define OPEN_STEP_BYTES (UINT64_C(2) << 20)

static uint64_t words_for(uint64_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static uint64_t whole_steps(uint64_t bytes)
{
	return (bytes + OPEN_STEP_BYTES - 1) / OPEN_STEP_BYTES * OPEN_STEP_BYTES;
}

/* Of a map with so many bits for each slot. */
static uint64_t bytes_for(uint64_t rows, unsigned bits)
{
	return whole_steps(words_for(rows * bits) * 8);
}

/* Addresses alone: what could be written to counts as used where the system hands out no more
 * memory than there is (vm.overcommit_memory 2). */
static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int open_up(void *map, uint64_t from, uint64_t to)
{
	if (to <= from)
		return 0;
	return mprotect((uint8_t *)map + from, to - from, PROT_READ | PROT_WRITE) ? -errno : 0;
}

static void release(void *p, uint64_t bytes)
{
	if (p && munmap(p, bytes) != 0)
		assert(!"munmap of the slot maps");
}

int slots_init(struct slots *slots, uint64_t rows_max)
{
	memset(slots, 0, sizeof(*slots));
	slots->rows_max = rows_max;
	slots->taken = reserve(bytes_for(rows_max, 1));
	slots->live = reserve(bytes_for(rows_max, 1));
	slots->pins = reserve(bytes_for(rows_max, PIN_BITS));
	if (!slots->taken || !slots->live || !slots->pins) {
		slots_destroy(slots);
		return -ENOMEM;
	}
	pthread_mutex_init(&slots->lock, NULL);
	return 0;
}

void slots_destroy(struct slots *slots)
{
	if (slots->taken && slots->live && slots->pins)
		pthread_mutex_destroy(&slots->lock);
	release(slots->taken, bytes_for(slots->rows_max, 1));
	release((void *)(uintptr_t)slots->live, bytes_for(slots->rows_max, 1));
	release((void *)(uintptr_t)slots->pins, bytes_for(slots->rows_max, PIN_BITS));
	memset(slots, 0, sizeof(*slots));
}

/* So that opening a store does not have to: every slot that is live was taken. Lock held. */
static void know_taken(struct slots *slots)
{
	uint64_t words = atomic_load_explicit(&slots->untold, memory_order_relaxed);

	for (uint64_t i = 0; i < words; i++)
		slots->taken[i] = atomic_load_explicit(&slots->live[i], memory_order_relaxed);
	atomic_store_explicit(&slots->untold, 0, memory_order_release);
}

/* Memory for so many slots. Lock held. */
static int open_rows(struct slots *slots, uint64_t rows)
{
	uint64_t from = slots->opened;
	int r;

	if (rows <= from)
		return 0;
	r = open_up(slots->taken, bytes_for(from, 1), bytes_for(rows, 1));
	if (r == 0)
		r = open_up((void *)(uintptr_t)slots->live, bytes_for(from, 1), bytes_for(rows, 1));
	if (r == 0)
		r = open_up((void *)(uintptr_t)slots->pins, bytes_for(from, PIN_BITS),
		            bytes_for(rows, PIN_BITS));
	if (r == 0)
		slots->opened = rows;
	return r;
}

int slots_set_rows(struct slots *slots, uint64_t rows)
{
	int r;

	pthread_mutex_lock(&slots->lock);
	assert(rows <= slots->rows_max && rows >= slots->used);
	r = open_rows(slots, rows);
	if (r == 0)
		slots->rows = rows;
	pthread_mutex_unlock(&slots->lock);
	return r;
}

bool slots_is_taken(const struct slots *slots, uint64_t slot)
{
	return slots->taken[slot / WORD_BITS] >> (slot % WORD_BITS) & 1;
}

static void mark_taken(struct slots *slots, uint64_t slot)
{
	assert(!slots_is_taken(slots, slot));
	slots->taken[slot / WORD_BITS] |= UINT64_C(1) << (slot % WORD_BITS);
}

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

/* Lowest free slot in [from, below), or `below`. Lock held. */
static uint64_t next_free(const struct slots *slots, uint64_t from, uint64_t below)
{
	uint64_t word = from / WORD_BITS;
	uint64_t bits;

	if (from >= below)
		return below;
	bits = ~slots->taken[word] & (~UINT64_C(0) << (from % WORD_BITS));
	while (!bits) {
		if (++word >= words_for(below))
			return below;
		bits = ~slots->taken[word];
	}
	from = word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
	return from < below ? from : below;
}

/* Lowest taken slot in [from, below), or `below`. Lock held. */
static uint64_t next_taken(const struct slots *slots, uint64_t from, uint64_t below)
{
	uint64_t word = from / WORD_BITS;
	uint64_t bits;

	if (from >= below)
		return below;
	bits = slots->taken[word] & (~UINT64_C(0) << (from % WORD_BITS));
	while (!bits) {
		if (++word >= words_for(below))
			return below;
		bits = slots->taken[word];
	}
	from = word * WORD_BITS + (uint64_t)__builtin_ctzll(bits);
	return from < below ? from : below;
}

/* Take free slots below `below` and below used, at most count. Lock held. */
static size_t take_holes(struct slots *slots, uint64_t below, size_t count, uint64_t *out)
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
		mark_taken(slots, slot);
		slots->free_below--;
		slots->hint = slot + 1;
		out[got++] = slot;
	}
	return got;
}

int slots_take(struct slots *slots, size_t count, uint64_t *out)
{
	size_t got;
	int r = 0;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	if (slots->free_below + (slots->rows - slots->used) < count) {
		r = -ENOSPC;
	} else {
		got = take_holes(slots, slots->used, count, out);
		for (; got < count; got++) {
			out[got] = slots->used;
			mark_taken(slots, slots->used++);
		}
	}
	pthread_mutex_unlock(&slots->lock);
	return r;
}

size_t slots_take_below(struct slots *slots, uint64_t below, size_t count, uint64_t *out)
{
	size_t got;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	got = take_holes(slots, below, count, out);
	pthread_mutex_unlock(&slots->lock);
	return got;
}

size_t slots_peek(struct slots *slots, uint64_t span, size_t max, uint64_t *out, uint64_t *end)
{
	uint64_t below;
	size_t got = 0;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	*end = slots->free_below > 0 && slots->hint < slots->used ? slots->hint : slots->used;
	below = slots->used - *end < span ? slots->used : *end + span;
	while (got < max && *end < below) {
		uint64_t slot = next_free(slots, *end, below);

		if (slot < below)
			out[got++] = slot;
		*end = slot < below ? slot + 1 : below;
	}
	pthread_mutex_unlock(&slots->lock);
	return got;
}

size_t slots_free_regions(struct slots *slots, uint64_t size, uint64_t from, size_t max,
                          uint64_t *out)
{
	size_t got = 0;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	if (from == SLOT_NONE)
		from = slots->hint;
	while (got < max && slots->free_below > 0) {
		from = next_free(slots, from, slots->used);
		if (from >= slots->used)
			break;
		out[got++] = from / size;
		from = (from / size + 1) * size;
	}
	pthread_mutex_unlock(&slots->lock);
	return got;
}

void slots_give(struct slots *slots, uint64_t slot)
{
	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	assert(slot < slots->used && slots_is_taken(slots, slot) && !slots_is_live(slots, slot));
	slots->taken[slot / WORD_BITS] &= ~(UINT64_C(1) << (slot % WORD_BITS));
	slots->free_below++;
	if (slot < slots->hint)
		slots->hint = slot;
	pthread_mutex_unlock(&slots->lock);
}

void slots_give_run(struct slots *slots, uint64_t first, uint64_t count)
{
	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	assert(first + count <= slots->used);
	put_run(slots, first, count, false);
	slots->free_below += count;
	if (first < slots->hint)
		slots->hint = first;
	pthread_mutex_unlock(&slots->lock);
}

void slots_set_live(struct slots *slots, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % WORD_BITS);
	uint64_t was =
		atomic_fetch_or_explicit(&slots->live[slot / WORD_BITS], bit, memory_order_release);

	assert(!(was & bit));
	(void)was;
}

void slots_clear_live(struct slots *slots, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % WORD_BITS);
	uint64_t was;

	/* It stays taken. */
	if (atomic_load_explicit(&slots->untold, memory_order_acquire) > 0) {
		pthread_mutex_lock(&slots->lock);
		know_taken(slots);
		pthread_mutex_unlock(&slots->lock);
	}
	was = atomic_fetch_and_explicit(&slots->live[slot / WORD_BITS], ~bit, memory_order_release);

	assert(was & bit);
	(void)was;
}

bool slots_is_live(const struct slots *slots, uint64_t slot)
{
	return atomic_load_explicit(&slots->live[slot / WORD_BITS], memory_order_acquire) >>
	               (slot % WORD_BITS) &
	       1;
}

/* used grows to `used`; what lies between is free. */
static void extend_used(struct slots *slots, uint64_t used)
{
	if (used > slots->used) {
		if (slots->hint > slots->used)
			slots->hint = slots->used;
		slots->free_below += used - slots->used;
		slots->used = used;
	}
}

void slots_load_live(struct slots *slots, uint64_t slot)
{
	assert(slot < slots->rows_max);
	extend_used(slots, slot + 1);
	mark_taken(slots, slot);
	slots->free_below--;
	slots_set_live(slots, slot);
}

void slots_load_taken(struct slots *slots, uint64_t slot)
{
	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	extend_used(slots, slot + 1);
	if (!slots_is_taken(slots, slot)) {
		mark_taken(slots, slot);
		slots->free_below--;
	}
	pthread_mutex_unlock(&slots->lock);
}

uint64_t *slots_map_room(struct slots *slots, uint64_t bytes)
{
	void *live = (void *)(uintptr_t)slots->live;

	assert(bytes / 8 <= words_for(slots->rows_max) + PAGE_WORDS);
#ifdef MADV_POPULATE_WRITE
	/* All pages at once, not fault by fault; where the kernel cannot, it takes longer. */
	(void)madvise(live, bytes, MADV_POPULATE_WRITE);
#endif
	return live;
}

void slots_map_loaded(struct slots *slots, uint64_t used, uint64_t count)
{
	assert(slots->used == 0 && used <= slots->rows_max && count <= used);
	atomic_store(&slots->untold, words_for(used));
	slots->used = used;
	slots->free_below = used - count;
	slots->hint = 0;
}

void slots_forget(struct slots *slots)
{
	pthread_mutex_lock(&slots->lock);
	memset(slots->taken, 0, words_for(slots->opened) * 8);
	memset((void *)(uintptr_t)slots->live, 0, words_for(slots->opened) * 8);
	atomic_store(&slots->untold, 0);
	slots->used = 0;
	slots->free_below = 0;
	slots->hint = 0;
	pthread_mutex_unlock(&slots->lock);
}

void slots_tell_taken(struct slots *slots)
{
	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	pthread_mutex_unlock(&slots->lock);
}

void slots_pin(struct slots *slots, uint64_t slot)
{
	atomic_fetch_add_explicit(&slots->pins[slot], 1, memory_order_acq_rel);
}

void slots_unpin(struct slots *slots, uint64_t slot)
{
	uint32_t was = atomic_fetch_sub_explicit(&slots->pins[slot], 1, memory_order_acq_rel);

	assert(was > 0);
	(void)was;
}

bool slots_pinned(const struct slots *slots, uint64_t slot)
{
	return atomic_load_explicit(&slots->pins[slot], memory_order_acquire) > 0;
}

uint64_t slots_trim(struct slots *slots)
{
	uint64_t used;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	while (slots->used > 0) {
		if (slots->used % WORD_BITS == 0 &&
		    slots->taken[slots->used / WORD_BITS - 1] == 0) {
			slots->used -= WORD_BITS;
			slots->free_below -= WORD_BITS;
			continue;
		}
		if (slots_is_taken(slots, slots->used - 1))
			break;
		slots->used--;
		slots->free_below--;
	}
	if (slots->hint > slots->used)
		slots->hint = slots->used;
	used = slots->used;
	pthread_mutex_unlock(&slots->lock);
	return used;
}

bool slots_cut(struct slots *slots, uint64_t rows)
{
	bool can;

	pthread_mutex_lock(&slots->lock);
	can = slots->used <= rows;
	if (can)
		slots->rows = rows;
	pthread_mutex_unlock(&slots->lock);
	return can;
}

uint64_t slots_highest_live(const struct slots *slots, uint64_t below)
{
	uint64_t word = words_for(below);

	while (word-- > 0) {
		uint64_t bits = atomic_load_explicit(&slots->live[word], memory_order_acquire);

		if ((word + 1) * WORD_BITS > below)
			bits &= (UINT64_C(1) << (below % WORD_BITS)) - 1;
		if (bits)
			return word * WORD_BITS + 63 - (uint64_t)__builtin_clzll(bits);
	}
	return SLOT_NONE;
}

uint64_t slots_take_run(struct slots *slots, uint64_t *from, uint64_t min, uint64_t max)
{
	uint64_t start = *from;
	uint64_t end;
	uint64_t got = 0;

	pthread_mutex_lock(&slots->lock);
	know_taken(slots);
	for (;;) {
		start = next_free(slots, start, slots->used);
		if (start >= slots->used)
			break;
		end = next_taken(slots, start, slots->used);
		if (end - start >= min) {
			got = end - start < max ? end - start : max;
			put_run(slots, start, got, true);
			slots->free_below -= got;
			break;
		}
		start = end;
	}
	pthread_mutex_unlock(&slots->lock);
	*from = start;
	return got;
}

void slots_counts(struct slots *slots, struct slots_counts *counts)
{
	pthread_mutex_lock(&slots->lock);
	counts->rows = slots->rows;
	counts->used = slots->used;
	counts->free_below = slots->free_below;
	pthread_mutex_unlock(&slots->lock);
}
