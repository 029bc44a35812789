/*
 * row_pages.h - the pages of ids.npy and meta.npy that are in memory alone: rows are stored
 * in a private copy of their page, and many are written to the file at once.
 *
 * What the map shows is always what was stored last, whether the file has it yet or not.
 */
#ifndef QUIVER_ROW_PAGES_H
#define QUIVER_ROW_PAGES_H

#include "columns.h"

/* Of a page of memory. */
uint64_t column_page_bytes(void);
/* Store `length` bytes at `offset`, both multiples of 8, within the rows. With `through` the
 * file has them on return. Writes what there is first where there is no room for another page.
 * 0 or -errno, -EIO also where the page cannot be read; then some may be stored. Rows lock. */
int column_store(const struct columns *columns, struct column *column, uint64_t offset,
                 const void *bytes, size_t length, bool through);
/* Write all that is in memory alone, as far as it belongs to rows that there are, and drop the
 * copies. 0 or -errno: then what was not written stays. Rows lock. */
int column_flush(const struct columns *columns, struct column *column);

#endif
