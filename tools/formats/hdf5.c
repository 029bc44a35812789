/*
 * hdf5.c - a dataset of an HDF5 file as rows of vectors, by way of a module.
 */
#include "tools/formats/formats.h"
#include "tools/formats/hdf5_module.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The name that ann-benchmarks gives the vectors to search in. */
#define DATASET_DEFAULT "train"
/* Rows handed to the library at once. */
#define WRITE_BYTES (1u << 20)
#define OPENED_BYTES 32 /* a path in /proc/self/fd */

struct writing {
	const struct hdf5_calls *calls;
	struct hdf5_array array;
	unsigned char *rows; /* not yet handed over */
	uint64_t room, count, done;
};

struct reading {
	const struct hdf5_calls *calls;
	struct hdf5_array array;
};

/* Load the module: from beside the program, as in a build folder, or from where it is
 * installed. */
static void *open_module(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	void *module = NULL;
	char *slash;

	path[length > 0 ? length : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL &&
	    (size_t)(slash - path) + sizeof("/" HDF5_MODULE_FILE) <= sizeof(path)) {
		memcpy(slash, "/" HDF5_MODULE_FILE, sizeof("/" HDF5_MODULE_FILE));
		module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	return module != NULL
	               ? module
	               : dlopen(QUIVER_MODULE_FOLDER "/" HDF5_MODULE_FILE, RTLD_NOW | RTLD_LOCAL);
}

/* The module's calls; NULL with a reason. It stays loaded. */
static const struct hdf5_calls *load(char reason[FORMAT_REASON_BYTES])
{
	const struct hdf5_calls *calls = NULL;
	void *module = open_module();

	if (module != NULL)
		calls = dlsym(module, HDF5_MODULE_SYMBOL);
	if (calls == NULL)
		(void)snprintf(reason, FORMAT_REASON_BYTES,
		               "HDF5 needs its library (Debian's libhdf5-103-1, or libhdf5-310) "
		               "and " HDF5_MODULE_FILE
		               "; that module is built if the library is installed: %.200s",
		               dlerror());
	return calls;
}

static const char *name_of(const char *dataset)
{
	return dataset != NULL ? dataset : DATASET_DEFAULT;
}

static void close_hdf5(struct format_reader *reader)
{
	struct reading *reading = reader->state;

	if (reading != NULL)
		(void)reading->calls->close(&reading->array); /* it was only read */
	free(reading);
	reader->state = NULL;
}

/* The library opens a file by a path, also where the file is one that is open: of what is removed
 * there is none, and what somebody else opened may not be opened again. */
static int check_path(struct format_reader *reader, const char *opened)
{
	char *path = realpath(opened, NULL);
	int result = path == NULL || access(opened, R_OK) < 0 ? -errno : 0;

	free(path);
	if (result == 0)
		return 0;
	return format_fail(reader, result,
	                   "HDF5 opens a file by its path, but this file cannot be opened that way "
	                   "(%s); give a path to it, or make a copy",
	                   strerror(-result));
}

static int open_hdf5(struct format_reader *reader)
{
	const struct hdf5_calls *calls = load(reader->reason);
	struct reading *reading;
	char opened[OPENED_BYTES];
	int result;

	if (calls == NULL)
		return -ENOTSUP;
	reading = calloc(1, sizeof(*reading));
	if (reading == NULL)
		return format_fail(reader, -ENOMEM, "%s", strerror(ENOMEM));
	reading->calls = calls;
	reader->state = reading;
	/* The library opens what was looked at, not what may have got its name since. */
	(void)snprintf(opened, sizeof(opened), "/proc/self/fd/%d", reader->stream->fd);
	result = check_path(reader, opened);
	if (result < 0)
		return result;
	result = calls->open(opened, name_of(reader->wanted.dataset), &reading->array);
	if (result < 0)
		return format_fail(reader, result, "%s", reading->array.reason);
	reader->rows = reading->array.rows;
	reader->dim = reading->array.dim;
	return element_parse(reading->array.type, &reader->type);
}

/* The library does not tell where in the file a row is: its number stands for it. */
static int read_hdf5(struct format_reader *reader, struct format_batch *batch)
{
	struct reading *reading = reader->state;
	uint64_t left = reader->rows - reader->row;
	size_t count = left < batch->room ? (size_t)left : batch->room;
	int result;

	batch->count = 0;
	if (count == 0)
		return 0;
	result = reading->calls->read(&reading->array, reader->row, count, batch->rows);
	if (result < 0)
		return format_fail(reader, result, "%s", reading->array.reason);
	for (size_t i = 0; i < count; i++)
		batch->offsets[i] = 0;
	batch->count = count;
	reader->row += count;
	return 0;
}

static void end(struct format_writer *writer)
{
	struct writing *writing = writer->state;

	if (writing == NULL)
		return;
	(void)writing->calls->close(&writing->array); /* finish has looked, or failed */
	free(writing->rows);
	free(writing);
	writer->state = NULL;
}

/* An error of the module, in its words. */
static int fail(struct format_writer *writer, int result, const char *reason)
{
	(void)format_writer_refuse(writer, "%s", reason);
	return result;
}

/* What is known of the dataset beyond its shape. */
static int write_notes(const struct format_writer *writer, struct writing *writing)
{
	const struct hdf5_calls *calls = writing->calls;
	int result;

	if (writer->metric == NULL)
		return 0;
	result = calls->note(&writing->array, "dtype", writer->dtype);
	if (result == 0)
		result = calls->note(&writing->array, "metric", writer->metric);
	if (result == 0 && writer->label[0] != '\0')
		result = calls->note(&writing->array, "label", writer->label);
	return result;
}

static int write_header(struct format_writer *writer)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	const struct hdf5_calls *calls = load(writer->reason);
	struct writing *writing;
	int result;

	if (calls == NULL)
		return -ENOTSUP;
	writing = calloc(1, sizeof(*writing));
	if (writing == NULL)
		return -ENOMEM;
	writer->state = writing;
	writing->calls = calls;
	writing->room = WRITE_BYTES / row_bytes > 0 ? WRITE_BYTES / row_bytes : 1;
	writing->rows = malloc(writing->room * row_bytes);
	if (writing->rows == NULL)
		return -ENOMEM;
	writing->array.rows = writer->expected;
	writing->array.dim = writer->dim;
	(void)snprintf(writing->array.type, sizeof(writing->array.type), "%s",
	               element_name(writer->type));
	result = calls->create(writer->path, name_of(writer->dataset), &writing->array);
	if (result == 0)
		result = write_notes(writer, writing);
	return result < 0 ? fail(writer, result, writing->array.reason) : 0;
}

