/*
 * search_out.c - what a search has found, in the files that a user names.
 */
#include "tools/cli/search_out.h"
#include "engine/codec/element_text.h"
#include "engine/codec/npy.h"
#include "tools/cli/say.h"
#include "tools/formats/format.h"
#include "tools/formats/unpack.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

/* Two decimal uint64, a double, and what is around them. */
#define LINE_BYTES 128
/* A decimal uint64 in quotes. */
#define ID_BYTES 24
/* Of a number in a row. */
#define CELL_BYTES_MAX 8u

static const struct {
	const char *name, *ending;
} formats[] = {
	[SEARCH_TEXT] = { "text", ".txt" },     [SEARCH_JSONL] = { "jsonl", ".jsonl" },
	[SEARCH_IVECS] = { "ivecs", ".ivecs" }, [SEARCH_FVECS] = { "fvecs", ".fvecs" },
	[SEARCH_NPY] = { "npy", ".npy" },
};

enum search_format search_format_by_name(const char *name)
{
	size_t format = 0;

	while (format < SEARCH_FORMAT_NONE && strcmp(formats[format].name, name) != 0)
		format++;
	return (enum search_format)format;
}

enum search_format search_format_by_path(const char *path)
{
	size_t length, format = 0;

	(void)unpack_by_name(path, &length);
	for (; format < SEARCH_FORMAT_NONE; format++) {
		size_t ending = strlen(formats[format].ending);

		if (length > ending &&
		    strncasecmp(path + length - ending, formats[format].ending, ending) == 0)
			break;
	}
	return (enum search_format)format;
}

bool search_format_is_table(enum search_format format)
{
	return format != SEARCH_TEXT && format != SEARCH_JSONL;
}

/* ---- opening ------------------------------------------------------------ */

static int write_header(struct out_file *file, const char *type, uint64_t rows, uint32_t k,
                        int (*write)(struct out_file *file, const void *bytes, size_t length))
{
	char header[NPY_WRITTEN_BYTES];
	int result = npy_format_header(header, type, rows, k);

	return result < 0 ? result : write(file, header, sizeof(header));
}

/* Open a file and, of an .npy, write its header. Says errors. */
static int open_file(const char *path, enum search_format format, const char *type, uint32_t k,
                     uint64_t total, struct apart *apart, struct out_file *file)
{
	size_t length;
	enum unpack_kind kind = unpack_by_name(path, &length);
	int result = out_file_open(path, 0, apart, file);

	if (result == 0 && kind != UNPACK_NONE)
		result = out_file_pack(file, kind);
	if (result < 0 || format != SEARCH_NPY)
		return result;
	if (total == FORMAT_ROWS_UNKNOWN && !out_file_can_restart(file)) {
		say_error(file->path,
		          "an .npy begins with the number of rows, but the number of questions is "
		          "not known yet; write to a file that is not compressed");
		return -ESPIPE;
	}
	return write_header(file, type, total == FORMAT_ROWS_UNKNOWN ? 0 : total, k,
	                    out_file_write);
}

int search_out_open(const struct search_out_options *options, struct apart *apart, uint64_t total,
                    struct search_out *out)
{
	enum search_format format = options->format;
	int result = 0;

	memset(out, 0, sizeof(*out));
	out->options = options;
	out->path = strcmp(options->file, "-") == 0 ? "standard output" : options->file;
	if (search_format_is_table(format) || options->distances != NULL) {
		out->row = malloc(sizeof(int32_t) + (size_t)options->k * CELL_BYTES_MAX);
		result = out->row != NULL ? 0 : -ENOMEM;
	}
	if (result < 0)
		say_errno(out->path, result);
	if (result == 0)
		result = open_file(options->file, format, "u8", options->k, total, apart,
		                   &out->file);
	if (result < 0 || options->distances == NULL)
		return result;
	/* A pipe that nobody reads any more is an error: the file beside it must not stay behind. */
	(void)signal(SIGPIPE, SIG_IGN); /* fails for wrong numbers only */
	return open_file(options->distances, search_format_by_path(options->distances), "f8",
	                 options->k, total, apart, &out->distances);
}

/* ---- text --------------------------------------------------------------- */

