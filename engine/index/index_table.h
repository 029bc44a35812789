/*
 * index_table.h - the table inside an index; index.c, index_change.c and index_file.c only.
 */
#ifndef QUIVER_INDEX_TABLE_H
#define QUIVER_INDEX_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "engine/index/index_source.h"
#include "engine/media/bytes.h"
#include "engine/media/index_layout.h"

struct index_table {
	size_t bytes; /* of the mapping */
	uint64_t size; /* entries, a multiple of those of a page */
	/* What the pages that nobody has used yet are read from; NULL: none. Removed under the
	 * writer lock. */
	struct index_source *_Atomic source;
	struct index_table *former; /* writer lock, or who has taken it: the one before */
	_Atomic uint32_t entries[];
};

/* All empty; NULL without memory. `size` is a multiple of INDEX_PAGE_ENTRIES. */
struct index_table *index_table_new(uint64_t size);
/* Its source, too. */
void index_table_free(struct index_table *table);
/* Entries for `count` IDs at a load of two thirds. */
uint64_t index_entries_for(uint64_t count);
__extension__ typedef unsigned __int128 index_wide;

/* Where the search for an ID begins: its hash, scaled to the table. */
static inline uint64_t index_home_of(const struct index_table *table, uint64_t id)
{
	uint8_t key[8];

	put_le64(key, id);
	return (uint64_t)((index_wide)XXH3_64bits(key, sizeof(key)) * table->size >> 64);
}

static inline uint64_t index_after(const struct index_table *table, uint64_t at)
{
	return at + 1 < table->size ? at + 1 : 0;
}

/* Who sees an entry sees the row that was written before it was stored. */
static inline uint64_t index_entry(const struct index_table *table, uint64_t at)
{
	return atomic_load_explicit(&table->entries[at], memory_order_acquire);
}

#endif
