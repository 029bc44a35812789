/*
 * w2vbin.c - the binary files of word2vec, which gensim reads and writes as well.
 *
 * A line with the number of words and the dimension; then, for each word, its bytes, a space and
 * so many float32, little-endian. word2vec ends each vector with a newline, gensim (and Google's
 * vectors of its news) do not: it belongs to no word.
 */
#include "tools/formats/formats.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Two decimal numbers and what is around them. */
#define HEADER_BYTES_MAX 64u
/* The longest key of public models has some 100 bytes; a URL may be one. What is longer is no
 * such file. */
#define WORD_BYTES_MAX 65536u
/* How models of fastText begin, which have n-grams and no plain vectors. */
#define FASTTEXT_START "\xba\x16\x4f\x2f"
/* Longest decimal uint64, with its NUL. */
#define NUMBER_BYTES 21u

/* The number at *at, which moves behind it. False where there is none. */
static bool take_number(const char **at, uint64_t *number)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*number = strtoull(*at, &end, 10);
	*at = end;
	return errno == 0;
}

/* Read the first line, `length` bytes with its newline. */
static int parse_header(struct format_reader *reader, const unsigned char *bytes, size_t length)
{
	char line[HEADER_BYTES_MAX + 1];
	const char *at = line;
	uint64_t rows, dim;

	memcpy(line, bytes, length);
	line[length] = '\0';
	if (!take_number(&at, &rows) || *at++ != ' ' || !take_number(&at, &dim) ||
	    at[strspn(at, " \t\r")] != '\n')
		return -EINVAL;
	if (dim < 1 || dim > UINT32_MAX || rows == FORMAT_ROWS_UNKNOWN)
		return -EINVAL;
	reader->rows = rows;
	reader->dim = (uint32_t)dim;
	return 0;
}

/* Such a file of such a size has at least so many bytes: a word may be empty, but for its space. */
static int check_size(struct format_reader *reader)
{
	uint64_t least = 1 + element_row_bytes(reader->type, reader->dim);
	bool beyond = __builtin_mul_overflow(least, reader->rows, &least) ||
	              __builtin_add_overflow(least, reader->data_offset, &least);

	if (beyond)
		return format_refuse(reader,
		                     "its first line promises %" PRIu64
		                     " words of dimension %" PRIu32 ", more than any file can hold",
		                     reader->rows, reader->dim);
	if (!reader->stream->sized || reader->wanted.partial ||
	    reader->wanted.limit < reader->rows || reader->stream->size >= least)
		return 0;
	return format_refuse(reader,
	                     "the file is cut off: its first line promises %" PRIu64
	                     " words of dimension %" PRIu32 ", at least %" PRIu64
	                     " bytes, but it has %" PRIu64,
	                     reader->rows, reader->dim, least, reader->stream->size);
}

static int open_w2vbin(struct format_reader *reader)
{
	const unsigned char *at = NULL, *end = NULL;
	int64_t got = stream_peek(reader->stream, HEADER_BYTES_MAX, &at);

	if (got < 0)
		return format_stream_error(reader, got);
	if (got >= (int64_t)strlen(FASTTEXT_START) &&
	    memcmp(at, FASTTEXT_START, strlen(FASTTEXT_START)) == 0)
		return format_refuse(
			reader, "it is a model of fastText, which does not hold plain vectors; "
				"import its .vec with --format word2vec, or convert it with "
				"gensim's load_facebook_vectors and save_word2vec_format");
	if (got > 0)
		end = memchr(at, '\n', (size_t)got);
	if (end == NULL || parse_header(reader, at, (size_t)(end - at) + 1) < 0)
		return format_refuse(
			reader, "not a binary file of word2vec: it does not begin with a line of "
				"the number of words and the dimension; for DiskANN's files give "
				"--format fbin, u8bin or i8bin, for bare numbers --format raw");
	reader->type = ELEMENT_F4;
	reader->has_keys = true;
	reader->data_offset = (uint64_t)(end - at) + 1;
	got = stream_skip(reader->stream, reader->data_offset);
	return got < 0 ? format_stream_error(reader, got) : check_size(reader);
}

/* The stream ended within the record that begins at reader->offset. */
static int ended(struct format_reader *reader)
{
	if (reader->wanted.partial) {
		reader->missing = reader->rows - reader->row;
		reader->rows = reader->row;
		return 0;
	}
	return format_refuse(reader,
	                     "the file ends here, but its first line promises %" PRIu64 " words",
	                     reader->rows);
}

/* Take the newline that ends the vector before. 1, 0 at the end, or an error. */
static int skip_newline(struct format_reader *reader)
{
	const unsigned char *at = NULL;
	int64_t got = stream_peek(reader->stream, 1, &at);

	if (got > 0 && reader->row > 0 && *at == '\n') {
		got = stream_skip(reader->stream, 1);
		if (got > 0)
			got = stream_peek(reader->stream, 1, &at);
	}
	return got < 0 ? format_stream_error(reader, got) : (int)got;
}

/* Find the word: its length, before the space, to *length. 1, 0 where the data ends, or an
 * error. */
