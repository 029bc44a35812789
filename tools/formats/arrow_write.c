/*
 * arrow_write.c - writing Arrow's IPC file format, as which Feather of version 2 is known, too.
 */
#include "tools/formats/arrow_write.h"
#include "tools/formats/columns.h"
#include "tools/formats/flatbuffer.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "ARROW1\0"
#define MAGIC_BYTES 6u
/* Vectors in a batch, and rows where those are small. */
#define BATCH_BYTES (16u << 20)
#define BATCH_ROWS_MAX 131072u
/* Where buffers of a batch begin: what Arrow recommends. */
#define ALIGNMENT 64u
/* Before a message's length. */
#define CONTINUES UINT32_MAX
#define PREFIX_BYTES 8u
/* Names of Schema.fbs and Message.fbs. */
enum { VERSION_5 = 4 };
enum { MESSAGE_SCHEMA = 1, MESSAGE_BATCH = 3 };
enum { TYPE_INT = 2, TYPE_FLOAT = 3, TYPE_UTF8 = 5, TYPE_FIXED_LIST = 16 };
/* ID, vector, element; of each its validity, which is left out, and its bytes; text has two. */
#define NODES 3u
#define BUFFERS_MAX 6u

/* A batch that is in the file. */
struct block {
	uint64_t offset, header_bytes, body_bytes;
};

struct writing {
	uint64_t offset; /* bytes written */
	bool begun; /* the schema is written */
	bool keys; /* not numbers */
	struct block *blocks;
	size_t count, room;
	/* The batch that is gathered: */
	unsigned char *vectors;
	size_t rows, rows_max;
	struct flat_builder ids; /* numbers, or offsets of keys */
	struct flat_builder text; /* of keys */
	struct flat_builder header;
};

static int put(struct format_writer *writer, const void *bytes, size_t length)
{
	struct writing *writing = writer->state;
	int result = length > 0 ? writer->write(writer->arg, bytes, length) : 0;

	writing->offset += length;
	return result;
}

