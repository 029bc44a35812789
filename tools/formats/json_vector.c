/*
 * json_vector.c - the elements of a vector in JSON.
 */
#include "tools/formats/json_vector.h"
#include "tools/formats/base64.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How many float32 a text in base64 has; 0 where they are no whole number. */
static uint32_t count_packed(const char *text, size_t length)
{
	size_t characters = length, padding = 0, bytes;

	for (size_t i = 0; i < length; i++)
		characters -= text[i] == '\\'; /* before a "/" */
	while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
		padding++;
	if (characters % 4 != 0 || characters == 0)
		return 0;
	bytes = characters / 4 * 3 - padding;
	return bytes % sizeof(float) == 0 ? (uint32_t)(bytes / sizeof(float)) : 0;
}

uint32_t json_vector_packed_dim(const struct format_reader *reader, struct json_span value)
{
	uint32_t dim = reader->wanted.dim;
	const char *text = value.at + 1;
	size_t length;

	if (!json_begins_with(value, '"'))
		return 0;
	length = (size_t)(value.end - value.at) - 2;
	if (dim == 0)
		dim = count_packed(text, length);
	return dim > 0 && base64_decode(text, length, NULL, dim * sizeof(float)) ? dim : 0;
}

bool json_vector_is(const struct format_reader *reader, struct json_span value)
{
	return json_begins_with(value, '[') ||
	       (json_begins_with(value, '"') && value.at[1] == '[') ||
	       json_vector_packed_dim(reader, value) > 0;
}

/* Refuse an element that is no number. */
static int refuse_element(struct format_reader *reader, struct json_span vector, const char *at,
                          size_t index)
{
	struct json_span element = { at, json_scan_pass(at, vector.end, NULL) };
	int length = element.end == NULL || element.end - at > 20 ? 20 : (int)(element.end - at);

	if (length > vector.end - at)
		length = (int)(vector.end - at);
	if (*at == '[')
		return format_refuse(
			reader, "element %zu of its vector is an array; expected numbers", index);
	return format_refuse(reader, "element %zu of its vector, '%.*s', is not a number", index,
	                     length, at);
}

/* Whether an element begins as JSON's numbers do, or is one of Python's that JSON has not: NaN,
 * Infinity. strtod takes more: 0x1p3, inf, +1. */
static bool is_number(const struct format_reader *reader, const char *at)
{
	if (reader->type == ELEMENT_B1 &&
	    (strncmp(at, "true", 4) == 0 || strncmp(at, "false", 5) == 0))
		return true;
	if (*at == '-')
		at++;
	if (*at == '0')
		return (at[1] | ' ') != 'x';
	return (*at >= '1' && *at <= '9') || strncmp(at, "NaN", 3) == 0 ||
	       strncmp(at, "Infinity", 8) == 0;
}

static int refuse_count(struct format_reader *reader, struct json_span vector)
{
	return format_refuse(reader, "its vector has %zu elements, %" PRIu32 " are needed",
	                     json_scan_count(vector), reader->dim);
}

/* Take the elements of a row: an array from bracket to bracket. */
static int take_elements(struct format_reader *reader, struct json_span vector, unsigned char *to)
{
	const char *at = json_scan_space(vector.at + 1, vector.end);
	uint32_t count = 0;

	while (*at != ']') {
		const char *element = at;
		int result;

		if (count == reader->dim)
			return refuse_count(reader, vector);
		if (!is_number(reader, at))
			return refuse_element(reader, vector, at, count);
		result = text_number(reader, &at, to, count);
		if (result < 0)
			return result;
		at = json_scan_space(at, vector.end);
		if (*at != ',' && *at != ']')
			return refuse_element(reader, vector, element, count);
		if (*at == ',')
			at = json_scan_space(at + 1, vector.end);
		count++;
	}
	return count == reader->dim ? 0 : refuse_count(reader, vector);
}

/* Take the elements of a row in base64. */
static int take_packed(struct format_reader *reader, struct json_span vector, unsigned char *to)
{
	size_t size = reader->dim * sizeof(float);
	unsigned char *bytes = malloc(size);
	int result = 0;

	if (bytes == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	(void)base64_decode(vector.at + 1, (size_t)(vector.end - vector.at) - 2, bytes,
	                    size); /* it has been looked at */
	for (uint32_t i = 0; i < reader->dim && result == 0; i++)
		result = text_put(reader, element_get(ELEMENT_F4, bytes, i, NULL), to, i);
	free(bytes);
	return result;
}

int json_vector_take(struct format_reader *reader, struct json_span vector, unsigned char *to)
{
	if (json_begins_with(vector, '['))
		return take_elements(reader, vector, to);
	if (vector.at[1] != '[')
		return take_packed(reader, vector, to);
	return text_list(reader, vector.at + 1, (size_t)(vector.end - vector.at) - 2, to);
}
