/*
 * arrow_batch.c - the batches of an Arrow file, and where in the current one a reader is.
 */
#include "tools/formats/arrow_batch.h"
#include "tools/formats/interrupt.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>

/* Fields of the table of a batch, and the bytes of what is in their vectors. */
enum { BATCH_ROWS = 0, BATCH_NODES = 1, BATCH_BUFFERS = 2, BATCH_CODEC = 3, BATCH_VIEWS = 4 };
#define NODE_BYTES 16u
#define BUFFER_BYTES 16u

static int damaged(struct format_reader *reader)
{
	return format_refuse(reader, "the header of a batch is damaged");
}

/* Buffers of columns before one whose buffers a batch counts: how many there are beside those
 * that each has. */
static int count_views(struct format_reader *reader, struct arrow_reading *reading,
                       const struct arrow_batch *batch, size_t columns, size_t *count)
{
	struct flat *flat = &reading->file.flat;

	*count = 0;
	if (columns > batch->views.count)
		return damaged(reader);
	for (size_t i = 0; i < columns; i++) {
		int64_t more = flat_int64(flat, batch->views.at + i * sizeof(int64_t));

		if (more < 0 || (uint64_t)more > batch->buffers.count)
			return damaged(reader);
		*count += (size_t)more;
	}
	return 0;
}

/* Read the header of the current message as that of a batch. */
static int read_batch(struct format_reader *reader, struct arrow_reading *reading,
                      struct arrow_batch *batch)
{
	struct flat *flat = &reading->file.flat;
	const struct flat_table *header = &reading->file.header;
	struct flat_table codec = flat_table(flat, header, BATCH_CODEC);
	int64_t rows = flat_integer(flat, header, BATCH_ROWS, 8, 0);
	size_t views = 0;
	int result;

	batch->nodes = flat_vector(flat, header, BATCH_NODES, NODE_BYTES);
	batch->buffers = flat_vector(flat, header, BATCH_BUFFERS, BUFFER_BYTES);
	batch->views = flat_vector(flat, header, BATCH_VIEWS, sizeof(int64_t));
	batch->codec = ARROW_PLAIN;
	if (codec.at != 0)
		batch->codec = (enum arrow_codec)flat_integer(flat, &codec, 0, 1, ARROW_LZ4);
	if (codec.at != 0 && batch->codec != ARROW_LZ4 && batch->codec != ARROW_ZSTD)
		return format_refuse(reader, "its compression, %d, is not known", batch->codec);
	result = count_views(reader, reading, batch, reading->schema.views, &views);
	if (result < 0)
		return result;
	if (flat->bad || rows < 0 || batch->nodes.count != reading->schema.nodes ||
	    batch->buffers.count != reading->schema.buffers + views)
		return damaged(reader);
	batch->rows = (uint64_t)rows;
	return 0;
}

/* What a batch says of a node: its rows, and whether some have no value. */
static int read_node(struct format_reader *reader, struct arrow_reading *reading,
                     const struct arrow_batch *batch, size_t node, uint64_t *rows, bool *nulls)
{
	struct flat *flat = &reading->file.flat;
	int64_t length = flat_int64(flat, batch->nodes.at + node * NODE_BYTES);
	int64_t without = flat_int64(flat, batch->nodes.at + node * NODE_BYTES + 8);

	if (length < 0 || without < 0 || without > length)
		return damaged(reader);
	*rows = (uint64_t)length;
	*nulls = without > 0;
	return 0;
}

/* Where a buffer of the current batch is. */
static int find_buffer(struct format_reader *reader, struct arrow_reading *reading,
                       const struct arrow_batch *batch, const struct arrow_column *column,
                       size_t index, uint64_t *offset, uint64_t *length)
{
	struct flat *flat = &reading->file.flat;
	size_t views = 0, at;
	int result = count_views(reader, reading, batch, column->views, &views);

	if (result < 0)
		return result;
	at = batch->buffers.at + (column->buffers + views + index) * BUFFER_BYTES;
	if (column->buffers + views + index >= batch->buffers.count)
		return damaged(reader);
	*offset = (uint64_t)flat_int64(flat, at);
	*length = (uint64_t)flat_int64(flat, at + 8);
	if (*offset > reading->file.body_bytes || *length > reading->file.body_bytes - *offset)
		return format_refuse(reader, "a buffer lies outside of its batch");
	*offset += reading->file.body;
	return 0;
}

/* The first buffer behind those of a list itself: validity, and the offsets. */
static size_t buffers_of_list(const struct arrow_column *column)
{
	return column->kind == ARROW_FIXED_LIST ? 1 : 2;
}

