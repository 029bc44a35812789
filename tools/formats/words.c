/*
 * words.c - lines of a word and the elements of its vector, as GloVe and word2vec have
 * them.
 *
 * Spaces or tabs separate. word2vec (and fastText) begin with a line that tells how many
 * rows there are and of which dimension; GloVe does not. A word may hold spaces: the
 * elements are counted from the line's end. A word that ends in an integer, as
 * "Windows 95", is one only among floats and where the file tells the dimension: else the line has
 * a number too many. What would not be read back as it is, is not written.
 */
#include "tools/formats/formats.h"
#include "tools/formats/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The last field of the `length` characters at `line`: where it begins; the length
 * before it, without spaces, to *before. */
static size_t last_field(const char *line, size_t length, size_t *before)
{
	size_t start;

	while (length > 0 && is_space(line[length - 1]))
		length--;
	start = length;
	while (start > 0 && !is_space(line[start - 1]))
		start--;
	*before = start;
	while (*before > 0 && is_space(line[*before - 1]))
		(*before)--;
	return start;
}

static uint64_t count_fields(const char *line, size_t length)
{
	uint64_t count = 0;

	while (length > 0) {
		size_t before;

		if (last_field(line, length, &before) < length)
			count++;
		length = before;
	}
	return count;
}

/* Whether the field that begins at `start` is a number from end to end. */
static bool is_number(const char *line, size_t start, size_t length)
{
	char field[TEXT_NUMBER_BYTES * 2];
	size_t bytes = 0;
	char *end;

	while (start + bytes < length && !is_space(line[start + bytes]))
		bytes++;
	if (bytes == 0 || bytes >= sizeof(field))
		return false;
	memcpy(field, line + start, bytes);
	field[bytes] = '\0';
	(void)strtod(field, &end);
	return *end == '\0';
}

/* Whether `length` characters are spaces. */
static bool is_blank(const char *line, size_t length)
{
	while (length > 0 && is_space(line[length - 1]))
		length--;
	return length == 0;
}

/* What a word may be, beside one without spaces. */
struct allowed {
	bool integer; /* it may end in one */
	bool blank; /* it may be of spaces alone */
};

/* A file that tells how many numbers a line has may hold more. */
static struct allowed allowed(const struct format *format, enum element type)
{
	bool told = format == &format_word2vec;

	return (struct allowed){ .integer = told && element_is_float(type), .blank = told };
}

/* Whether a text can be a word. */
static bool is_word(const char *text, size_t length, struct allowed may)
{
	size_t before, start;

	if (length == 0 || is_blank(text, length))
		return length > 0 && may.blank;
	start = last_field(text, length, &before);
	if (before == 0 || !is_number(text, start, length))
		return true;
	return may.integer && strspn(text + start, "0123456789") >= length - start;
}

/*
 * Split a line before its last `dim` fields: the length of the word to *word, where the
 * numbers begin to *numbers. False where there are fewer fields, or no word before them.
 */
static bool split(const char *line, size_t length, uint32_t dim, struct allowed may, size_t *word,
                  size_t *numbers)
{
	size_t before;

	*numbers = length;
	for (uint32_t i = 0; i < dim; i++) {
		if (length == 0)
			return false;
		*numbers = last_field(line, length, &before);
		length = before;
	}
	/* one space separates; where nothing else is before it, the others are the word */
	*word = length > 0 ? length : *numbers > 0 ? *numbers - 1 : 0;
	return is_word(line, *word, may);
}

/* Whether a line tells how many rows there are, and of which dimension. */
static bool is_header(const char *line, size_t length, uint64_t *rows, uint64_t *dim)
{
	size_t before, end = length;
	size_t start = last_field(line, length, &before);

	while (end > 0 && is_space(line[end - 1]))
		end--;
	return text_id(line + start, end - start, dim) && text_id(line, before, rows);
}

/* Take the first line where it is a header. 1, 0 where it is none, or an error. */
static int take_header(struct format_reader *reader, char **line, size_t *length)
{
	bool needed = reader->format == &format_word2vec;
	uint64_t rows, dim;
	int result;

	if (!is_header(*line, *length, &rows, &dim) || (!needed && reader->wanted.dim == 1)) {
		if (!needed)
			return 0;
		return format_refuse(reader,
		                     "it does not begin with the number of rows and the dimension; "
		                     "a file without that line is --format glove");
	}
	if (dim < 1 || dim > UINT32_MAX || rows == FORMAT_ROWS_UNKNOWN)
		return format_refuse(
			reader, "its first line promises %" PRIu64 " rows of dimension %" PRIu64,
			rows, dim);
	reader->rows = rows;
	reader->dim = (uint32_t)dim;
	result = text_line(reader, line, length);
	return result < 0 ? result : 1;
}

