/*
 * parquet.c - a column of lists in a Parquet file as rows of vectors, by way of libduckdb.
 */
#include "tools/formats/duckdb.h"
#include "tools/formats/formats.h"
#include "tools/formats/interrupt.h"
#include "tools/formats/parquet_columns.h"
#include "tools/formats/parquet_write.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* At both ends of a file; between them at least the length of the footer. */
#define MAGIC "PAR1"
#define MAGIC_ENCRYPTED "PARE"
#define MAGIC_BYTES 4u
#define FILE_BYTES_MIN 12u
#define VECTOR_COLUMN 0u
#define ID_COLUMN 1u

struct reading {
	char path[DUCK_PATH_BYTES];
	struct duck duck; /* open from the first read on: a reader that waits needs nothing */
	struct duck_query query;
	struct parquet_columns columns;
	uint64_t next; /* row in the query's chunk */
	bool ended;
};

/* Not every file with this name is one, and that can be told without the library. */
static int check_magic(struct format_reader *reader)
{
	const struct stream *stream = reader->stream;
	char start[MAGIC_BYTES] = "", end[MAGIC_BYTES] = "";

	if (stream->base != 0)
		return format_refuse(reader, "standard input is not at the start of the file; "
		                             "Parquet is read from the end of a file");
	if (stream->size >= FILE_BYTES_MIN &&
	    (stream_read_at(stream, start, MAGIC_BYTES, 0) < 0 ||
	     stream_read_at(stream, end, MAGIC_BYTES, stream->size - MAGIC_BYTES) < 0))
		return format_stream_error(reader, -EIO);
	if (memcmp(end, MAGIC_ENCRYPTED, MAGIC_BYTES) == 0)
		return format_refuse(reader, "the Parquet file is encrypted");
	if (memcmp(start, MAGIC, MAGIC_BYTES) != 0)
		return format_refuse(reader, "not a Parquet file: it does not begin with " MAGIC);
	if (memcmp(end, MAGIC, MAGIC_BYTES) != 0)
		return format_refuse(reader,
		                     "the Parquet file is cut off: it does not end with " MAGIC);
	return 0;
}

/* Ask for one number, which is 0 where there is no row or no value. */
static int ask_number(struct format_reader *reader, const struct duck *duck, const char *text,
                      int64_t *number)
{
	struct duck_query query;
	int result = duck_query_begin(duck, text, &query, reader->reason);

	*number = 0;
	if (result == 0)
		result = duck_query_next(&query, reader->reason);
	if (result > 0) {
		struct duck_column column = duck_column(&query, 0);

		if (!duck_is_null(&column, 0))
			*number = *(const int64_t *)column.data;
	}
	duck_query_end(&query);
	return result < 0 ? result : 0;
}

/* The number of rows, by the footer, and the dimension, by the first row. */
static int find_shape(struct format_reader *reader, const struct duck *duck)
{
	static const char ask_dim[] = "SELECT len(v)::BIGINT FROM (%s) AS rows(v%s) LIMIT 1";
	const struct reading *reading = reader->state;
	char ask_rows[120];
	int64_t rows = 0, dim = 0;
	char *text;
	int result;

	(void)snprintf(ask_rows, sizeof(ask_rows),
	               "SELECT num_rows::BIGINT FROM parquet_file_metadata('%s')", duck->path);
	result = ask_number(reader, duck, ask_rows, &rows);
	if (result == 0 && asprintf(&text, ask_dim, reading->columns.query,
	                            reading->columns.ids != COLUMN_IDS_NONE ? ", i" : "") < 0)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	if (result == 0) {
		result = ask_number(reader, duck, text, &dim);
		free(text);
	}
	if (result < 0)
		return result;
	if (rows < 0 || dim < 0 || dim > UINT32_MAX)
		return format_refuse(reader, "it claims %" PRId64 " rows of %" PRId64 " elements",
		                     rows, dim);
	reader->rows = (uint64_t)rows;
	/* A first row without a vector is refused in its turn. */
	reader->dim = dim > 0 ? (uint32_t)dim : reader->wanted.dim;
	return 0;
}

static void close_parquet(struct format_reader *reader)
{
	struct reading *reading = reader->state;

	if (reading == NULL)
		return;
	duck_query_end(&reading->query);
	duck_end(&reading->duck);
	parquet_columns_free(&reading->columns);
	free(reading);
	reader->state = NULL;
}

