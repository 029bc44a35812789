/*
 * json_values.c - the values of JSON in a stream, one after another.
 */
#include "tools/formats/json_values.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int json_values_refuse(struct format_reader *reader, struct json_span value)
{
	const char *fault;
	const char *behind = json_scan_pass(value.at, value.end, &fault);

	if (behind != NULL)
		fault = json_scan_space(behind, value.end);
	if (fault == NULL || fault == value.end)
		return format_refuse(reader, "it is not JSON: it ends too early");
	return format_refuse(reader, "it is not JSON: unexpected '%.*s' at character %zu",
	                     (int)(value.end - fault < 20 ? value.end - fault : 20), fault,
	                     (size_t)(fault - value.at) + 1);
}

/* All that is buffered, at least `least` bytes unless the stream ends. The number, or an error. */
static int64_t buffered(struct format_reader *reader, size_t least, struct json_span *text)
{
	const unsigned char *at;
	int64_t got = stream_peek(reader->stream, least, &at);

	if (got < 0) {
		(void)format_stream_error(reader, got); /* returns it again */
		return got;
	}
	got = (int64_t)reader->stream->length;
	text->at = got > 0 ? (const char *)at : NULL;
	text->end = got > 0 ? text->at + got : NULL;
	return got;
}

/* Take bytes that are buffered. */
static int take(struct format_reader *reader, struct json_values *values, const char *from,
                const char *to)
{
	int64_t got;

	for (const char *at = from; (at = memchr(at, '\n', (size_t)(to - at))) != NULL; at++)
		values->lines++;
	got = stream_skip(reader->stream, (uint64_t)(to - from));
	return got < 0 ? format_stream_error(reader, got) : 0;
}

/* Take space. 1 where something follows, 0 at the end. */
static int take_space(struct format_reader *reader, struct json_values *values, char *next)
{
	for (;;) {
		struct json_span text = { NULL, NULL };
		int64_t got = buffered(reader, 1, &text);
		const char *at;
		int result;

		if (got <= 0)
			return (int)got;
		at = json_scan_space(text.at, text.end);
		*next = at < text.end ? *at : '\0';
		got = at < text.end;
		result = take(reader, values, text.at, at);
		reader->offset = reader->stream->offset;
		reader->line = values->lines + 1;
		if (result < 0 || got > 0)
			return result < 0 ? result : 1;
	}
}

/* Take the one character that is next. */
static int take_character(struct format_reader *reader)
{
	int64_t got = stream_skip(reader->stream, 1);

	return got < 0 ? format_stream_error(reader, got) : 0;
}

/* Behind the array nothing may follow. */
static int check_end(struct format_reader *reader, struct json_values *values)
{
	char next = '\0';
	int result = take_space(reader, values, &next);

	return result > 0 ? format_refuse(reader, "there is more text after its array") : result;
}

/* Move to the next element of the array. 1, or 0 at its end. */
static int move_on(struct format_reader *reader, struct json_values *values)
{
	char next = '\0';
	int result = take_space(reader, values, &next);

	if (result == 0)
		return format_refuse(reader, "the file ends before its array does");
	if (result > 0 && next == ']') {
		values->ended = true;
		result = take_character(reader);
		return result < 0 ? result : check_end(reader, values);
	}
	if (result > 0 && values->begun) {
		if (next != ',')
			return format_refuse(reader,
			                     "expected ',' or ']' after an element of the array");
		result = take_character(reader);
		if (result == 0)
			result = take_space(reader, values, &next);
		values->begun = false; /* the separator is taken */
		if (result == 0 || (result > 0 && next == ']'))
			return format_refuse(reader, "expected another element after ','");
	}
	return result;
}

/* The whole value that comes next in the stream. */
static int find_value(struct format_reader *reader, struct json_span *value)
{
	size_t wanted = 1;

	for (;;) {
		struct json_span text = { NULL, NULL };
		int64_t got = buffered(reader, wanted, &text);
		const char *fault;

		if (got < 0)
			return (int)got;
		value->at = text.at;
		value->end = got > 0 ? json_scan_pass(text.at, text.end, &fault) : NULL;
		/* a number or a word may go on behind what is buffered */
		if (value->end != NULL && value->end < text.end)
			return 1;
		if (got == 0 || (value->end == NULL && fault != NULL) || (size_t)got < wanted) {
			if (value->end != NULL)
				return 1;
			return json_values_refuse(reader, text);
		}
		if (got > STREAM_LINE_BYTES_MAX)
			return format_refuse(reader, "the value is longer than %u bytes",
			                     STREAM_LINE_BYTES_MAX);
		wanted = (size_t)got * 2;
	}
}

int json_values_peek(struct format_reader *reader, struct json_values *values,
                     struct json_span *value)
{
	char next = '\0';
	int result;

	if (values->layout == JSON_LINES) {
		char *line;
		size_t length;

		result = text_peek(reader, &line, &length);
		if (result > 0) {
			value->at = json_scan_space(line, line + length);
			value->end = line + length;
		}
		return result;
	}
	if (values->ended)
		return 0;
	result = values->layout == JSON_ARRAY ? move_on(reader, values)
	                                      : take_space(reader, values, &next);
	return result <= 0 ? result : find_value(reader, value);
}

int json_values_next(struct format_reader *reader, struct json_values *values,
                     struct json_span *value)
{
	char *line;
	size_t length;
	int result;

	if (values->layout == JSON_LINES) {
		result = text_line(reader, &line, &length);
		if (result > 0) {
			value->at = json_scan_space(line, line + length);
			value->end = line + length;
		}
		return result;
	}
	result = json_values_peek(reader, values, value);
	if (result <= 0)
		return result;
	values->begun = true;
	result = take(reader, values, value->at, value->end);
	return result < 0 ? result : 1;
}

/* What follows the bracket that the stream begins with, or '\0'. */
static int second_character(struct format_reader *reader, char *second)
{
	size_t wanted = 2;

	for (;;) {
		struct json_span text = { NULL, NULL };
		int64_t got = buffered(reader, wanted, &text);
		const char *at;

		if (got < 0)
			return (int)got;
		at = json_scan_space(json_scan_space(text.at, text.end) + 1, text.end);
		*second = at < text.end ? *at : '\0';
		if (at < text.end || (size_t)got < wanted || got > STREAM_LINE_BYTES_MAX)
			return 0;
		wanted = (size_t)got * 2;
	}
}

/* Whether the value that comes next is of one line, or is none. */
static bool is_line(struct format_reader *reader)
{
	struct json_span value = { NULL, NULL };

	return find_value(reader, &value) <= 0 || value.at == NULL ||
	       memchr(value.at, '\n', (size_t)(value.end - value.at)) == NULL;
}

int json_values_open(struct format_reader *reader, struct json_values *values)
{
	char first = '\0', second = '\0';
	int result = text_mark(reader);

	memset(values, 0, sizeof(*values));
	if (result == 0)
		result = take_space(reader, values, &first);
	if (result > 0 && first == '[') {
		int looked = second_character(reader, &second);

		result = looked < 0 ? looked : 1;
	}
	if (result <= 0)
		return result;
	if (second == '{' || second == '[' || second == ']') {
		values->layout = JSON_ARRAY;
		result = take_character(reader);
		return result < 0 ? result : 1;
	}
	if ((first == '{' || first == '[') && !is_line(reader))
		values->layout = JSON_STREAM;
	else
		reader->line = values->lines;
	return 1;
}
