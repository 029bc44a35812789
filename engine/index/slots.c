#include "engine/index/slots_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/media/bytes.h"
#include "engine/media/index_page.h"

#define PAGE_WORDS (4096 / 8)
#define PIN_BITS 32u
/* A huge page: the maps become usable by so much. */
#define OPEN_STEP_BYTES (UINT64_C(2) << 20)

static uint64_t whole_steps(uint64_t bytes)
{
	return (bytes + OPEN_STEP_BYTES - 1) / OPEN_STEP_BYTES * OPEN_STEP_BYTES;
}

/* Of a map with so many bits for each slot. */
static uint64_t bytes_for(uint64_t rows, unsigned bits)
{
	return whole_steps(slots_words_for(rows * bits) * 8);
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

static void release_all(struct slots *slots)
{
	release(slots->taken, bytes_for(slots->rows_max, 1));
	release((void *)(uintptr_t)slots->live, bytes_for(slots->rows_max, 1));
	release((void *)(uintptr_t)slots->pins, bytes_for(slots->rows_max, PIN_BITS));
	memset(slots, 0, sizeof(*slots));
}

/* A page of the live map as the file `index` has it. */
static void copy_live_page(const void *owner, uint64_t page, uint8_t *to)
{
	struct slots *slots = (struct slots *)(uintptr_t)owner; /* for its lock */
	uint64_t first = page * INDEX_LIVE_WORDS;
	uint64_t words;

	pthread_mutex_lock(&slots->lock);
	words = bytes_for(slots->opened, 1) / 8;
	pthread_mutex_unlock(&slots->lock);
	memset(to, 0, INDEX_PAGE_BYTES);
	for (uint64_t i = 0; i < INDEX_LIVE_WORDS && first + i < words; i++)
		put_le64(to + INDEX_LINE_BYTES + i * 8,
		         atomic_load_explicit(&slots->live[first + i], memory_order_relaxed));
}

int slots_init(struct slots *slots, uint64_t rows_max)
{
	memset(slots, 0, sizeof(*slots));
	slots->rows_max = rows_max;
	slots->taken = reserve(bytes_for(rows_max, 1));
	slots->live = reserve(bytes_for(rows_max, 1));
	slots->pins = reserve(bytes_for(rows_max, PIN_BITS));
	if (!slots->taken || !slots->live || !slots->pins ||
	    slot_segments_init(&slots->segments, rows_max) != 0) {
		release_all(slots);
		return -ENOMEM;
	}
	pthread_mutex_init(&slots->lock, NULL);
	if (index_pages_init(&slots->live_changed, index_live_pages(rows_max), slots,
	                     copy_live_page) != 0) {
		slots_destroy(slots);
		return -ENOMEM;
	}
	return 0;
}

void slots_destroy(struct slots *slots)
{
	if (slots->segments.free)
		pthread_mutex_destroy(&slots->lock);
	index_pages_destroy(&slots->live_changed);
	slot_segments_destroy(&slots->segments);
	release_all(slots);
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

void slots_set_live(struct slots *slots, uint64_t slot)
{
	uint64_t bit = UINT64_C(1) << (slot % WORD_BITS);
	uint64_t was;

	index_pages_touch(&slots->live_changed, slot / INDEX_LIVE_SLOTS);
	was = atomic_fetch_or_explicit(&slots->live[slot / WORD_BITS], bit, memory_order_release);
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
		slots_know_taken(slots);
		pthread_mutex_unlock(&slots->lock);
	}
	index_pages_touch(&slots->live_changed, slot / INDEX_LIVE_SLOTS);
	was = atomic_fetch_and_explicit(&slots->live[slot / WORD_BITS], ~bit, memory_order_release);

	assert(was & bit);
	(void)was;
}

/* A slot that is not taken yet is; `used` grows to hold it, and what lies between is free. */
static void load_taken(struct slots *slots, uint64_t slot)
{
	if (slot >= slots->used) {
		slots_add_free(slots, slots->used, slot - slots->used);
		slots->used = slot + 1;
	} else {
		slots_drop_free(slots, slot, 1);
	}
	slots_mark_taken(slots, slot);
}

void slots_load_live(struct slots *slots, uint64_t slot)
{
	assert(slot < slots->rows_max);
	slots_know_taken(slots);
	load_taken(slots, slot);
	slots_set_live(slots, slot);
}

void slots_load_taken(struct slots *slots, uint64_t slot)
{
	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
	if (!slots_is_taken(slots, slot))
		load_taken(slots, slot);
	pthread_mutex_unlock(&slots->lock);
}

uint64_t *slots_map_room(struct slots *slots, uint64_t bytes)
{
	void *live = (void *)(uintptr_t)slots->live;

	assert(bytes / 8 <= slots_words_for(slots->rows_max) + PAGE_WORDS);
#ifdef MADV_POPULATE_WRITE
	/* All pages at once, not fault by fault; where the kernel cannot, it takes longer. */
	(void)madvise(live, bytes, MADV_POPULATE_WRITE);
#endif
	return live;
}

void slots_map_loaded(struct slots *slots, uint64_t used, uint64_t count)
{
	assert(slots->used == 0 && used <= slots->rows_max && count <= used);
	atomic_store(&slots->untold, slots_words_for(used));
	slots->used = used;
	slots->free_below = used - count;
	slots->hint = 0;
}

void slots_forget(struct slots *slots)
{
	pthread_mutex_lock(&slots->lock);
	memset(slots->taken, 0, slots_words_for(slots->opened) * 8);
	memset((void *)(uintptr_t)slots->live, 0, slots_words_for(slots->opened) * 8);
	atomic_store(&slots->untold, 0);
	for (uint64_t segment = 0; segment * SLOTS_SEGMENT < slots->used; segment++)
		slot_segments_set(&slots->segments, segment, 0);
	slots->used = 0;
	slots->free_below = 0;
	slots->hint = 0;
	slots->at = slots->at_end = 0;
	pthread_mutex_unlock(&slots->lock);
}

void slots_tell_taken(struct slots *slots)
{
	pthread_mutex_lock(&slots->lock);
	slots_know_taken(slots);
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
	slots_know_taken(slots);
	used = slots->used;
	while (used > 0) {
		if (used % WORD_BITS == 0 && slots->taken[used / WORD_BITS - 1] == 0)
			used -= WORD_BITS;
		else if (slots_is_taken(slots, used - 1))
			break;
		else
			used--;
	}
	slots_drop_free(slots, used, slots->used - used);
	slots->used = used;
	if (slots->hint > used)
		slots->hint = used;
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
	uint64_t word = slots_words_for(below);

	while (word-- > 0) {
		uint64_t bits = atomic_load_explicit(&slots->live[word], memory_order_acquire);

		if ((word + 1) * WORD_BITS > below)
			bits &= (UINT64_C(1) << (below % WORD_BITS)) - 1;
		if (bits)
			return word * WORD_BITS + 63 - (uint64_t)__builtin_clzll(bits);
	}
	return SLOT_NONE;
}

void slots_counts(struct slots *slots, struct slots_counts *counts)
{
	pthread_mutex_lock(&slots->lock);
	counts->rows = slots->rows;
	counts->used = slots->used;
	counts->free_below = slots->free_below;
	pthread_mutex_unlock(&slots->lock);
}