static int open_parquet(struct format_reader *reader)
{
	struct reading *reading;
	int result = check_magic(reader);

	if (result < 0)
		return result;
	reading = calloc(1, sizeof(*reading));
	if (reading == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reader->state = reading;
	(void)snprintf(reading->path, sizeof(reading->path), "/proc/self/fd/%d",
	               reader->stream->fd);
	result = duck_begin(reading->path, &reading->duck, reader->reason);
	if (result == 0)
		result = parquet_columns_choose(&reading->duck, reader, &reading->columns);
	if (result == 0)
		result = find_shape(reader, &reading->duck);
	duck_end(&reading->duck);
	reader->type = reading->columns.type;
	return result;
}

/* Begin to read all rows. */
static int begin(struct format_reader *reader, struct reading *reading)
{
	int result = duck_begin(reading->path, &reading->duck, reader->reason);

	return result < 0 ? result
	                  : duck_query_begin(&reading->duck, reading->columns.query,
	                                     &reading->query, reader->reason);
}

/* Have a row ready. 1, or 0 at the end. */
static int advance(struct format_reader *reader, struct reading *reading)
{
	int result = 0;

	if (reading->ended || reading->next < reading->query.count)
		return !reading->ended;
	if (reading->duck.calls == NULL)
		result = begin(reader, reading);
	if (result == 0)
		result = duck_query_next(&reading->query, reader->reason);
	reading->next = 0;
	if (result != 0)
		return result;
	reading->ended = true;
	return reader->row == reader->rows
	               ? 0
	               : format_refuse(reader,
	                               "the data ends here, but its footer promises %" PRIu64
	                               " rows",
	                               reader->rows);
}

/* Make floats what they were before they came into the file, where they are. */
static int narrow(struct format_reader *reader, const void *from, void *to)
{
	const struct parquet_columns *columns = &((struct reading *)reader->state)->columns;
	struct element_loss loss = { 0 };
	size_t bad;

	(void)element_convert(columns->read, from, columns->type, to, reader->dim, &loss,
	                      &bad); /* a float takes each */
	if (loss.rounded + loss.beyond == 0)
		return 0;
	return format_refuse(
		reader, "its vector has elements that are not %s, but the file says that all are",
		element_name(columns->type));
}

/* Copy a vector that is there, of elements that are. */
static int take_elements(struct format_reader *reader, const struct duck_column *elements,
                         const struct duck_list *list, void *to)
{
	const struct parquet_columns *columns = &((struct reading *)reader->state)->columns;
	const unsigned char *from = elements->data;

	if (list->length != reader->dim)
		return format_refuse(reader,
		                     "its vector has %" PRIu64 " elements, %" PRIu32 " are needed",
		                     list->length, reader->dim);
	if (list->offset > elements->count || elements->count - list->offset < list->length)
		return format_refuse(reader, "its vector is not in the file");
	for (uint64_t i = 0; elements->valid != NULL && i < list->length; i++) {
		if (duck_is_null(elements, list->offset + i))
			return format_refuse(reader, "element %" PRIu64 " of its vector is null",
			                     i);
	}
	from += list->offset * element_bytes(columns->read);
	if (columns->read != columns->type)
		return narrow(reader, from, to);
	memcpy(to, from, element_row_bytes(columns->read, reader->dim));
	return 0;
}

/* Take the ID, or the key, of a row. */
static int take_id(struct format_reader *reader, const struct reading *reading, uint64_t *id)
{
	struct duck_column column = duck_column(&reading->query, ID_COLUMN);
	const char *text;
	size_t length;

	if (duck_is_null(&column, reading->next))
		return format_refuse(reader, "its ID is null");
	if (reading->columns.ids != COLUMN_IDS_TEXT)
		return columns_take_number(reader, reading->columns.ids == COLUMN_IDS_SIGNED,
		                           ((const uint64_t *)column.data)[reading->next], id);
	text = duck_text(&column, reading->next, &length);
	return columns_take_text(reader, text, length, id);
}

/* Take rows of the current chunk. */
static int take_rows(struct format_reader *reader, struct reading *reading,
                     struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	struct duck_column vectors = duck_column(&reading->query, VECTOR_COLUMN);
	struct duck_column elements = duck_elements(&reading->query, &vectors);
	int result = 0;

	while (batch->count < batch->room && reading->next < reading->query.count) {
		const struct duck_list *list =
			&((const struct duck_list *)vectors.data)[reading->next];
		unsigned char *to = (unsigned char *)batch->rows + batch->count * row_bytes;

		if (reader->row == reader->rows)
			result = format_refuse(
				reader, "more rows than the %" PRIu64 " that its footer promises",
				reader->rows);
		else if (duck_is_null(&vectors, reading->next))
			result = format_refuse(reader, "it has no vector: null");
		else
			result = take_elements(reader, &elements, list, to);
		if (result == 0 && (reader->has_ids || reader->has_keys))
			result = take_id(reader, reading, &batch->ids[batch->count]);
		if (result < 0)
			return result;
		batch->offsets[batch->count++] = 0;
		reading->next++;
		reader->row++;
	}
	return 0;
}

/* The library does not tell where in the file a row is: its number stands for it. */
static int read_parquet(struct format_reader *reader, struct format_batch *batch)
{
	struct reading *reading = reader->state;
	int result = 0;

	batch->count = 0;
	while (result == 0 && batch->count < batch->room) {
		if (interrupted())
			return -EINTR;
		result = advance(reader, reading);
		if (result <= 0)
			break;
		result = take_rows(reader, reading, batch);
	}
	return result;
}

static const struct format_calls parquet_calls = {
	.open = open_parquet,
	.read = read_parquet,
	.close = close_parquet,
	.write_header = parquet_write_header,
	.write_row = parquet_write_row,
	.finish = parquet_write_finish,
	.end = parquet_write_end,
};

const struct format format_parquet = {
	"parquet",          ".parquet",         .needs_path = true,  .writes_path = true,
	.writes_ids = true, .reads_keys = true, .has_columns = true, .calls = &parquet_calls,
};
