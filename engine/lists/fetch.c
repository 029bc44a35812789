#include "engine/lists/fetch.h"

#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/latency.h"
#include "engine/lists/sample.h"

/* What is read at once where all vectors fit into memory. */
#define PART_BYTES (UINT64_C(1) << 20)
/* Pages that were there are taken to be there for so long. */
#define SEEN_SECONDS 60u

static uint32_t second_of_now(void)
{
	return (uint32_t)(clock_monotonic_ns() / 1000000000) + SEEN_SECONDS;
}

static void fetch_part(struct lists *lists, uint64_t slot, uint32_t second)
{
	const struct columns *columns = &lists->catalog->columns;
	uint64_t part = columns_vector_offset(columns, slot) / PART_BYTES;
	_Atomic uint32_t *seen = &lists->seen[part % LISTS_PARTS_SEEN];
	uint64_t end = (part + 1) * PART_BYTES;
	uint64_t mapped =
		atomic_load_explicit(&columns->vectors.mapped_bytes, memory_order_relaxed);

	if (second - atomic_load_explicit(seen, memory_order_relaxed) < SEEN_SECONDS)
		return;
	if (end > mapped)
		end = mapped;
	/* What cannot be read is told when it is. */
	if (part * PART_BYTES < end)
		(void)madvise((uint8_t *)(uintptr_t)columns->vectors.map + part * PART_BYTES,
		              end - part * PART_BYTES, SAMPLE_POPULATE);
	atomic_store_explicit(seen, second, memory_order_relaxed);
}

void fetch_slots(struct lists *lists, const uint32_t *slots, size_t count)
{
	const struct columns *columns = &lists->catalog->columns;
	const struct column *vectors = &columns->vectors;
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_relaxed);
	uint32_t second = second_of_now();

	if (rows <= lists->memory / 2 / vectors->row_bytes) {
		for (size_t i = 0; i < count; i++)
			fetch_part(lists, slots[i], second);
		return;
	}
	/* All of them are asked for before the first is waited for. */
	for (size_t i = 0; i < count; i++)
		columns->io->hint(columns->io, vectors->fd,
		                  columns_vector_offset(columns, slots[i]), vectors->row_bytes,
		                  IO_WILL_READ);
	for (size_t i = 0; i < count; i++)
		sample_fetch(lists->catalog, slots[i], slots[i]);
}
