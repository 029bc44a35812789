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
/* As much of one as stays in the nearest cache until it is copied. */
#define FETCH_ALL_BYTES 8192u
/* Rows encoded at a time, on the stack. */
#define WRITE_ROWS_MAX 256u
/* A row that does not match may be just being written (attributes change in place): mostly that is
 * over before so many looks. */
#define READ_TRIES 8

uint64_t columns_vector_offset(const struct columns *columns, uint64_t slot)
{
	return column_row_offset(&columns->vectors, slot);
}

void columns_prefetch_all(const struct columns *columns, uint64_t slot)
{
	const uint8_t *vector = columns->vectors.map + column_row_offset(&columns->vectors, slot);

	for (uint32_t at = 0; at < columns->vectors.row_bytes && at < FETCH_ALL_BYTES;
	     at += CACHE_LINE_BYTES)
		__builtin_prefetch(vector + at);
}

static inline bool is_version_1(const struct columns *columns)
{
	/* Which is in the cache line of the map's address. */
	return __builtin_expect(columns->meta.row_bytes == META_ROW_1_BYTES, 0);
}

static inline int load_row(const struct columns *columns, uint64_t slot, uint64_t id,
                           struct meta_row *row)
{
	const uint8_t *at = columns_row(columns, &columns->meta, slot);
	uint8_t bytes[META_ROW_BYTES];
	int r;

	if (is_version_1(columns)) {
		r = fault_load(bytes, at, META_ROW_1_BYTES);
		return r ? r : meta_decode_1(bytes, id, slot, row);
	}
	r = fault_load(bytes, at, META_ROW_BYTES);
	return r ? r : meta_decode(bytes, id, slot, row);
}

/* A row that did not match: what it says when nobody stores in it any more. However long that takes,
 * nobody stores in any row in the end, and what does not match then is damaged. */
static __attribute__((noinline)) int load_settled_row(const struct columns *columns, uint64_t slot,
                                                      uint64_t id, struct meta_row *row)
{
	pthread_mutex_t *rows_lock = (pthread_mutex_t *)(uintptr_t)&columns->rows_lock;
	int r = -EBADMSG;

	for (int i = 1; r == -EBADMSG && i < READ_TRIES; i++) {
		sched_yield();
		r = load_row(columns, slot, id, row);
	}
	if (r != -EBADMSG)
		return r;
	pthread_mutex_lock(rows_lock);
	r = load_row(columns, slot, id, row);
	pthread_mutex_unlock(rows_lock);
	return r;
}

int columns_meta(const struct columns *columns, uint64_t slot, uint64_t id, struct meta_row *row)
{
	int r = load_row(columns, slot, id, row);

	return r == -EBADMSG ? load_settled_row(columns, slot, id, row) : r;
}

int columns_meta_bytes(const struct columns *columns, uint64_t slot, uint8_t bytes[META_ROW_BYTES],
                       size_t *length)
{
	*length = columns->meta.row_bytes;
	return fault_load(bytes, columns_row(columns, &columns->meta, slot), *length);
}

static void encode_row(const struct columns *columns, const struct meta_row *row, uint64_t id,
                       uint64_t slot, uint8_t *to)
{
	if (is_version_1(columns))
		meta_encode_1(row, id, slot, to);
	else
		meta_encode(row, id, slot, to);
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
	return write_window_write(columns, column_row_offset(column, slot), length, parts, count);
}

/* The same for at most WRITE_ROWS_MAX rows. */
static int write_some_rows(struct columns *columns, uint64_t slot, const uint64_t *ids,
                           const struct meta_row *rows, size_t count)
{
	static const struct meta_row free_row;
	uint8_t id_bytes[WRITE_ROWS_MAX * sizeof(uint64_t)];
	uint8_t meta_bytes[WRITE_ROWS_MAX * META_ROW_BYTES];
	const size_t row_bytes = columns->meta.row_bytes;
	int r;

	for (size_t i = 0; i < count; i++) {
		bool live = ids[i] != QUIVER_ID_NONE;

		assert(!live || (rows && rows[i].lsn != 0));
		put_le64(id_bytes + i * sizeof(uint64_t), ids[i]);
		encode_row(columns, live ? &rows[i] : &free_row, ids[i], slot + i,
		           meta_bytes + i * row_bytes);
	}
	pthread_mutex_lock(&columns->rows_lock);
	r = column_store(columns->io, &columns->meta, column_row_offset(&columns->meta, slot),
	                 meta_bytes, count * row_bytes);
	if (r == 0)
		r = column_store(columns->io, &columns->ids, column_row_offset(&columns->ids, slot),
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

int columns_write_id(struct columns *columns, uint64_t slot, uint64_t id)
{
	uint8_t bytes[sizeof(uint64_t)];
	int r;

	put_le64(bytes, id);
	pthread_mutex_lock(&columns->rows_lock);
	r = column_store(columns->io, &columns->ids, column_row_offset(&columns->ids, slot), bytes,
	                 sizeof(bytes));
	pthread_mutex_unlock(&columns->rows_lock);
	return r;
}

int columns_write_meta(struct columns *columns, const uint64_t *slots, const struct meta_row *rows,
                       size_t count)
{
	uint8_t bytes[COLUMNS_META_ROWS_MAX][META_ROW_BYTES];
	int r = 0;

	assert(count <= COLUMNS_META_ROWS_MAX);
	for (size_t i = 0; i < count; i++) {
		assert(slots[i] < atomic_load_explicit(&columns->rows, memory_order_relaxed));
		assert(rows[i].lsn != 0);
		encode_row(columns, &rows[i], columns_id(columns, slots[i]), slots[i], bytes[i]);
	}
	pthread_mutex_lock(&columns->rows_lock);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = column_store(columns->io, &columns->meta,
		                 column_row_offset(&columns->meta, slots[i]), bytes[i],
		                 columns->meta.row_bytes);
	pthread_mutex_unlock(&columns->rows_lock);
	return r;
}
