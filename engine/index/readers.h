/*
 * readers.h - what a thread that reads keeps for itself: pins of slots and counts, in cache
 * lines that no other reader writes.
 *
 * A pin is set in the epoch section that found the slot, so whoever has unpublished a slot and
 * then waited with epoch_wait sees it: setting it takes neither a fence nor an atomic addition.
 * Whoever sees that a slot is not pinned has to know that its last reader is done with it. That
 * reader released the pin; but what is seen may be the pin of another slot, set there since, by
 * a thread that has found the pin unused. So that thread acquires it, and releases its own.
 */
#ifndef QUIVER_READERS_H
#define QUIVER_READERS_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/media/meta_row.h"

/* Threads that have a reader of their own at the same time; further ones count their pins in the
 * slots, as does one that has given all of its own away. */
#define READERS_MAX 128u
#define READER_PINS 24u /* as many as fill two cache lines, which are fetched together */
#define READER_PIN_TRIES 4u /* where most are held for long, looking on would cost more */
#define READERS_PINS_MAX (READERS_MAX * READER_PINS)

struct reader {
	_Alignas(128) _Atomic uint64_t gets; /* by its thread */
	_Atomic uint64_t misses; /* by its thread */
	uint64_t shift; /* its thread's: slot - ID of what it found, mostly */
	uint32_t sure; /* its thread's: 0 … READER_SURE_MAX, how often that was so lately */
	uint32_t at; /* its thread's: the pin that was set last */
	_Atomic uint32_t pins[READER_PINS]; /* slot + 1, set by its thread; 0: unused, by whoever
	                                       gives the pin back */
};

static_assert(sizeof(struct reader) == 128, "no line is shared");

/* Of one store. */
struct readers {
	struct reader *own; /* READERS_MAX, by the number of the thread */
	_Atomic uint64_t gets, misses; /* of all other threads */
};

/* Number of this thread; READERS_MAX: it has none; READER_NEW: it has not asked yet. */
#define READER_NEW UINT32_MAX
extern _Thread_local uint32_t reader_number;
/* Ask. Given back when the thread ends. */
uint32_t reader_number_take(void);

/* 0 or -ENOMEM. */
int readers_init(struct readers *readers);
void readers_destroy(struct readers *readers);

/* This thread's, or NULL. */
static inline struct reader *readers_own(const struct readers *readers)
{
	uint32_t number = reader_number;

	if (number == READER_NEW)
		number = reader_number_take();
	return number < READERS_MAX ? &readers->own[number] : NULL;
}

/* Vectors that came together lie together, in the order of their IDs as mostly they come: where
 * the last few were as far from their IDs as each other, the next is expected to be, too. */
#define READER_SURE_MAX 3u

/* The slot in which `id` is expected, which there may not be; SLOT_NONE. For hints. Its thread. */
static inline uint64_t reader_expects(const struct reader *own, uint64_t id)
{
	return own->sure >= READER_SURE_MAX - 1 ? id + own->shift : SLOT_NONE;
}

/* `id` was in `slot`. Its thread. */
static inline void reader_learn(struct reader *own, uint64_t id, uint64_t slot)
{
	if (slot - id == own->shift)
		own->sure += own->sure < READER_SURE_MAX;
	else if (own->sure > 0)
		own->sure--;
	else
		own->shift = slot - id;
}

/* Pin a slot; the pin, or NULL where none is unused. Its thread, in the epoch section in which
 * the slot was found. */
static inline _Atomic uint32_t *reader_pin(struct reader *own, uint64_t slot)
{
	for (uint32_t tries = 0; tries < READER_PIN_TRIES; tries++) {
		_Atomic uint32_t *pin = &own->pins[own->at];

		if (atomic_load_explicit(pin, memory_order_acquire) == 0) {
			atomic_store_explicit(pin, (uint32_t)slot + 1, memory_order_release);
			return pin;
		}
		own->at = own->at + 1 < READER_PINS ? own->at + 1 : 0;
	}
	return NULL;
}

/* Any thread, once for each pin. */
static inline void reader_unpin(_Atomic uint32_t *pin)
{
	atomic_store_explicit(pin, 0, memory_order_release);
}

/* Add one to a count that only this thread writes. */
static inline void reader_count(_Atomic uint64_t *count)
{
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
	                      memory_order_relaxed);
}

uint64_t readers_gets(const struct readers *readers);
uint64_t readers_misses(const struct readers *readers);

/* The slots that are pinned here, ascending, into slots[READERS_PINS_MAX]; how many. Those that
 * were unpublished before the last epoch_wait are all among them. Any thread. */
size_t readers_pinned(const struct readers *readers, uint32_t *slots);

#endif
