/*
 * parquet_write.c - writing Parquet, for which no library is needed.
 */
#include "tools/formats/parquet_write.h"
#include "engine/codec/printable.h"
#include "tools/formats/thrift.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "PAR1"
#define MAGIC_BYTES 4u
/* What is read at once by others: of vectors, and rows where those are small. */
#define GROUP_BYTES (16u << 20)
#define GROUP_ROWS_MAX 131072u
/* Of vectors in a page, which others hold in memory. */
#define PAGE_BYTES (1u << 20)
/* Numbers of one byte are kept in one by a dictionary of all of them. */
#define DICTIONARY_VALUES 256u

/* Names of the format, of parquet.thrift. */
enum {
	TYPE_INT32 = 1,
	TYPE_INT64 = 2,
	TYPE_FLOAT = 4,
	TYPE_DOUBLE = 5,
	TYPE_BYTES = 6,
	TYPE_FIXED = 7
};
enum {
	CONVERTED_UTF8 = 0,
	CONVERTED_LIST = 3,
	CONVERTED_UINT_8 = 11,
	CONVERTED_UINT_64 = 14,
	CONVERTED_INT_8 = 15
};
enum { REQUIRED = 0, REPEATED = 2 };
enum { ENCODING_PLAIN = 0, ENCODING_RLE = 3, ENCODING_DICTIONARY = 8 };
enum { PAGE_DATA = 0, PAGE_DICTIONARY = 2 };

/* A column of a row group that is in the file. */
struct chunk {
	uint64_t offset; /* of its first page of data */
	uint64_t dictionary_offset; /* 0: it has none */
	uint64_t bytes;
	uint64_t values;
};

struct group {
	struct chunk ids, vectors;
	uint64_t rows;
};

struct writing {
	uint64_t offset; /* bytes written */
	struct group *groups; /* those that are in the file */
	size_t count, room;
	/* The one that is gathered: */
	unsigned char *vectors;
	size_t rows, rows_max;
	struct thrift ids; /* bytes as they go into the page */
	bool keys; /* not numbers */
	struct thrift header; /* of a page */
	struct thrift levels; /* of a page of vectors */
};

static bool has_dictionary(const struct format_writer *writer)
{
	return writer->type == ELEMENT_I1 || writer->type == ELEMENT_U1;
}

static int put(struct format_writer *writer, const void *bytes, size_t length)
{
	struct writing *writing = writer->state;
	int result = length > 0 ? writer->write(writer->arg, bytes, length) : 0;

	writing->offset += length;
	return result;
}

/* Write the header of a page; what is in it, `bytes` long, follows. */
static int put_page_header(struct format_writer *writer, int page, int encoding, uint64_t values,
                           uint64_t bytes)
{
	struct thrift *header = &((struct writing *)writer->state)->header;

	thrift_clear(header);
	thrift_i32(header, 1, page);
	thrift_i32(header, 2, (int32_t)bytes);
	thrift_i32(header, 3, (int32_t)bytes);
	thrift_struct(header, page == PAGE_DATA ? 5 : 7);
	thrift_i32(header, 1, (int32_t)values);
	thrift_i32(header, 2, encoding);
	if (page == PAGE_DATA) {
		thrift_i32(header, 3, ENCODING_RLE);
		thrift_i32(header, 4, ENCODING_RLE);
	}
	thrift_end(header);
	thrift_end(header);
	return header->failed ? -ENOMEM : put(writer, header->bytes, header->length);
}

/* A run of one number of one bit. */
static void put_run(struct thrift *levels, uint64_t count, unsigned char value)
{
	if (count == 0)
		return;
	thrift_varint(levels, count << 1);
	thrift_raw(levels, &value, 1);
}

/* Where lists begin, and that all their elements are there: each with its length before it. */
static void make_levels(const struct format_writer *writer, size_t rows, struct thrift *levels)
{
	uint32_t length = 0;
	size_t begin;

	thrift_clear(levels);
	thrift_raw(levels, &length, sizeof(length));
	for (size_t i = 0; i < rows && writer->dim > 1; i++) {
		put_run(levels, 1, 0);
		put_run(levels, writer->dim - 1, 1);
	}
	if (writer->dim == 1)
		put_run(levels, rows, 0);
	if (levels->failed)
		return;
	length = htole32((uint32_t)(levels->length - sizeof(length)));
	memcpy(levels->bytes, &length, sizeof(length));
	begin = levels->length;
	thrift_raw(levels, &length, sizeof(length));
	put_run(levels, (uint64_t)rows * writer->dim, 1);
	if (levels->failed)
		return;
	length = htole32((uint32_t)(levels->length - begin - sizeof(length)));
	memcpy(levels->bytes + begin, &length, sizeof(length));
}

