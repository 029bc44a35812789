/*
 * index_page.h - the file `index` as bytes: its header, where each page lies, and the heads of
 * pages by which it shows which of a page's two places counts; FORMAT.md, "index".
 */
#ifndef QUIVER_INDEX_PAGE_H
#define QUIVER_INDEX_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/media/index_layout.h"

#define INDEX_MAGIC "QUIVERIX"
/* Its own: a file of another one is made anew from the columns. One of version 3 is read and gone on
 * with: programs that write it do not begin another life wherever one is due. */
#define INDEX_VERSION 4u
#define INDEX_VERSION_FORMER 3u
#define INDEX_LIVES_MAX 224u
#define INDEX_HEADERS_BYTES (2 * INDEX_PAGE_BYTES)
/* Of the live map in a page. */
#define INDEX_LIVE_WORDS ((INDEX_PAGE_BYTES - INDEX_LINE_BYTES) / 8)
#define INDEX_LIVE_SLOTS (INDEX_LIVE_WORDS * UINT64_C(64))
/* Places 0 of so many pages lie together, and then their places 1. */
#define INDEX_GROUP_PAGES 16u

/* Who has written: generations from `first` on, until the next life. */
struct index_life {
	uint64_t first;
	uint64_t number; /* random */
};

struct index_header {
	uint32_t version;
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t slots_used;
	uint64_t count; /* IDs */
	uint64_t table_pages;
	uint64_t salt;
	uint64_t generation;
	uint64_t whole; /* the generation that wrote all pages */
	int64_t ctime_max_ns; /* of the superblock */
	uint32_t life_count;
	struct index_life lives[INDEX_LIVES_MAX];
};

/* Of the live map of so many slots: bytes in memory, and pages in the file. */
uint64_t index_live_bytes(uint64_t slots_used);
uint64_t index_live_pages(uint64_t slots_used);
/* Where page `page`, those of the table first, has its place 0 or 1. */
uint64_t index_place_at(uint64_t page, bool second);

void index_header_put(const struct index_header *header, uint8_t page[INDEX_PAGE_BYTES]);
/* 0 with every field in its range; -EBADMSG damaged; -ESTALE it is of another version. */
int index_header_get(const uint8_t page[INDEX_PAGE_BYTES], struct index_header *header);

/* Make the head of a page whose content is there; of the newest generation. */
void index_page_seal(const struct index_header *header, uint64_t number,
                     uint8_t page[INDEX_PAGE_BYTES]);
/* Of the bytes in both places of page `number` (`second` is NULL where the header says that none is
 * there) the one that counts: 0 with *is_second, or -EBADMSG. */
int index_page_choose(const struct index_header *header, uint64_t number, const uint8_t *first,
                      const uint8_t *second, bool *is_second);

#endif
