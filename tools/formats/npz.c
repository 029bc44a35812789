/*
 * npz.c - an array of a .npz file, which numpy.savez makes, as rows of vectors.
 *
 * It is a ZIP file with a .npy for each array. What is written has one, stored.
 */
#include "engine/codec/npy.h"
#include "tools/formats/formats.h"
#include "tools/formats/zip_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define MEMBER_SUFFIX ".npy"
/* What numpy.savez calls an array without a name. */
#define NAME_DEFAULT "arr_0"
/* Rows handed to the library at once, which copies them byte by byte. */
#define WRITE_BYTES (1u << 16)

struct reading {
	struct zip_file zip;
	struct stream member;
	struct format_reader inner; /* of the .npy; its reader's stream is the member */
	char name[ZIP_NAME_BYTES]; /* of the member */
	bool opened; /* and the inner reader is */
};

/* ---- which array -------------------------------------------------------------------- */

/* Whether the name is that of an array, the wanted one if there is one. */
static bool is_named(const char *name, const char *wanted)
{
	size_t length = strlen(name), suffix = strlen(MEMBER_SUFFIX);

	if (length < suffix || strcmp(name + length - suffix, MEMBER_SUFFIX) != 0)
		return false;
	return wanted == NULL || strcmp(name, wanted) == 0 ||
	       (strlen(wanted) == length - suffix && memcmp(name, wanted, length - suffix) == 0);
}

/* Whether the member that was gone to is an array of two dimensions. -EINVAL where the file is
 * damaged. */
static int is_matrix(struct reading *reading)
{
	struct npy_reason reason = { "" };
	struct npy_array array = { 0 };
	const unsigned char *at = NULL;
	size_t header_bytes = 0;
	int64_t got = zip_open_member(&reading->zip, &reading->member);

	if (got < 0)
		return (int)got;
	got = stream_peek(&reading->member, NPY_PREFIX_BYTES_MAX, &at);
	if (got >= 0 && npy_measure_header(at, (size_t)got, &header_bytes, &reason) == 0)
		got = stream_peek(&reading->member, header_bytes, &at);
	if (got >= 0 && (header_bytes == 0 || npy_parse_any(at, (size_t)got, &array, &reason) < 0))
		array.dimensions = 0;
	zip_close_member(&reading->zip, &reading->member);
	return got < 0 ? (int)got : array.dimensions == 2;
}

/* Say which arrays there are, as many as there is room for. */
static int refuse_choice(struct format_reader *reader, struct reading *reading, const char *why)
{
	char names[FORMAT_REASON_BYTES / 2] = "", name[ZIP_NAME_BYTES];
	size_t used = 0;

	for (int result = zip_first(&reading->zip, name); result > 0;
	     result = zip_next(&reading->zip, name)) {
		int more;

		if (!is_named(name, NULL))
			continue;
		more = snprintf(names + used, sizeof(names) - used, "%s%.*s", used > 0 ? ", " : "",
		                (int)(strlen(name) - strlen(MEMBER_SUFFIX)), name);
		if (more < 0 || used + (size_t)more >= sizeof(names))
			break;
		used += (size_t)more;
	}
	return format_refuse(reader, "%s; choose one with --dataset NAME: %s", why, names);
}

/* Choose the array: the one of the name, or else the only one, or the only one of two
 * dimensions. */
static int choose(struct format_reader *reader, struct reading *reading)
{
	const char *wanted = reader->wanted.dataset;
	unsigned arrays = 0, matrices = 0;
	char name[ZIP_NAME_BYTES];
	int result;

	for (result = zip_first(&reading->zip, name); result > 0;
	     result = zip_next(&reading->zip, name)) {
		int matrix;

		if (!is_named(name, wanted))
			continue;
		matrix = wanted != NULL ? 1 : is_matrix(reading);
		if (matrix < 0)
			return format_fail(reader, matrix, "%s", reading->zip.reason);
		if (matrix > 0 || arrays == 0)
			memcpy(reading->name, name, sizeof(name));
		arrays++;
		matrices += matrix > 0;
		if (wanted != NULL)
			return 0;
	}
	if (result < 0)
		return format_fail(reader, result, "%s", reading->zip.reason);
	if (matrices == 1 || (matrices == 0 && arrays == 1))
		return 0;
	if (arrays == 0 && wanted == NULL)
		return format_refuse(reader, "the ZIP file has no array (no member of .npy)");
	if (wanted != NULL)
		return refuse_choice(reader, reading, "it has no array of this name");
	return refuse_choice(reader, reading,
	                     matrices == 0 ? "it has no array of 2 dimensions"
	                                   : "it has several arrays of 2 dimensions");
}