int arrow_batch_check(struct format_reader *reader, struct arrow_reading *reading,
                      const struct arrow_batch *batch)
{
	const struct arrow_column *vector = reading->vector;
	uint64_t rows = 0, elements = 0, offset = 0, length = 0, needed = 0;
	bool nulls = false;
	int result = read_node(reader, reading, batch, vector->nodes, &rows, &nulls);

	if (result == 0)
		result = read_node(reader, reading, batch, vector->nodes + 1, &elements, &nulls);
	if (result < 0)
		return result;
	if (rows != batch->rows ||
	    (vector->kind == ARROW_FIXED_LIST &&
	     (__builtin_mul_overflow(rows, (uint64_t)vector->list_size, &needed) ||
	      needed != elements)))
		return damaged(reader);
	if (batch->codec != ARROW_PLAIN)
		return 0;
	result = find_buffer(reader, reading, batch, vector, buffers_of_list(vector) + 1, &offset,
	                     &length);
	if (result < 0)
		return result;
	if (reading->type == ELEMENT_BOOL)
		needed = elements / 8 + (elements % 8 != 0);
	else if (__builtin_mul_overflow(elements, (uint64_t)element_bytes(reading->type), &needed))
		return damaged(reader);
	if (needed > length)
		return format_refuse(
			reader, "a batch claims %" PRIu64 " elements, but holds %" PRIu64 " bytes",
			elements, length);
	if (vector->kind == ARROW_FIXED_LIST || rows == 0)
		return 0;
	result = find_buffer(reader, reading, batch, vector, 1, &offset, &length);
	if (result == 0 && length / vector->width <= rows)
		result = format_refuse(reader,
		                       "a batch claims %" PRIu64 " rows, but holds %" PRIu64
		                       " bytes of offsets",
		                       rows, length);
	return result;
}

/* ---- from its start to its end ---- */

static int fail_buffer(struct format_reader *reader, const struct arrow_buffer *buffer, int result)
{
	return result == -EINTR ? result : format_fail(reader, result, "%s", buffer->reason);
}