static int open_words(struct format_reader *reader)
{
	char *line = NULL;
	size_t length = 0, word, numbers;
	int result = text_check_lines(reader);

	if (result == 0)
		result = text_peek(reader, &line, &length);
	if (result < 0)
		return result;
	text_begin(reader, result == 0);
	reader->has_keys = true;
	if (result == 0 && reader->format != &format_word2vec)
		return 0;
	result = take_header(reader, &line, &length);
	if (result != 0)
		return result < 0 ? result : 0;
	/* One field that is no number, then as many as the store's vectors have: or else
	 * the first line's count is what the message tells. */
	if (reader->wanted.dim == 0 ||
	    !split(line, length, reader->wanted.dim, allowed(reader->format, reader->wanted.type),
	           &word, &numbers)) {
		uint64_t fields = count_fields(line, length);

		reader->dim = (uint32_t)(fields - 1);
	}
	return 0;
}

/* The rows that the first line promises, and no more. */
static int check_end(struct format_reader *reader, bool more)
{
	if (reader->rows == FORMAT_ROWS_UNKNOWN || (!more && reader->row == reader->rows))
		return 0;
	return format_refuse(
		reader, "%s after %" PRIu64 " rows, but its first line promises %" PRIu64,
		more ? "the file goes on" : "the file ends", reader->row, reader->rows);
}

static int parse_line(struct format_reader *reader, char *line, size_t length, unsigned char *to,
                      uint64_t *id)
{
	size_t word = 0, numbers = 0;
	const char *at;
	int result;

	(void)id; /* such files have none */
	if (reader->row == reader->rows)
		return check_end(reader, true);
	if (!split(line, length, reader->dim, allowed(reader->format, reader->type), &word,
	           &numbers))
		return format_refuse(reader,
		                     "the line has %" PRIu64 " fields; expected a word and %" PRIu32
		                     " numbers",
		                     count_fields(line, length), reader->dim);
	at = line + numbers;
	for (uint32_t i = 0; i < reader->dim; i++) {
		result = text_number(reader, &at, to, i);
		if (result < 0)
			return result;
		if (*at != '\0' && !is_space(*at))
			return format_refuse(reader, "'%.20s' cannot follow a number", at);
	}
	if (reader->wanted.on_key == NULL)
		return 0;
	return format_key(reader, line, word);
}

static int read_words(struct format_reader *reader, struct format_batch *batch)
{
	int result = text_read_rows(reader, batch, parse_line);

	if (result == 0 && batch->count < batch->room)
		result = check_end(reader, false);
	return result;
}

/* The first line of word2vec. Fewer rows than it told at first need no more room: the
 * rest becomes spaces. */
static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	char header[2 * TEXT_ID_BYTES + 4];
	int length = snprintf(header, sizeof(header), "%" PRIu64 " %" PRIu32, writer->expected,
	                      writer->dim);
	int used = snprintf(header, sizeof(header), "%" PRIu64 " %" PRIu32, rows, writer->dim);

	memset(header + used, ' ', (size_t)(length - used));
	header[length] = '\n';
	return write(writer->arg, header, (size_t)length + 1);
}

/* Refuse a key that would be read back as another one, or not at all. */
static int check_key(struct format_writer *writer, uint64_t id, const char *key)
{
	struct allowed may = allowed(writer->format, writer->type);
	size_t length = strlen(key);
	bool marked = writer->rows == 0 && writer->format != &format_word2vec &&
	              text_is_marked(key, length);

	if (is_word(key, length, may) && !marked &&
	    (is_blank(key, length) || !is_space(key[length - 1])))
		return 0;
	return format_writer_refuse(
		writer,
		"the key of vector %" PRIu64
		", '%s', cannot be read back from %s; csv and jsonl can hold any key",
		id, key, writer->format->name);
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	char number[TEXT_ID_BYTES];
	size_t used;
	char *line;
	int result = text_writer_begin(writer, 2);

	if (result < 0)
		return result;
	(void)snprintf(number, sizeof(number), "%" PRIu64, id);
	result = key != NULL ? check_key(writer, id, key) : 0;
	if (result < 0)
		return result;
	if (key == NULL)
		key = number;
	result = writer->write(writer->arg, key, strlen(key));
	if (result < 0)
		return result;
	line = writer->state;
	line[0] = ' ';
	used = 1 + text_format_row(writer, row, " ", line + 1);
	line[used++] = '\n';
	return writer->write(writer->arg, line, used);
}

static const struct format_calls glove_calls = {
	.open = open_words,
	.read = read_words,
	.write_row = write_row,
	.end = text_writer_end,
};

const struct format format_glove = { "glove",
	                             ".txt",
	                             .reads_keys = true,
	                             .keys_are_words = true,
	                             .is_text = true,
	                             .calls = &glove_calls };

static const struct format_calls word2vec_calls = {
	.open = open_words,
	.read = read_words,
	.write_header = format_write_header,
	.put_header = put_header,
	.write_row = write_row,
	.finish = format_finish,
	.end = text_writer_end,
};

const struct format format_word2vec = { "word2vec",         ".vec",
	                                .reads_keys = true, .keys_are_words = true,
	                                .is_text = true,    .calls = &word2vec_calls };
