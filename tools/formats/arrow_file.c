/*
 * arrow_file.c - the messages of an Arrow file or stream, one after another.
 */
#include "tools/formats/arrow_file.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* At both ends of a file; a stream has none. */
#define MAGIC "ARROW1"
#define MAGIC_BYTES 6u
/* The magic, and zeros up to a multiple of 8. */
#define START_BYTES 8u
/* The length of the table of contents, and the magic. */
#define END_BYTES (sizeof(uint32_t) + MAGIC_BYTES)
#define FEATHER_1 "FEA1"
/* Before a message's length, since version 0.15 of the format. */
#define CONTINUES UINT32_MAX
/* A header with all that pandas and others note of a table. */
#define HEADER_BYTES_MAX (64u << 20)

/* Fields of the tables of File.fbs and Message.fbs. */
enum { CONTENTS_VERSION = 0, CONTENTS_SCHEMA = 1 };
enum { MESSAGE_VERSION = 0, MESSAGE_KIND = 1, MESSAGE_HEADER = 2, MESSAGE_BODY_BYTES = 3 };

static int read_at(const struct arrow_file *file, void *to, size_t length, uint64_t offset)
{
	int64_t got = stream_read_at(file->reader->stream, to, length, offset);

	if (got < 0)
		return format_stream_error(file->reader, got);
	if ((size_t)got < length)
		return format_fail(file->reader, -EIO, "the file became shorter while it was read");
	return 0;
}

int arrow_file_open(struct format_reader *reader, struct arrow_file *file)
{
	uint64_t size = reader->stream->size;
	char start[START_BYTES], end[END_BYTES];
	uint32_t contents;
	int result;

	memset(file, 0, sizeof(*file));
	file->reader = reader;
	file->end = size;
	if (size < START_BYTES)
		return format_refuse(reader, "not an Arrow file: it has %" PRIu64 " bytes", size);
	result = read_at(file, start, sizeof(start), 0);
	if (result < 0)
		return result;
	if (memcmp(start, FEATHER_1, sizeof(FEATHER_1) - 1) == 0)
		return format_refuse(reader, "Feather version 1 cannot be read here; pyarrow can "
		                             "read it and write it as version 2");
	if (memcmp(start, MAGIC, MAGIC_BYTES) != 0)
		return 0;
	if (size < START_BYTES + END_BYTES)
		return format_refuse(reader, "the Arrow file is cut off");
	result = read_at(file, end, sizeof(end), size - END_BYTES);
	if (result < 0)
		return result;
	memcpy(&contents, end, sizeof(contents));
	contents = le32toh(contents);
	if (memcmp(end + sizeof(contents), MAGIC, MAGIC_BYTES) != 0)
		return format_refuse(reader,
		                     "the Arrow file is cut off: it does not end with " MAGIC);
	if (contents > size - START_BYTES - END_BYTES)
		return format_refuse(reader, "its table of contents is longer than the file");
	file->begin = file->next = START_BYTES;
	file->end = size - END_BYTES - contents;
	file->contents_bytes = contents;
	return 0;
}

void arrow_file_close(struct arrow_file *file)
{
	free(file->bytes);
	memset(file, 0, sizeof(*file));
}

void arrow_file_rewind(struct arrow_file *file)
{
	file->next = file->begin;
}

/* Have room for the header of a message. */
static int make_room(struct arrow_file *file, size_t length)
{
	unsigned char *grown;

	if (length <= file->room)
		return 0;
	grown = realloc(file->bytes, length);
	if (grown == NULL)
		return format_fail(file->reader, -ENOMEM, "%s", strerror(ENOMEM));
	file->bytes = grown;
	file->room = length;
	return 0;
}

/* The length of the next message's header, 0 at the end. */
static int read_length(struct arrow_file *file, uint32_t *length)
{
	uint32_t words[2] = { 0 };
	uint64_t left = file->end - file->next;
	int result = 0;

	*length = 0;
	if (left == 0)
		return 0;
	if (left >= sizeof(words[0]))
		result = read_at(file, words,
		                 left < sizeof(words) ? sizeof(words[0]) : sizeof(words),
		                 file->next);
	if (result < 0)
		return result;
	file->next += le32toh(words[0]) == CONTINUES ? sizeof(words) : sizeof(words[0]);
	*length = le32toh(words[le32toh(words[0]) == CONTINUES ? 1 : 0]);
	if (file->next > file->end || *length > file->end - file->next)
		return format_refuse(file->reader,
		                     file->begin == 0 && file->kind == 0
		                             ? "not an Arrow file or stream"
		                             : "a header is longer than the rest of the file");
	if (*length > HEADER_BYTES_MAX)
		return format_refuse(file->reader, "a header has %" PRIu32 " bytes", *length);
	return 0;
}

int arrow_file_next(struct arrow_file *file)
{
	struct flat_table message;
	uint32_t length;
	int64_t body_bytes;
	int result = read_length(file, &length);

	if (result < 0 || length == 0)
		return result;
	result = make_room(file, length);
	if (result == 0)
		result = read_at(file, file->bytes, length, file->next);
	if (result < 0)
		return result;
	file->next += length;
	file->flat = (struct flat){ .bytes = file->bytes, .length = length };
	message = flat_root(&file->flat);
	file->version = flat_integer(&file->flat, &message, MESSAGE_VERSION, 2, 0);
	file->kind = flat_integer(&file->flat, &message, MESSAGE_KIND, 1, 0);
	file->header = flat_table(&file->flat, &message, MESSAGE_HEADER);
	body_bytes = flat_integer(&file->flat, &message, MESSAGE_BODY_BYTES, 8, 0);
	if (file->flat.bad || file->header.at == 0)
		return format_refuse(file->reader, file->begin == 0 && file->next == length + 8
		                                           ? "not an Arrow file or stream"
		                                           : "the header of a message is damaged");
	if (body_bytes < 0 || (uint64_t)body_bytes > file->end - file->next)
		return format_refuse(file->reader,
		                     "the file is cut off: a message claims %" PRId64
		                     " bytes, but %" PRIu64 " are left",
		                     body_bytes, file->end - file->next);
	file->body = file->next;
	file->body_bytes = (uint64_t)body_bytes;
	file->next += file->body_bytes;
	return 1;
}

int arrow_file_schema(struct arrow_file *file)
{
	struct flat_table contents;
	int result;

	if (file->contents_bytes == 0) {
		result = arrow_file_next(file);
		if (result < 0)
			return result;
		if (result == 0 || file->kind != ARROW_SCHEMA)
			return format_refuse(
				file->reader,
				"not an Arrow file or stream: it does not begin with a schema");
		file->begin = file->next;
		return 0;
	}
	if (file->contents_bytes > HEADER_BYTES_MAX)
		return format_refuse(file->reader, "its table of contents has %" PRIu32 " bytes",
		                     file->contents_bytes);
	result = make_room(file, file->contents_bytes);
	if (result == 0)
		result = read_at(file, file->bytes, file->contents_bytes, file->end);
	if (result < 0)
		return result;
	file->flat = (struct flat){ .bytes = file->bytes, .length = file->contents_bytes };
	contents = flat_root(&file->flat);
	file->version = flat_integer(&file->flat, &contents, CONTENTS_VERSION, 2, 0);
	file->header = flat_table(&file->flat, &contents, CONTENTS_SCHEMA);
	if (file->flat.bad || file->header.at == 0)
		return format_refuse(file->reader, "its table of contents is damaged");
	return 0;
}
