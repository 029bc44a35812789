/*
 * map_table.c - a column of a file, a value for each vector.
 */
#include "tools/cli/map_table.h"
#include "tools/cli/say.h"
#include "tools/formats/csv_cells.h"
#include "tools/formats/format.h"
#include "tools/formats/stream.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

enum kind { LINES, CSV, TSV, JSONL };

/* Names of the column of IDs, and of keys, that need not be told. */
static const char *const id_names[] = { "id", "_id", "ID", "key", "word" };

struct reading {
	const struct map_table *table;
	struct stream stream;
	uint64_t line; /* that was read last, from 1 on */
	uint64_t row; /* that comes next, from 0 on */
	char delimiter;
	size_t cells, value, id; /* of CSV: how many, which are wanted; SIZE_MAX for none */
	struct csv_cell *row_cells;
	char *record; /* of CSV: lines that a quote holds together */
	size_t record_room;
	int (*each)(void *arg, uint64_t row, const char *id, const char *value);
	void *arg;
};

static enum kind kind_of(const char *path)
{
	static const struct {
		const char *ending;
		enum kind kind;
	} kinds[] = { { ".csv", CSV }, { ".tsv", TSV }, { ".jsonl", JSONL }, { ".ndjson", JSONL } };
	size_t length;

	(void)unpack_by_name(path, &length);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t ending = strlen(kinds[i].ending);

		if (length > ending &&
		    strncasecmp(path + length - ending, kinds[i].ending, ending) == 0)
			return kinds[i].kind;
	}
	return LINES;
}

int map_table_parse(char *text, struct map_table *table)
{
	char *colon = strrchr(text, ':');

	table->path = text;
	table->column = NULL;
	if (kind_of(text) != LINES)
		return -EINVAL;
	if (colon == NULL || colon == text || colon[1] == '\0')
		return 0;
	*colon = '\0';
	if (kind_of(text) == LINES)
		*colon = ':'; /* it is part of the name */
	else
		table->column = colon + 1;
	return 0;
}

/* ---- CSV ---------------------------------------------------------------- */

static int refuse(const struct reading *reading, const char *text)
{
	say_error(reading->table->path, "line %" PRIu64 ": %s", reading->line, text);
	return -EINVAL;
}

/* The next line: 1, 0 at the end, or an error, which is said. */
static int next_line(struct reading *reading, char **line, size_t *length)
{
	int got = stream_line(&reading->stream, line, length);

	reading->line += got > 0;
	if (got < 0 && got != -EINTR)
		say_error(reading->table->path, "%s", stream_strerror(&reading->stream, got));
	return got;
}

/* What separates the cells: what a line has most of outside of quotes. */
static char find_delimiter(const char *line)
{
	static const char tried[] = { ',', ';', '\t', '|' };
	size_t counts[sizeof(tried)] = { 0 }, best = 0;
	bool quoted = false;

	for (; *line != '\0'; line++) {
		quoted ^= *line == '"';
		for (size_t i = 0; i < sizeof(tried) && !quoted; i++)
			counts[i] += *line == tried[i];
	}
	for (size_t i = 1; i < sizeof(tried); i++)
		best = counts[i] > counts[best] ? i : best;
	return tried[best];
}

/* Whether a quote that a cell begins with is not closed. */
static bool is_open(const struct reading *reading, const char *record)
{
	char delimiter = reading->delimiter != '\0' ? reading->delimiter : find_delimiter(record);
	const char *at = csv_pass_cell(csv_blanks(record, delimiter), delimiter);

	while (at != NULL && csv_pass_delimiter(&at, delimiter) > 0)
		at = csv_pass_cell(at, delimiter);
	return at == NULL;
}

/* Append a line to the record of `used` bytes. */
static int append(struct reading *reading, size_t *used, const char *line, size_t length)
{
	size_t needed = *used + length + 2;

	if (needed > STREAM_LINE_BYTES_MAX)
		return refuse(reading, "a quote in it is not closed");
	if (needed > reading->record_room) {
		char *more = realloc(reading->record, needed * 2);

		if (more == NULL) {
			say_errno(reading->table->path, -ENOMEM);
			return -ENOMEM;
		}
		reading->record = more;
		reading->record_room = needed * 2;
	}
	memcpy(reading->record + *used, line, length);
	*used += length;
	reading->record[*used] = '\0';
	return 0;
}

/* The next record of CSV, in memory of its own: as next_line. */
static int next_record(struct reading *reading, char **record)
{
	size_t used = 0, length = 0;
	char *line = NULL;
	int got, result = 0;

	do {
		got = next_line(reading, &line, &length);
		if (got == 0 && used > 0)
			return refuse(reading, "a quote is never closed");
		if (got <= 0)
			return got;
		if (used > 0)
			result = append(reading, &used, "\n", 1);
		if (result == 0)
			result = append(reading, &used, line, length);
		if (result < 0)
			return result;
	} while (used == 0 || is_open(reading, reading->record));
	*record = reading->record;
	return 1;
}

