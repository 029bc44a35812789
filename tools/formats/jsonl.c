/*
 * jsonl.c - lines of JSON, {"id": 1, "vector": [0.5, 2]}.
 *
 * An ID beyond 2^63 - 1 is a string of its digits: JSON's numbers are not that exact
 * everywhere. Further members of a line are passed over.
 */
#include "tools/formats/formats.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#define ID "id"
#define VECTOR "vector"

/* Parse a line; the vector stays the property of *object, which is the caller's. */
static int parse_object(struct format_reader *reader, const char *line, size_t length,
                        json_t **object, json_t **vector)
{
	json_error_t error;

	*object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);
	if (*object == NULL)
		return format_refuse(reader, "the line is no JSON: %s, at character %d", error.text,
		                     error.column);
	*vector = json_object_get(*object, VECTOR);
	if (json_is_array(*vector))
		return 0;
	json_decref(*object);
	*object = NULL;
	return format_refuse(reader, "the line is no object with an array \"" VECTOR "\"");
}

static int open_jsonl(struct format_reader *reader)
{
	char *line = NULL;
	size_t length = 0;
	json_t *object = NULL, *vector = NULL;
	int result = text_peek(reader, &line, &length);

	if (result < 0)
		return result;
	text_begin(reader, result == 0);
	if (result == 0)
		return 0;
	result = parse_object(reader, line, length, &object, &vector);
	if (result < 0)
		return result;
	reader->dim = (uint32_t)json_array_size(vector);
	reader->has_ids = json_object_get(object, ID) != NULL;
	json_decref(object);
	return 0;
}

/* Take the ID of a line. */
static int take_id(struct format_reader *reader, const json_t *object, uint64_t *id)
{
	const json_t *value = json_object_get(object, ID);

	if (!reader->has_ids)
		return 0;
	if (value == NULL)
		return format_refuse(reader, "the line has no \"" ID "\", the first one had");
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*id = (uint64_t)json_integer_value(value);
		return 0;
	}
	if (json_is_string(value) &&
	    text_id(json_string_value(value), json_string_length(value), id))
		return 0;
	return format_refuse(reader, "its \"" ID "\" is no ID");
}

/* Take the elements of a line. */
static int take_elements(struct format_reader *reader, const json_t *vector, unsigned char *to)
{
	size_t count = json_array_size(vector);

	if (count != reader->dim)
		return format_refuse(reader, "its vector has %zu elements, %" PRIu32 " are needed",
		                     count, reader->dim);
	for (size_t i = 0; i < count; i++) {
		const json_t *element = json_array_get(vector, i);
		int result;

		if (reader->type == ELEMENT_B1 && json_is_boolean(element))
			result = text_put(reader, json_is_true(element), to, i);
		else if (json_is_number(element))
			result = text_put(reader, json_number_value(element), to, i);
		else
			result = format_refuse(reader, "element %zu of its vector is no number", i);
		if (result < 0)
			return result;
	}
	return 0;
}

static int parse_line(struct format_reader *reader, char *line, size_t length, unsigned char *to,
                      uint64_t *id)
{
	json_t *object = NULL, *vector = NULL;
	int result = parse_object(reader, line, length, &object, &vector);

	if (result < 0)
		return result;
	result = take_id(reader, object, id);
	if (result == 0)
		result = take_elements(reader, vector, to);
	json_decref(object);
	return result;
}

static int read_jsonl(struct format_reader *reader, struct format_batch *batch)
{
	return text_read_rows(reader, batch, parse_line);
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	static const char start[] = "{\"" ID "\": %s%" PRIu64 "%s, \"" VECTOR "\": [";
	const char *quote = id > INT64_MAX ? "\"" : "";
	char *line;
	size_t used, bad;
	int result = text_writer_begin(writer, sizeof(start) + TEXT_ID_BYTES + 8);

	(void)key;
	if (result < 0)
		return result;
	if (!element_all_finite(writer->type, row, writer->dim, &bad))
		return format_writer_refuse(writer,
		                            "element %zu of vector %" PRIu64
		                            " is NaN or infinite, which JSON cannot say; export "
		                            "to .npy or CSV",
		                            bad, id);
	line = writer->state;
	used = (size_t)snprintf(line, sizeof(start) + TEXT_ID_BYTES, start, quote, id, quote);
	used += text_format_row(writer, row, ", ", line + used);
	memcpy(line + used, "]}\n", 3);
	return writer->write(writer->arg, line, used + 3);
}

static const struct format_calls jsonl_calls = {
	.open = open_jsonl,
	.read = read_jsonl,
	.write_row = write_row,
	.end = text_writer_end,
};

const struct format format_jsonl = { "jsonl",
	                             ".jsonl",
	                             .writes_ids = true,
	                             .has_columns = true,
	                             .is_text = true,
	                             .calls = &jsonl_calls };
