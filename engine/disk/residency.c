#include "engine/disk/residency.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/disk/columns.h"

/* Of the column with the larger rows, in pages of the smallest size. */
#define PAGES_MAX(rows) ((rows)*META_ROW_BYTES / 4096u + 2)

/* A chunk's number takes 25 bits. */
#define SECOND_BITS 32

int residency_init(struct residency *residency)
{
	residency->seen = calloc(RESIDENCY_CHUNKS, sizeof(*residency->seen));
	return residency->seen ? 0 : -ENOMEM;
}

void residency_destroy(struct residency *residency)
{
	free((void *)(uintptr_t)residency->seen);
	residency->seen = NULL;
}

/* Whether all pages of rows [first, end) of a column are in memory. `pages` has room for them. */
static bool rows_there(const struct column *column, uint64_t first, uint64_t end,
                       unsigned char *pages)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t base = (uintptr_t)column->map + COLUMN_HEADER_BYTES;
	uintptr_t from = (base + first * column->row_bytes) & ~(page - 1);
	uintptr_t to = base + end * column->row_bytes;

	if (to <= from)
		return true;
	if (mincore((void *)from, to - from, pages) != 0)
		return false;
	for (size_t i = 0; i < (to - from + page - 1) / page; i++)
		if (!(pages[i] & 1))
			return false;
	return true;
}

static bool both_there(const struct columns *columns, uint64_t first, uint64_t end)
{
	unsigned char pages[PAGES_MAX(RESIDENCY_CHUNK_ROWS)];

	return rows_there(&columns->ids, first, end, pages) &&
	       rows_there(&columns->meta, first, end, pages);
}

uint32_t residency_second(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail with this clock */
	return (uint32_t)(now.tv_sec + 1);
}

bool residency_has_row(struct residency *residency, const struct columns *columns, uint64_t slot,
                       uint32_t second)
{
	uint64_t chunk = slot / RESIDENCY_CHUNK_ROWS;
	uint64_t first = chunk * RESIDENCY_CHUNK_ROWS;
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_relaxed);
	uint64_t end = first + RESIDENCY_CHUNK_ROWS < rows ? first + RESIDENCY_CHUNK_ROWS : rows;
	_Atomic uint64_t *seen = &residency->seen[chunk % RESIDENCY_CHUNKS];
	uint64_t mark = chunk << SECOND_BITS | second;

	if (atomic_load_explicit(seen, memory_order_relaxed) == mark)
		return true;
	if (!both_there(columns, first, end))
		/* Of rows that nobody has used yet there are no pages. */
		return both_there(columns, slot, slot + 1);
	atomic_store_explicit(seen, mark, memory_order_relaxed);
	return true;
}

bool residency_has_rows(const struct columns *columns, uint64_t end)
{
	unsigned char pages[PAGES_MAX(RESIDENCY_ROWS_MAX)];

	return rows_there(&columns->ids, 0, end, pages) &&
	       rows_there(&columns->meta, 0, end, pages);
}