/* Numbers of a dictionary: their width, and one run of eights of them as they are. */
static void begin_indexes(struct thrift *levels, uint64_t values)
{
	static const unsigned char width = 8;

	thrift_raw(levels, &width, 1);
	thrift_varint(levels, (values + 7) / 8 << 1 | 1);
}

/* Write one page of vectors. */
static int put_page(struct format_writer *writer, size_t first, size_t rows)
{
	static const unsigned char zeros[8];
	struct writing *writing = writer->state;
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	bool dictionary = has_dictionary(writer);
	uint64_t values = (uint64_t)rows * writer->dim;
	size_t padding = dictionary ? (8 - values % 8) % 8 : 0;
	int result;

	make_levels(writer, rows, &writing->levels);
	if (dictionary)
		begin_indexes(&writing->levels, values);
	if (writing->levels.failed)
		return -ENOMEM;
	result = put_page_header(writer, PAGE_DATA,
	                         dictionary ? ENCODING_DICTIONARY : ENCODING_PLAIN, values,
	                         writing->levels.length + rows * row_bytes + padding);
	if (result == 0)
		result = put(writer, writing->levels.bytes, writing->levels.length);
	if (result == 0)
		result = put(writer, writing->vectors + first * row_bytes, rows * row_bytes);
	return result < 0 ? result : put(writer, zeros, padding);
}

/* All numbers of one byte, in the order of their bits. */
static int put_dictionary(struct format_writer *writer)
{
	uint32_t values[DICTIONARY_VALUES];
	int result;

	for (unsigned i = 0; i < DICTIONARY_VALUES; i++)
		values[i] = htole32(writer->type == ELEMENT_I1 ? (uint32_t)(int8_t)i : i);
	result = put_page_header(writer, PAGE_DICTIONARY, ENCODING_PLAIN, DICTIONARY_VALUES,
	                         sizeof(values));
	return result < 0 ? result : put(writer, values, sizeof(values));
}

static int put_vectors(struct format_writer *writer, struct chunk *chunk)
{
	struct writing *writing = writer->state;
	size_t most = PAGE_BYTES / element_row_bytes(writer->type, writer->dim);
	uint64_t begin = writing->offset;
	int result = 0;

	if (has_dictionary(writer)) {
		chunk->dictionary_offset = begin;
		result = put_dictionary(writer);
	}
	chunk->offset = writing->offset;
	if (most == 0)
		most = 1;
	for (size_t done = 0; done < writing->rows && result == 0; done += most)
		result = put_page(writer, done,
		                  writing->rows - done < most ? writing->rows - done : most);
	chunk->values = (uint64_t)writing->rows * writer->dim;
	chunk->bytes = writing->offset - begin;
	return result;
}

static int put_ids(struct format_writer *writer, struct chunk *chunk)
{
	struct writing *writing = writer->state;
	int result;

	chunk->offset = writing->offset;
	chunk->values = writing->rows;
	result = put_page_header(writer, PAGE_DATA, ENCODING_PLAIN, writing->rows,
	                         writing->ids.length);
	if (result == 0)
		result = put(writer, writing->ids.bytes, writing->ids.length);
	chunk->bytes = writing->offset - chunk->offset;
	return result;
}

/* Write what is gathered as a row group. */
static int put_group(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	struct group *group;
	int result;

	if (writing->rows == 0)
		return 0;
	if (writing->count == writing->room) {
		size_t room = writing->room > 0 ? 2 * writing->room : 16;
		struct group *groups = realloc(writing->groups, room * sizeof(*groups));

		if (groups == NULL)
			return -ENOMEM;
		writing->groups = groups;
		writing->room = room;
	}
	group = &writing->groups[writing->count++];
	memset(group, 0, sizeof(*group));
	group->rows = writing->rows;
	result = put_ids(writer, &group->ids);
	if (result == 0)
		result = put_vectors(writer, &group->vectors);
	writing->rows = 0;
	thrift_clear(&writing->ids);
	return result;
}

int parquet_write_header(struct format_writer *writer)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	struct writing *writing;

	if (writer->type == ELEMENT_BF2)
		return format_writer_refuse(writer,
		                            "Parquet has no type for bf2; --dtype f4 writes "
		                            "the same numbers");
	writing = calloc(1, sizeof(*writing));
	if (writing == NULL)
		return -ENOMEM;
	writer->state = writing;
	writing->rows_max = GROUP_BYTES / row_bytes;
	if (writing->rows_max == 0)
		writing->rows_max = 1;
	if (writing->rows_max > GROUP_ROWS_MAX)
		writing->rows_max = GROUP_ROWS_MAX;
	writing->vectors = malloc(writing->rows_max * row_bytes);
	return writing->vectors == NULL ? -ENOMEM : put(writer, MAGIC, MAGIC_BYTES);
}

