/*
 * published.h - the slots that vectors were published in lately, for who goes through all slots while
 * others change them: what was behind him is there, too.
 *
 * A slot is told after its vector is in the index and before the slot that it was in counts as free.
 * So whoever meets that one as free, and looks here afterwards, finds the new one.
 */
#ifndef QUIVER_PUBLISHED_H
#define QUIVER_PUBLISHED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* As many as one commit can have vectors. */
#define PUBLISHED_SLOTS (UINT64_C(1) << 20)

struct published {
	_Atomic uint32_t *_Atomic ring; /* publish lock of the store; NULL: nobody has asked yet */
	_Atomic uint64_t count; /* publish lock; slots told since the first who asked */
};

/* Begin to tell, where nobody has asked before. 0 or -ENOMEM. The publish lock held. */
int published_open(struct published *published);
/* Nobody is inside. */
void published_free(struct published *published);

/* Tell a slot. The publish lock held. */
static inline void published_add(struct published *published, uint64_t slot)
{
	_Atomic uint32_t *ring = atomic_load_explicit(&published->ring, memory_order_relaxed);
	uint64_t count;

	if (__builtin_expect(ring == NULL, 1))
		return;
	count = atomic_load_explicit(&published->count, memory_order_relaxed);
	atomic_store_explicit(&ring[count % PUBLISHED_SLOTS], (uint32_t)slot, memory_order_release);
	atomic_store_explicit(&published->count, count + 1, memory_order_release);
}

/* Slots told since `from`, which counts them, into out[]: how many, at most `max`, and *from is behind
 * them; -EOVERFLOW some are forgotten. Any thread. */
int64_t published_take(struct published *published, uint64_t *from, uint32_t *out, uint64_t max);

#endif
