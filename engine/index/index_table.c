#include "engine/index/index_table.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGES_MIN 4u
/* What is looked at anywhere takes a second wait for memory, that for the page tables, where they
 * do not fit the cache; smaller tables shall not take a huge page. */
#define HUGE_BYTES (UINT64_C(2) << 20)
#define HUGE_FROM_BYTES (2 * HUGE_BYTES)
/* Of a table that is read as it is used the first page of 4 KiB would take a huge one: from here on
 * that would be much memory for little. */
#define SPARSE_FROM_BYTES (UINT64_C(256) << 20)

/* All of it zero, and on a border of huge pages where it has some. */
static void *map_pages(uint64_t bytes)
{
	uint64_t spare = bytes >= HUGE_FROM_BYTES ? HUGE_BYTES - INDEX_PAGE_BYTES : 0;
	uint8_t *map = mmap(NULL, bytes + spare, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before;

	if (map == MAP_FAILED)
		return NULL;
	if (!spare)
		return map;
	before = -(uintptr_t)map % HUGE_BYTES;
	if (before > 0 && munmap(map, before) != 0)
		assert(!"munmap before an index table");
	if (spare > before && munmap(map + before + bytes, spare - before) != 0)
		assert(!"munmap behind an index table");
	(void)madvise(map + before, bytes, MADV_HUGEPAGE); /* a kernel without is as right */
	return map + before;
}

static void copy_page(const void *owner, uint64_t page, uint8_t *to)
{
	const struct index_table *table = owner;

	index_page_encode(&table->pages[page], to);
}

struct index_table *index_table_new(uint64_t pages)
{
	struct index_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->page_count = pages;
	atomic_init(&table->source, NULL);
	table->changed = calloc(1, sizeof(*table->changed));
	if (!table->changed || index_pages_init(table->changed, pages, table, copy_page) != 0)
		goto without_memory;
	table->pages = map_pages(pages * INDEX_PAGE_BYTES);
	if (table->pages)
		return table;
	index_pages_destroy(table->changed);
without_memory:
	free(table->changed);
	free(table);
	return NULL;
}

void index_table_free(struct index_table *table)
{
	if (!table)
		return;
	index_source_close(atomic_load(&table->source));
	if (munmap(table->pages, index_table_bytes(table)) != 0)
		assert(!"munmap of an index table");
	index_pages_destroy(table->changed);
	free(table->changed);
	free(table);
}

void index_table_fills(struct index_table *table, bool as_used)
{
	uint64_t bytes = index_table_bytes(table);

	if (bytes >= SPARSE_FROM_BYTES) /* a kernel without is as right */
		(void)madvise(table->pages, bytes, as_used ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
}

uint64_t index_table_bytes(const struct index_table *table)
{
	return table->page_count * INDEX_PAGE_BYTES;
}

uint64_t index_pages_for(uint64_t count)
{
	uint64_t places = count + count / 3;
	uint64_t pages = (places + INDEX_PAGE_PLACES - 1) / INDEX_PAGE_PLACES;

	return pages < PAGES_MIN ? PAGES_MIN : pages;
}