/* A key that is no UTF-8 cannot be text. */
static int check_key(struct format_writer *writer, uint64_t id, const char *key)
{
	size_t bytes;

	for (size_t left = strlen(key); left > 0; left -= bytes, key += bytes) {
		if (utf8_character(key, left, &bytes) == UINT32_MAX)
			return format_writer_refuse(
				writer, "the key of vector %" PRIu64 " is not UTF-8", id);
	}
	return 0;
}

/* Gather an ID or a key. */
static int add_id(struct format_writer *writer, uint64_t id, const char *key)
{
	struct writing *writing = writer->state;
	uint64_t number = htole64(id);
	uint32_t length;
	int result;

	writing->keys = key != NULL;
	if (key == NULL) {
		thrift_raw(&writing->ids, &number, sizeof(number));
		return writing->ids.failed ? -ENOMEM : 0;
	}
	result = check_key(writer, id, key);
	if (result < 0)
		return result;
	length = htole32((uint32_t)strlen(key));
	thrift_raw(&writing->ids, &length, sizeof(length));
	thrift_raw(&writing->ids, key, strlen(key));
	return writing->ids.failed ? -ENOMEM : 0;
}

int parquet_write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	struct writing *writing = writer->state;
	int result = add_id(writer, id, key);

	if (result < 0)
		return result;
	memcpy(writing->vectors + writing->rows * row_bytes, row, row_bytes);
	writing->rows++;
	return writing->rows == writing->rows_max || writing->ids.length >= GROUP_BYTES
	               ? put_group(writer)
	               : 0;
}

/* ---- the footer ---- */

static const char *name_of_ids(const struct format_writer *writer)
{
	return writer->id_column != NULL ? writer->id_column : "id";
}

static const char *name_of_vectors(const struct format_writer *writer)
{
	return writer->vector_column != NULL ? writer->vector_column : "vector";
}

static int type_of(const struct format_writer *writer)
{
	switch (writer->type) {
	case ELEMENT_F4:
		return TYPE_FLOAT;
	case ELEMENT_F8:
		return TYPE_DOUBLE;
	case ELEMENT_F2:
		return TYPE_FIXED;
	default:
		return TYPE_INT32;
	}
}

/* An integer's width and sign, as old and new readers look for them. */
static void put_integer(struct thrift *footer, int converted, int8_t bits, bool is_signed)
{
	thrift_i32(footer, 6, converted);
	thrift_struct(footer, 10);
	thrift_struct(footer, 10);
	thrift_i8(footer, 1, bits);
	thrift_bool(footer, 2, is_signed);
	thrift_end(footer);
	thrift_end(footer);
}

/* A type that has no more to it than its name. */
static void put_logical(struct thrift *footer, int field)
{
	thrift_struct(footer, 10);
	thrift_struct(footer, field);
	thrift_end(footer);
	thrift_end(footer);
}

static void put_id_schema(const struct format_writer *writer, struct thrift *footer)
{
	const struct writing *writing = writer->state;

	thrift_element_struct(footer);
	thrift_i32(footer, 1, writing->keys ? TYPE_BYTES : TYPE_INT64);
	thrift_i32(footer, 3, REQUIRED);
	thrift_string(footer, 4, name_of_ids(writer));
	if (writing->keys) {
		thrift_i32(footer, 6, CONVERTED_UTF8);
		put_logical(footer, 1);
	} else {
		put_integer(footer, CONVERTED_UINT_64, 64, false);
	}
	thrift_end(footer);
}

/* A list, its elements, one of them. */
static void put_vector_schema(const struct format_writer *writer, struct thrift *footer)
{
	thrift_element_struct(footer);
	thrift_i32(footer, 3, REQUIRED);
	thrift_string(footer, 4, name_of_vectors(writer));
	thrift_i32(footer, 5, 1);
	thrift_i32(footer, 6, CONVERTED_LIST);
	put_logical(footer, 3);
	thrift_end(footer);

	thrift_element_struct(footer);
	thrift_i32(footer, 3, REPEATED);
	thrift_string(footer, 4, "list");
	thrift_i32(footer, 5, 1);
	thrift_end(footer);

	thrift_element_struct(footer);
	thrift_i32(footer, 1, type_of(writer));
	if (writer->type == ELEMENT_F2)
		thrift_i32(footer, 2, 2);
	thrift_i32(footer, 3, REQUIRED);
	thrift_string(footer, 4, "element");
	if (writer->type == ELEMENT_F2)
		put_logical(footer, 15);
	else if (writer->type == ELEMENT_I1)
		put_integer(footer, CONVERTED_INT_8, 8, true);
	else if (writer->type == ELEMENT_U1)
		put_integer(footer, CONVERTED_UINT_8, 8, false);
	thrift_end(footer);
}

