/*
 * index_table.h - the table inside an index: index*.c only. Pages of buckets, each one line of the
 * processor's cache: 12 places, a byte of the ID's hash for each, and a count that says whether a
 * search has to go on. MEMORY.md tells in which order they are stored and loaded.
 */
#ifndef QUIVER_INDEX_TABLE_H
#define QUIVER_INDEX_TABLE_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>

#include "engine/index/index_pages.h"
#include "engine/index/index_source.h"
#include "engine/media/bytes.h"
#include "engine/media/index_layout.h"

struct index_bucket {
	/* A byte for each place, that of the first is the lowest: 0 nobody is there, else
	 * index_tag of the ID. Places 0 … 7, places 8 … 11. */
	_Atomic uint64_t tags;
	_Atomic uint32_t more_tags;
	/* How many IDs lie behind this bucket whose search comes through it. */
	_Atomic uint32_t overflow;
	_Atomic uint32_t slots[INDEX_BUCKET_PLACES];
};

struct index_page {
	uint8_t header[INDEX_LINE_BYTES]; /* of the page in the file */
	struct index_bucket buckets[INDEX_PAGE_BUCKETS];
};

static_assert(sizeof(struct index_bucket) == INDEX_LINE_BYTES &&
                      sizeof(struct index_page) == INDEX_PAGE_BYTES,
              "a bucket is a line");

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
/* A page as bytes, its header all zeros, and back. What is stored is stored relaxed. */
void index_page_encode(const struct index_page *page, uint8_t bytes[INDEX_PAGE_BYTES]);
void index_page_decode(struct index_page *page, const uint8_t bytes[INDEX_PAGE_BYTES]);

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

/* A high bit for each byte of `word` that is `tag`. */
static inline uint64_t index_equal_bytes(uint64_t word, unsigned tag)
{
	const uint64_t low = UINT64_C(0x7F7F7F7F7F7F7F7F);
	uint64_t differ = word ^ tag * UINT64_C(0x0101010101010101);

	return ~(((differ & low) + low) | differ | low);
}

/* Some places of a bucket, for index_first_place. */
typedef uint64_t index_places;

/* The places with this tag; those where nobody is with 0. Who sees a tag sees the slot that was
 * stored before it. */
static inline index_places index_fits(const struct index_bucket *bucket, unsigned tag)
{
	uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_acquire);
	uint64_t more = atomic_load_explicit(&bucket->more_tags, memory_order_acquire);
	uint64_t fits = index_equal_bytes(tags, tag);
	uint64_t more_fits = index_equal_bytes(more, tag) & UINT32_MAX;

	return fits >> 7 | more_fits >> 6;
}

/* Of some, not none. */
static inline unsigned index_first_place(index_places places)
{
	unsigned bit = (unsigned)__builtin_ctzll(places);

	return bit / 8 + bit % 8 * 8;
}

static inline index_places index_other_places(index_places places)
{
	return places & (places - 1);
}

/* Who sees a slot sees the row that was written before it was stored. */
static inline uint64_t index_slot(const struct index_bucket *bucket, unsigned place)
{
	return atomic_load_explicit(&bucket->slots[place], memory_order_acquire);
}

/* Whether a search that has not found its ID in this bucket goes on. Loaded after its tags. */
static inline bool index_goes_on(const struct index_bucket *bucket)
{
	return atomic_load_explicit(&bucket->overflow, memory_order_acquire) > 0;
}

static inline unsigned index_place_tag(const struct index_bucket *bucket, unsigned place)
{
	return place < 8 ? atomic_load_explicit(&bucket->tags, memory_order_acquire) >> place * 8 &
	                           0xFF
	                 : atomic_load_explicit(&bucket->more_tags, memory_order_acquire) >>
	                                   (place - 8) * 8 &
	                           0xFF;
}

#endif
