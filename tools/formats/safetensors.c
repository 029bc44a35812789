/*
 * safetensors.c - one tensor of a .safetensors file as rows of vectors.
 *
 * The length of the header as a uint64, the header (a JSON object that maps the name of
 * each tensor to its dtype, shape and place in the data), then the data. Everything
 * little-endian, rows one after another.
 */
#include "tools/formats/formats.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A tensor takes some 100 bytes of the header; files have thousands of them, not more. */
#define HEADER_BYTES_MAX (16u << 20)
/* Room for every header that is written here but for the label, of which JSON may make twice as
 * much: the data begins at a multiple of 8. */
#define WRITTEN_BYTES 512u
#define LABEL_ROOM_MAX 2048u
/* The name a tensor gets where none is given. */
#define NAME_DEFAULT "vectors"
/* Name of the entry that is no tensor. */
#define METADATA "__metadata__"

static const struct {
	const char *name;
	enum element type;
} dtypes[] = {
	{ "F32", ELEMENT_F4 },    { "F16", ELEMENT_F2 },   { "F64", ELEMENT_F8 },
	{ "I8", ELEMENT_I1 },     { "U8", ELEMENT_U1 },    { "I16", ELEMENT_I2 },
	{ "U16", ELEMENT_U2 },    { "I32", ELEMENT_I4 },   { "U32", ELEMENT_U4 },
	{ "I64", ELEMENT_I8 },    { "BF16", ELEMENT_BF2 }, { "U64", ELEMENT_U8 },
	{ "BOOL", ELEMENT_BOOL },
};

#define DTYPES (sizeof(dtypes) / sizeof(dtypes[0]))

struct tensor {
	const char *name;
	const char *dtype;
	const json_t *shape;
	uint64_t begin, end; /* within the data */
};

/* Read and parse the header. The caller's to give back. */
static int load_header(struct format_reader *reader, json_t **header)
{
	struct stream *stream = reader->stream;
	json_error_t error;
	uint64_t length;
	const unsigned char *at;
	int64_t got = stream_read(stream, &length, sizeof(length));

	if (got < 0)
		return format_stream_error(reader, got);
	length = le64toh(length);
	if (got < (int64_t)sizeof(length))
		return format_refuse(reader, "the file ends within its header");
	if (length > HEADER_BYTES_MAX)
		return format_refuse(reader,
		                     "its header claims %" PRIu64 " bytes: not a .safetensors file",
		                     length);
	got = stream_peek(stream, (size_t)length, &at);
	if (got < 0)
		return format_stream_error(reader, got);
	if ((uint64_t)got < length)
		return format_refuse(reader, "the file ends within its header");
	*header = json_loadb((const char *)at, (size_t)length, JSON_REJECT_DUPLICATES, &error);
	if (*header == NULL)
		return format_refuse(reader, "its header is not JSON: %s", error.text);
	if (!json_is_object(*header)) {
		json_decref(*header);
		return format_refuse(reader, "its header is not a JSON object");
	}
	reader->data_offset = sizeof(length) + length;
	got = stream_skip(stream, length);
	if (got < 0) {
		json_decref(*header);
		return format_stream_error(reader, got);
	}
	return 0;
}

/* What the header says of one tensor. */
static int parse_tensor(struct format_reader *reader, const char *name, json_t *entry,
                        struct tensor *tensor)
{
	const json_t *offsets = json_object_get(entry, "data_offsets");
	json_int_t begin, end;

	tensor->name = name;
	tensor->dtype = json_string_value(json_object_get(entry, "dtype"));
	tensor->shape = json_object_get(entry, "shape");
	if (tensor->dtype == NULL || !json_is_array(tensor->shape) || !json_is_array(offsets) ||
	    json_array_size(offsets) != 2 || !json_is_integer(json_array_get(offsets, 0)) ||
	    !json_is_integer(json_array_get(offsets, 1)))
		return format_refuse(reader,
		                     "its header is broken: tensor '%.100s' needs dtype, shape and "
		                     "two data_offsets",
		                     name);
	begin = json_integer_value(json_array_get(offsets, 0));
	end = json_integer_value(json_array_get(offsets, 1));
	if (begin < 0 || end < begin)
		return format_refuse(reader,
		                     "its header is broken: tensor '%.100s' ends before it begins",
		                     name);
	tensor->begin = (uint64_t)begin;
	tensor->end = (uint64_t)end;
	return 0;
}

