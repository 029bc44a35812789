/*
 * slots_private.h - what slots.c and slots_take.c share; of slots_state.c. All under the lock of the
 * slots, or while nobody else is there.
 */
#ifndef QUIVER_SLOTS_PRIVATE_H
#define QUIVER_SLOTS_PRIVATE_H

#include <assert.h>

#include "engine/index/slots.h"

#define WORD_BITS 64u

static inline uint64_t slots_words_for(uint64_t bits)
{
	return (bits + WORD_BITS - 1) / WORD_BITS;
}

static inline void slots_mark_taken(struct slots *slots, uint64_t slot)
{
	assert(!slots_is_taken(slots, slot));
	slots->taken[slot / WORD_BITS] |= UINT64_C(1) << (slot % WORD_BITS);
}

/* Opening a store leaves it to who needs it first: every slot that is live was taken. */
void slots_know_taken(struct slots *slots);
/* `count` slots from `first` on are free now, or are not any more: counted, not marked. */
void slots_add_free(struct slots *slots, uint64_t first, uint64_t count);
void slots_drop_free(struct slots *slots, uint64_t first, uint64_t count);

#endif