int arrow_batch_take(struct format_reader *reader, struct arrow_buffer *buffer, void *to,
                     uint64_t length)
{
	int result = arrow_buffer_take(buffer, to, length);

	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

int arrow_batch_bit(struct format_reader *reader, struct arrow_buffer *buffer, bool *bit)
{
	int result = arrow_buffer_bit(buffer, bit);

	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

int arrow_batch_integer(struct format_reader *reader, struct arrow_buffer *buffer, unsigned width,
                        bool is_signed, int64_t *value)
{
	unsigned unused = 64 - 8 * width;
	uint64_t bytes = 0;
	int result = arrow_batch_take(reader, buffer, &bytes, width);

	bytes = le64toh(bytes) << unused;
	*value = is_signed ? (int64_t)bytes >> unused : (int64_t)(bytes >> unused);
	return result;
}

int arrow_batch_buffer(struct format_reader *reader, struct arrow_reading *reading,
                       const struct arrow_column *column, size_t index, struct arrow_buffer *buffer)
{
	uint64_t offset = 0, length = 0;
	int result = find_buffer(reader, reading, &reading->batch, column, index, &offset, &length);

	if (result < 0)
		return result;
	result = arrow_buffer_begin(reader->stream, offset, length, reading->batch.codec, buffer);
	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

static int begin_nulls(struct format_reader *reader, struct arrow_reading *reading,
                       const struct arrow_column *column, size_t node, size_t index,
                       struct arrow_nulls *nulls)
{
	uint64_t rows = 0;
	int result = read_node(reader, reading, &reading->batch, column->nodes + node, &rows,
	                       &nulls->any);

	if (result == 0 && node == 0 && rows != reading->batch.rows)
		result = damaged(reader);
	return result == 0 && nulls->any
	               ? arrow_batch_buffer(reader, reading, column, index, &nulls->bits)
	               : result;
}

void arrow_batch_end(struct arrow_reading *reading)
{
	struct arrow_buffer *const buffers[] = {
		&reading->vector_nulls.bits, &reading->element_nulls.bits, &reading->id_nulls.bits,
		&reading->offsets,           &reading->elements,           &reading->id_values,
		&reading->id_text,
	};

	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		arrow_buffer_end(buffers[i]);
	reading->within = false;
}

/* Pass over elements before those of the first row. */
static int pass_over(struct format_reader *reader, struct arrow_reading *reading, int64_t count)
{
	bool bit;
	int result = 0;

	for (int64_t i = 0; i < count && result == 0; i++) {
		if (reading->element_nulls.any)
			result = arrow_batch_bit(reader, &reading->element_nulls.bits, &bit);
		if (result == 0 && reading->type == ELEMENT_BOOL)
			result = arrow_batch_bit(reader, &reading->elements, &bit);
		else if (result == 0)
			result = arrow_batch_take(reader, &reading->elements, NULL,
			                          element_bytes(reading->type));
	}
	return result;
}

static int begin_vectors(struct format_reader *reader, struct arrow_reading *reading)
{
	const struct arrow_column *vector = reading->vector;
	size_t below = buffers_of_list(vector);
	bool nulls = false;
	int result = begin_nulls(reader, reading, vector, 0, 0, &reading->vector_nulls);

	if (result == 0)
		result = begin_nulls(reader, reading, vector, 1, below, &reading->element_nulls);
	if (result == 0)
		result = arrow_batch_buffer(reader, reading, vector, below + 1, &reading->elements);
	if (result == 0)
		result = read_node(reader, reading, &reading->batch, vector->nodes + 1,
		                   &reading->elements_count, &nulls);
	if (result < 0 || vector->kind == ARROW_FIXED_LIST)
		return result;
	result = arrow_batch_buffer(reader, reading, vector, 1, &reading->offsets);
	if (result == 0)
		result = arrow_batch_integer(reader, &reading->offsets, vector->width, true,
		                             &reading->offset);
	if (result == 0 &&
	    (reading->offset < 0 || (uint64_t)reading->offset > reading->elements_count))
		result = damaged(reader);
	return result < 0 ? result : pass_over(reader, reading, reading->offset);
}

/* Text that is told of lies in as many buffers as the batch says. */
static int begin_views(struct format_reader *reader, struct arrow_reading *reading)
{
	size_t before = 0, with = 0;
	int result = count_views(reader, reading, &reading->batch, reading->id->views, &before);

	if (result == 0)
		result = count_views(reader, reading, &reading->batch, reading->id->views + 1,
		                     &with);
	reading->views = result == 0 ? with - before : 0;
	reading->view = 0;
	return result;
}

static int begin_ids(struct format_reader *reader, struct arrow_reading *reading)
{
	const struct arrow_column *id = reading->id;
	int result = begin_nulls(reader, reading, id, 0, 0, &reading->id_nulls);

	if (result == 0)
		result = arrow_batch_buffer(reader, reading, id, 1, &reading->id_values);
	if (result == 0 && id->kind == ARROW_VIEW)
		return begin_views(reader, reading);
	if (result < 0 || id->kind != ARROW_TEXT)
		return result;
	result = arrow_batch_buffer(reader, reading, id, 2, &reading->id_text);
	if (result == 0)
		result = arrow_batch_integer(reader, &reading->id_values, id->width, true,
		                             &reading->id_offset);
	if (result == 0 && reading->id_offset < 0)
		result = damaged(reader);
	return result < 0 ? result
	                  : arrow_batch_take(reader, &reading->id_text, NULL,
	                                     (uint64_t)reading->id_offset);
}

int arrow_batch_next(struct format_reader *reader, struct arrow_reading *reading,
                     struct arrow_batch *batch)
{
	int result;

	do {
		if (interrupted())
			return -EINTR;
		result = arrow_file_next(&reading->file);
	} while (result > 0 && reading->file.kind != ARROW_BATCH);
	if (result <= 0)
		return result;
	result = read_batch(reader, reading, batch);
	return result < 0 ? result : 1;
}

int arrow_batch_advance(struct format_reader *reader, struct arrow_reading *reading)
{
	int result;

	while (!reading->within || reading->row == reading->batch.rows) {
		arrow_batch_end(reading);
		result = arrow_batch_next(reader, reading, &reading->batch);
		if (result <= 0)
			return result;
		reading->row = 0;
		if (reading->batch.rows == 0)
			continue;
		result = arrow_batch_check(reader, reading, &reading->batch);
		if (result == 0)
			result = begin_vectors(reader, reading);
		if (result == 0 && reading->id != NULL)
			result = begin_ids(reader, reading);
		if (result < 0)
			return result;
		reading->within = true;
	}
	return 1;
}

int arrow_batch_length(struct format_reader *reader, struct arrow_reading *reading,
                       uint64_t *length)
{
	int64_t end = 0;
	int result;

	*length = reading->vector->list_size;
	if (reading->vector->kind == ARROW_FIXED_LIST)
		return 0;
	result = arrow_batch_integer(reader, &reading->offsets, reading->vector->width, true, &end);
	if (result == 0 && end < reading->offset)
		result = format_refuse(reader, "its offsets go back");
	else if (result == 0 && (uint64_t)end > reading->elements_count)
		result = format_refuse(reader,
		                       "its offsets go past the %" PRIu64 " elements of its batch",
		                       reading->elements_count);
	*length = result == 0 ? (uint64_t)end - (uint64_t)reading->offset : 0;
	reading->offset = end;
	return result;
}