/* Say which tensors there are, as many as there is room for. */
static int refuse_choice(struct format_reader *reader, json_t *header, const char *why)
{
	char names[FORMAT_REASON_BYTES / 2] = "";
	const char *name;
	json_t *entry;
	size_t used = 0;

	json_object_foreach(header, name, entry)
	{
		int more;

		if (strcmp(name, METADATA) == 0)
			continue;
		more = snprintf(names + used, sizeof(names) - used, "%s%s", used > 0 ? ", " : "",
		                name);
		if (more < 0 || used + (size_t)more >= sizeof(names))
			break;
		used += (size_t)more;
	}
	return format_refuse(reader, "%s; choose one with --dataset NAME: %s", why, names);
}

/* Choose the tensor: the one of the name, or else the only one of two dimensions. *all
 * is where the data of all of them ends. */
static int find_tensor(struct format_reader *reader, json_t *header, struct tensor *found,
                       uint64_t *all)
{
	const char *wanted = reader->wanted.dataset;
	unsigned count = 0;
	const char *name;
	json_t *entry;

	*all = 0;
	json_object_foreach(header, name, entry)
	{
		struct tensor tensor = { 0 };
		int result;

		if (strcmp(name, METADATA) == 0)
			continue;
		result = parse_tensor(reader, name, entry, &tensor);
		if (result < 0)
			return result;
		if (tensor.end > *all)
			*all = tensor.end;
		if (wanted != NULL ? strcmp(name, wanted) == 0
		                   : json_array_size(tensor.shape) == 2) {
			*found = tensor;
			count++;
		}
	}
	if (count == 1)
		return 0;
	if (wanted != NULL)
		return refuse_choice(reader, header, "it has no tensor of this name");
	return refuse_choice(reader, header,
	                     count == 0 ? "it has no tensor of 2 dimensions"
	                                : "it has several tensors of 2 dimensions");
}

/* Set type, dimension and rows from the tensor, and compare them with its place. */
static int set_geometry(struct format_reader *reader, const struct tensor *tensor)
{
	size_t which = 0;
	json_int_t rows, dim;
	uint64_t bytes;

	while (which < DTYPES && strcmp(dtypes[which].name, tensor->dtype) != 0)
		which++;
	if (which == DTYPES)
		return format_refuse(reader, "its dtype '%.40s' is not known here", tensor->dtype);
	if (json_array_size(tensor->shape) != 2)
		return format_refuse(
			reader,
			"the tensor has %zu dimensions; expected 2, with a vector in each row",
			json_array_size(tensor->shape));
	rows = json_integer_value(json_array_get(tensor->shape, 0));
	dim = json_integer_value(json_array_get(tensor->shape, 1));
	reader->type = dtypes[which].type;
	bytes = element_bytes(reader->type);
	if (rows < 0 || dim < 1 || dim > UINT32_MAX ||
	    !json_is_integer(json_array_get(tensor->shape, 0)) ||
	    __builtin_mul_overflow(bytes, (uint64_t)rows, &bytes) ||
	    __builtin_mul_overflow(bytes, (uint64_t)dim, &bytes) ||
	    bytes != tensor->end - tensor->begin)
		return format_refuse(reader,
		                     "its header is broken: the shape of tensor '%.100s' does not "
		                     "fit its data_offsets",
		                     tensor->name);
	reader->rows = (uint64_t)rows;
	reader->dim = (uint32_t)dim;
	return 0;
}

