/*
 * csv.c - lines of numbers that commas separate, or semicolons, tabs, blanks.
 *
 * As many columns as the vectors have elements, or one more: then the first is the ID. Or
 * one column that holds a vector as a list, and others. A first line may name the columns;
 * csv_layout.c finds out. A line that begins with '#' is a comment.
 */
#include "tools/formats/csv_layout.h"
#include "tools/formats/csv_write.h"
#include "tools/formats/formats.h"
#include "tools/formats/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More of a cell is not shown. */
#define SHOWN_BYTES 20

struct csv {
	struct csv_layout layout;
	/* A row of several lines, or the first one until it is read. */
	char *record;
	size_t length, room;
	bool pending;
	bool named; /* the first line gave the names of columns */
	uint64_t pending_offset;
};

/* Whether a line that begins with '#' is a row whose key does. */
static bool is_tag(const struct format_reader *reader, const struct csv *csv, const char *line)
{
	char delimiter = csv->layout.cells > 0 ? csv->layout.delimiter
	                                       : csv_delimiter(reader, line);
	size_t cells = csv->layout.cells > 0 ? csv->layout.cells : (size_t)reader->wanted.dim + 1;
	size_t count = csv_count_cells(line, delimiter);
	bool is_any = csv->layout.cells == 0 && reader->wanted.dim == 0 && count > 1;
	const char *at = line;

	if (line[1] == ' ' || (count != cells && !is_any))
		return false;
	at = csv_pass_cell(at, delimiter);
	while (csv_pass_delimiter(&at, delimiter) > 0) {
		if (!csv->layout.list && *at != '"' && !csv_begins_number(reader, at))
			return false;
		at = csv_pass_cell(at, delimiter);
	}
	return true;
}

/* Whether a quote in the line, or (`within`) one before it, is not closed in it. */
static bool is_open(const struct format_reader *reader, const struct csv *csv, const char *line,
                    bool within)
{
	char delimiter = csv->layout.delimiter != '\0' ? csv->layout.delimiter
	                                               : csv_delimiter(reader, line);
	const char *at = within ? csv_close_quote(line)
	                        : csv_pass_cell(csv_blanks(line, delimiter), delimiter);

	while (at != NULL && csv_pass_delimiter(&at, delimiter) > 0)
		at = csv_pass_cell(at, delimiter);
	return at == NULL;
}

/* Add a line to the record. */
static int add(struct format_reader *reader, struct csv *csv, const char *line, size_t length)
{
	size_t needed = csv->length + length + 2;

	if (needed > STREAM_LINE_BYTES_MAX)
		return format_refuse(reader, "a quote in it is not closed within %u bytes",
		                     STREAM_LINE_BYTES_MAX);
	if (needed > csv->room) {
		char *more = realloc(csv->record, needed * 2);

		if (more == NULL)
			return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
		csv->record = more;
		csv->room = needed * 2;
	}
	memcpy(csv->record + csv->length, line, length + 1);
	csv->length += length;
	return 0;
}

/* Read on until the quote that the line leaves open is closed: 1, or an error. */
static int join(struct format_reader *reader, struct csv *csv, char **line, size_t *length)
{
	uint64_t offset = reader->offset;
	bool open = true;
	int result;

	csv->length = 0;
	result = add(reader, csv, *line, *length);
	while (result == 0 && open) {
		result = text_line(reader, line, length);
		if (result == 0)
			result = format_refuse(reader, "a quote in it is never closed");
		if (result < 0)
			break;
		open = is_open(reader, csv, *line, true);
		result = add(reader, csv, "\n", 1);
		if (result == 0)
			result = add(reader, csv, *line, *length);
	}
	reader->offset = offset;
	*line = csv->record;
	*length = csv->length;
	return result < 0 ? result : 1;
}

