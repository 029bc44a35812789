/*
 * index_bucket.h - what a table of the index consists of: index*.c only. Buckets, each one line of
 * the processor's cache: 12 places, a byte of the ID's hash for each, and a count that says whether
 * a search has to go on; and pages of them, as they are in memory and in the file. MEMORY.md tells
 * in which order they are stored and loaded.
 */
#ifndef QUIVER_INDEX_BUCKET_H
#define QUIVER_INDEX_BUCKET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

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

/* A page as bytes, its header all zeros, and back. What is stored is stored relaxed. */
void index_page_encode(const struct index_page *page, uint8_t bytes[INDEX_PAGE_BYTES]);
void index_page_decode(struct index_page *page, const uint8_t bytes[INDEX_PAGE_BYTES]);

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