static int open_safetensors(struct format_reader *reader)
{
	struct tensor tensor = { 0 };
	json_t *header = NULL;
	uint64_t all = 0;
	int64_t got;
	int result = load_header(reader, &header);

	if (result < 0)
		return result;
	result = find_tensor(reader, header, &tensor, &all);
	if (result == 0)
		result = set_geometry(reader, &tensor);
	json_decref(header);
	if (result < 0)
		return result;
	if (all > INT64_MAX - reader->data_offset)
		return format_refuse(reader,
		                     "its header promises more data than any file can hold");
	reader->data_offset += tensor.begin;
	result = format_check_size(reader, reader->data_offset - tensor.begin + all);
	if (result < 0)
		return result;
	reader->state = malloc(sizeof(all));
	if (reader->state == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	all -= tensor.end;
	memcpy(reader->state, &all, sizeof(all));
	got = stream_skip(reader->stream, tensor.begin);
	if (got < 0)
		return format_stream_error(reader, got);
	if ((uint64_t)got < tensor.begin && !reader->wanted.partial)
		return format_refuse(reader, "the data ends before the tensor begins");
	return 0;
}

/* What follows the rows is other tensors, `behind` bytes of them, and then nothing. Of a file
 * the length has been looked at. */
static int read_safetensors(struct format_reader *reader, struct format_batch *batch)
{
	uint64_t *behind = reader->state;
	int64_t got;

	batch->count = 0;
	if (reader->row == reader->rows && !reader->stream->sized) {
		got = stream_skip(reader->stream, *behind);
		if (got < 0)
			return format_stream_error(reader, got);
		if ((uint64_t)got < *behind && !reader->wanted.partial)
			return format_refuse(reader, "the data ends before the last tensor does");
		*behind = 0;
	}
	return format_read_plain(reader, batch);
}

static void close_safetensors(struct format_reader *reader)
{
	free(reader->state);
	reader->state = NULL;
}

static const char *dtype_of(enum element type)
{
	size_t which = 0;

	while (which < DTYPES - 1 && dtypes[which].type != type)
		which++;
	return dtypes[which].name;
}

/* What is known of the tensor beyond its shape; the values of this entry are text. NULL without
 * memory. */
static json_t *make_metadata(const struct format_writer *writer)
{
	json_t *metadata =
		json_pack("{s:s, s:s}", "dtype", writer->dtype, "metric", writer->metric);

	if (metadata != NULL && writer->label[0] != '\0' &&
	    json_object_set_new(metadata, "label", json_string(writer->label)) < 0) {
		json_decref(metadata);
		return NULL;
	}
	return metadata;
}

/* The header as text, to be freed. NULL without memory, or where the name is no UTF-8. */
static char *make_header(const struct format_writer *writer, const char *name, uint64_t rows)
{
	uint64_t bytes = rows * element_row_bytes(writer->type, writer->dim);
	json_t *header = json_object();
	char *text = NULL;

	if (header != NULL &&
	    (writer->metric == NULL ||
	     json_object_set_new(header, METADATA, make_metadata(writer)) == 0) &&
	    json_object_set_new(header, name,
	                        json_pack("{s:s, s:[I, I], s:[I, I]}", "dtype",
	                                  dtype_of(writer->type), "shape", (json_int_t)rows,
	                                  (json_int_t)writer->dim, "data_offsets", (json_int_t)0,
	                                  (json_int_t)bytes)) == 0)
		text = json_dumps(header, JSON_COMPACT);
	json_decref(header);
	return text;
}

static size_t label_room(const struct format_writer *writer)
{
	return writer->label != NULL ? (2 * strlen(writer->label) + 7) / 8 * 8 : 0;
}

/* The header is padded with spaces, so that it keeps its length. */
static int put_header(struct format_writer *writer, uint64_t rows,
                      int (*write)(void *arg, const void *bytes, size_t length))
{
	const char *name = writer->dataset != NULL ? writer->dataset : NAME_DEFAULT;
	size_t room = WRITTEN_BYTES + label_room(writer);
	uint64_t length = htole64(room - sizeof(length));
	char header[WRITTEN_BYTES + LABEL_ROOM_MAX];
	char *text = make_header(writer, name, rows);
	size_t used;

	if (text == NULL)
		return format_writer_refuse(writer, "'%s' cannot be the name of a tensor", name);
	used = strlen(text);
	if (room > sizeof(header) || used > room - sizeof(length)) {
		free(text);
		return format_writer_refuse(writer, "the name of the tensor is too long");
	}
	memset(header, ' ', room);
	memcpy(header, &length, sizeof(length));
	memcpy(header + sizeof(length), text, used);
	free(text);
	return write(writer->arg, header, room);
}

static const struct format_calls safetensors_calls = {
	.open = open_safetensors,
	.read = read_safetensors,
	.close = close_safetensors,
	.write_header = format_write_header,
	.put_header = put_header,
	.write_row = format_write_plain,
	.finish = format_finish,
};

const struct format format_safetensors = { "safetensors", ".safetensors", .has_datasets = true,
	                                   .calls = &safetensors_calls };