/* The next line that is no comment, with those that belong to it: 1, 0 at the end, or an error. */
static int next_record(struct format_reader *reader, struct csv *csv, char **line, size_t *length)
{
	int result;

	do {
		result = text_line(reader, line, length);
	} while (result > 0 && **line == '#' && !is_tag(reader, csv, *line));
	if (result <= 0 || memchr(*line, '"', *length) == NULL ||
	    !is_open(reader, csv, *line, false))
		return result;
	return join(reader, csv, line, length);
}

/* Keep the first row until rows are read. */
static int keep(struct format_reader *reader, struct csv *csv, const char *line, size_t length)
{
	int result = 0;

	if (line != csv->record) {
		csv->length = 0;
		result = add(reader, csv, line, length);
	}
	csv->pending = true;
	csv->pending_offset = reader->offset;
	return result;
}

/* Set what rows bring beside their vectors. */
static void set_ids(struct format_reader *reader, const struct csv *csv)
{
	bool ids = csv->layout.id != CSV_NONE;

	reader->has_keys = ids && reader->wanted.on_key != NULL;
	reader->has_ids = ids && !reader->has_keys && !reader->wanted.ids_unused;
	if (reader->ids_from[0] != '\0')
		return;
	if (csv->layout.id == 0)
		(void)snprintf(reader->ids_from, sizeof(reader->ids_from),
		               "the first of %zu columns", csv->layout.cells);
	else if (ids)
		(void)snprintf(reader->ids_from, sizeof(reader->ids_from), "column %zu of %zu",
		               csv->layout.id + 1, csv->layout.cells);
}

/* Whether a line is what Excel reads before the names, sep=; or "sep=;". Unless --delimiter was given
 * that is the delimiter. */
static bool tells_delimiter(struct format_reader *reader, const char *line)
{
	size_t quotes = *line == '"', length = strlen(line);
	const char *told = line + quotes + strlen("sep=");

	if (length != strlen("sep=;") + 2 * quotes || line[length - 1] != (quotes ? '"' : *told) ||
	    strncasecmp(line + quotes, "sep=", strlen("sep=")) != 0)
		return false;
	if (strchr(CSV_DELIMITERS, *told) == NULL)
		return false;
	if (reader->wanted.delimiter == '\0')
		reader->wanted.delimiter = *told;
	return true;
}

/* Take the line of names, and look at the first row. */
static int look(struct format_reader *reader, struct csv *csv)
{
	char *line = NULL, *names = NULL;
	size_t length = 0;
	int result = text_check_lines(reader);

	if (result < 0)
		return result;
	result = next_record(reader, csv, &line, &length);
	if (result > 0 && tells_delimiter(reader, line))
		result = next_record(reader, csv, &line, &length);
	text_begin(reader, result == 0);
	if (result <= 0)
		return result;
	csv->layout.delimiter = csv_delimiter(reader, line);
	result = csv_names(reader, line, csv->layout.delimiter);
	if (result > 0) {
		names = strdup(line);
		result = names == NULL ? format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM))
		                       : next_record(reader, csv, &line, &length);
		if (result == 0)
			result = format_refuse(reader,
			                       "its only line was read as names of columns, and no "
			                       "row follows; --header no reads it as a row");
	}
	if (result >= 0)
		result = keep(reader, csv, line, length);
	if (result == 0)
		result = csv_lay_out(reader, names, csv->record, &csv->layout);
	csv->named = names != NULL;
	free(names);
	if (result == 0)
		set_ids(reader, csv);
	return result;
}

