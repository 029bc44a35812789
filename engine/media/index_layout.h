/*
 * index_layout.h - what the file `index` and the table in memory are measured by; FORMAT.md, "index".
 */
#ifndef QUIVER_INDEX_LAYOUT_H
#define QUIVER_INDEX_LAYOUT_H

#define INDEX_PAGE_BYTES 4096u
#define INDEX_LINE_BYTES 64u
#define INDEX_PAGE_BUCKETS 63u /* each a line; the first line is the page's own */
#define INDEX_BUCKET_PLACES 12u
#define INDEX_PAGE_PLACES (INDEX_PAGE_BUCKETS * INDEX_BUCKET_PLACES)

#endif
