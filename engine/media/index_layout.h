/*
 * index_layout.h - the file `index` as bytes: where everything lies in it, its header and the
 * checksums of its pages; FORMAT.md, "index".
 */
#ifndef QUIVER_INDEX_LAYOUT_H
#define QUIVER_INDEX_LAYOUT_H

#include <stdint.h>

#include "engine/quiver.h"

#define INDEX_MAGIC "QUIVERIX"
/* Its own: a snapshot of another one is made anew from the columns. */
#define INDEX_VERSION 3u
#define INDEX_PAGE_BYTES 4096u
#define INDEX_LINE_BYTES 64u
#define INDEX_PAGE_BUCKETS 63u /* each a line; the first line is the page's own */
#define INDEX_BUCKET_PLACES 12u
#define INDEX_PAGE_PLACES (INDEX_PAGE_BUCKETS * INDEX_BUCKET_PLACES)
#define INDEX_CHUNK_PAGES 256u /* read and written 1 MiB at a time */

/* What a snapshot is of. */
struct index_stamp {
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t slots_used;
};

/* Where everything is in the file; FORMAT.md, "index". */
struct index_layout {
	uint64_t table_pages;
	uint64_t live_pages;
	uint64_t table_at, live_at, sums_at; /* offsets */
};

void index_lay_out(struct index_layout *layout, uint64_t table_pages, uint64_t slots_used);
/* Room for the live map of so many slots, in whole pages. */
uint64_t index_live_bytes(uint64_t slots_used);
/* Of page `number` of table and live map. */
uint64_t index_page_sum(const uint8_t *page, uint64_t number);

/* `count` IDs; `sums_hash` of all page checksums. */
void index_header_encode(uint8_t page[INDEX_PAGE_BYTES], const struct index_layout *layout,
                         const struct index_stamp *stamp, uint64_t count, uint64_t sums_hash);
/* 0 with *count, *layout and *sums_hash, every field checked; -EBADMSG damaged; -ESTALE it is of
 * another version, store or state than `stamp`. */
int index_header_decode(const uint8_t page[INDEX_PAGE_BYTES], const struct index_stamp *stamp,
                        uint64_t *count, struct index_layout *layout, uint64_t *sums_hash);

#endif
