/*
 * column_map.h - the memory map of one column: address space that is reserved once
 * and given to the file page by page, so that a pointer into it stays valid.
 */
#ifndef QUIVER_COLUMN_MAP_H
#define QUIVER_COLUMN_MAP_H

#include <stdint.h>

#include "engine/disk/column.h"

/* Reserve address space for `bytes`, none of it readable yet. 0 or -ENOMEM. */
int column_reserve(struct column *column, uint64_t bytes);
/* Give all of it back. 0 or -errno; also where nothing is reserved. */
int column_release(const struct quiver_io *io, struct column *column);
/* Map the file up to `bytes`, in whole pages. Grow lock held. */
int column_map_to(const struct quiver_io *io, struct column *column, uint64_t bytes);
/* Map the same once more, to store rows in, in the place of what was mapped so: not where that
 * cannot be. `lock`, under which rows are stored, not held; grow lock held. 0 or -errno. */
int column_map_to_store(const struct quiver_io *io, struct column *column, pthread_mutex_t *lock);
/* Unmap its pages, to be mapped again when they are stored in. That lock held. */
void column_store_drop(struct column *column);
/* Store `length` bytes at `offset`, both multiples of 8, within the rows: words of 8 bytes, each at
 * once for who reads the map. 0 or -errno; then some may be stored. That lock held. */
int column_store(const struct quiver_io *io, struct column *column, uint64_t offset,
                 const void *bytes, size_t length);
/* Put the pages wholly above `bytes` back into the reserve. Grow lock held. */
int column_unmap_above(struct column *column, uint64_t bytes);

#endif
