/*
 * rows.c - the rows of .npy files with their IDs, one after another.
 */
#include "rows.h"
#include "formats/npy.h"
#include "say.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* IDs looked at in one go while the file of IDs is checked. */
#define CHECK_IDS 8192u

/* Read exactly `length` bytes; the file was long enough when it was opened.
 * Says errors. */
static int read_exactly(const struct rows_file *file, void *to, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got =
			pread(file->fd, (char *)to + done, length - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int result = -errno;

			say_errno(file->path, result);
			return result;
		}
		if (got == 0) {
			say_error(file->path, "the file became shorter while it was read");
			return -EIO;
		}
		done += (size_t)got;
	}
	return 0;
}

/* Open a file and read its header. Says errors. */
static int open_array(const char *path, struct rows_file *file, struct npy_array *array)
{
	struct npy_reason reason = { "" };
	int result;

	file->path = path;
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0) {
		result = -errno;
		say_errno(path, result);
		return result;
	}
	result = npy_read_header(file->fd, array, &reason);
	if (result < 0) {
		say_error(path, "%s", reason.text);
		return result;
	}
	/* a hint: reading is right without it */
	(void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	file->offset = array->data_offset;
	file->rows = array->dimensions > 0 ? array->shape[0] : 0;
	file->rows_left = file->rows;
	return 0;
}

/* Open a file of vectors and compare it with the store. Says errors. */
static int open_vectors(const char *path, const struct quiver_geometry *geometry,
                        const char *target, struct rows_file *file)
{
	struct npy_array array = { 0 };
	const char *dtype = quiver_dtype_name(geometry->dtype);
	int result = open_array(path, file, &array);

	if (result < 0)
		return result;
	if (array.dimensions != 2) {
		say_error(path,
		          "the array has %u dimension%s; vectors are the rows of an array of 2",
		          array.dimensions, array.dimensions == 1 ? "" : "s");
		return -EINVAL;
	}
	if (array.shape[1] != geometry->dim || strcmp(array.type, dtype) != 0) {
		say_error(path,
		          "its vectors have dim %" PRIu64 " and dtype %s, but %s has dim %" PRIu32
		          " and dtype %s",
		          array.shape[1], array.type, target, geometry->dim, dtype);
		return -EINVAL;
	}
	return 0;
}

/* One ID out of the file's bytes. False where it is no ID. */
static bool decode_id(const struct rows *rows, const unsigned char *at, uint64_t *id)
{
	uint32_t narrow;
	uint64_t wide;

	if (rows->id_bytes == sizeof(narrow)) {
		memcpy(&narrow, at, sizeof(narrow));
		*id = le32toh(narrow);
		return rows->ids_type[0] == 'u' || *id <= INT32_MAX;
	}
	memcpy(&wide, at, sizeof(wide));
	*id = le64toh(wide);
	return *id <= QUIVER_ID_MAX && (rows->ids_type[0] == 'u' || *id <= INT64_MAX);
}

/* Read `count` IDs from row `row` of the file of IDs on. Says errors. */
static int read_ids(const struct rows *rows, uint64_t row, uint64_t *ids, size_t count)
{
	unsigned char *bytes = (unsigned char *)ids;
	uint64_t start = rows->ids.offset + row * rows->id_bytes;
	size_t length = count * rows->id_bytes;
	/* At the end of the array, so that widening in place does not overtake it. */
	unsigned char *raw = bytes + count * sizeof(*ids) - length;
	int result = read_exactly(&rows->ids, raw, length, start);

	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i++) {
		uint64_t id;

		if (!decode_id(rows, raw + i * rows->id_bytes, &id)) {
			say_error(rows->ids.path, "row %" PRIu64 " holds %s; IDs are 0 to %" PRIu64,
			          row + i,
			          rows->ids_type[0] == 'i' ? "a negative number"
			                                   : "a number that is too large",
			          QUIVER_ID_MAX);
			return -EINVAL;
		}
		ids[i] = id;
	}
	return 0;
}

/* Look at every ID once, before anything is written. Says errors. */
static int check_ids(const struct rows *rows)
{
	uint64_t *ids = malloc(CHECK_IDS * sizeof(*ids));
	int result = 0;

	if (ids == NULL) {
		say_errno(rows->ids.path, -ENOMEM);
		return -ENOMEM;
	}
	for (uint64_t row = 0; row < rows->total && result == 0; row += CHECK_IDS) {
		uint64_t left = rows->total - row;

		result = read_ids(rows, row, ids, left < CHECK_IDS ? (size_t)left : CHECK_IDS);
	}
	free(ids);
	return result;
}

