/*
 * columns.h - vectors.npy, ids.npy and meta.npy: opening, mapping, growing,
 * cutting, and the only accessors to their rows; FORMAT.md.
 */
#ifndef QUIVER_COLUMNS_H
#define QUIVER_COLUMNS_H

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/column.h"
#include "engine/disk/io.h"
#include "engine/media/meta_row.h"
#include "engine/quiver.h"

/* Make the three files with no rows, and sync them. 0 or -errno. */
int columns_create(const struct quiver_io *io, int dir_fd, const struct quiver_geometry *geometry);

/* Open, check names, dtypes and sizes against the geometry and the format's version, reserve address space
 * and map what is there. Rows = the fewest of the three (a longer file or a stale
 * row count is put right unless read_only). -EUCLEAN a header that does not fit, or
 * fewer than `slots_used` rows (error says which file); else -errno. Where an upgrade was interrupted
 * before meta.npy.new got its name it gets it, or with read_only is read under that one; -EUCLEAN
 * where meta.npy has rows of this version. */
int columns_open(struct columns *columns, const struct quiver_io *io, int dir_fd,
                 const struct quiver_geometry *geometry, uint32_t version, uint64_t slots_used,
                 bool read_only, struct quiver_error *error);
int columns_close(struct columns *columns);

/* Have the kernel begin to write what is dirty of `count` slots; it may not. */
void columns_slots_soon(const struct columns *columns, uint64_t slot, uint64_t count);
/* The same of all three. */
void columns_write_soon(const struct columns *columns);
/* Read all three anew from the disk. Before anything was read through the maps: what is in
 * use stays. 0 or -errno. */
int columns_forget(const struct columns *columns);
/* The same of `count` slots, and what shares pages with them: of their vectors; of their IDs and rows. */
int columns_forget_vectors(const struct columns *columns, uint64_t slot, uint64_t count);
int columns_forget_rows(const struct columns *columns, uint64_t slot, uint64_t count);

/* A descriptor, the caller's, through which the bytes of vectors.npy come from the disk whatever
 * the kernel has cached (io_direct.h). -EINVAL here or from a read: this filesystem has no such
 * thing. */
int columns_open_direct(const struct columns *columns);
/* Where slot `s` begins in vectors.npy. */
uint64_t columns_vector_offset(const struct columns *columns, uint64_t slot);

/* Make all three at least `rows` long: allocate, fill new ids with NONE, map, and
 * rewrite the headers. Where it fails (-ENOSPC, ...) rows stays what it was and
 * what was added is cut again. Grow lock held. Waits for the disk. */
int columns_grow(struct columns *columns, uint64_t rows);
/* Write the headers again as they are. Grow lock held. 0 or -errno. */
int columns_write_headers(struct columns *columns);
/* Cut to `rows`. Nobody may read or write the rows above. Where it fails there are no more rows all
 * the same; a file may be as long as it was. Grow lock held. */
int columns_cut(struct columns *columns, uint64_t rows);
/* Whether a file is longer than its rows, by such a failure: cutting to the rows that there are
 * ends it. Grow lock held. */
bool columns_uncut(const struct columns *columns);
/* fdatasync all three: vectors only, or ids and meta only, or both. Once one has
 * failed all do: the kernel tells of lost pages once. Any thread. */
int columns_sync(struct columns *columns, bool vectors, bool rows);
/* Make the bytes of all slots durable, and that there are so many: opening cuts vectors.npy to
 * the rows that the others have, too. One thread at a time. */
int columns_sync_slots(struct columns *columns);
/* Have the device take the bytes of all slots piece by piece, so that the sync that must follow
 * is short, and with it what a commit that syncs the log meanwhile has to wait for. 0, or
 * -errno, as of a sync, which it fails with all that follow. Any thread. */
int columns_write_out(struct columns *columns);

/* Each read goes through these, so they are inline. */

