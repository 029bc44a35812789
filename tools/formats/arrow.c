/*
 * arrow.c - a column of lists in an Arrow file or stream as rows of vectors.
 */
#include "tools/formats/arrow_batch.h"
#include "tools/formats/arrow_write.h"
#include "tools/formats/formats.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of text: its length, and then itself up to so many bytes, or, further on, in which buffer and
 * where there it is. */
#define VIEW_BYTES 16u
#define VIEW_INLINE_BYTES 12
/* A longer one is no key. */
#define TEXT_BYTES_MAX (1u << 20)

/* ---- opening ---- */

/* Read the schema, and choose columns. */
static int choose(struct format_reader *reader, struct arrow_reading *reading)
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
static int count_rows(struct format_reader *reader, struct arrow_reading *reading)
{
	struct arrow_batch batch;
	int result;

	reader->rows = 0;
	while ((result = arrow_batch_next(reader, reading, &batch)) > 0) {
		result = arrow_batch_check(reader, reading, &batch);
		if (result < 0)
			return result;
		if (__builtin_add_overflow(reader->rows, batch.rows, &reader->rows) ||
		    reader->rows == FORMAT_ROWS_UNKNOWN)
			return format_refuse(reader, "it claims more rows than any file has");
	}
	return result;
}

/* The dimension, of lists by the first one. */
static int find_dim(struct format_reader *reader, struct arrow_reading *reading)
{
	uint64_t length = reading->vector->list_size;
	int result = 0;

	arrow_file_rewind(&reading->file);
	if (reading->vector->kind != ARROW_FIXED_LIST) {
		result = arrow_batch_advance(reader, reading);
		if (result > 0)
			result = arrow_batch_length(reader, reading, &length);
		arrow_batch_end(reading);
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
	struct arrow_reading *reading = reader->state;

	if (reading == NULL)
		return;
	arrow_batch_end(reading);
	arrow_schema_free(&reading->schema);
	arrow_file_close(&reading->file);
	free(reading->text);
	free(reading);
	reader->state = NULL;
}

static int open_arrow(struct format_reader *reader)
{
	struct arrow_reading *reading = calloc(1, sizeof(*reading));
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

static int take_null(struct format_reader *reader, struct arrow_nulls *nulls, bool *null)
{
	bool there = true;
	int result = nulls->any ? arrow_batch_bit(reader, &nulls->bits, &there) : 0;

	*null = !there;
	return result;
}

static int take_bools(struct format_reader *reader, struct arrow_reading *reading,
                      unsigned char *to)
{
	bool bit;
	int result = 0;

	for (uint32_t i = 0; i < reader->dim && result == 0; i++) {
		result = arrow_batch_bit(reader, &reading->elements, &bit);
		to[i] = bit;
	}
	return result;
}

static int take_vector(struct format_reader *reader, struct arrow_reading *reading,
                       unsigned char *to)
{
	uint64_t length = 0;
	bool null = false;
	int result = take_null(reader, &reading->vector_nulls, &null);

	if (result == 0 && null)
		return format_refuse(reader, "it has no vector: null");
	if (result == 0)
		result = arrow_batch_length(reader, reading, &length);
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
	return reading->type == ELEMENT_BOOL
	               ? take_bools(reader, reading, to)
	               : arrow_batch_take(reader, &reading->elements, to,
	                                  element_row_bytes(reading->type, reader->dim));
}

/* Have room for text. */
static int make_text(struct format_reader *reader, struct arrow_reading *reading, uint64_t length)
{
	if (length > TEXT_BYTES_MAX)
		return format_refuse(reader, "its ID is not a text of up to %u bytes",
		                     TEXT_BYTES_MAX);
	if (reading->text == NULL)
		reading->text = malloc(TEXT_BYTES_MAX);
	return reading->text != NULL ? 0 : format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
}

static int take_text(struct format_reader *reader, struct arrow_reading *reading, uint64_t *id)
{
	int64_t end = 0, length;
	int result =
		arrow_batch_integer(reader, &reading->id_values, reading->id->width, true, &end);

	if (result < 0)
		return result;
	length = end < reading->id_offset ? -1 : end - reading->id_offset;
	reading->id_offset = end;
	result = make_text(reader, reading, length < 0 ? UINT64_MAX : (uint64_t)length);
	if (result < 0)
		return result;
	result = arrow_batch_take(reader, &reading->id_text, reading->text, (uint64_t)length);
	return result < 0 ? result : columns_take_text(reader, reading->text, (size_t)length, id);
}

/* Have text that lies elsewhere ready at reading->text. */
static int fetch_text(struct format_reader *reader, struct arrow_reading *reading, int32_t buffer,
                      int32_t offset, uint64_t length)
{
	int result = 0;

	if (buffer < 0 || (uint32_t)buffer >= reading->views || offset < 0)
		return format_refuse(reader, "its ID is not in the file");
	if (reading->view != (size_t)buffer + 1 || offset < reading->id_offset) {
		bool back = reading->view == (size_t)buffer + 1 || reading->view > (size_t)buffer;

		if (back && reading->view != 0 && reading->batch.codec != ARROW_PLAIN)
			return format_refuse(reader,
			                     "its IDs are not in order within a compressed buffer; "
			                     "write the file again without compression");
		arrow_buffer_end(&reading->id_text);
		reading->view = (size_t)buffer + 1;
		reading->id_offset = 0;
		result = arrow_batch_buffer(reader, reading, reading->id, (size_t)buffer + 2,
		                            &reading->id_text);
	}
	if (result == 0)
		result = arrow_batch_take(reader, &reading->id_text, NULL,
		                          (uint64_t)offset - (uint64_t)reading->id_offset);
	if (result == 0)
		result = arrow_batch_take(reader, &reading->id_text, reading->text, length);
	reading->id_offset = offset + (int64_t)length;
	return result;
}

static int take_view(struct format_reader *reader, struct arrow_reading *reading, uint64_t *id)
{
	uint32_t view[VIEW_BYTES / sizeof(uint32_t)];
	int result = arrow_batch_take(reader, &reading->id_values, view, sizeof(view));
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

static int take_id(struct format_reader *reader, struct arrow_reading *reading, uint64_t *id)
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
		result = arrow_batch_integer(reader, &reading->id_values, reading->id->width,
		                             is_signed, &value);
	return result < 0 ? result : columns_take_number(reader, is_signed, (uint64_t)value, id);
}

static int read_arrow(struct format_reader *reader, struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	struct arrow_reading *reading = reader->state;
	int result = 0;

	batch->count = 0;
	while (result == 0 && batch->count < batch->room) {
		result = arrow_batch_advance(reader, reading);
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
