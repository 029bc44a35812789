/*
 * index_table.h - the table inside an index: index*.c only. Pages of buckets (index_bucket.h) in
 * memory, and where the search for an ID goes among them.
 */
#ifndef QUIVER_INDEX_TABLE_H
#define QUIVER_INDEX_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "engine/index/index_bucket.h"
#include "engine/index/index_pages.h"
#include "engine/index/index_source.h"
#include "engine/media/bytes.h"
#include "engine/media/index_layout.h"

struct index_table {
	struct index_page *pages; /* a mapping, to the page */
	uint64_t page_count;
	/* What the pages that nobody has used yet are read from; NULL: none. Removed under the
	 * writer lock. */
	struct index_source *_Atomic source;
	const _Atomic uint64_t *ready; /* of the source, as long as it is there: index_has_bit */
	struct index_table *former; /* writer lock, or who has taken it: the one before */
	struct index_pages *changed; /* which of its pages have; owned */
};

/* A bucket is named by its line, counted through all pages; the first line of each is its
 * header. */
#define INDEX_PAGE_LINES (INDEX_PAGE_BYTES / INDEX_LINE_BYTES)

/* All empty; NULL without memory. */
struct index_table *index_table_new(uint64_t pages);
/* It is filled page by page as it is used, or all of it is there. */
void index_table_fills(struct index_table *table, bool as_used);
/* Its source, too. */
void index_table_free(struct index_table *table);
uint64_t index_table_bytes(const struct index_table *table);
/* Pages for `count` IDs at a load of three quarters. */
uint64_t index_pages_for(uint64_t count);

__extension__ typedef unsigned __int128 index_wide;

static inline uint64_t index_hash(uint64_t id)
{
	uint8_t key[8];

	put_le64(key, id);
	return XXH3_64bits(key, sizeof(key));
}

/* The bucket where the search for an ID begins: its hash, scaled to the table. */
static inline uint64_t index_home(const struct index_table *table, uint64_t hash)
{
	index_wide page = (index_wide)hash * table->page_count;
	uint64_t bucket = (uint64_t)((index_wide)(uint64_t)page * INDEX_PAGE_BUCKETS >> 64);

	return (uint64_t)(page >> 64) * INDEX_PAGE_LINES + 1 + bucket;
}

/* Of those bits of the hash that do not choose the bucket: 1 … 255. */
static inline unsigned index_tag(uint64_t hash)
{
	return 1 + (unsigned)((hash & 0xFFFF) * 255 >> 16);
}

static inline uint64_t index_lines(const struct index_table *table)
{
	return table->page_count * INDEX_PAGE_LINES;
}

/* The bucket after the one at `at`, as a search goes. */
static inline uint64_t index_after(const struct index_table *table, uint64_t at)
{
	at++;
	if (at % INDEX_PAGE_LINES == 0)
		at = at < index_lines(table) ? at + 1 : 1;
	return at;
}

static inline struct index_bucket *index_bucket(const struct index_table *table, uint64_t at)
{
	return &table->pages[at / INDEX_PAGE_LINES].buckets[at % INDEX_PAGE_LINES - 1];
}

#endif
