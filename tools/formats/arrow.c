/*
 * arrow.c - a column of lists in an Arrow file or stream as rows of vectors.
 */
#include "tools/formats/arrow_buffer.h"
#include "tools/formats/arrow_file.h"
#include "tools/formats/arrow_schema.h"
#include "tools/formats/arrow_write.h"
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Fields of the table of a batch, and the bytes of what is in their vectors. */
enum { BATCH_ROWS = 0, BATCH_NODES = 1, BATCH_BUFFERS = 2, BATCH_CODEC = 3, BATCH_VIEWS = 4 };
#define NODE_BYTES 16u
#define BUFFER_BYTES 16u
/* Of text: its length, and then itself up to so many bytes, or, further on, in which buffer and
 * where there it is. */
#define VIEW_BYTES 16u
#define VIEW_INLINE_BYTES 12
/* A longer one is no key. */
#define TEXT_BYTES_MAX (1u << 20)

/* Rows that have a value, or not. */
struct nulls {
	bool any;
	struct arrow_buffer bits; /* 1 where there is one */
};

/* A batch's header. */
struct batch {
	uint64_t rows;
	enum arrow_codec codec;
	struct flat_vector nodes, buffers, views;
};

struct reading {
	struct arrow_file file;
	struct arrow_schema schema;
	const struct arrow_column *vector, *id; /* id NULL: there is none */
	enum element type;
	enum column_ids ids;
	/* The current batch: */
	bool within;
	struct batch batch;
	uint64_t row;
	struct nulls vector_nulls, element_nulls, id_nulls;
	struct arrow_buffer offsets, elements, id_values, id_text;
	uint64_t elements_count; /* of all its lists */
	int64_t offset; /* of the next row */
	int64_t id_offset; /* the same; of text that is told of, behind the last one */
	size_t views, view; /* buffers of such text, and which of them id_text is, from 1 on */
	char *text; /* of an ID; NULL before the first */
};

/* ---- a batch ---- */

static int damaged(struct format_reader *reader)
{
	return format_refuse(reader, "the header of a batch is damaged");
}

/* Buffers of columns before one whose buffers a batch counts: how many there are beside those
 * that each has. */
static int count_views(struct format_reader *reader, struct reading *reading,
                       const struct batch *batch, size_t columns, size_t *count)
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
static int read_batch(struct format_reader *reader, struct reading *reading, struct batch *batch)
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
static int read_node(struct format_reader *reader, struct reading *reading,
                     const struct batch *batch, size_t node, uint64_t *rows, bool *nulls)
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
static int find_buffer(struct format_reader *reader, struct reading *reading,
                       const struct batch *batch, const struct arrow_column *column, size_t index,
                       uint64_t *offset, uint64_t *length)
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

/* What a batch claims must be there: without that a few bytes tell of any number of rows. Of what
 * is compressed it is seen when it is read. */
static int check_batch(struct format_reader *reader, struct reading *reading,
                       const struct batch *batch)
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