static size_t find_cell(const struct reading *reading, const char *name)
{
	for (size_t i = 0; i < reading->cells; i++) {
		if (strcmp(reading->row_cells[i].text, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

/* Say which columns there are in place of `wanted`. */
static int say_columns(const struct reading *reading, const char *wanted)
{
	char names[200] = "";
	size_t length = 0;

	for (size_t i = 0; i < reading->cells; i++) {
		int more = snprintf(names + length, sizeof(names) - length, "%s%s",
		                    i > 0 ? ", " : "", reading->row_cells[i].text);

		if (more < 0 || length + (size_t)more >= sizeof(names)) {
			memcpy(names + sizeof(names) - 4, "...", 4);
			break;
		}
		length += (size_t)more;
	}
	say_error(reading->table->path, "there is no column '%s'; its columns are: %s", wanted,
	          names);
	return -EINVAL;
}

/* Read the line of names. 1, 0 where there is none, or an error. */
static int read_names(struct reading *reading, enum kind kind)
{
	const struct map_table *table = reading->table;
	char *record = NULL;
	int got;

	reading->delimiter = kind == TSV ? '\t' : '\0';
	got = next_record(reading, &record);
	if (got <= 0)
		return got;
	if (kind != TSV)
		reading->delimiter = find_delimiter(record);
	reading->cells = csv_count_cells(record, reading->delimiter);
	reading->row_cells = calloc(reading->cells + 1, sizeof(*reading->row_cells));
	if (reading->row_cells == NULL) {
		say_errno(table->path, -ENOMEM);
		return -ENOMEM;
	}
	if (!csv_split(record, reading->delimiter, reading->row_cells, reading->cells))
		return refuse(reading, "this is not a line of names of columns");
	reading->value = find_cell(reading, table->column);
	if (reading->value == SIZE_MAX)
		return say_columns(reading, table->column);
	reading->id = SIZE_MAX;
	if (table->id_column != NULL) {
		reading->id = find_cell(reading, table->id_column);
		return reading->id == SIZE_MAX ? say_columns(reading, table->id_column) : 1;
	}
	for (size_t i = 0; i < sizeof(id_names) / sizeof(id_names[0]) && reading->id == SIZE_MAX;
	     i++)
		reading->id = find_cell(reading, id_names[i]);
	return 1;
}

static int read_csv(struct reading *reading, enum kind kind)
{
	char *record = NULL;
	int got = read_names(reading, kind), result = 0;

	while (got > 0 && result == 0) {
		struct csv_cell *cells = reading->row_cells, *value, *id;

		assert(cells != NULL); /* there is a line of names */
		got = next_record(reading, &record);
		if (got <= 0)
			break;
		if (!csv_split(record, reading->delimiter, cells, reading->cells))
			return refuse(reading, "the number of cells differs from the first line");
		value = &cells[reading->value];
		id = reading->id != SIZE_MAX ? &cells[reading->id] : NULL;
		result = reading->each(reading->arg, reading->row++, id != NULL ? id->text : NULL,
		                       !value->quoted && csv_is_missing(value->text, value->length)
		                               ? NULL
		                               : value->text);
	}
	return got < 0 ? got : result;
}

/* ---- JSON lines, and lines ----------------------------------------------- */

/* A value as text, malloc'd; NULL where there is none, or no memory. */
static char *text_of(const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return NULL;
	if (json_is_string(value))
		return strdup(json_string_value(value));
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

static const json_t *id_of(const struct reading *reading, const json_t *object)
{
	const json_t *id = NULL;

	if (reading->table->id_column != NULL)
		return json_object_get(object, reading->table->id_column);
	for (size_t i = 0; i < sizeof(id_names) / sizeof(id_names[0]) && id == NULL; i++)
		id = json_object_get(object, id_names[i]);
	return id;
}

static int take_object(struct reading *reading, const char *line, size_t length)
{
	json_error_t error;
	json_t *object = json_loadb(line, length, JSON_ALLOW_NUL, &error);
	char *id, *value;
	int result = 0;

	if (!json_is_object(object)) {
		json_decref(object);
		return refuse(reading, "this is not an object of JSON");
	}
	id = text_of(id_of(reading, object));
	value = text_of(json_object_get(object, reading->table->column));
	if (id == NULL && reading->table->id_column != NULL)
		result = refuse(reading, "it has no member with the name of --id-column");
	else
		result = reading->each(reading->arg, reading->row++, id, value);
	free(id);
	free(value);
	json_decref(object);
	return result;
}

static int read_lines(struct reading *reading, bool json)
{
	char *line = NULL;
	size_t length = 0;
	int got, result = 0;

	while (result == 0 && (got = next_line(reading, &line, &length)) != 0) {
		if (got < 0)
			return got;
		if (!json)
			result = reading->each(reading->arg, reading->row++, NULL,
			                       length > 0 ? line : NULL);
		else if (length > 0)
			result = take_object(reading, line, length);
	}
	return result;
}

int map_table_read(const struct map_table *table,
                   int (*each)(void *arg, uint64_t row, const char *id, const char *value),
                   void *arg)
{
	struct reading reading = { .table = table, .each = each, .arg = arg };
	enum kind kind = kind_of(table->path);
	int result = stream_open(table->path, &reading.stream);

	if (result < 0) {
		say_errno(table->path, result);
		return result;
	}
	result = stream_unpack(&reading.stream, false, false);
	if (result == 0)
		result = stream_pass_mark(&reading.stream);
	if (result < 0)
		say_error(table->path, "%s", stream_strerror(&reading.stream, result));
	else if (kind == CSV || kind == TSV)
		result = read_csv(&reading, kind);
	else
		result = read_lines(&reading, kind == JSONL);
	stream_close(&reading.stream);
	free(reading.row_cells);
	free(reading.record);
	return result;
}