/* Zeros up to a multiple of the alignment. */
static int put_padding(struct format_writer *writer, uint64_t length)
{
	static const unsigned char zeros[ALIGNMENT];

	return put(writer, zeros, (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT);
}

static uint64_t padded(uint64_t length)
{
	return (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Begin a message; where the table in it is to be referred to. */
static size_t begin_message(struct flat_builder *header, int kind, uint64_t body_bytes)
{
	static const unsigned char sizes[] = { 2, 1, 4, 8 };
	size_t root, places[4];

	header->length = 0;
	root = header->length;
	flat_put(header, "\0\0\0\0", 4);
	flat_set(header, root, flat_put_table(header, sizes, 4, places), 4);
	flat_set(header, places[0], VERSION_5, 2);
	flat_set(header, places[1], (uint64_t)kind, 1);
	flat_set(header, places[3], body_bytes, 8);
	return places[2];
}

/* Write the message. */
static int put_message(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	uint32_t prefix[2] = { CONTINUES };
	int result;

	/* the body begins where its buffers are aligned */
	while (!writing->header.failed &&
	       (writing->offset + PREFIX_BYTES + writing->header.length) % ALIGNMENT != 0)
		flat_put(&writing->header, "", 1);
	if (writing->header.failed)
		return -ENOMEM;
	prefix[1] = htole32((uint32_t)writing->header.length);
	result = put(writer, prefix, sizeof(prefix));
	return result < 0 ? result : put(writer, writing->header.bytes, writing->header.length);
}

/* ---- the schema ---- */

/* A table in a place of another: where its fields are to *places. */
static void put_table(struct flat_builder *header, size_t place, const unsigned char *sizes,
                      unsigned count, size_t *places)
{
	size_t table = flat_put_table(header, sizes, count, places);

	flat_set(header, place, table - place, 4);
}

static void put_integer_type(struct flat_builder *header, size_t place, unsigned bits,
                             bool is_signed)
{
	static const unsigned char sizes[] = { 4, 1 };
	size_t places[2];

	put_table(header, place, sizes, 2, places);
	flat_set(header, places[0], bits, 4);
	flat_set(header, places[1], is_signed, 1);
}

/* A type that has one number, or none (size 0). */
static void put_simple_type(struct flat_builder *header, size_t place, unsigned char size,
                            uint64_t value)
{
	size_t places[1];

	put_table(header, place, &size, size > 0 ? 1 : 0, places);
	if (size > 0)
		flat_set(header, places[0], value, size);
}

/* A field of a table; where its type and, where it has some, its children go. */
static void put_field(struct flat_builder *header, size_t place, const char *name, int kind,
                      size_t *type, size_t *children)
{
	static const unsigned char sizes[] = { 4, 1, 1, 4, 0, 4 };
	size_t places[6];

	put_table(header, place, sizes, 6, places);
	flat_set(header, places[2], (uint64_t)kind, 1);
	flat_put_string(header, places[0], name);
	*type = places[3];
	*children = places[5];
}

static void put_element_type(const struct format_writer *writer, struct flat_builder *header,
                             size_t place)
{
	switch (writer->type) {
	case ELEMENT_F2:
		put_simple_type(header, place, 2, 0);
		break;
	case ELEMENT_F4:
		put_simple_type(header, place, 2, 1);
		break;
	case ELEMENT_F8:
		put_simple_type(header, place, 2, 2);
		break;
	default:
		put_integer_type(header, place, 8, writer->type == ELEMENT_I1);
		break;
	}
}

static void put_fields(const struct format_writer *writer, struct flat_builder *header,
                       size_t place)
{
	const struct writing *writing = writer->state;
	size_t fields = flat_put_vector(header, place, 2, 4), type, children, child;

	flat_put(header, "\0\0\0\0\0\0\0\0", 8);
	put_field(header, fields, writer->id_column != NULL ? writer->id_column : "id",
	          writing->keys ? TYPE_UTF8 : TYPE_INT, &type, &children);
	if (writing->keys)
		put_simple_type(header, type, 0, 0);
	else
		put_integer_type(header, type, 64, false);
	(void)flat_put_vector(header, children, 0, 4);

	put_field(header, fields + 4,
	          writer->vector_column != NULL ? writer->vector_column : "vector", TYPE_FIXED_LIST,
	          &type, &children);
	put_simple_type(header, type, 4, writer->dim);
	child = flat_put_vector(header, children, 1, 4);
	flat_put(header, "\0\0\0\0", 4);
	put_field(header, child, "item", element_is_float(writer->type) ? TYPE_FLOAT : TYPE_INT,
	          &type, &children);
	put_element_type(writer, header, type);
	(void)flat_put_vector(header, children, 0, 4);
}

/* What is known of the vectors beyond their shape. */
static void put_notes(const struct format_writer *writer, struct flat_builder *header, size_t place)
{
	static const unsigned char sizes[] = { 4, 4 };
	const char *const notes[][2] = { { "dtype", writer->dtype },
		                         { "metric", writer->metric },
		                         { "label", writer->label } };
	size_t count = writer->label != NULL && writer->label[0] != '\0' ? 3 : 2;
	size_t elements = flat_put_vector(header, place, count, 4), places[2];

	for (size_t i = 0; i < count; i++)
		flat_put(header, "\0\0\0\0", 4);
	for (size_t i = 0; i < count; i++) {
		put_table(header, elements + 4 * i, sizes, 2, places);
		flat_put_string(header, places[0], notes[i][0]);
		flat_put_string(header, places[1], notes[i][1]);
	}
}

/* The schema as a table in a place of another. */
static void put_schema(const struct format_writer *writer, struct flat_builder *header,
                       size_t place)
{
	const unsigned char sizes[] = { 2, 4, writer->metric != NULL ? 4 : 0 };
	size_t places[3];

	put_table(header, place, sizes, 3, places);
	put_fields(writer, header, places[1]);
	if (writer->metric != NULL)
		put_notes(writer, header, places[2]);
}

/* Write what comes before all batches, once it is known whether there are keys. */
static int begin(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	int result = put(writer, MAGIC, sizeof(MAGIC));

	writing->begun = true;
	put_schema(writer, &writing->header, begin_message(&writing->header, MESSAGE_SCHEMA, 0));
	return result < 0 ? result : put_message(writer);
}

/* ---- batches ---- */

static void put_pair(struct flat_builder *header, uint64_t first, uint64_t second)
{
	uint64_t pair[2] = { htole64(first), htole64(second) };

	flat_put(header, pair, sizeof(pair));
}

/* The header of the batch that is gathered; the bytes of its body. */
static uint64_t make_batch_header(const struct format_writer *writer)
{
	static const unsigned char sizes[] = { 8, 4, 4 };
	struct writing *writing = writer->state;
	struct flat_builder *header = &writing->header;
	uint64_t ids = writing->ids.length, text = writing->text.length;
	uint64_t vectors = writing->rows * element_row_bytes(writer->type, writer->dim);
	uint64_t at = padded(ids);
	size_t places[3];

	put_table(header, begin_message(header, MESSAGE_BATCH, at + padded(text) + padded(vectors)),
	          sizes, 3, places);
	flat_set(header, places[0], writing->rows, 8);
	(void)flat_put_vector(header, places[1], NODES, 8);
	put_pair(header, writing->rows, 0);
	put_pair(header, writing->rows, 0);
	put_pair(header, (uint64_t)writing->rows * writer->dim, 0);
	(void)flat_put_vector(header, places[2], BUFFERS_MAX - !writing->keys, 8);
	put_pair(header, 0, 0);
	put_pair(header, 0, ids);
	if (writing->keys) {
		put_pair(header, at, text);
		at += padded(text);
	}
	put_pair(header, at, 0);
	put_pair(header, at, 0);
	put_pair(header, at, vectors);
	return at + padded(vectors);
}

static int put_buffer(struct format_writer *writer, const void *bytes, size_t length)
{
	int result = put(writer, bytes, length);

	return result < 0 ? result : put_padding(writer, length);
}

/* Remember where a batch begins. */
static struct block *add_block(struct writing *writing)
{
	if (writing->count == writing->room) {
		size_t room = writing->room > 0 ? 2 * writing->room : 16;
		struct block *blocks = realloc(writing->blocks, room * sizeof(*blocks));

		if (blocks == NULL)
			return NULL;
		writing->blocks = blocks;
		writing->room = room;
	}
	return &writing->blocks[writing->count++];
}

/* Write what is gathered. */
static int put_batch(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	struct block *block;
	int result;

	if (writing->rows == 0)
		return 0;
	block = add_block(writing);
	if (block == NULL)
		return -ENOMEM;
	block->offset = writing->offset;
	block->body_bytes = make_batch_header(writer);
	result = put_message(writer);
	block->header_bytes = writing->offset - block->offset;
	if (result == 0)
		result = put_buffer(writer, writing->ids.bytes, writing->ids.length);
	if (result == 0)
		result = put_buffer(writer, writing->text.bytes, writing->text.length);
	if (result == 0)
		result = put_buffer(writer, writing->vectors,
		                    writing->rows * element_row_bytes(writer->type, writer->dim));
	writing->rows = 0;
	writing->ids.length = writing->text.length = 0;
	return result;
}

int arrow_write_header(struct format_writer *writer)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	struct writing *writing;

	if (writer->type == ELEMENT_BF2)
		return format_writer_refuse(writer,
		                            "Arrow has no type for bf2; --dtype f4 writes the "
		                            "same numbers");
	writing = calloc(1, sizeof(*writing));
	if (writing == NULL)
		return -ENOMEM;
	writer->state = writing;
	writing->rows_max = BATCH_BYTES / row_bytes;
	if (writing->rows_max == 0)
		writing->rows_max = 1;
	if (writing->rows_max > BATCH_ROWS_MAX)
		writing->rows_max = BATCH_ROWS_MAX;
	writing->vectors = malloc(writing->rows_max * row_bytes);
	return writing->vectors == NULL ? -ENOMEM : 0;
}

/* Gather a key: its bytes, and where they end. */
static int add_key(struct format_writer *writer, uint64_t id, const char *key)
{
	struct writing *writing = writer->state;
	uint32_t end;

	if (!columns_is_text(key))
		return format_writer_refuse(writer, "the key of vector %" PRIu64 " is not UTF-8",
		                            id);
	if (writing->rows == 0)
		flat_put(&writing->ids, "\0\0\0\0", 4);
	flat_put(&writing->text, key, strlen(key));
	end = htole32((uint32_t)writing->text.length);
	flat_put(&writing->ids, &end, sizeof(end));
	return 0;
}

int arrow_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	struct writing *writing = writer->state;
	uint64_t number = htole64(id);
	int result = 0;

	writing->keys = key != NULL;
	if (!writing->begun)
		result = begin(writer);
	if (result == 0 && key != NULL)
		result = add_key(writer, id, key);
	else if (result == 0)
		flat_put(&writing->ids, &number, sizeof(number));
	if (result < 0)
		return result;
	if (writing->ids.failed || writing->text.failed)
		return -ENOMEM;
	memcpy(writing->vectors + writing->rows * row_bytes, row, row_bytes);
	writing->rows++;
	return writing->rows == writing->rows_max || writing->text.length >= BATCH_BYTES
	               ? put_batch(writer)
	               : 0;
}

/* ---- the end ---- */

/* The table of contents. */
static void make_contents(const struct format_writer *writer)
{
	static const unsigned char sizes[] = { 2, 4, 4, 4 };
	struct writing *writing = writer->state;
	struct flat_builder *header = &writing->header;
	size_t places[4];

	header->length = 0;
	flat_put(header, "\0\0\0\0", 4);
	flat_set(header, 0, flat_put_table(header, sizes, 4, places), 4);
	flat_set(header, places[0], VERSION_5, 2);
	put_schema(writer, header, places[1]);
	(void)flat_put_vector(header, places[2], 0, 8);
	(void)flat_put_vector(header, places[3], writing->count, 8);
	for (size_t i = 0; i < writing->count; i++) {
		put_pair(header, writing->blocks[i].offset, writing->blocks[i].header_bytes);
		flat_put(header, &(uint64_t){ htole64(writing->blocks[i].body_bytes) }, 8);
	}
}

int arrow_write_finish(struct format_writer *writer)
{
	static const unsigned char end[] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 };
	struct writing *writing = writer->state;
	uint32_t length;
	int result = writing->begun ? 0 : begin(writer);

	if (result == 0)
		result = put_batch(writer);
	if (result == 0)
		result = put(writer, end, sizeof(end));
	if (result < 0)
		return result;
	make_contents(writer);
	if (writing->header.failed)
		return -ENOMEM;
	if (writing->header.length > INT32_MAX)
		return format_writer_refuse(writer, "too many batches for an Arrow file");
	length = htole32((uint32_t)writing->header.length);
	result = put(writer, writing->header.bytes, writing->header.length);
	if (result == 0)
		result = put(writer, &length, sizeof(length));
	return result < 0 ? result : put(writer, MAGIC, MAGIC_BYTES);
}

void arrow_write_end(struct format_writer *writer)
{
	struct writing *writing = writer->state;

	if (writing == NULL)
		return;
	flat_builder_free(&writing->ids);
	flat_builder_free(&writing->text);
	flat_builder_free(&writing->header);
	free(writing->blocks);
	free(writing->vectors);
	free(writing);
	writer->state = NULL;
}
