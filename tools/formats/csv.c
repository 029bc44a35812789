/*
 * csv.c - lines of numbers separated by commas.
 *
 * As many columns as the vectors have elements, or one more: then the first is the ID.
 * A first line that does not begin with a number names the columns; where the first is
 * named "id", it holds the IDs.
 */
#include "tools/formats/formats.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* More of the first field does not matter. */
#define FIELD_BYTES_MAX 64u

/* Commas and one. */
static uint64_t count_fields(const char *line, size_t length)
{
	uint64_t count = 1;

	for (size_t i = 0; i < length; i++)
		count += line[i] == ',';
	return count;
}

/* Copy the first field, cut to the room there is. */
static void first_field(const char *line, size_t length, char field[FIELD_BYTES_MAX])
{
	const char *end = memchr(line, ',', length);
	size_t bytes = end != NULL ? (size_t)(end - line) : length;

	if (bytes >= FIELD_BYTES_MAX)
		bytes = FIELD_BYTES_MAX - 1;
	memcpy(field, line, bytes);
	field[bytes] = '\0';
}

static bool is_number(const struct format_reader *reader, const char *field)
{
	size_t length;

	(void)element_read(reader->wanted.type, field, &length);
	return length > 0;
}

/* Take a line of names, if there is one; *named says whether the first is "id". */
static int take_names(struct format_reader *reader, char **line, size_t *length, bool *named)
{
	char field[FIELD_BYTES_MAX];
	int result = text_peek(reader, line, length);

	*named = false;
	if (result <= 0)
		return result;
	first_field(*line, *length, field);
	if (is_number(reader, field))
		return result;
	*named = strcmp(field, "id") == 0 || strcmp(field, "\"id\"") == 0;
	result = text_line(reader, line, length);
	return result < 0 ? result : text_peek(reader, line, length);
}

static int open_csv(struct format_reader *reader)
{
	size_t length = 0;
	char *line = NULL;
	bool named;
	uint64_t fields;
	int result = take_names(reader, &line, &length, &named);

	if (result < 0)
		return result;
	text_begin(reader, result == 0);
	if (result == 0)
		return 0;
	fields = count_fields(line, length);
	reader->has_ids = fields == (uint64_t)reader->wanted.dim + 1 || (named && fields > 1);
	reader->dim = (uint32_t)(fields - (reader->has_ids ? 1 : 0));
	return 0;
}

/* Move behind what separates two fields, or to the end after the last. */
static int pass_comma(struct format_reader *reader, char **at, bool last)
{
	while (**at == ' ' || **at == '\t')
		(*at)++;
	if (last && **at == '\0')
		return 0;
	if (!last && **at == ',') {
		(*at)++;
		return 0;
	}
	if (**at == '\0' || **at == ',')
		return format_refuse(reader, "the line has %s columns than the first",
		                     last ? "more" : "fewer");
	return format_refuse(reader, "'%.20s' is not what follows a number", *at);
}

static int parse_line(struct format_reader *reader, char *line, size_t length, unsigned char *to,
                      uint64_t *id)
{
	char *at = line;
	int result;

	(void)length;
	if (reader->has_ids) {
		size_t digits = strcspn(line, ", \t");

		if (!text_id(line, digits, id))
			return format_refuse(reader, "'%.*s' is no ID",
			                     (int)(digits < 20 ? digits : 20), line);
		at += digits;
		result = pass_comma(reader, &at, false);
		if (result < 0)
			return result;
	}
	for (uint32_t i = 0; i < reader->dim; i++) {
		result = text_number(reader, &at, to, i);
		if (result == 0)
			result = pass_comma(reader, &at, i + 1 == reader->dim);
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_csv(struct format_reader *reader, struct format_batch *batch)
{
	return text_read_rows(reader, batch, parse_line);
}

/* ID and numbers, with no line of names: a reader knows the ID by the count. */
static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	size_t used;
	char *line;
	int result = text_writer_begin(writer, TEXT_ID_BYTES + 2);

	(void)key;
	if (result < 0)
		return result;
	line = writer->state;
	used = (size_t)snprintf(line, TEXT_ID_BYTES + 1, "%" PRIu64 ",", id);
	used += text_format_row(writer, row, ",", line + used);
	line[used++] = '\n';
	return writer->write(writer->arg, line, used);
}

static const struct format_calls csv_calls = {
	.open = open_csv,
	.read = read_csv,
	.write_row = write_row,
	.end = text_writer_end,
};

const struct format format_csv = { "csv",
	                           ".csv",
	                           .writes_ids = true,
	                           .has_header = true,
	                           .has_columns = true,
	                           .is_text = true,
	                           .calls = &csv_calls };
