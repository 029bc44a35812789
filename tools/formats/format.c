/*
 * format.c - what several formats share.
 */
#include "tools/formats/format.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

int format_refuse(struct format_reader *reader, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(reader->reason, sizeof(reader->reason), text, arguments);
	va_end(arguments);
	return -EINVAL;
}

int format_fail(struct format_reader *reader, int result, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(reader->reason, sizeof(reader->reason), text, arguments);
	va_end(arguments);
	return result;
}

int format_writer_refuse(struct format_writer *writer, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	(void)vsnprintf(writer->reason, sizeof(writer->reason), text, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* As much of a key as a message shows. */
#define KEY_SHOWN_BYTES 60

/* Why a key cannot be a line of a file; NULL where it can. */
static const char *key_fault(const char *key, size_t length)
{
	if (length == 0)
		return "is empty";
	if (memchr(key, '\0', length) != NULL)
		return "holds a NUL byte";
	if (memchr(key, '\n', length) != NULL || key[length - 1] == '\r')
		return "holds the end of a line, but a file of keys has one key per line";
	return NULL;
}

int format_key(struct format_reader *reader, const char *key, size_t length)
{
	const char *fault = key_fault(key, length);
	int result;

	if (fault != NULL)
		return format_refuse(reader, "its key '%.*s' %s",
		                     (int)(length < KEY_SHOWN_BYTES ? length : KEY_SHOWN_BYTES),
		                     key, fault);
	result = reader->wanted.on_key(reader->wanted.on_key_arg, key, length);
	return result < 0 ? format_fail(reader, result, "%s", "") : 0; /* it has said why */
}

int format_refuse_key(struct format_reader *reader, const char *key, size_t length)
{
	return format_refuse(
		reader,
		"its ID '%.*s' is not a whole number from 0 up; --keys FILE numbers the rows and "
		"writes such IDs to FILE; --start-id N numbers the rows without that",
		(int)(length < KEY_SHOWN_BYTES ? length : KEY_SHOWN_BYTES), key);
}

int format_stream_error(struct format_reader *reader, int64_t result)
{
	const char *reason = reader->stream->reason;

	return format_fail(reader, (int)result, "%s",
	                   reason != NULL && reason[0] != '\0' ? reason : strerror((int)-result));
}

/* How many rows are whole in a file of this size. */
static uint64_t whole_rows(const struct format_reader *reader, uint64_t size)
{
	uint64_t data = size > reader->data_offset ? size - reader->data_offset : 0;

	return data / element_row_bytes(reader->type, reader->dim);
}

/* Have only the rows that are whole in a file of this size. */
static void keep_whole_rows(struct format_reader *reader, uint64_t size)
{
	uint64_t whole = whole_rows(reader, size);

	if (whole >= reader->rows)
		return;
	reader->missing = reader->rows - whole;
	reader->rows = whole;
}

int format_check_size(struct format_reader *reader, uint64_t expected)
{
	uint64_t size = reader->stream->size;

	if (!reader->stream->sized || size == expected)
		return 0;
	if (size < expected && reader->wanted.partial) {
		keep_whole_rows(reader, size);
		return 0;
	}
	if (size < expected && whole_rows(reader, size) >= reader->wanted.limit)
		return 0;
	return format_refuse(reader,
	                     "the file is %s: its header promises %" PRIu64
	                     " bytes in all, but it has %" PRIu64 "%s",
	                     size < expected ? "cut off" : "too long", expected, size,
	                     size < expected ? "; --partial takes the rows that are whole" : "");
}

/* Rows that are left, at most as many as fit. */
static size_t rows_to_read(const struct format_reader *reader, const struct format_batch *batch)
{
	uint64_t left = reader->rows - reader->row;

	return reader->rows == FORMAT_ROWS_UNKNOWN || left > batch->room ? batch->room
	                                                                 : (size_t)left;
}

/* The stream ended within the record that begins at reader->offset, or before it: `begun` tells. */
static int ended(struct format_reader *reader, bool begun)
{
	const unsigned char *at;
	int64_t got = stream_peek(reader->stream, 1, &at);

	if (got < 0)
		return format_stream_error(reader, got);
	if (reader->rows == FORMAT_ROWS_UNKNOWN && !begun)
		return 0;
	if (reader->wanted.partial) {
		reader->missing = reader->rows != FORMAT_ROWS_UNKNOWN ? reader->rows - reader->row
		                                                      : 1;
		reader->rows = reader->row;
		return 0;
	}
	if (reader->stream->sized)
		return format_fail(reader, -EIO, "the file became shorter while it was read");
	if (reader->rows != FORMAT_ROWS_UNKNOWN)
		return format_refuse(reader,
		                     "the data ends here, but its header promises %" PRIu64 " rows",
		                     reader->rows);
	return format_refuse(reader, "the data ends within this record");
}

/* Take the lead of a record. 1, 0 at the end of the data, or an error. */
static int read_lead(struct format_reader *reader)
{
	int32_t lead;
	int64_t got = stream_read(reader->stream, &lead, sizeof(lead));

	if (got < 0)
		return format_stream_error(reader, got);
	if (got < (int64_t)sizeof(lead))
		return ended(reader, got > 0);
	lead = (int32_t)le32toh((uint32_t)lead);
	if (lead != (int32_t)reader->dim)
		return format_refuse(
			reader, "its dimension is %" PRId32 ", but the rows before have %" PRIu32,
			lead, reader->dim);
	return 1;
}

/* Read records one by one, each with its lead. */
static int read_led(struct format_reader *reader, struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	size_t count = rows_to_read(reader, batch);

	while (batch->count < count) {
		unsigned char *to = (unsigned char *)batch->rows + batch->count * row_bytes;
		int64_t got;
		int result;

		reader->offset = reader->stream->offset;
		result = read_lead(reader);
		if (result <= 0)
			return result;
		got = stream_read(reader->stream, to, row_bytes);
		if (got < 0)
			return format_stream_error(reader, got);
		if (got < (int64_t)row_bytes)
			return ended(reader, true);
		batch->offsets[batch->count++] = reader->offset;
		reader->row++;
	}
	return 0;
}

/* Nothing may follow the last row. */
static int check_end(struct format_reader *reader)
{
	const unsigned char *at;
	int64_t got;

	reader->offset = reader->stream->offset;
	got = stream_peek(reader->stream, 1, &at);
	if (got < 0)
		return format_stream_error(reader, got);
	if (got > 0 && !reader->stream->sized)
		return format_refuse(
			reader, "more data follows the %" PRIu64 " rows that its header promises",
			reader->rows);
	return 0;
}

int format_read_fixed(struct format_reader *reader, struct format_batch *batch, size_t lead_bytes)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	size_t count = rows_to_read(reader, batch);
	uint64_t start = reader->stream->offset;
	int64_t got;

	batch->count = 0;
	if (lead_bytes > 0)
		return read_led(reader, batch);
	if (count == 0)
		return check_end(reader);
	got = stream_read(reader->stream, batch->rows, count * row_bytes);
	if (got < 0) {
		reader->offset = start;
		return format_stream_error(reader, got);
	}
	batch->count = (size_t)got / row_bytes;
	for (size_t i = 0; i < batch->count; i++)
		batch->offsets[i] = start + i * row_bytes;
	reader->row += batch->count;
	if (reader->big_endian)
		element_swap(batch->rows, element_bytes(reader->type), batch->count * reader->dim);
	if (batch->count == count)
		return 0;
	reader->offset = start + batch->count * row_bytes;
	return ended(reader, (size_t)got % row_bytes != 0);
}

int format_read_plain(struct format_reader *reader, struct format_batch *batch)
{
	return format_read_fixed(reader, batch, 0);
}

int format_write_header(struct format_writer *writer)
{
	return writer->format->calls->put_header(writer, writer->expected, writer->write);
}

int format_finish(struct format_writer *writer)
{
	if (writer->write_start == NULL && writer->rows == writer->expected)
		return 0;
	if (writer->write_start == NULL) {
		(void)format_writer_refuse(
			writer,
			"%" PRIu64
			" vectors were removed during the export, so the header promises too many; "
			"export to a file that is not compressed, or export again",
			writer->expected - writer->rows);
		return -ESTALE;
	}
	return writer->format->calls->put_header(writer, writer->rows, writer->write_start);
}

int format_write_plain(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	(void)id;
	(void)key;
	return writer->write(writer->arg, row, element_row_bytes(writer->type, writer->dim));
}
