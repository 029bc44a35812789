#include "engine/index/index_table.h"

#include <assert.h>
#include <sys/mman.h>

#define ENTRIES_MIN (4 * INDEX_PAGE_ENTRIES)
struct index_table *index_table_new(uint64_t size)
{
	size_t bytes = sizeof(struct index_table) + size * sizeof(uint32_t);
	struct index_table *table =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	table->bytes = bytes;
	table->size = size;
	atomic_init(&table->source, NULL);
	return table;
}

void index_table_free(struct index_table *table)
{
	if (!table)
		return;
	index_source_close(atomic_load(&table->source));
	if (munmap(table, table->bytes) != 0)
		assert(!"munmap of an index table");
}

uint64_t index_entries_for(uint64_t count)
{
	uint64_t entries = count + count / 2;

	if (entries < ENTRIES_MIN)
		return ENTRIES_MIN;
	return (entries + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES * INDEX_PAGE_ENTRIES;
}