static inline uint64_t column_row_offset(const struct column *column, uint64_t slot)
{
	return COLUMN_HEADER_BYTES + slot * column->row_bytes;
}

/* Row `slot` in the map. slot < rows. */
static inline const uint8_t *columns_row(const struct columns *columns, const struct column *column,
                                         uint64_t slot)
{
	assert(slot < atomic_load_explicit(&columns->rows, memory_order_relaxed));
	return column->map + column_row_offset(column, slot);
}

/* Bytes of slot `s` in the map. slot < rows. */
static inline const void *columns_vector(const struct columns *columns, uint64_t slot)
{
	return columns_row(columns, &columns->vectors, slot);
}
/* ID in row `slot`, from the map; an aligned, atomic load. */
static inline uint64_t columns_id(const struct columns *columns, uint64_t slot)
{
	const uint8_t *row = columns_row(columns, &columns->ids, slot);
	/* The header is a multiple of 8, and so is a row. */
	const uint64_t *id = __builtin_assume_aligned(row, sizeof(*id));

	return le64toh(__atomic_load_n(id, __ATOMIC_ACQUIRE));
}

/* A row of `slot` is about to be read: have the processor fetch it meanwhile. Any thread; the slot
 * need not hold anything. */
static inline void columns_prefetch_row(const struct columns *columns, uint64_t slot)
{
	const uint8_t *row = columns->meta.map + column_row_offset(&columns->meta, slot);

	__builtin_prefetch(row);
	/* In the next cache line, maybe. */
	__builtin_prefetch(row + columns->meta.row_bytes - 1);
}

/* The same for its ID. */
static inline void columns_prefetch_id(const struct columns *columns, uint64_t slot)
{
	__builtin_prefetch(columns->ids.map + column_row_offset(&columns->ids, slot));
}

/* The same for all bytes of the vector. */
void columns_prefetch_all(const struct columns *columns, uint64_t slot);
/* The same for its first bytes alone: with more, who does not touch it waits for lines in vain. */
static inline void columns_prefetch_vector(const struct columns *columns, uint64_t slot)
{
	const uint8_t *vector = columns->vectors.map + column_row_offset(&columns->vectors, slot);

	__builtin_prefetch(vector);
}

/* Decode the row of `slot` from the map, expecting it to belong to `id`.
 * 0 (also for a free row: lsn 0), -EBADMSG crc does not match, -EIO. Waits for who is just storing
 * in a row that does not match, so not with the rows lock held. */
int columns_meta(const struct columns *columns, uint64_t slot, uint64_t id, struct meta_row *row);
/* The row as it stands in the file, whether it matches or not; *length is META_ROW_BYTES, or in a
 * store of version 1 META_ROW_1_BYTES. 0, -EIO. */
int columns_meta_bytes(const struct columns *columns, uint64_t slot, uint8_t bytes[META_ROW_BYTES],
                       size_t *length);

/* Write N bytes to each of `count` neighbouring slots from `slot` on; parts as for
 * pwritev (used up). */
int columns_write_vectors(struct columns *columns, uint64_t slot, struct iovec *parts, int count);
/* Write `count` neighbouring rows: ids and meta. ids[i] == QUIVER_ID_NONE frees. */
int columns_write_rows(struct columns *columns, uint64_t slot, const uint64_t *ids,
                       const struct meta_row *rows, size_t count);
/* Only the ID of a row that was freed, as if that had been interrupted. 0 or -errno. */
int columns_write_id(struct columns *columns, uint64_t slot, uint64_t id);
/* Only the meta rows (attributes) of up to COLUMNS_META_ROWS_MAX live slots. As many as make the
 * lock that they are stored under count for little, and few enough for others not to wait. */
#define COLUMNS_META_ROWS_MAX 16u
int columns_write_meta(struct columns *columns, const uint64_t *slots, const struct meta_row *rows,
                       size_t count);

#endif