/* Hand over what is gathered. */
static int hand_over(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	int result;

	if (writing->count == 0)
		return 0;
	result = writing->calls->write(&writing->array, writing->done, writing->count,
	                               writing->rows);
	if (result < 0)
		return fail(writer, result, writing->array.reason);
	writing->done += writing->count;
	writing->count = 0;
	return 0;
}

static int write_row(struct format_writer *writer, uint64_t id, const void *row, const char *key)
{
	size_t row_bytes = element_row_bytes(writer->type, writer->dim);
	struct writing *writing = writer->state;

	(void)id;
	(void)key;
	memcpy(writing->rows + writing->count * row_bytes, row, row_bytes);
	writing->count++;
	return writing->count == writing->room ? hand_over(writer) : 0;
}

static int finish(struct format_writer *writer)
{
	struct writing *writing = writer->state;
	int result = hand_over(writer);

	if (result == 0 && writing->done < writer->expected) {
		result = writing->calls->cut(&writing->array, writing->done);
		if (result < 0)
			return fail(writer, result, writing->array.reason);
	}
	if (result == 0) {
		result = writing->calls->close(&writing->array);
		if (result < 0)
			return fail(writer, result, writing->array.reason);
	}
	return result;
}

static const struct format_calls hdf5_calls = {
	.open = open_hdf5,
	.read = read_hdf5,
	.close = close_hdf5,
	.write_header = write_header,
	.write_row = write_row,
	.finish = finish,
	.end = end,
};

const struct format format_hdf5 = { "hdf5",
	                            ".hdf5",
	                            .needs_path = true,
	                            .writes_path = true,
	                            .has_datasets = true,
	                            .calls = &hdf5_calls };
