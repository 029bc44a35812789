/*
 * columns_rows.c - the rows of the columns: reading them from the map, writing vectors
 * with positioned writes, storing the others in the map.
 */
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/disk/column_map.h"
#include "engine/disk/columns.h"
#include "engine/disk/write_window.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"

#define CACHE_LINE_BYTES 64u
/* The first of a vector: with more, who does not touch it waits for lines in vain. */
#define FETCH_BYTES 128u
/* Rows encoded at a time, on the stack. */
#define WRITE_ROWS_MAX 256u
/* A row that does not match may be just being written (attributes change in place): that is over
 * long before so many looks. */
#define READ_TRIES 64

static uint64_t row_offset(const struct column *column, uint64_t slot)
{
	return COLUMN_HEADER_BYTES + slot * column->row_bytes;
}

static const uint8_t *row_in_map(const struct columns *columns, const struct column *column,
                                 uint64_t slot)
{
	assert(slot < atomic_load_explicit(&columns->rows, memory_order_relaxed));
	return column->map + row_offset(column, slot);
}

const void *columns_vector(const struct columns *columns, uint64_t slot)
{
	return row_in_map(columns, &columns->vectors, slot);
}

uint64_t columns_vector_offset(const struct columns *columns, uint64_t slot)
{
	return row_offset(&columns->vectors, slot);
}

uint64_t columns_id(const struct columns *columns, uint64_t slot)
{
	const uint8_t *row = row_in_map(columns, &columns->ids, slot);
	/* The header is a multiple of 8, and so is a row. */
	const uint64_t *id = __builtin_assume_aligned(row, sizeof(*id));

	return le64toh(__atomic_load_n(id, __ATOMIC_ACQUIRE));
}

void columns_prefetch_row(const struct columns *columns, uint64_t slot)
{
	const uint8_t *row = columns->meta.map + row_offset(&columns->meta, slot);

	__builtin_prefetch(row);
	__builtin_prefetch(row + META_ROW_BYTES - 1); /* in the next cache line, maybe */
}

void columns_prefetch_id(const struct columns *columns, uint64_t slot)
{
	__builtin_prefetch(columns->ids.map + row_offset(&columns->ids, slot));
}

void columns_prefetch_vector(const struct columns *columns, uint64_t slot)
{
	const uint8_t *vector = columns->vectors.map + row_offset(&columns->vectors, slot);
	uint32_t bytes = columns->vectors.row_bytes;

	for (uint32_t at = 0; at < bytes && at < FETCH_BYTES; at += CACHE_LINE_BYTES)
		__builtin_prefetch(vector + at);
}

int columns_meta(const struct columns *columns, uint64_t slot, uint64_t id, struct meta_row *row)
{
	const uint8_t *at = row_in_map(columns, &columns->meta, slot);
	uint8_t bytes[META_ROW_BYTES];
	int r = -EBADMSG;

	for (int i = 0; r == -EBADMSG && i < READ_TRIES; i++) {
		if (i > 0)
			sched_yield();
		r = fault_load(bytes, at, sizeof(bytes));
		if (r == 0)
			r = meta_decode(bytes, id, slot, row);
	}
	return r;
}

int columns_meta_bytes(const struct columns *columns, uint64_t slot, uint8_t bytes[META_ROW_BYTES])
{
	return fault_load(bytes, row_in_map(columns, &columns->meta, slot), META_ROW_BYTES);
}

int columns_write_vectors(struct columns *columns, uint64_t slot, struct iovec *parts, int count)
{
	struct column *column = &columns->vectors;
	uint64_t length = 0;

	for (int i = 0; i < count; i++)
		length += parts[i].iov_len;
	assert(length % column->row_bytes == 0);
	assert(slot + length / column->row_bytes <=
	       atomic_load_explicit(&columns->rows, memory_order_relaxed));
	return write_window_write(columns, row_offset(column, slot), length, parts, count);
}

/* The same for at most WRITE_ROWS_MAX rows. */
static int write_some_rows(struct columns *columns, uint64_t slot, const uint64_t *ids,
                           const struct meta_row *rows, size_t count)
{
	static const struct meta_row free_row;
	uint8_t id_bytes[WRITE_ROWS_MAX * sizeof(uint64_t)];
	uint8_t meta_bytes[WRITE_ROWS_MAX * META_ROW_BYTES];
	int r;

	for (size_t i = 0; i < count; i++) {
		bool live = ids[i] != QUIVER_ID_NONE;

		assert(!live || (rows && rows[i].lsn != 0));
		put_le64(id_bytes + i * sizeof(uint64_t), ids[i]);
		meta_encode(live ? &rows[i] : &free_row, ids[i], slot + i,
		            meta_bytes + i * META_ROW_BYTES);
	}
	pthread_mutex_lock(&columns->rows_lock);
	r = column_store(columns->io, &columns->meta, row_offset(&columns->meta, slot), meta_bytes,
	                 count * META_ROW_BYTES);
	if (r == 0)
		r = column_store(columns->io, &columns->ids, row_offset(&columns->ids, slot),
		                 id_bytes, count * sizeof(uint64_t));
	pthread_mutex_unlock(&columns->rows_lock);
	return r;
}

int columns_write_rows(struct columns *columns, uint64_t slot, const uint64_t *ids,
                       const struct meta_row *rows, size_t count)
{
	assert(slot + count <= atomic_load_explicit(&columns->rows, memory_order_relaxed));
	for (size_t done = 0; done < count;) {
		size_t some = count - done < WRITE_ROWS_MAX ? count - done : WRITE_ROWS_MAX;
		int r = write_some_rows(columns, slot + done, ids + done, rows ? rows + done : NULL,
		                        some);

		if (r < 0)
			return r;
		done += some;
	}
	return 0;
}

int columns_write_meta(struct columns *columns, uint64_t slot, uint64_t id,
                       const struct meta_row *row)
{
	uint8_t bytes[META_ROW_BYTES];
	int r;

	assert(slot < atomic_load_explicit(&columns->rows, memory_order_relaxed));
	assert(row->lsn != 0);
	meta_encode(row, id, slot, bytes);
	pthread_mutex_lock(&columns->rows_lock);
	r = column_store(columns->io, &columns->meta, row_offset(&columns->meta, slot), bytes,
	                 sizeof(bytes));
	pthread_mutex_unlock(&columns->rows_lock);
	return r;
}