/* Where a column of a row group is. */
static void put_chunk(struct thrift *footer, const struct chunk *chunk, int type,
                      const char *const *path, size_t path_length)
{
	bool dictionary = chunk->dictionary_offset != 0;

	thrift_element_struct(footer);
	thrift_i64(footer, 2, 0);
	thrift_struct(footer, 3);
	thrift_i32(footer, 1, type);
	thrift_list(footer, 2, THRIFT_I32, dictionary ? 3 : 2);
	thrift_element_i32(footer, ENCODING_PLAIN);
	thrift_element_i32(footer, ENCODING_RLE);
	if (dictionary)
		thrift_element_i32(footer, ENCODING_DICTIONARY);
	thrift_list(footer, 3, THRIFT_BINARY, path_length);
	for (size_t i = 0; i < path_length; i++)
		thrift_element_string(footer, path[i]);
	thrift_i32(footer, 4, 0);
	thrift_i64(footer, 5, (int64_t)chunk->values);
	thrift_i64(footer, 6, (int64_t)chunk->bytes);
	thrift_i64(footer, 7, (int64_t)chunk->bytes);
	thrift_i64(footer, 9, (int64_t)chunk->offset);
	if (dictionary)
		thrift_i64(footer, 11, (int64_t)chunk->dictionary_offset);
	thrift_end(footer);
	thrift_end(footer);
}

static void put_groups(const struct format_writer *writer, struct thrift *footer)
{
	const struct writing *writing = writer->state;
	const char *const id_path[] = { name_of_ids(writer) };
	const char *const vector_path[] = { name_of_vectors(writer), "list", "element" };

	thrift_list(footer, 4, THRIFT_STRUCT, writing->count);
	for (size_t i = 0; i < writing->count; i++) {
		const struct group *group = &writing->groups[i];
		uint64_t bytes = group->ids.bytes + group->vectors.bytes;

		thrift_element_struct(footer);
		thrift_list(footer, 1, THRIFT_STRUCT, 2);
		put_chunk(footer, &group->ids, writing->keys ? TYPE_BYTES : TYPE_INT64, id_path, 1);
		put_chunk(footer, &group->vectors, type_of(writer), vector_path, 3);
		thrift_i64(footer, 2, (int64_t)bytes);
		thrift_i64(footer, 3, (int64_t)group->rows);
		thrift_i64(footer, 5, (int64_t)group->ids.offset);
		thrift_i64(footer, 6, (int64_t)bytes);
		thrift_end(footer);
	}
}

static void put_note(struct thrift *footer, const char *name, const char *value)
{
	thrift_element_struct(footer);
	thrift_string(footer, 1, name);
	thrift_string(footer, 2, value);
	thrift_end(footer);
}

/* What is known of the vectors beyond their shape. */
static void put_notes(const struct format_writer *writer, struct thrift *footer)
{
	bool label = writer->label != NULL && writer->label[0] != '\0';

	if (writer->metric == NULL)
		return;
	thrift_list(footer, 5, THRIFT_STRUCT, label ? 3 : 2);
	put_note(footer, "dtype", writer->dtype);
	put_note(footer, "metric", writer->metric);
	if (label)
		put_note(footer, "label", writer->label);
}

static void make_footer(const struct format_writer *writer, struct thrift *footer)
{
	thrift_i32(footer, 1, 1);
	thrift_list(footer, 2, THRIFT_STRUCT, 5);
	thrift_element_struct(footer);
	thrift_string(footer, 4, "schema");
	thrift_i32(footer, 5, 2);
	thrift_end(footer);
	put_id_schema(writer, footer);
	put_vector_schema(writer, footer);
	thrift_i64(footer, 3, (int64_t)writer->rows);
	put_groups(writer, footer);
	put_notes(writer, footer);
	thrift_string(footer, 6, "quiverfs");
	thrift_end(footer);
}

int parquet_write_finish(struct format_writer *writer)
{
	struct thrift footer = { 0 };
	uint32_t length;
	int result = put_group(writer);

	if (result == 0) {
		make_footer(writer, &footer);
		result = footer.failed ? -ENOMEM : 0;
	}
	if (result == 0 && footer.length > INT32_MAX)
		result = format_writer_refuse(writer, "too many row groups for a Parquet file");
	length = htole32((uint32_t)footer.length);
	if (result == 0)
		result = put(writer, footer.bytes, footer.length);
	if (result == 0)
		result = put(writer, &length, sizeof(length));
	if (result == 0)
		result = put(writer, MAGIC, MAGIC_BYTES);
	thrift_free(&footer);
	return result;
}

void parquet_write_end(struct format_writer *writer)
{
	struct writing *writing = writer->state;

	if (writing == NULL)
		return;
	thrift_free(&writing->ids);
	thrift_free(&writing->header);
	thrift_free(&writing->levels);
	free(writing->groups);
	free(writing->vectors);
	free(writing);
	writer->state = NULL;
}
