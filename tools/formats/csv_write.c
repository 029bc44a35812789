/*
 * csv_write.c - rows of CSV (RFC 4180).
 */
#include "tools/formats/csv_write.h"
#include "tools/formats/text.h"

#include <inttypes.h>
#include <string.h>

static int put(struct format_writer *writer, const char *text)
{
	return writer->write(writer->arg, text, strlen(text));
}

static char delimiter_of(const struct format_writer *writer)
{
	if (writer->delimiter != '\0')
		return writer->delimiter;
	return strcmp(writer->format->name, "tsv") == 0 ? '\t' : ',';
}

static int put_delimiter(struct format_writer *writer)
{
	char delimiter = delimiter_of(writer);

	return writer->write(writer->arg, &delimiter, 1);
}

/* Whether a cell could be taken for something else, or for more than one, without quotes: it holds
 * what separates, here or elsewhere, or begins as a comment does, a list, or the mark before a
 * text. */
static bool needs_quotes(const struct format_writer *writer, const char *text)
{
	static const char special[] = "\"\r\n\t;,|";
	size_t length = strlen(text);

	return length == 0 || text[strcspn(text, special)] != '\0' ||
	       strchr("#[{ \xef\xfe\xff", text[0]) != NULL || text[length - 1] == ' ' ||
	       (writer->delimiter == ' ' && strchr(text, ' ') != NULL);
}

/* Put a cell. */
static int put_cell(struct format_writer *writer, const char *text)
{
	int result;

	if (!needs_quotes(writer, text))
		return put(writer, text);
	result = put(writer, "\"");
	while (*text != '\0' && result == 0) {
		size_t plain = strcspn(text, "\"");

		result = writer->write(writer->arg, text, plain);
		text += plain;
		if (result == 0 && *text == '"') {
			result = put(writer, "\"\"");
			text++;
		}
	}
	return result < 0 ? result : put(writer, "\"");
}

int csv_write_names(struct format_writer *writer)
{
	int result;

	if (!writer->header)
		return 0;
	result = put_cell(writer, writer->id_column != NULL ? writer->id_column : "id");
	if (result == 0)
		result = put_delimiter(writer);
	if (result == 0 && writer->vector_column != NULL)
		result = put_cell(writer, writer->vector_column);
	for (uint32_t i = 0; i < writer->dim && writer->vector_column == NULL && result == 0; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "v%" PRIu32, i);
		result = i > 0 ? put_delimiter(writer) : 0;
		if (result == 0)
			result = put(writer, name);
	}
	return result < 0 ? result : put(writer, "\n");
}

/* A list is quoted, but where nothing in it separates. */
static int put_list(struct format_writer *writer, const void *row, char *line)
{
	const char *quote = strchr("\t;|", delimiter_of(writer)) != NULL ? "" : "\"";
	size_t used = (size_t)snprintf(line, 4, "%s[", quote);

	used += text_format_row(writer, row, ",", line + used);
	used += (size_t)snprintf(line + used, 4, "]%s\n", quote);
	return writer->write(writer->arg, line, used);
}

/* Whether import would take this for a line of names, as pandas numbers its columns: a first one that
 * counts from 0, behind a key. */
static bool looks_like_names(const struct format_writer *writer, const char *line, const char *key)
{
	const char counting[] = { '0', delimiter_of(writer), '1' };

	return key != NULL && writer->rows == 0 && !writer->header && writer->dim > 1 &&
	       strncmp(line, counting, sizeof(counting)) == 0;
}

int csv_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	const char separator[] = { delimiter_of(writer), '\0' };
	char digits[TEXT_ID_BYTES];
	char *line;
	size_t used;
	int result = text_writer_begin(writer, 8);

	if (result < 0)
		return result;
	line = writer->state;
	(void)snprintf(digits, sizeof(digits), "%" PRIu64, id);
	result = put_cell(writer, key != NULL ? key : digits);
	if (result == 0)
		result = put_delimiter(writer);
	if (result < 0)
		return result;
	if (writer->vector_column != NULL)
		return put_list(writer, row, line);
	used = text_format_row(writer, row, separator, line);
	line[used++] = '\n';
	if (looks_like_names(writer, line, key))
		result = put(writer, "0."); /* and the 0: "0.0" is no name */
	return result < 0 ? result : writer->write(writer->arg, line, used);
}
