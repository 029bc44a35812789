#include "engine/disk/residency.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/disk/columns.h"

/* 32 KiB of ids.npy and 160 of meta.npy: about what the kernel reads ahead. */
#define CHUNK_ROWS 4096u
/* Pages of the column with the larger rows, of the smallest size, and one that is cut. */
#define CHUNK_PAGES_MAX (CHUNK_ROWS * META_ROW_BYTES / 4096u + 2)

int residency_init(struct residency *residency, const struct columns *columns)
{
	residency->chunks = columns->rows_max / CHUNK_ROWS + 1;
	residency->seen = calloc(residency->chunks, sizeof(*residency->seen));
	return residency->seen ? 0 : -ENOMEM;
}

void residency_destroy(struct residency *residency)
{
	free((void *)(uintptr_t)residency->seen);
	residency->seen = NULL;
}

/* Whether all pages of rows [first, last] of a column are in memory; *own whether those of `slot`
 * are. */
static bool rows_there(const struct column *column, uint64_t first, uint64_t last, uint64_t slot,
                       bool *own)
{
	unsigned char pages[CHUNK_PAGES_MAX];
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t base = (uintptr_t)column->map + COLUMN_HEADER_BYTES;
	uintptr_t from = (base + first * column->row_bytes) & ~(page - 1);
	uintptr_t to = base + (last + 1) * column->row_bytes;
	uintptr_t own_from = base + slot * column->row_bytes;
	uintptr_t own_to = own_from + column->row_bytes;
	bool all = true;

	*own = false;
	if (mincore((void *)from, to - from, pages) != 0)
		return false;
	*own = true;
	for (uintptr_t at = from; at < to; at += page) {
		bool there = pages[(at - from) / page] & 1;

		all = all && there;
		if (at < own_to && at + page > own_from)
			*own = *own && there;
	}
	return all;
}

bool residency_has_row(struct residency *residency, const struct columns *columns, uint64_t slot)
{
	uint64_t rows = atomic_load_explicit(&columns->rows, memory_order_relaxed);
	uint64_t first = slot / CHUNK_ROWS * CHUNK_ROWS;
	uint64_t last = first + CHUNK_ROWS <= rows ? first + CHUNK_ROWS - 1 : rows - 1;
	_Atomic uint32_t *seen = &residency->seen[slot / CHUNK_ROWS];
	bool own_id, own_meta, all;
	struct timespec now;
	uint32_t second;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail with this clock */
	second = (uint32_t)now.tv_sec + 1;
	if (atomic_load_explicit(seen, memory_order_relaxed) == second)
		return true;
	all = rows_there(&columns->ids, first, last, slot, &own_id);
	all = rows_there(&columns->meta, first, last, slot, &own_meta) && all;
	if (all)
		atomic_store_explicit(seen, second, memory_order_relaxed);
	return own_id && own_meta;
}