/* ---- reading it --------------------------------------------------------------------- */

static void close_array(struct reading *reading)
{
	zip_close_member(&reading->zip, &reading->member);
	zip_close(&reading->zip);
	reading->opened = false;
}

/* Go to the chosen member. */
static int find_again(struct format_reader *reader, struct reading *reading)
{
	char name[ZIP_NAME_BYTES];
	int result = zip_open(reader->stream, &reading->zip);

	if (result == 0)
		result = zip_first(&reading->zip, name);
	while (result > 0 && strcmp(name, reading->name) != 0)
		result = zip_next(&reading->zip, name);
	if (result > 0)
		return 0;
	return format_fail(reader, -EIO, "%s",
	                   result < 0 ? reading->zip.reason
	                              : "the file was changed while it was read");
}

/* Open the .npy in it. */
static int open_inner(struct format_reader *reader, struct reading *reading)
{
	int result;

	memset(&reading->inner, 0, sizeof(reading->inner));
	reading->inner.format = &format_npy;
	reading->inner.stream = &reading->member;
	reading->inner.wanted = reader->wanted;
	reading->inner.wanted.dataset = NULL;
	reading->inner.wanted.partial = false; /* what is cut off has no list of members */
	result = format_npy.calls->open(&reading->inner);
	reading->opened = result == 0;
	return result;
}

/* Open the array: as a stream or, where that will not do (column after column), as a part of
 * the file. */
static int open_array(struct format_reader *reader, struct reading *reading)
{
	struct zip_file *zip = &reading->zip;
	int result = zip_open_member(zip, &reading->member);

	if (result < 0)
		return format_fail(reader, result, "%s", zip->reason);
	result = open_inner(reader, reading);
	if (result == -ENOTSUP && reader->wanted.convert) {
		zip_close_member(zip, &reading->member);
		result = zip_place_member(zip, &reading->member);
		if (result == -ENOTSUP)
			return format_fail(reader, result,
			                   "the array is in Fortran order (column after column) "
			                   "and compressed, so its rows cannot be read; save it "
			                   "without compression, with numpy.savez");
		if (result < 0)
			return format_fail(reader, result, "%s", zip->reason);
		result = open_inner(reader, reading);
	}
	return result < 0 ? format_fail(reader, result, "array '%.*s': %s",
	                                (int)(strlen(reading->name) - strlen(MEMBER_SUFFIX)),
	                                reading->name, reading->inner.reason)
	                  : 0;
}

