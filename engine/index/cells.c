#include "engine/index/cells.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Memory for so many slots at a time: a huge page of cells. */
#define OPEN_SLOTS (UINT64_C(512) << 10)

static uint64_t whole_steps(uint64_t slots)
{
	return (slots + OPEN_SLOTS - 1) / OPEN_SLOTS * OPEN_SLOTS;
}

static uint64_t cell_bytes(uint64_t slots)
{
	return whole_steps(slots) * sizeof(uint32_t);
}

/* A page at least, also for the largest pages there are. */
static uint64_t block_bytes(uint64_t slots)
{
	uint64_t bytes = whole_steps(slots) / CELLS_BLOCK * sizeof(uint32_t);

	return (bytes + 65535) / 65536 * 65536;
}

/* Addresses alone, as in slots.c. */
static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void release(void *p, uint64_t bytes)
{
	if (p && munmap(p, bytes) != 0)
		assert(!"munmap of the cells");
}

/* Memory for so many slots: false where there is none. */
static bool open_up(struct cells *cells, uint64_t slots)
{
	if (slots <= atomic_load_explicit(&cells->opened, memory_order_relaxed))
		return true;
	slots = whole_steps(slots);
	if (mprotect((void *)(uintptr_t)cells->cells, cell_bytes(slots), PROT_READ | PROT_WRITE) ||
	    mprotect((void *)(uintptr_t)cells->pending, block_bytes(slots), PROT_READ | PROT_WRITE))
		return false;
	atomic_store_explicit(&cells->opened, slots, memory_order_release);
	return true;
}

struct cells *cells_create(uint64_t slots_max, uint64_t slots)
{
	struct cells *cells = calloc(1, sizeof(*cells));

	if (!cells)
		return NULL;
	cells->slots_max = slots_max;
	cells->cells = reserve(cell_bytes(slots_max));
	cells->pending = reserve(block_bytes(slots_max));
	if (cells->cells && cells->pending && open_up(cells, slots))
		return cells;
	cells_free(cells);
	return NULL;
}

void cells_free(struct cells *cells)
{
	if (!cells)
		return;
	release((void *)(uintptr_t)cells->cells, cell_bytes(cells->slots_max));
	release((void *)(uintptr_t)cells->pending, block_bytes(cells->slots_max));
	free(cells);
}

void cells_tell(struct cells *cells, uint64_t slot)
{
	_Atomic uint32_t *pending = &cells->pending[slot / CELLS_BLOCK];
	uint32_t was, is;

	assert(slot < cells->slots_max);
	if (!open_up(cells, slot + 1)) {
		atomic_store(&cells->lost, true);
		return;
	}
	/* Who looks at the block from now on finds the slot, which is pending before it is counted less. */
	atomic_fetch_add(pending, 1);
	was = atomic_load(&cells->cells[slot]);
	do
		is = cell_is_pending(was) ? (was + 1) | CELL_PENDING : CELL_PENDING;
	while (!atomic_compare_exchange_weak(&cells->cells[slot], &was, is));
	if (cell_is_pending(was))
		atomic_fetch_sub(pending, 1);
	else
		atomic_fetch_add(&cells->pending_count, 1);
}

bool cells_put(struct cells *cells, uint64_t slot, uint32_t was, uint32_t cell)
{
	if (!atomic_compare_exchange_strong(&cells->cells[slot], &was, cell))
		return false;
	if (cell_is_pending(was)) {
		atomic_fetch_sub(&cells->pending[slot / CELLS_BLOCK], 1);
		atomic_fetch_sub(&cells->pending_count, 1);
	}
	return true;
}

size_t cells_next(const struct cells *cells, uint64_t *from, uint32_t *out, size_t max)
{
	uint64_t end = cells_end(cells);
	size_t n = 0;

	while (*from < end && n < max) {
		uint64_t block = *from / CELLS_BLOCK;

		if (atomic_load(&cells->pending[block]) == 0) {
			*from = (block + 1) * CELLS_BLOCK;
			continue;
		}
		for (; *from < (block + 1) * CELLS_BLOCK && n < max; (*from)++)
			if (cell_is_pending(cells_of(cells, *from)))
				out[n++] = (uint32_t)*from;
	}
	return n;
}

uint64_t cells_bytes(const struct cells *cells, uint64_t slots)
{
	uint64_t end = cells_end(cells);

	if (slots > end)
		slots = end;
	return sizeof(*cells) + slots * sizeof(uint32_t) + slots / CELLS_BLOCK * sizeof(uint32_t);
}
