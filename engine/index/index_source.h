/*
 * index_source.h - the snapshot of the index as what a table is read from, page by page.
 */
#ifndef QUIVER_INDEX_SOURCE_H
#define QUIVER_INDEX_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/media/index_layout.h"

struct index_source;
struct index_page;

/* Open the file `index` and check all of it but the pages of its table: *count IDs, live
 * as in index_load. Errors, too. */
int index_source_open(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                      struct index_source **source, uint64_t *pages, uint64_t *count,
                      uint64_t *live);
void index_source_close(struct index_source *source);
/* Whether page `page` of the table is in memory already. As index_source_use. */
bool index_source_has(struct index_source *source, uint64_t page);
/* Have page `page` of the table in memory, in `pages`, all of the table: 0, -EBADMSG, -errno of
 * the read, which the source remembers. Any thread, in an epoch section or under the writer lock. */
int index_source_use(struct index_source *source, struct index_page *pages, uint64_t page);
/* The same for all pages, which must name the slots of the live map, once each. Writer lock. As
 * index_source_use, or -ENOMEM. */
int index_source_use_all(struct index_source *source, struct index_page *pages,
                         const uint64_t *live);
/* What index_source_use failed with last, or 0. Any thread. */
int index_source_error(const struct index_source *source);

#endif