static int open_csv(struct format_reader *reader)
{
	struct csv *csv = calloc(1, sizeof(*csv));

	if (csv == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reader->state = csv;
	csv->layout.id = CSV_NONE;
	return look(reader, csv);
}

/* Refuse a cell that is no number, or behind which something else follows. */
static int refuse_cell(struct format_reader *reader, const struct csv *csv, size_t column,
                       const char *text)
{
	char delimiter = csv->layout.delimiter;
	const char *behind = csv_pass_cell(text, delimiter);
	size_t length = behind != NULL ? (size_t)(behind - text) : strlen(text);
	int shown = length < SHOWN_BYTES ? (int)length : SHOWN_BYTES;
	size_t digits = strspn(text, "-+0123456789");

	if (csv_is_missing(text, length))
		return format_refuse(reader,
		                     "column %zu is %s%.*s%s: a vector needs all its elements; "
		                     "fill them in, or leave the row out",
		                     column + 1, length > 0 ? "'" : "empty", shown, text,
		                     length > 0 ? "'" : "");
	if (digits > 0 && digits < length && text[digits] == ',')
		return format_refuse(
			reader, "column %zu, '%.*s', has a decimal comma; expected a decimal point",
			column + 1, shown, text);
	return format_refuse(reader, "column %zu, '%.*s', is not a number", column + 1, shown,
	                     text);
}

/* Take a cell in quotes, which is a number or a list of them, or a list without quotes. */
static int take_list(struct format_reader *reader, const struct csv *csv, size_t column, char **at,
                     unsigned char *to)
{
	struct csv_cell cell;

	if (!csv_take_cell(at, csv->layout.delimiter, &cell))
		return format_refuse(reader, "a quote in it is not closed");
	if (csv_is_missing(cell.text, cell.length))
		return refuse_cell(reader, csv, column, cell.length > 0 ? cell.text : "");
	return text_list(reader, cell.text, cell.length, to);
}

/* Take a number in quotes. */
static int take_quoted(struct format_reader *reader, const struct csv *csv, size_t column,
                       char **at, unsigned char *to, uint32_t index)
{
	struct csv_cell cell;
	const char *text;
	int result;

	if (!csv_take_cell(at, csv->layout.delimiter, &cell))
		return format_refuse(reader, "a quote in it is not closed");
	text = csv_blanks(cell.text, '\0');
	result = text_number(reader, &text, to, index);
	if (result < 0 && csv_begins_number(reader, cell.text))
		return result;
	return result == 0 && *csv_blanks(text, '\0') == '\0'
	               ? 0
	               : refuse_cell(reader, csv, column, cell.text);
}

/* Take an element. */
static int take_number(struct format_reader *reader, const struct csv *csv, size_t column,
                       char **at, unsigned char *to, uint32_t index)
{
	char delimiter = csv->layout.delimiter;
	const char *text = *at;
	int result;

	if (*text == '"')
		return take_quoted(reader, csv, column, at, to, index);
	/* of a blank or a tab strtod would not know that it separates */
	if (*text == '\0' || *text == delimiter)
		return refuse_cell(reader, csv, column, text);
	result = text_number(reader, &text, to, index);
	if (result < 0)
		return csv_begins_number(reader, *at) ? result
		                                      : refuse_cell(reader, csv, column, *at);
	if (*text != delimiter && delimiter != ' ') {
		text = csv_blanks(text, delimiter);
		if (*text != delimiter && *text != '\0')
			return refuse_cell(reader, csv, column, *at);
	}
	*at += text - *at;
	return 0;
}

/* A row that is taken, cell by cell. */
struct row {
	unsigned char *to; /* its elements */
	uint64_t *id;
	struct csv_cell key; /* which is handed out when the whole row is good */
	uint32_t index; /* of the next element */
};

/* Take the ID or the key. */
static int take_id(struct format_reader *reader, const struct csv *csv, char **at, struct row *row)
{
	if (!csv_take_cell(at, csv->layout.delimiter, &row->key))
		return format_refuse(reader, "a quote in it is not closed");
	if (reader->has_ids && !text_id(row->key.text, row->key.length, row->id))
		return format_refuse_key(reader, row->key.text, row->key.length);
	return 0;
}

static int take_column(struct format_reader *reader, const struct csv *csv, size_t column,
                       char **at, struct row *row)
{
	const struct csv_layout *layout = &csv->layout;
	const char *behind;

	if (column == layout->id)
		return take_id(reader, csv, at, row);
	if (column >= layout->first && column <= layout->last)
		return layout->list ? take_list(reader, csv, column, at, row->to)
		                    : take_number(reader, csv, column, at, row->to, row->index++);
	behind = csv_pass_cell(*at, layout->delimiter);
	if (behind == NULL)
		return format_refuse(reader, "a quote in it is not closed");
	*at += behind - *at;
	return 0;
}

static int parse_line(struct format_reader *reader, const struct csv *csv, char *line,
                      unsigned char *to, uint64_t *id)
{
	const struct csv_layout *layout = &csv->layout;
	char *at = line + (csv_blanks(line, layout->delimiter) - line);
	struct row row = { .to = to, .id = id };

	for (size_t column = 0; column < layout->cells; column++) {
		int result = take_column(reader, csv, column, &at, &row);
		const char *next = at;
		int more;

		if (result < 0)
			return result;
		more = csv_pass_delimiter(&next, layout->delimiter);
		at += next - at;
		if (more < 0)
			return format_refuse(reader, "'%.20s' cannot follow a cell", at);
		if (more != (column + 1 < layout->cells))
			return format_refuse(reader, "the line has %s columns than the first",
			                     more ? "more" : "fewer");
	}
	return reader->has_keys ? format_key(reader, row.key.text, row.key.length) : 0;
}

/* The first row is none: say so where it begins as names do, among which is a number. */
static void hint_at_names(struct format_reader *reader, const struct csv *csv)
{
	size_t used = strlen(reader->reason);
	const char *first = csv->record, *behind;

	if (reader->row > 0 || csv->named || reader->wanted.header != FORMAT_HEADER_AUTO)
		return;
	behind = csv_pass_cell(first, csv->layout.delimiter);
	if (!isalpha((unsigned char)first[*first == '"']) ||
	    (behind != NULL && csv_is_missing(first, (size_t)(behind - first))))
		return;
	(void)snprintf(reader->reason + used, sizeof(reader->reason) - used,
	               "; if the line names the columns, --header yes says so");
}

static int read_csv(struct format_reader *reader, struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	struct csv *csv = reader->state;

	batch->count = 0;
	while (batch->count < batch->room) {
		size_t length;
		char *line = csv->record;
		int result = 1;

		if (csv->pending)
			reader->offset = csv->pending_offset;
		else
			result = next_record(reader, csv, &line, &length);
		csv->pending = false;
		if (result <= 0)
			return result;
		result = parse_line(reader, csv, line,
		                    (unsigned char *)batch->rows + batch->count * row_bytes,
		                    &batch->ids[batch->count]);
		if (result == -EINVAL)
			hint_at_names(reader, csv);
		if (result < 0)
			return result;
		batch->offsets[batch->count++] = reader->offset;
		reader->row++;
	}
	return 0;
}

static void close_csv(struct format_reader *reader)
{
	struct csv *csv = reader->state;

	if (csv != NULL)
		free(csv->record);
	free(csv);
	reader->state = NULL;
}

static const struct format_calls csv_calls = {
	.open = open_csv,
	.read = read_csv,
	.close = close_csv,
	.write_header = csv_write_names,
	.write_row = csv_write_row,
	.end = text_writer_end,
};

const struct format format_csv = { "csv",
	                           ".csv",
	                           .writes_ids = true,
	                           .reads_keys = true,
	                           .has_header = true,
	                           .has_columns = true,
	                           .is_text = true,
	                           .calls = &csv_calls };

/* The same, written with tabs. */
const struct format format_tsv = { "tsv",
	                           ".tsv",
	                           .writes_ids = true,
	                           .reads_keys = true,
	                           .has_header = true,
	                           .has_columns = true,
	                           .is_text = true,
	                           .calls = &csv_calls };
