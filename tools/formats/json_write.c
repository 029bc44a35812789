/*
 * json_write.c - rows of JSON, {"id": 1, "vector": [0.5, 2]}.
 */
#include "tools/formats/json_write.h"
#include "engine/codec/printable.h"
#include "tools/formats/text.h"

#include <inttypes.h>
#include <string.h>

static int put(struct format_writer *writer, const char *text)
{
	return writer->write(writer->arg, text, strlen(text));
}

/* What a string has in place of a character; NULL: the character itself. */
static const char *escape(unsigned char c, char to[8])
{
	if (c == '"')
		return "\\\"";
	if (c == '\\')
		return "\\\\";
	if (c >= 0x20 && c != 0x7f)
		return NULL;
	(void)snprintf(to, 8, "\\u%04x", c);
	return to;
}

/* Put a string. */
static int put_string(struct format_writer *writer, const char *text)
{
	size_t left = strlen(text), plain = 0;
	int result = put(writer, "\"");

	while (left > plain && result == 0) {
		char room[8];
		const char *other = escape((unsigned char)text[plain], room);
		size_t bytes;

		if (other == NULL) {
			if (utf8_character(text + plain, left - plain, &bytes) == UINT32_MAX)
				return format_writer_refuse(
					writer, "'%s' is not UTF-8, but JSON must be", text);
			plain += bytes;
			continue;
		}
		result = writer->write(writer->arg, text, plain);
		if (result == 0)
			result = put(writer, other);
		text += plain + 1;
		left -= plain + 1;
		plain = 0;
	}
	if (result == 0)
		result = writer->write(writer->arg, text, plain);
	return result < 0 ? result : put(writer, "\"");
}

/* Put the ID or the key, up to the vector's bracket. */
static int put_begin(struct format_writer *writer, uint64_t id, const char *key)
{
	char digits[TEXT_ID_BYTES];
	int result = put(writer, "{");

	(void)snprintf(digits, sizeof(digits), "%" PRIu64, id);
	if (result == 0)
		result = put_string(writer, writer->id_column != NULL ? writer->id_column : "id");
	if (result == 0)
		result = put(writer, ": ");
	if (result == 0)
		result = key != NULL || id > INT64_MAX
		                 ? put_string(writer, key != NULL ? key : digits)
		                 : put(writer, digits);
	if (result == 0)
		result = put(writer, ", ");
	if (result == 0)
		result = put_string(writer, writer->vector_column != NULL ? writer->vector_column
		                                                          : "vector");
	return result < 0 ? result : put(writer, ": [");
}

/* Put a row, and behind it `end`. */
static int put_row(struct format_writer *writer, uint64_t id, const void *row, const char *key,
                   const char *end)
{
	size_t used, bad;
	char *line;
	int result = text_writer_begin(writer, 0);

	if (result < 0)
		return result;
	if (!element_all_finite(writer->type, row, writer->dim, &bad))
		return format_writer_refuse(
			writer,
			"element %zu of vector %" PRIu64
			" is NaN or infinite; JSON has no such numbers; export to .npy or CSV",
			bad, id);
	result = put_begin(writer, id, key);
	line = writer->state;
	used = text_format_row(writer, row, ", ", line);
	if (result == 0)
		result = writer->write(writer->arg, line, used);
	return result < 0 ? result : put(writer, end);
}

int json_write_line(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	return put_row(writer, id, row, key, "]}\n");
}

int json_write_start(struct format_writer *writer)
{
	return put(writer, "[");
}

int json_write_element(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	int result = put(writer, writer->rows > 0 ? ",\n" : "\n");

	return result < 0 ? result : put_row(writer, id, row, key, "]}");
}

int json_write_end(struct format_writer *writer)
{
	return put(writer, "\n]\n");
}