static int write_text(struct search_out *out, const struct quiver_neighbour *list, size_t count)
{
	char line[LINE_BYTES];
	int result = out->questions > 0 ? out_file_write(&out->file, "\n", 1) : 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = out_file_write(&out->file, line,
		                        (size_t)snprintf(line, sizeof(line), "%" PRIu64 " %.9g\n",
		                                         list[i].id, list[i].distance));
	return result;
}

/* A number that JSON has, in the fewest digits that are read back as it is; infinity, which it has not, is
 * null. */
static void put_distance(double distance, char to[ELEMENT_TEXT_BYTES])
{
	uint64_t little;

	memcpy(&little, &distance, sizeof(little));
	little = htole64(little);
	if (isfinite(distance))
		(void)element_write(ELEMENT_F8, &little, 0, to);
	else
		(void)snprintf(to, ELEMENT_TEXT_BYTES, "null");
}

/* An ID as 'quiverfs export' writes it: beyond 2^63 - 1 a string of its digits, since JSON's numbers are not
 * that exact everywhere. */
static void put_id(uint64_t id, char to[ID_BYTES])
{
	(void)snprintf(to, ID_BYTES, id > INT64_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, id);
}

/* The name of a question; bytes that are no UTF-8, which JSON is, become '?'. NULL without memory. */
static char *quote(const char *name)
{
	json_t *text = json_string(name);
	char *ascii = text == NULL ? strdup(name) : NULL, *quoted;

	for (char *at = ascii; at != NULL && *at != '\0'; at++)
		*at = (unsigned char)*at < 0x80 ? *at : '?';
	if (ascii != NULL)
		text = json_string(ascii);
	quoted = text != NULL ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
	json_decref(text);
	free(ascii);
	return quoted;
}

/* Up to the bracket of the list. */
static int write_begin(struct search_out *out, const char *name, uint64_t number)
{
	char *quoted = name != NULL ? quote(name) : NULL;
	static const char begin[] = "{\"query\": ", list[] = ", \"neighbours\": [";
	char digits[ID_BYTES];
	int result = out_file_write(&out->file, begin, sizeof(begin) - 1);

	put_id(number, digits);
	if (result == 0 && name != NULL && quoted == NULL) {
		say_errno(out->path, -ENOMEM);
		result = -ENOMEM;
	}
	if (result == 0 && quoted != NULL)
		result = out_file_write(&out->file, quoted, strlen(quoted));
	else if (result == 0)
		result = out_file_write(&out->file, digits, strlen(digits));
	free(quoted);
	return result < 0 ? result : out_file_write(&out->file, list, sizeof(list) - 1);
}

static int write_jsonl(struct search_out *out, const char *name, uint64_t number,
                       const struct quiver_neighbour *list, size_t count)
{
	char line[2 * LINE_BYTES], id[ID_BYTES], distance[ELEMENT_TEXT_BYTES];
	int result = write_begin(out, name, number);

	for (size_t i = 0; i < count && result == 0; i++) {
		put_id(list[i].id, id);
		put_distance(list[i].distance, distance);
		result = out_file_write(&out->file, line,
		                        (size_t)snprintf(line, sizeof(line),
		                                         "%s{\"id\": %s, \"distance\": %s}",
		                                         i > 0 ? ", " : "", id, distance));
	}
	return result < 0 ? result : out_file_write(&out->file, "]}\n", strlen("]}\n"));
}

int search_out_pair(struct search_out *out, uint64_t one, const struct quiver_neighbour *other)
{
	char line[2 * LINE_BYTES], first[ID_BYTES], second[ID_BYTES];
	char distance[ELEMENT_TEXT_BYTES];
	int length;

	out->pairs++;
	if (out->options->format == SEARCH_TEXT) {
		length = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu64 " %.9g\n", one,
		                  other->id, other->distance);
		return out_file_write(&out->file, line, (size_t)length);
	}
	put_id(one, first);
	put_id(other->id, second);
	put_distance(other->distance, distance);
	length = snprintf(line, sizeof(line), "{\"ids\": [%s, %s], \"distance\": %s}\n", first,
	                  second, distance);
	return out_file_write(&out->file, line, (size_t)length);
}

/* ---- tables ------------------------------------------------------------- */

