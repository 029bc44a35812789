#include "engine/lists/sample.h"

#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/epoch.h"
#include "engine/base/fault.h"
#include "engine/disk/columns.h"

uint64_t sample_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Of each of `max` equal parts of those that there are, one. */
size_t sample_slots(struct catalog *catalog, uint64_t *random, uint64_t end, size_t max,
                    uint32_t *slots)
{
	uint64_t count = catalog_count(catalog), seen = 0, part = 0, wanted = 0;
	size_t n = 0;

	if (max > count)
		max = count;
	if (max > 0)
		wanted = sample_random(random) % (count / max);
	for (uint64_t slot = 0; slot < end && n < max; slot++) {
		if (!slots_is_live(&catalog->slots, slot) || seen++ < wanted)
			continue;
		slots[n++] = (uint32_t)slot;
		part++;
		if (part < max)
			wanted = (uint64_t)((__uint128_t)part * count / max) +
			         sample_random(random) % (count / max);
	}
	return n;
}

int sample_pin(struct catalog *catalog, uint64_t *slot, uint64_t *told)
{
	struct slots_counts counts;
	int r;

	pthread_mutex_lock(&catalog->publish_lock);
	r = published_open(&catalog->published);
	*told = atomic_load(&catalog->published.count);
	slots_counts(&catalog->slots, &counts);
	*slot = r == 0 ? slots_highest_live(&catalog->slots, counts.used) : SLOT_NONE;
	if (*slot != SLOT_NONE) {
		epoch_enter();
		slots_pin(&catalog->slots, *slot);
		epoch_leave();
	}
	pthread_mutex_unlock(&catalog->publish_lock);
	return r;
}

void sample_unpin(struct catalog *catalog, uint64_t slot)
{
	if (slot != SLOT_NONE)
		slots_unpin(&catalog->slots, slot);
}

void sample_fetch(const struct catalog *catalog, uint64_t first, uint64_t last)
{
	const struct column *vectors = &catalog->columns.vectors;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t map = (uintptr_t)vectors->map;
	uintptr_t at = (map + columns_vector_offset(&catalog->columns, first)) & ~(page - 1);
	uintptr_t end = map + columns_vector_offset(&catalog->columns, last + 1);

	/* Where the file has been cut meanwhile it fails, and nothing follows. */
	(void)madvise((void *)at, end - at, SAMPLE_POPULATE);
}

bool sample_read(const struct catalog *catalog, uint64_t slot, void *to, uint64_t *id)
{
	if (!slots_is_live(&catalog->slots, slot))
		return false;
	*id = columns_id(&catalog->columns, slot);
	return fault_copy(to, columns_vector(&catalog->columns, slot),
	                  catalog->columns.geometry.vector_bytes) == 0;
}