static int take(struct format_reader *reader, struct arrow_buffer *buffer, void *to,
                uint64_t length)
{
	int result = arrow_buffer_take(buffer, to, length);

	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

static int take_bit(struct format_reader *reader, struct arrow_buffer *buffer, bool *bit)
{
	int result = arrow_buffer_bit(buffer, bit);

	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

/* Take a little-endian integer with a sign. */
static int take_integer(struct format_reader *reader, struct arrow_buffer *buffer, unsigned width,
                        bool is_signed, int64_t *value)
{
	unsigned unused = 64 - 8 * width;
	uint64_t bytes = 0;
	int result = take(reader, buffer, &bytes, width);

	bytes = le64toh(bytes) << unused;
	*value = is_signed ? (int64_t)bytes >> unused : (int64_t)(bytes >> unused);
	return result;
}

/* Begin to read a buffer of a column. */
static int begin_buffer(struct format_reader *reader, struct reading *reading,
                        const struct arrow_column *column, size_t index,
                        struct arrow_buffer *buffer)
{
	uint64_t offset = 0, length = 0;
	int result = find_buffer(reader, reading, &reading->batch, column, index, &offset, &length);

	if (result < 0)
		return result;
	result = arrow_buffer_begin(reader->stream, offset, length, reading->batch.codec, buffer);
	return result < 0 ? fail_buffer(reader, buffer, result) : 0;
}

static int begin_nulls(struct format_reader *reader, struct reading *reading,
                       const struct arrow_column *column, size_t node, size_t index,
                       struct nulls *nulls)
{
	uint64_t rows = 0;
	int result = read_node(reader, reading, &reading->batch, column->nodes + node, &rows,
	                       &nulls->any);

	if (result == 0 && node == 0 && rows != reading->batch.rows)
		result = damaged(reader);
	return result == 0 && nulls->any
	               ? begin_buffer(reader, reading, column, index, &nulls->bits)
	               : result;
}

static void end_batch(struct reading *reading)
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
static int pass_over(struct format_reader *reader, struct reading *reading, int64_t count)
{
	bool bit;
	int result = 0;

	for (int64_t i = 0; i < count && result == 0; i++) {
		if (reading->element_nulls.any)
			result = take_bit(reader, &reading->element_nulls.bits, &bit);
		if (result == 0 && reading->type == ELEMENT_BOOL)
			result = take_bit(reader, &reading->elements, &bit);
		else if (result == 0)
			result = take(reader, &reading->elements, NULL,
			              element_bytes(reading->type));
	}
	return result;
}

static int begin_vectors(struct format_reader *reader, struct reading *reading)
{
	const struct arrow_column *vector = reading->vector;
	size_t below = buffers_of_list(vector);
	bool nulls = false;
	int result = begin_nulls(reader, reading, vector, 0, 0, &reading->vector_nulls);

	if (result == 0)
		result = begin_nulls(reader, reading, vector, 1, below, &reading->element_nulls);
	if (result == 0)
		result = begin_buffer(reader, reading, vector, below + 1, &reading->elements);
	if (result == 0)
		result = read_node(reader, reading, &reading->batch, vector->nodes + 1,
		                   &reading->elements_count, &nulls);
	if (result < 0 || vector->kind == ARROW_FIXED_LIST)
		return result;
	result = begin_buffer(reader, reading, vector, 1, &reading->offsets);
	if (result == 0)
		result = take_integer(reader, &reading->offsets, vector->width, true,
		                      &reading->offset);
	if (result == 0 &&
	    (reading->offset < 0 || (uint64_t)reading->offset > reading->elements_count))
		result = damaged(reader);
	return result < 0 ? result : pass_over(reader, reading, reading->offset);
}

/* Text that is told of lies in as many buffers as the batch says. */
static int begin_views(struct format_reader *reader, struct reading *reading)
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

static int begin_ids(struct format_reader *reader, struct reading *reading)
{
	const struct arrow_column *id = reading->id;
	int result = begin_nulls(reader, reading, id, 0, 0, &reading->id_nulls);

	if (result == 0)
		result = begin_buffer(reader, reading, id, 1, &reading->id_values);
	if (result == 0 && id->kind == ARROW_VIEW)
		return begin_views(reader, reading);
	if (result < 0 || id->kind != ARROW_TEXT)
		return result;
	result = begin_buffer(reader, reading, id, 2, &reading->id_text);
	if (result == 0)
		result = take_integer(reader, &reading->id_values, id->width, true,
		                      &reading->id_offset);
	if (result == 0 && reading->id_offset < 0)
		result = damaged(reader);
	return result < 0 ? result
	                  : take(reader, &reading->id_text, NULL, (uint64_t)reading->id_offset);
}

/* Go to the next message that is a batch. 1, or 0 at the end. */
static int next_batch(struct format_reader *reader, struct reading *reading, struct batch *batch)
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

/* Have a row ready. 1, or 0 at the end. */
static int advance(struct format_reader *reader, struct reading *reading)
{
	int result;

	while (!reading->within || reading->row == reading->batch.rows) {
		end_batch(reading);
		result = next_batch(reader, reading, &reading->batch);
		if (result <= 0)
			return result;
		reading->row = 0;
		if (reading->batch.rows == 0)
			continue;
		result = check_batch(reader, reading, &reading->batch);
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

/* The length of the next list. */
static int take_length(struct format_reader *reader, struct reading *reading, uint64_t *length)
{
	int64_t end = 0;
	int result;

	*length = reading->vector->list_size;
	if (reading->vector->kind == ARROW_FIXED_LIST)
		return 0;
	result = take_integer(reader, &reading->offsets, reading->vector->width, true, &end);
	if (result == 0 && end < reading->offset)
		result = format_refuse(reader, "its offsets go back");
	else if (result == 0 && (uint64_t)end > reading->elements_count)
		result = format_refuse(
			reader, "its offsets lead beyond the %" PRIu64 " elements of its batch",
			reading->elements_count);
	*length = result == 0 ? (uint64_t)end - (uint64_t)reading->offset : 0;
	reading->offset = end;
	return result;
}

/* ---- opening ---- */

/* Read the schema, and choose columns. */
static int choose(struct format_reader *reader, struct reading *reading)
{
	const struct columns *columns = &reading->schema.columns;
	const struct column *vector = NULL, *id = NULL;
	int result = arrow_file_schema(&reading->file);

	if (result < 0)
		return result;
	result = arrow_schema_read(&reading->file.flat, &reading->file.header,
	                           reading->file.version, reader, &reading->schema);
	if (result == 0)
		result = columns_find_vectors(columns, &vector);
	if (result == 0)
		result = vector != NULL ? columns_find_ids(columns, &id) : columns_refuse(columns);
	if (result == -ENOMEM)
		return format_fail(reader, result, "%s", strerror(ENOMEM));
	if (result < 0 || vector == NULL)
		return result;
	reading->vector = &reading->schema.arrow[vector - columns->columns];
	reading->type = vector->element;
	if (id != NULL) {
		reading->id = &reading->schema.arrow[id - columns->columns];
		reading->ids = id->ids;
	}
	return 0;
}

/* Go through all batches, to count their rows. */
static int count_rows(struct format_reader *reader, struct reading *reading)
{
	struct batch batch;
	int result;

	reader->rows = 0;
	while ((result = next_batch(reader, reading, &batch)) > 0) {
		result = check_batch(reader, reading, &batch);
		if (result < 0)
			return result;
		if (__builtin_add_overflow(reader->rows, batch.rows, &reader->rows) ||
		    reader->rows == FORMAT_ROWS_UNKNOWN)
			return format_refuse(reader, "it claims more rows than any file has");
	}
	return result;
}

/* The dimension, of lists by the first one. */
static int find_dim(struct format_reader *reader, struct reading *reading)
{
	uint64_t length = reading->vector->list_size;
	int result = 0;

	arrow_file_rewind(&reading->file);
	if (reading->vector->kind != ARROW_FIXED_LIST) {
		result = advance(reader, reading);
		if (result > 0)
			result = take_length(reader, reading, &length);
		end_batch(reading);
		arrow_file_rewind(&reading->file);
	}
	if (result < 0)
		return result;
	if (length > UINT32_MAX)
		return format_refuse(reader, "its first list has %" PRIu64 " elements", length);
	/* A first row without a vector is refused in its turn. */
	reader->dim = length > 0 ? (uint32_t)length : reader->wanted.dim;
	return 0;
}

static void close_arrow(struct format_reader *reader)
{
	struct reading *reading = reader->state;

	if (reading == NULL)
		return;
	end_batch(reading);
	arrow_schema_free(&reading->schema);
	arrow_file_close(&reading->file);
	free(reading->text);
	free(reading);
	reader->state = NULL;
}

static int open_arrow(struct format_reader *reader)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	int result;

	if (reading == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reader->state = reading;
	result = arrow_file_open(reader, &reading->file);
	if (result == 0)
		result = choose(reader, reading);
	if (result == 0)
		result = count_rows(reader, reading);
	if (result == 0)
		result = find_dim(reader, reading);
	reader->type = reading->type;
	return result;
}

/* ---- rows ---- */

static int take_null(struct format_reader *reader, struct nulls *nulls, bool *null)
{
	bool there = true;
	int result = nulls->any ? take_bit(reader, &nulls->bits, &there) : 0;

	*null = !there;
	return result;
}

static int take_bools(struct format_reader *reader, struct reading *reading, unsigned char *to)
{
	bool bit;
	int result = 0;

	for (uint32_t i = 0; i < reader->dim && result == 0; i++) {
		result = take_bit(reader, &reading->elements, &bit);
		to[i] = bit;
	}
	return result;
}

static int take_vector(struct format_reader *reader, struct reading *reading, unsigned char *to)
{
	uint64_t length = 0;
	bool null = false;
	int result = take_null(reader, &reading->vector_nulls, &null);

	if (result == 0 && null)
		return format_refuse(reader, "it has no vector: null");
	if (result == 0)
		result = take_length(reader, reading, &length);
	if (result < 0)
		return result;
	if (length != reader->dim)
		return format_refuse(reader,
		                     "its vector has %" PRIu64 " elements, %" PRIu32 " are needed",
		                     length, reader->dim);
	for (uint32_t i = 0; reading->element_nulls.any && i < reader->dim; i++) {
		result = take_null(reader, &reading->element_nulls, &null);
		if (result < 0)
			return result;
		if (null)
			return format_refuse(reader, "element %" PRIu32 " of its vector is null",
			                     i);
	}
	return reading->type == ELEMENT_BOOL ? take_bools(reader, reading, to)
	                                     : take(reader, &reading->elements, to,
	                                            element_row_bytes(reading->type, reader->dim));
}

/* Have room for text. */
static int make_text(struct format_reader *reader, struct reading *reading, uint64_t length)
{
	if (length > TEXT_BYTES_MAX)
		return format_refuse(reader, "its ID is no text of up to %u bytes", TEXT_BYTES_MAX);
	if (reading->text == NULL)
		reading->text = malloc(TEXT_BYTES_MAX);
	return reading->text != NULL ? 0 : format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
}

static int take_text(struct format_reader *reader, struct reading *reading, uint64_t *id)
{
	int64_t end = 0, length;
	int result = take_integer(reader, &reading->id_values, reading->id->width, true, &end);

	if (result < 0)
		return result;
	length = end < reading->id_offset ? -1 : end - reading->id_offset;
	reading->id_offset = end;
	result = make_text(reader, reading, length < 0 ? UINT64_MAX : (uint64_t)length);
	if (result < 0)
		return result;
	result = take(reader, &reading->id_text, reading->text, (uint64_t)length);
	return result < 0 ? result : columns_take_text(reader, reading->text, (size_t)length, id);
}

/* Have text that lies elsewhere ready at reading->text. */
static int fetch_text(struct format_reader *reader, struct reading *reading, int32_t buffer,
                      int32_t offset, uint64_t length)
{
	int result = 0;

	if (buffer < 0 || (uint32_t)buffer >= reading->views || offset < 0)
		return format_refuse(reader, "its ID is not in the file");
	if (reading->view != (size_t)buffer + 1 || offset < reading->id_offset) {
		bool back = reading->view == (size_t)buffer + 1 || reading->view > (size_t)buffer;

		if (back && reading->view != 0 && reading->batch.codec != ARROW_PLAIN)
			return format_refuse(reader, "its ID is before those of other rows, in a "
			                             "compressed buffer; write the file again "
			                             "without compression");
		arrow_buffer_end(&reading->id_text);
		reading->view = (size_t)buffer + 1;
		reading->id_offset = 0;
		result = begin_buffer(reader, reading, reading->id, (size_t)buffer + 2,
		                      &reading->id_text);
	}
	if (result == 0)
		result = take(reader, &reading->id_text, NULL,
		              (uint64_t)offset - (uint64_t)reading->id_offset);
	if (result == 0)
		result = take(reader, &reading->id_text, reading->text, length);
	reading->id_offset = offset + (int64_t)length;
	return result;
}

static int take_view(struct format_reader *reader, struct reading *reading, uint64_t *id)
{
	uint32_t view[VIEW_BYTES / sizeof(uint32_t)];
	int result = take(reader, &reading->id_values, view, sizeof(view));
	uint32_t length = le32toh(view[0]);

	if (result < 0)
		return result;
	if (length <= VIEW_INLINE_BYTES)
		return columns_take_text(reader, (const char *)&view[1], length, id);
	result = make_text(reader, reading, length);
	if (result == 0)
		result = fetch_text(reader, reading, (int32_t)le32toh(view[2]),
		                    (int32_t)le32toh(view[3]), length);
	return result < 0 ? result : columns_take_text(reader, reading->text, length, id);
}

static int take_id(struct format_reader *reader, struct reading *reading, uint64_t *id)
{
	bool is_signed = reading->ids == COLUMN_IDS_SIGNED;
	int64_t value = 0;
	bool null = false;
	int result = take_null(reader, &reading->id_nulls, &null);

	if (result == 0 && null)
		return format_refuse(reader, "its ID is null");
	if (result == 0 && reading->id->kind == ARROW_VIEW)
		return take_view(reader, reading, id);
	if (result == 0 && reading->ids == COLUMN_IDS_TEXT)
		return take_text(reader, reading, id);
	if (result == 0)
		result = take_integer(reader, &reading->id_values, reading->id->width, is_signed,
		                      &value);
	return result < 0 ? result : columns_take_number(reader, is_signed, (uint64_t)value, id);
}

static int read_arrow(struct format_reader *reader, struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	struct reading *reading = reader->state;
	int result = 0;

	batch->count = 0;
	while (result == 0 && batch->count < batch->room) {
		result = advance(reader, reading);
		if (result <= 0)
			break;
		result = take_vector(reader, reading,
		                     (unsigned char *)batch->rows + batch->count * row_bytes);
		if (result == 0 && reading->id != NULL)
			result = take_id(reader, reading, &batch->ids[batch->count]);
		if (result < 0)
			break;
		batch->offsets[batch->count++] = 0;
		reading->row++;
		reader->row++;
	}
	return result;
}

static const struct format_calls arrow_calls = {
	.open = open_arrow,
	.read = read_arrow,
	.close = close_arrow,
	.write_header = arrow_write_header,
	.write_row = arrow_write_row,
	.finish = arrow_write_finish,
	.end = arrow_write_end,
};

const struct format format_arrow = {
	"arrow",
	".arrow",
	.needs_path = true,
	.writes_ids = true,
	.reads_keys = true,
	.has_columns = true,
	.calls = &arrow_calls,
};
