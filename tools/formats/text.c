/*
 * text.c - what the formats of lines of text share.
 */
#include "tools/formats/text.h"
#include "engine/codec/element_text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
			return false;
	}
	return true;
}

/* Whether a text, in which no LF is, has lines that end in CR: not one that ends it or is in quotes. */
static bool has_cr_lines(const char *text, size_t length)
{
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		if (text[i] == '\r' && !quoted)
			return !is_blank(text + i, length - i);
	}
	return false;
}

static int refuse_cr_lines(struct format_reader *reader)
{
	return format_refuse(reader, "its lines end in CR alone, as on old Macs; expected LF or CR "
	                             "LF; tr '\\r' '\\n' <FILE converts it");
}

/* An error of looking for a line, in words. */
static int line_error(struct format_reader *reader, int result)
{
	const struct stream *stream = reader->stream;

	reader->offset = stream->offset;
	reader->line++;
	if (result == -E2BIG &&
	    has_cr_lines((const char *)stream->buffer + stream->start, stream->length))
		return refuse_cr_lines(reader);
	if (result == -E2BIG)
		return format_refuse(reader, "the line is longer than %u bytes",
		                     STREAM_LINE_BYTES_MAX);
	return format_stream_error(reader, result);
}

static bool begins_with(const char *text, size_t length, const char *mark)
{
	size_t bytes = strlen(mark);

	return length >= bytes && memcmp(text, mark, bytes) == 0;
}

bool text_is_marked(const char *text, size_t length)
{
	return begins_with(text, length, STREAM_MARK) || begins_with(text, length, "\xff\xfe") ||
	       begins_with(text, length, "\xfe\xff");
}

int text_mark(struct format_reader *reader)
{
	const unsigned char *at = NULL;
	bool utf8;
	int64_t got;

	if (reader->stream->offset > 0)
		return 0;
	got = stream_peek(reader->stream, 4, &at);
	if (got < 0)
		return format_stream_error(reader, got);
	utf8 = begins_with((const char *)at, (size_t)got, STREAM_MARK);
	if ((!utf8 && text_is_marked((const char *)at, (size_t)got)) ||
	    (got == 4 && (at[0] == 0) != (at[1] == 0) && (at[2] == 0) == (at[0] == 0) &&
	     (at[3] == 0) == (at[1] == 0)))
		return format_refuse(reader, "it is text in UTF-16; expected UTF-8; 'iconv -f "
		                             "UTF-16 -t UTF-8' converts it");
	if (utf8)
		got = stream_skip(reader->stream, 3);
	return got < 0 ? format_stream_error(reader, got) : 0;
}

/* How long a line is without CR at its end: behind the last one there may be no LF, and Python on
 * Windows writes CR CR LF. */
static size_t without_cr(const char *line, size_t length)
{
	while (length > 0 && line[length - 1] == '\r')
		length--;
	return length;
}

int text_peek(struct format_reader *reader, char **line, size_t *length)
{
	int marked = text_mark(reader);

	if (marked < 0)
		return marked;
	for (;;) {
		int result = stream_peek_line(reader->stream, line, length);

		if (result < 0)
			return line_error(reader, result);
		if (result == 0)
			return 0;
		*length = without_cr(*line, *length);
		if (!is_blank(*line, *length))
			return 1;
		result = stream_line(reader->stream, line, length);
		if (result < 0)
			return line_error(reader, result);
		reader->line++;
	}
}

int text_check_lines(struct format_reader *reader)
{
	char *line;
	size_t length;
	int result = text_peek(reader, &line, &length);

	/* it is all there is */
	if (result > 0 && memchr(line, '\n', reader->stream->length) == NULL &&
	    has_cr_lines(line, length))
		return refuse_cr_lines(reader);
	return result < 0 ? result : 0;
}

int text_line(struct format_reader *reader, char **line, size_t *length)
{
	int result = text_peek(reader, line, length);

	if (result <= 0)
		return result;
	reader->offset = reader->stream->offset;
	reader->line++;
	result = stream_line(reader->stream, line, length);
	if (result < 0)
		return format_stream_error(reader, result);
	*length = without_cr(*line, *length);
	(*line)[*length] = '\0';
	if (memchr(*line, '\0', *length) != NULL)
		return format_refuse(reader, "the line holds a NUL byte: not text");
	return result;
}

void text_begin(struct format_reader *reader, bool empty)
{
	reader->type = reader->wanted.type;
	reader->is_text = true;
	reader->dim = reader->wanted.dim;
	reader->rows = empty ? 0 : FORMAT_ROWS_UNKNOWN;
	reader->lacks_rows = empty;
}

int text_read_rows(struct format_reader *reader, struct format_batch *batch,
                   int (*parse)(struct format_reader *reader, char *line, size_t length,
                                unsigned char *to, uint64_t *id))
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);

	batch->count = 0;
	while (batch->count < batch->room) {
		size_t length;
		char *line;
		int result = text_line(reader, &line, &length);

		if (result <= 0)
			return result;
		result = parse(reader, line, length,
		               (unsigned char *)batch->rows + batch->count * row_bytes,
		               &batch->ids[batch->count]);
		if (result < 0)
			return result;
		batch->offsets[batch->count++] = reader->offset;
		reader->row++;
	}
	return 0;
}

