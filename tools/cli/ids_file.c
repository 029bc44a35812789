/*
 * ids_file.c - the IDs of rows, from a .npy file beside them.
 */
#include "tools/cli/ids_file.h"
#include "engine/quiver.h"
#include "tools/cli/say.h"
#include "tools/formats/npy_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* IDs looked at in one go while the file is checked. */
#define CHECK_IDS 8192u

/* Read exactly `length` bytes; the file was long enough when it was opened.
 * Says errors. */
static int read_exactly(const struct ids_file *file, void *to, size_t length, uint64_t offset)
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

/* One ID out of the file's bytes. False where it is no ID. */
static bool decode_id(const struct ids_file *file, const unsigned char *at, uint64_t *id)
{
	uint32_t narrow;
	uint64_t wide;

	if (file->id_bytes == sizeof(narrow)) {
		memcpy(&narrow, at, sizeof(narrow));
		*id = le32toh(narrow);
		return file->type[0] == 'u' || *id <= INT32_MAX;
	}
	memcpy(&wide, at, sizeof(wide));
	*id = le64toh(wide);
	return *id <= QUIVER_ID_MAX && (file->type[0] == 'u' || *id <= INT64_MAX);
}

int ids_file_read(struct ids_file *file, uint64_t *ids, size_t count)
{
	uint64_t start = file->offset + file->next * file->id_bytes;
	size_t length = count * file->id_bytes;
	/* At the end of the array, so that widening in place does not overtake it. */
	unsigned char *raw = (unsigned char *)ids + count * sizeof(*ids) - length;
	int result = read_exactly(file, raw, length, start);

	if (result < 0)
		return result;
	for (size_t i = 0; i < count; i++) {
		uint64_t id;

		if (!decode_id(file, raw + i * file->id_bytes, &id)) {
			say_error(file->path, "row %" PRIu64 " holds %s; IDs are 0 to %" PRIu64,
			          file->next + i,
			          file->type[0] == 'i' ? "a negative number"
			                               : "a number that is too large",
			          QUIVER_ID_MAX);
			return -EINVAL;
		}
		ids[i] = id;
	}
	file->next += count;
	return 0;
}

/* Look at every ID once, before anything is written. Says errors. */
static int check_all(struct ids_file *file)
{
	uint64_t *ids = malloc(CHECK_IDS * sizeof(*ids));
	int result = 0;

	if (ids == NULL) {
		say_errno(file->path, -ENOMEM);
		return -ENOMEM;
	}
	while (file->next < file->rows && result == 0) {
		uint64_t left = file->rows - file->next;

		result = ids_file_read(file, ids, left < CHECK_IDS ? (size_t)left : CHECK_IDS);
	}
	free(ids);
	file->next = 0;
	return result;
}

/* Read the header. Says errors. */
static int take_header(struct ids_file *file)
{
	static const char *const types[] = { "u8", "i8", "u4", "i4" };
	struct npy_reason reason = { "" };
	struct npy_array array = { 0 };
	size_t type = 0;
	int result = npy_read_header(file->fd, &array, &reason);

	if (result < 0) {
		say_error(file->path, "%s", reason.text);
		return result;
	}
	while (type < 4 && strcmp(array.type, types[type]) != 0)
		type++;
	if (type == 4 || array.dimensions != 1) {
		say_error(file->path,
		          "IDs are an array of 1 dimension and type <u8, <i8, <u4 or <i4; this one "
		          "has %u and type %s",
		          array.dimensions, array.type);
		return -EINVAL;
	}
	memcpy(file->type, array.type, sizeof(file->type));
	file->id_bytes = array.item_bytes;
	file->offset = array.data_offset;
	file->rows = array.shape[0];
	return 0;
}

int ids_file_open(const char *path, struct ids_file *file)
{
	int result;

	memset(file, 0, sizeof(*file));
	file->path = path;
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0) {
		result = -errno;
		say_errno(path, result);
		return result;
	}
	result = take_header(file);
	if (result == 0)
		result = check_all(file);
	if (result < 0)
		ids_file_close(file);
	return result;
}

void ids_file_close(struct ids_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd); /* it was only read */
	file->fd = -1;
}
