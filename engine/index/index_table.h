/*
 * index_table.h - the table inside an index, and the snapshot that it may come from;
 * index.c, index_change.c, index_file.c and index_source.c only.
 */
#ifndef QUIVER_INDEX_TABLE_H
#define QUIVER_INDEX_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "engine/disk/io.h"
#include "engine/index/index.h"
#include "engine/media/bytes.h"

#define INDEX_EMPTY 0u
#define INDEX_TOMB 1u
#define INDEX_SLOT0 2u /* an entry is the slot plus this */

#define INDEX_MAGIC "QUIVERIX"
/* Its own: a snapshot of another one is made anew from the columns. */
#define INDEX_VERSION 2u
#define INDEX_PAGE_BYTES 4096u
#define INDEX_PAGE_ENTRIES (INDEX_PAGE_BYTES / 4)
#define INDEX_CHUNK_PAGES 256u /* read and written 1 MiB at a time */

struct index_source;

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
/* Fill the next table, where there is one, and use it. Writer lock. */
void index_settle(struct index *index);

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

static inline uint64_t index_entry(const struct index_table *table, uint64_t at)
{
	return atomic_load_explicit(&table->entries[at], memory_order_acquire);
}

/* Where everything is in the file; FORMAT.md, "index". */
struct index_layout {
	uint64_t entries;
	uint64_t table_pages;
	uint64_t live_pages;
	uint64_t table_at, live_at, sums_at; /* offsets */
};

void index_lay_out(struct index_layout *layout, uint64_t entries, uint64_t slots_used);
uint64_t index_page_sum(const uint8_t *page, uint64_t number);

/* Open the file `index` and check all of it but the pages of its table: *count IDs, live
 * as in index_load. Errors, too. */
int index_source_open(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                      struct index_source **source, uint64_t *entries, uint64_t *count,
                      uint64_t *live);
void index_source_close(struct index_source *source);
/* Whether page `page` of the table is in memory already. As index_source_use. */
bool index_source_has(struct index_source *source, uint64_t page);
/* Have page `page` of the table in memory: 0, -EBADMSG, -errno of the read, which the source
 * remembers. Any thread, in an epoch section or under the writer lock. */
int index_source_use(struct index_source *source, struct index_table *table, uint64_t page);
/* The same for all pages, which must name the slots of the live map, once each. Writer lock. As
 * index_source_use, or -ENOMEM. */
int index_source_use_all(struct index_source *source, struct index_table *table,
                         const uint64_t *live);
/* What index_source_use failed with last, or 0. Any thread. */
int index_source_error(const struct index_source *source);

#endif