/* What stands where there is no neighbour: -1, which as a uint64 is no ID, and NaN. */
static int write_ids(struct search_out *out, const struct quiver_neighbour *list, size_t count)
{
	bool narrow = out->options->format == SEARCH_IVECS;
	size_t cell = narrow ? sizeof(int32_t) : sizeof(uint64_t);
	uint32_t lead = htole32(out->options->k);
	unsigned char *at = out->row;

	if (narrow) {
		memcpy(at, &lead, sizeof(lead));
		at += sizeof(lead);
	}
	for (size_t i = 0; i < out->options->k; i++, at += cell) {
		uint64_t id = i < count ? list[i].id : QUIVER_ID_NONE;
		uint64_t wide = htole64(id);
		uint32_t low = htole32((uint32_t)id);

		if (narrow && i < count && id > INT32_MAX) {
			say_error(out->path,
			          "an .ivecs holds IDs of up to %d, but vector %" PRIu64
			          " is among the neighbours; text, jsonl and npy hold all IDs",
			          INT32_MAX, id);
			return -EDOM;
		}
		memcpy(at, narrow ? (const void *)&low : &wide, cell);
	}
	return out_file_write(&out->file, out->row, (size_t)(at - out->row));
}

static int write_distances(struct search_out *out, struct out_file *file, bool narrow,
                           const struct quiver_neighbour *list, size_t count)
{
	size_t cell = narrow ? sizeof(float) : sizeof(double);
	uint32_t lead = htole32(out->options->k);
	unsigned char *at = out->row;

	if (narrow) {
		memcpy(at, &lead, sizeof(lead));
		at += sizeof(lead);
	}
	for (size_t i = 0; i < out->options->k; i++, at += cell) {
		double distance = i < count ? list[i].distance : (double)NAN;
		float less = (float)distance;
		uint64_t wide;
		uint32_t low;

		memcpy(&wide, &distance, sizeof(wide));
		memcpy(&low, &less, sizeof(low));
		wide = htole64(wide);
		low = htole32(low);
		memcpy(at, narrow ? (const void *)&low : &wide, cell);
	}
	return out_file_write(file, out->row, (size_t)(at - out->row));
}

int search_out_answer(struct search_out *out, const char *name, uint64_t number,
                      const struct quiver_neighbour *list, size_t count)
{
	const struct search_out_options *options = out->options;
	int result;

	switch (options->format) {
	case SEARCH_TEXT:
		result = write_text(out, list, count);
		break;
	case SEARCH_JSONL:
		result = write_jsonl(out, name, number, list, count);
		break;
	case SEARCH_FVECS:
		result = write_distances(out, &out->file, true, list, count);
		break;
	default:
		result = write_ids(out, list, count);
		break;
	}
	if (result == 0 && options->distances != NULL)
		result = write_distances(out, &out->distances,
		                         search_format_by_path(options->distances) == SEARCH_FVECS,
		                         list, count);
	out->questions++;
	out->neighbours += count;
	return result;
}

/* ---- the end ------------------------------------------------------------ */

int search_out_flush(struct search_out *out)
{
	return search_format_is_table(out->options->format) ? 0 : out_file_flush(&out->file);
}

/* Put the header right, where that can be. */
static int finish_file(const struct search_out *out, struct out_file *file,
                       enum search_format format, const char *type)
{
	int result = 0;

	if (format == SEARCH_NPY && out_file_can_restart(file))
		result = write_header(file, type, out->questions, out->options->k,
		                      out_file_write_start);
	return result < 0 ? result : out_file_sync(file);
}

int search_out_finish(struct search_out *out)
{
	const struct search_out_options *options = out->options;
	int result = finish_file(out, &out->file, options->format, "u8");

	if (result == 0 && options->distances != NULL)
		result = finish_file(out, &out->distances,
		                     search_format_by_path(options->distances), "f8");
	if (result == 0)
		result = out_file_end(&out->file);
	if (result == 0 && options->distances != NULL)
		result = out_file_end(&out->distances);
	return result;
}

void search_out_close(struct search_out *out)
{
	out_file_drop(&out->file);
	out_file_drop(&out->distances);
	free(out->row);
	out->row = NULL;
}