static int find_word(struct format_reader *reader, const unsigned char **at, size_t *length)
{
	size_t wanted = HEADER_BYTES_MAX;

	for (;;) {
		int64_t got = stream_peek(reader->stream, wanted, at);
		const unsigned char *space;

		if (got < 0)
			return format_stream_error(reader, got);
		space = got > 0 ? memchr(*at, ' ', (size_t)got) : NULL;
		if (space != NULL) {
			*length = (size_t)(space - *at);
			return 1;
		}
		if (got < (int64_t)wanted)
			return 0;
		if (wanted >= WORD_BYTES_MAX)
			return format_refuse(reader,
			                     "expected a word of up to %u bytes and a space; the "
			                     "vectors before it do not have dimension %" PRIu32
			                     ", or the file is damaged",
			                     WORD_BYTES_MAX, reader->dim);
		wanted *= 2;
	}
}

/* Take a word and hand it out, where its vector is there, too. 1, 0 where the data ends, or an
 * error. */
static int read_word(struct format_reader *reader)
{
	const unsigned char *at = NULL;
	size_t length = 0;
	int64_t got;
	int result = find_word(reader, &at, &length);

	if (result <= 0)
		return result;
	if (reader->wanted.on_key != NULL) {
		size_t whole = length + 1 + element_row_bytes(reader->type, reader->dim);

		got = stream_peek(reader->stream, whole, &at);
		if (got < (int64_t)whole)
			return got < 0 ? format_stream_error(reader, got) : 0;
		result = format_key(reader, (const char *)at, length);
		if (result < 0)
			return result;
	}
	got = stream_skip(reader->stream, length + 1);
	return got < 0 ? format_stream_error(reader, got) : 1;
}

/* One word and its vector to `to`. 1, 0 where the data ends, or an error. */
static int read_record(struct format_reader *reader, void *to)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);
	const unsigned char *at = NULL;
	int result = skip_newline(reader);
	int64_t got;

	reader->offset = reader->stream->offset;
	if (result <= 0)
		return result;
	result = read_word(reader);
	if (result <= 0)
		return result;
	got = stream_read(reader->stream, to, row_bytes);
	if (got >= 0 && got < (int64_t)row_bytes)
		got = stream_peek(reader->stream, 1, &at); /* the end, or what went wrong */
	return got < 0 ? format_stream_error(reader, got) : got == (int64_t)row_bytes;
}

/* Behind the last vector nothing may follow but its newline. */
static int check_end(struct format_reader *reader)
{
	int result = skip_newline(reader);

	reader->offset = reader->stream->offset;
	if (result <= 0 || reader->missing > 0)
		return result < 0 ? result : 0;
	return format_refuse(reader,
	                     "more data follows the %" PRIu64 " words that its first line promises",
	                     reader->rows);
}

static int read_w2vbin(struct format_reader *reader, struct format_batch *batch)
{
	size_t row_bytes = element_row_bytes(reader->type, reader->dim);

	batch->count = 0;
	if (reader->row == reader->rows)
		return check_end(reader);
	while (batch->count < batch->room && reader->row < reader->rows) {
		unsigned char *to = (unsigned char *)batch->rows + batch->count * row_bytes;
		int result = read_record(reader, to);

		if (result <= 0)
			return result < 0 ? result : ended(reader);
		batch->offsets[batch->count++] = reader->offset;
		reader->row++;
	}
	return 0;
}

/* Fewer words than it told at first need no more room: the rest becomes spaces, which programs
 * pass over. */
static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	char header[HEADER_BYTES_MAX];
	int length = snprintf(header, sizeof(header), "%" PRIu64 " %" PRIu32, writer->expected,
	                      writer->dim);
	int used = snprintf(header, sizeof(header), "%" PRIu64 " %" PRIu32, rows, writer->dim);

	memset(header + used, ' ', (size_t)(length - used));
	header[length] = '\n';
	return write(writer->arg, header, (size_t)length + 1);
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	char number[NUMBER_BYTES];
	int result;

	if (key == NULL) {
		(void)snprintf(number, sizeof(number), "%" PRIu64, id);
		key = number;
	}
	if (key[0] == '\0' || strpbrk(key, " \n") != NULL || strlen(key) >= WORD_BYTES_MAX)
		return format_writer_refuse(writer,
		                            "the key '%.60s' of vector %" PRIu64
		                            " cannot be a word of this format: it is empty, too "
		                            "long, or holds a space or a newline",
		                            key, id);
	result = writer->write(writer->arg, key, strlen(key));
	if (result == 0)
		result = writer->write(writer->arg, " ", 1);
	if (result == 0)
		result = format_write_plain(writer, id, row, key);
	return result < 0 ? result : writer->write(writer->arg, "\n", 1);
}

static const struct format_calls w2vbin_calls = {
	.open = open_w2vbin,
	.read = read_w2vbin,
	.write_header = format_write_header,
	.put_header = put_header,
	.write_row = write_row,
	.finish = format_finish,
};

const struct format format_w2vbin = { "w2vbin",           ".w2vbin",
	                              .reads_keys = true, .keys_are_words = true,
	                              .type = "f4",       .calls = &w2vbin_calls };