static int open_npz(struct format_reader *reader)
{
	struct reading *reading = calloc(1, sizeof(*reading));
	int result;

	if (reading == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reader->state = reading;
	reading->member.fd = -1;
	result = zip_open(reader->stream, &reading->zip);
	if (result < 0)
		return format_fail(reader, result, "%s", reading->zip.reason);
	result = choose(reader, reading);
	zip_close(&reading->zip);
	if (result == 0)
		result = find_again(reader, reading);
	if (result == 0)
		result = open_array(reader, reading);
	if (result < 0)
		return result;
	reader->rows = reading->inner.rows;
	reader->dim = reading->inner.dim;
	reader->type = reading->inner.type;
	reader->big_endian = reading->inner.big_endian;
	reader->data_offset = reading->inner.data_offset;
	close_array(reading); /* of thousands of files one is read at a time */
	return 0;
}

static int read_npz(struct format_reader *reader, struct format_batch *batch)
{
	struct reading *reading = reader->state;
	int result;

	batch->count = 0;
	if (!reading->opened) {
		result = find_again(reader, reading);
		if (result == 0)
			result = open_array(reader, reading);
		if (result < 0)
			return result;
		if (reading->inner.dim != reader->dim || reading->inner.type != reader->type)
			return format_fail(reader, -EIO, "the file was changed while it was read");
	}
	result = format_npy.calls->read(&reading->inner, batch);
	reader->row = reading->inner.row;
	reader->offset = reading->inner.offset;
	if (result < 0)
		return format_fail(reader, result, "%s", reading->inner.reason);
	if (batch->count == 0)
		close_array(reading);
	return 0;
}

static void close_npz(struct format_reader *reader)
{
	struct reading *reading = reader->state;

	if (reading != NULL)
		close_array(reading);
	free(reading);
	reader->state = NULL;
}

/* ---- writing one -------------------------------------------------------------------- */

struct writing {
	zipFile zip;
	struct format_writer inner; /* of the .npy */
	unsigned char *bytes; /* not yet handed over */
	size_t count;
};

static int fail(struct format_writer *writer)
{
	int result = errno != 0 ? -errno : -EIO;

	(void)format_writer_refuse(writer, "writing failed: %s", strerror(-result));
	return result;
}

/* Hand over what is gathered. */
static int hand_over(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	size_t count = writing->count;

	writing->count = 0;
	errno = 0;
	if (count > 0 &&
	    zipWriteInFileInZip(writing->zip, writing->bytes, (unsigned)count) != ZIP_OK)
		return fail(writer);
	return 0;
}

/* Bytes of the .npy; for its writer. */
static int write_member(void *arg, const void *bytes, size_t length)
{
	struct format_writer *writer = arg;
	struct writing *writing = writer->state;

	while (length > 0) {
		size_t part = WRITE_BYTES - writing->count;
		int result;

		part = length < part ? length : part;
		memcpy(writing->bytes + writing->count, bytes, part);
		bytes = (const unsigned char *)bytes + part;
		length -= part;
		writing->count += part;
		result = writing->count == WRITE_BYTES ? hand_over(writer) : 0;
		if (result < 0)
			return result;
	}
	return 0;
}

static int begin(struct format_writer *writer)
{
	const char *array = writer->dataset != NULL ? writer->dataset : NAME_DEFAULT;
	struct writing *writing = writer->state;
	zip_fileinfo info = { .tmz_date = { .tm_mday = 1, .tm_year = 1980 } }; /* as numpy has it */
	char name[ZIP_NAME_BYTES];

	if (snprintf(name, sizeof(name), "%s%s", array, MEMBER_SUFFIX) >= (int)sizeof(name) ||
	    array[0] == '\0')
		return format_writer_refuse(
			writer, "--dataset: '%.60s' cannot be the name of an array", array);
	errno = 0;
	writing->zip = zipOpen64(writer->path, APPEND_STATUS_CREATE);
	if (writing->zip == NULL || zipOpenNewFileInZip64(writing->zip, name, &info, NULL, 0, NULL,
	                                                  0, NULL, 0, 0, 1) != ZIP_OK)
		return fail(writer);
	return format_npy.calls->put_header(&writing->inner, writer->expected, write_member);
}

static int write_header(struct format_writer *writer)
{
	struct writing *writing = calloc(1, sizeof(*writing));

	if (writing == NULL)
		return -ENOMEM;
	writer->state = writing;
	writing->inner = *writer;
	writing->inner.arg = writer;
	writing->bytes = malloc(WRITE_BYTES);
	return writing->bytes != NULL ? begin(writer) : -ENOMEM;
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	(void)id;
	(void)key;
	return write_member(writer, row, element_row_bytes(writer->type, writer->dim));
}

static int finish(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	zipFile zip = writing->zip;
	int result = hand_over(writer);

	if (result < 0)
		return result;
	if (writer->rows != writer->expected) {
		(void)format_writer_refuse(writer,
		                           "%" PRIu64
		                           " vectors were removed during the export, so the header "
		                           "promises too many; export to a .npy, or export again",
		                           writer->expected - writer->rows);
		return -ESTALE;
	}
	writing->zip = NULL; /* whatever comes of it */
	errno = 0;
	result = zipCloseFileInZip(zip);
	if (zipClose(zip, NULL) != ZIP_OK || result != ZIP_OK)
		return fail(writer);
	return 0;
}

static void end(struct format_writer *writer)
{
	struct writing *writing = writer->state;

	if (writing == NULL)
		return;
	if (writing->zip != NULL)
		(void)zipClose(writing->zip, NULL); /* the file is thrown away */
	free(writing->bytes);
	free(writing);
	writer->state = NULL;
}

static const struct format_calls npz_calls = {
	.open = open_npz,
	.read = read_npz,
	.close = close_npz,
	.write_header = write_header,
	.write_row = write_row,
	.finish = finish,
	.end = end,
};

const struct format format_npz = { "npz",
	                           ".npz",
	                           .needs_path = true,
	                           .writes_path = true,
	                           .any_start = true,
	                           .has_datasets = true,
	                           .calls = &npz_calls };