/* Open the file of IDs and check it. Says errors. */
static int open_ids(const char *path, struct rows *rows)
{
	static const char *const types[] = { "u8", "i8", "u4", "i4" };
	struct npy_array array = { 0 };
	size_t type = 0;
	int result = open_array(path, &rows->ids, &array);

	if (result < 0)
		return result;
	while (type < 4 && strcmp(array.type, types[type]) != 0)
		type++;
	if (type == 4 || array.dimensions != 1) {
		say_error(path,
		          "IDs are an array of 1 dimension and type <u8, <i8, <u4 or <i4; this one "
		          "has %u and type %s",
		          array.dimensions, array.type);
		return -EINVAL;
	}
	if (array.shape[0] != rows->total) {
		say_error(path, "it holds %" PRIu64 " IDs for %" PRIu64 " rows of vectors",
		          array.shape[0], rows->total);
		return -EINVAL;
	}
	memcpy(rows->ids_type, array.type, sizeof(rows->ids_type));
	rows->id_bytes = array.item_bytes;
	return check_ids(rows);
}

/* IDs that count up must not run out. Says errors. */
static int check_counting(const struct rows *rows, const char *target)
{
	if (rows->total == 0 || rows->total - 1 <= QUIVER_ID_MAX - rows->next_id)
		return 0;
	say_error(target,
	          "%" PRIu64 " rows counted from ID %" PRIu64 " go beyond the largest ID, "
	          "%" PRIu64,
	          rows->total, rows->next_id, QUIVER_ID_MAX);
	return -EINVAL;
}

int rows_open(char **paths, size_t count, const char *ids_path, uint64_t start_id,
              const struct quiver_geometry *geometry, const char *target, struct rows *rows)
{
	int result = 0;

	memset(rows, 0, sizeof(*rows));
	rows->ids.fd = -1;
	rows->vector_bytes = geometry->vector_bytes;
	rows->next_id = start_id;
	rows->files = calloc(count, sizeof(*rows->files));
	if (rows->files == NULL) {
		say_errno(target, -ENOMEM);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count && result == 0; i++) {
		rows->files_count = i + 1;
		rows->files[i].fd = -1;
		result = open_vectors(paths[i], geometry, target, &rows->files[i]);
		if (result == 0 &&
		    __builtin_add_overflow(rows->total, rows->files[i].rows, &rows->total)) {
			say_error(paths[i], "more rows than there are IDs");
			result = -EINVAL;
		}
	}
	if (result == 0)
		result = ids_path != NULL ? open_ids(ids_path, rows) : check_counting(rows, target);
	if (result < 0)
		rows_close(rows);
	return result;
}

int64_t rows_read(struct rows *rows, void *vectors, uint64_t *ids, size_t max)
{
	struct rows_file *file;
	size_t count;
	int result;

	while (rows->current < rows->files_count && rows->files[rows->current].rows_left == 0)
		rows->current++;
	if (rows->current == rows->files_count)
		return 0;
	file = &rows->files[rows->current];
	count = file->rows_left < max ? (size_t)file->rows_left : max;
	result = read_exactly(file, vectors, count * rows->vector_bytes, file->offset);
	if (result < 0)
		return result;
	if (rows->ids.fd >= 0) {
		result = read_ids(rows, rows->ids.rows - rows->ids.rows_left, ids, count);
		if (result < 0)
			return result;
		rows->ids.rows_left -= count;
	} else {
		for (size_t i = 0; i < count; i++)
			ids[i] = rows->next_id++;
	}
	file->offset += count * rows->vector_bytes;
	file->rows_left -= count;
	return (int64_t)count;
}

/* A descriptor that was only read from: its close cannot lose anything. */
static void close_read(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void rows_close(struct rows *rows)
{
	for (size_t i = 0; i < rows->files_count; i++)
		close_read(rows->files[i].fd);
	close_read(rows->ids.fd);
	free(rows->files);
	rows->files = NULL;
	rows->files_count = 0;
	rows->ids.fd = -1;
}
