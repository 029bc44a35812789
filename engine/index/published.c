#include "engine/index/published.h"

#include <errno.h>
#include <stdlib.h>

int published_open(struct published *published)
{
	_Atomic uint32_t *ring;

	if (atomic_load_explicit(&published->ring, memory_order_relaxed))
		return 0;
	ring = calloc(PUBLISHED_SLOTS, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	atomic_store_explicit(&published->ring, ring, memory_order_release);
	return 0;
}

void published_free(struct published *published)
{
	free((void *)(uintptr_t)atomic_load(&published->ring));
	atomic_store(&published->ring, NULL);
}

int64_t published_take(struct published *published, uint64_t *from, uint32_t *out, uint64_t max)
{
	_Atomic uint32_t *ring = atomic_load_explicit(&published->ring, memory_order_acquire);
	uint64_t count = atomic_load_explicit(&published->count, memory_order_acquire);
	uint64_t n = count - *from < max ? count - *from : max;

	/* One less than the ring holds: the next may be stored before it is counted. */
	for (uint64_t i = 0; i < n; i++)
		out[i] = atomic_load_explicit(&ring[(*from + i) % PUBLISHED_SLOTS],
		                              memory_order_acquire);
	if (n > 0 && atomic_load_explicit(&published->count, memory_order_acquire) - *from >=
	                     PUBLISHED_SLOTS)
		return -EOVERFLOW;
	*from += n;
	return (int64_t)n;
}
