/*
 * npy_rows.c - .npy files as rows of vectors.
 */
#include "engine/codec/npy.h"
#include "tools/formats/formats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Reading column after column: elements of one column that are read at once. */
#define COLUMN_ROWS_MAX 4096u

/* Take the header off the stream and parse it. */
static int take_header(struct format_reader *reader, struct npy_array *array)
{
	struct npy_reason reason = { "" };
	const unsigned char *at = NULL;
	size_t header_bytes;
	int64_t got = stream_peek(reader->stream, NPY_PREFIX_BYTES_MAX, &at);
	int result;

	if (got < 0)
		return format_stream_error(reader, got);
	result = npy_measure_header(at, (size_t)got, &header_bytes, &reason);
	if (result < 0)
		return format_refuse(reader, "%s", reason.text);
	got = stream_peek(reader->stream, header_bytes, &at);
	if (got < 0)
		return format_stream_error(reader, got);
	result = npy_parse_any(at, (size_t)got, array, &reason);
	if (result == 0 && !reader->wanted.convert) {
		result = npy_check_order(array, &reason);
		if (result < 0)
			return format_fail(reader, -ENOTSUP, "%s, or give --convert", reason.text);
	}
	if (result < 0)
		return format_refuse(reader, "%s", reason.text);
	got = stream_skip(reader->stream, header_bytes);
	return got < 0 ? format_stream_error(reader, got) : 0;
}

/* The type of the elements. NumPy has no bfloat16: a store of bf2 is exported as the bits, and its
 * matrix.npy says so, too, as <u2. So that is what <u2 means to such a store. */
static int find_type(struct format_reader *reader, const struct npy_array *array)
{
	if (strcmp(array->type, NPY_BOOL) == 0)
		reader->type = ELEMENT_BOOL;
	else if (strcmp(array->type, NPY_BFLOAT16) == 0)
		reader->type = ELEMENT_BF2;
	else if (element_parse(array->type, &reader->type) < 0)
		return format_refuse(reader, "its type '%s' is not known here", array->type);
	if (reader->type == ELEMENT_U2 && reader->wanted.type == ELEMENT_BF2)
		reader->type = ELEMENT_BF2;
	return 0;
}

static int open_npy(struct format_reader *reader)
{
	struct npy_array array = { 0 };
	int result = take_header(reader, &array);

	if (result < 0)
		return result;
	if (reader->wanted.one_row && array.dimensions == 1) {
		array.dimensions = 2;
		array.shape[1] = array.shape[0];
		array.shape[0] = 1;
		array.fortran = false; /* either order is the same */
	}
	if (array.dimensions != 2)
		return format_refuse(
			reader,
			"the array has %u dimension%s; expected 2, with a vector in each row",
			array.dimensions, array.dimensions == 1 ? "" : "s");
	result = find_type(reader, &array);
	if (result < 0)
		return result;
	if (array.shape[1] > UINT32_MAX || array.shape[1] == 0)
		return format_refuse(reader, "its rows have %" PRIu64 " elements", array.shape[1]);
	if (array.fortran && !reader->stream->sized)
		return format_fail(reader, -ENOTSUP,
		                   "it is in Fortran order (column after column); that can be "
		                   "converted only from a file, not from a %s",
		                   reader->stream->packed != UNPACK_NONE ? "compressed one"
		                                                         : "pipe");
	reader->dim = (uint32_t)array.shape[1];
	reader->rows = array.shape[0];
	reader->data_offset = array.data_offset;
	reader->big_endian = array.big_endian;
	if (array.fortran)
		reader->wanted.limit = UINT64_MAX; /* no row is whole before all are */
	result = format_check_size(reader, array.data_offset + array.data_bytes);
	if (result < 0)
		return result;
	if (array.fortran && reader->missing > 0)
		return format_refuse(reader, "it is in Fortran order (column after column) and cut "
		                             "off, so no row is whole");
	/* what is not NULL tells read of it; there is nothing to keep */
	reader->state = array.fortran ? reader : NULL;
	return 0;
}

/* Read rows `first` ... first + count - 1 of one column to their places in the rows. */
static int read_column(struct format_reader *reader, uint32_t column, uint64_t first, size_t count,
                       unsigned char *rows)
{
	unsigned char elements[COLUMN_ROWS_MAX * sizeof(uint64_t)];
	uint32_t bytes = element_bytes(reader->type);
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	int64_t got;

	reader->offset = reader->data_offset + (column * reader->rows + first) * bytes;
	got = stream_read_at(reader->stream, elements, count * bytes, reader->offset);
	if (got < 0)
		return format_stream_error(reader, got);
	if (got < (int64_t)(count * bytes))
		return format_fail(reader, -EIO, "the file became shorter while it was read");
	for (size_t i = 0; i < count; i++)
		memcpy(rows + i * row_bytes + (size_t)column * bytes, elements + i * bytes, bytes);
	return 0;
}

/* Gather rows from their columns. */
static int read_columns(struct format_reader *reader, struct format_batch *batch)
{
	uint64_t left = reader->rows - reader->row;
	size_t count = left < batch->room ? (size_t)left : batch->room;

	batch->count = 0;
	if (count > COLUMN_ROWS_MAX)
		count = COLUMN_ROWS_MAX;
	for (uint32_t column = 0; column < reader->dim; column++) {
		int result = read_column(reader, column, reader->row, count, batch->rows);

		if (result < 0)
			return result;
	}
	if (reader->big_endian)
		element_swap(batch->rows, element_bytes(reader->type), count * reader->dim);
	/* the first element of each */
	for (size_t i = 0; i < count; i++)
		batch->offsets[i] =
			reader->data_offset + (reader->row + i) * element_bytes(reader->type);
	batch->count = count;
	reader->row += count;
	return 0;
}

static int read_npy(struct format_reader *reader, struct format_batch *batch)
{
	return reader->state != NULL ? read_columns(reader, batch)
	                             : format_read_plain(reader, batch);
}

static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	char header[NPY_WRITTEN_BYTES];
	const char *type = writer->type == ELEMENT_BF2 ? "u2" : element_name(writer->type);
	int result = npy_format_header(header, type, rows, writer->dim);

	return result < 0 ? result : write(writer->arg, header, sizeof(header));
}

static const struct format_calls npy_calls = {
	.open = open_npy,
	.read = read_npy,
	.write_header = format_write_header,
	.put_header = put_header,
	.write_row = format_write_plain,
	.finish = format_finish,
};

const struct format format_npy = { "npy", ".npy", .calls = &npy_calls };