int text_put(struct format_reader *reader, double number, void *elements, size_t index)
{
	enum element type = reader->wanted.type;
	struct element_loss loss = { 0 };

	if (element_put(type, number, elements, index, &loss) < 0)
		return type == ELEMENT_B1
		               ? format_refuse(reader, "%.9g is not a value of b1 (0 or 1)", number)
		               : format_refuse(reader, "%s", element_refusal(ELEMENT_F8, type));
	if (element_is_float(type))
		loss.rounded = 0;
	if (!reader->wanted.convert && loss.rounded + loss.beyond > 0)
		return format_refuse(
			reader,
			"%.9g is not a value of %s; with --convert it becomes the nearest one",
			number, element_name(type));
	reader->loss.elements++;
	reader->loss.rounded += loss.rounded;
	reader->loss.beyond += loss.beyond;
	if (loss.rounded > 0 && loss.largest > reader->loss.largest)
		reader->loss.largest = loss.largest;
	return 0;
}

int text_number(struct format_reader *reader, const char **at, void *elements, size_t index)
{
	size_t length;
	double number;

	errno = 0;
	number = element_read(reader->wanted.type, *at, &length);
	if (length == 0)
		return format_refuse(reader, "'%.20s' is not a number", *at);
	if (errno == ERANGE && isinf(number)) {
		if (!reader->wanted.convert)
			return format_refuse(reader,
			                     "'%.*s' is out of the range of %s; with --convert it "
			                     "becomes infinity",
			                     length < 20 ? (int)length : 20, *at,
			                     element_name(reader->wanted.type));
		reader->loss.beyond++;
	}
	*at += length;
	return text_put(reader, number, elements, index);
}

static const char *pass_space(const char *at, const char *end)
{
	while (at < end && memchr(" \t\r\n", *at, 4) != NULL)
		at++;
	return at;
}

/* Read the elements of a list up to its bracket, or its end. */
static int list_elements(struct format_reader *reader, const char **at, const char *end, char close,
                         unsigned char *to)
{
	uint32_t count = 0;

	for (;;) {
		int result;

		*at = pass_space(*at, end);
		if (*at == end || **at == close)
			break;
		if (strncmp(*at, "...", 3) == 0)
			return format_refuse(reader,
			                     "its list is cut short with '...', as NumPy prints a "
			                     "long array; print array.tolist() instead");
		if (count == reader->dim)
			return format_refuse(reader, "its list has more than %" PRIu32 " elements",
			                     reader->dim);
		result = text_number(reader, at, to, count++);
		if (result < 0)
			return result;
		*at = pass_space(*at, end);
		if (*at < end && **at == ',')
			(*at)++;
	}
	return count == reader->dim
	               ? 0
	               : format_refuse(reader,
	                               "its list has %" PRIu32 " elements, %" PRIu32 " are needed",
	                               count, reader->dim);
}

int text_list(struct format_reader *reader, const char *text, size_t length, unsigned char *to)
{
	const char *end = text + length, *at = pass_space(text, end);
	char open = at < end ? *at : '\0';
	char close = open == '[' ? ']' : open == '{' ? '}' : '\0';
	unsigned depth = 0;
	int result;

	for (; close != '\0' && at < end && *at == open; at = pass_space(at + 1, end))
		depth++;
	result = list_elements(reader, &at, end, close, to);
	for (; result == 0 && depth > 0 && at < end && *at == close; depth--)
		at = pass_space(at + 1, end);
	if (result < 0)
		return result;
	if (depth > 0)
		return format_refuse(reader, "its list ends without '%c'", close);
	return at == end ? 0 : format_refuse(reader, "'%.20s' follows its list", at);
}

uint32_t text_list_count(const char *text, size_t length)
{
	static const char apart[] = "[]{}, \t\r\n";
	bool within = false;
	uint32_t count = 0;

	for (size_t i = 0; i < length; i++) {
		bool separates = memchr(apart, text[i], sizeof(apart) - 1) != NULL;

		count += !separates && !within;
		within = !separates;
	}
	return count;
}

bool text_id(const char *text, size_t length, uint64_t *id)
{
	uint64_t value = 0;

	if (length == 0 || (text[0] == '0' && length > 1))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	}
	*id = value;
	return true;
}

/* Write an element so that it is read back as it is (but for the bits of a NaN): the number of
 * characters, without a NUL behind them. bf2 is so short that it takes no long search to say it in
 * the fewest digits. */
static size_t format_element(enum element type, const void *row, size_t index,
                             char to[TEXT_NUMBER_BYTES])
{
	double number = element_get(type, row, index, NULL);
	int digits = type == ELEMENT_F2 ? 5 : type == ELEMENT_F8 ? 17 : 9;
	int length = type == ELEMENT_BF2 ? (int)element_write(type, row, index, to)
	                                 : snprintf(to, TEXT_NUMBER_BYTES, "%.*g", digits, number);

	/* an integer has no -0, and a reader may take it for one */
	if (length == 2 && to[0] == '-' && to[1] == '0')
		length = snprintf(to, TEXT_NUMBER_BYTES, "-0.0");
	return (size_t)length;
}

size_t text_format_row(const struct format_writer *writer, const void *row, const char *separator,
                       char *to)
{
	size_t apart = strlen(separator);
	size_t used = 0;

	for (uint32_t i = 0; i < writer->dim; i++) {
		if (i > 0) {
			memcpy(to + used, separator, apart);
			used += apart;
		}
		used += format_element(writer->type, row, i, to + used);
	}
	return used;
}

int text_writer_begin(struct format_writer *writer, size_t extra)
{
	if (writer->state == NULL)
		writer->state = malloc((size_t)writer->dim * TEXT_NUMBER_BYTES + extra);
	return writer->state != NULL ? 0 : -ENOMEM;
}

void text_writer_end(struct format_writer *writer)
{
	free(writer->state);
	writer->state = NULL;
}
