/*
 * index_source.h - the file `index` as what a table is read from, page by page as they are used.
 */
#ifndef QUIVER_INDEX_SOURCE_H
#define QUIVER_INDEX_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/media/index_page.h"

struct index_pages;
struct index_source;
struct index_table;

/* The state of the file that is wanted. */
struct index_stamp {
	uint8_t uuid[16];
	uint64_t generation;
	uint64_t salt;
	uint64_t lsn;
	uint64_t slots_used;
	uint64_t count;
	int64_t ctime_max_ns;
};

/* Open the file `index`, or `index.new` where that is the one, and check all of it but the pages of
 * its table. `live` (index_live_bytes of the stamp's slots in use) gets the live map, or anything
 * where this fails; `pages`, which may be NULL, learns which places of it count. -ENOENT, -ESTALE it is of something else, -EBADMSG damaged; -ENOMEM; -errno of
 * the reads. */
int index_source_open(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                      uint64_t *live, struct index_pages *pages, struct index_source **source);
void index_source_close(struct index_source *source);
/* What the file says of itself; fixed. */
const struct index_header *index_source_header(const struct index_source *source);
/* Which of the two it is. */
unsigned index_source_header_place(const struct index_source *source);
/* Whether the file is still to get its name. */
bool index_source_is_new(const struct index_source *source);

/* Whether page `page` of the table is in memory already. As index_source_use. */
bool index_source_has(const struct index_source *source, uint64_t page);
/* The bits that say so, for index_has_bit. */
const _Atomic uint64_t *index_source_ready(const struct index_source *source);
/* Whether the bit of `page` is set. Who sees it sees the page. */
static inline bool index_has_bit(const _Atomic uint64_t *bits, uint64_t page)
{
	return atomic_load_explicit(&bits[page / 64], memory_order_acquire) >> (page % 64) & 1;
}

/* Have page `page` in memory, in the table: 0, -EBADMSG, -errno of the read, which the source
 * remembers. One that is there already stays as it is. Any thread, in an epoch section or under the
 * writer lock. */
int index_source_use(struct index_source *source, const struct index_table *table, uint64_t page);
/* The same for all pages. Then the table must name the slots of `live` (slots_used bits, as they are
 * now), each once. Writer lock. As index_source_use, or -ENOMEM. */
int index_source_use_all(struct index_source *source, const struct index_table *table,
                         const uint64_t *live, uint64_t slots_used);
/* What index_source_use failed with last, or 0. Any thread. */
int index_source_error(const struct index_source *source);

#endif
