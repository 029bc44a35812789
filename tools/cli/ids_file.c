/*
 * ids_file.c - the IDs of rows, from a file beside them: .npy, or .txt with one a line.
 */
#include "tools/cli/ids_file.h"
#include "engine/quiver.h"
#include "tools/cli/id_tally.h"
#include "tools/cli/say.h"
#include "tools/formats/npy_file.h"
#include "tools/formats/text.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* IDs looked at in one go while the file is checked. */
#define CHECK_IDS 8192u
/* The header of a store's ids.npy (engine/FORMAT.md), which no other program makes that long. */
#define STORE_HEADER_BYTES 4096u
/* As much of a line as a message shows. */
#define LINE_SHOWN_BYTES 40

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
	if (file->of_store && *id == QUIVER_ID_NONE)
		return true;
	return *id <= QUIVER_ID_MAX && (file->type[0] == 'u' || *id <= INT64_MAX);
}

/* The next IDs of a .npy. Says errors. */
static int read_npy(const struct ids_file *file, uint64_t *ids, size_t count)
{
	uint64_t start = file->offset + file->next * file->id_bytes;
	size_t length = count * file->id_bytes;
	/* At the end of the array, so that widening in place does not overtake it. */
	unsigned char *raw = (unsigned char *)ids + count * sizeof(*ids) - length;
	int result = read_exactly(file, raw, length, start);

	for (size_t i = 0; i < count && result == 0; i++) {
		uint64_t id;

		if (decode_id(file, raw + i * file->id_bytes, &id)) {
			ids[i] = id;
			continue;
		}
		say_error(file->path, "row %" PRIu64 " holds %s; IDs are 0 to %" PRIu64,
		          file->next + i,
		          file->type[0] == 'i' ? "a negative number" : "a number that is too large",
		          QUIVER_ID_MAX);
		result = -EINVAL;
	}
	return result;
}

/* Pass over a byte order mark at the start. Says errors. */
static int pass_mark(struct ids_file *file)
{
	int result = stream_pass_mark(&file->stream);

	if (result < 0 && result != -EINTR)
		say_errno(file->path, result);
	return result;
}

/* The ID of the next line, without the blanks around it. 1, or 0 at the end. Says errors. */
static int read_line(struct ids_file *file, uint64_t row, uint64_t *id)
{
	size_t length, start = 0;
	char *line;
	int result = stream_line(&file->stream, &line, &length);

	if (result < 0 && result != -EINTR)
		say_error(file->path, "line %" PRIu64 ": %s", row + 1,
		          stream_strerror(&file->stream, result));
	if (result <= 0)
		return result;
	while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	while (start < length && (line[start] == ' ' || line[start] == '\t'))
		start++;
	if (text_id(line + start, length - start, id) && *id <= QUIVER_ID_MAX)
		return 1;
	say_error(file->path,
	          "line %" PRIu64 " is '%.*s'; expected one ID per line, 0 to %" PRIu64
	          " in decimal digits (numpy.savetxt writes them with fmt='%%d')",
	          row + 1, LINE_SHOWN_BYTES, line, QUIVER_ID_MAX);
	return -EINVAL;
}

/* The next IDs of text; how many there were. Says errors. */
static int64_t read_text(struct ids_file *file, uint64_t *ids, size_t count)
{
	size_t done = 0;
	int result = file->next == 0 ? pass_mark(file) : 0;

	while (done < count && result >= 0) {
		result = read_line(file, file->next + done, &ids[done]);
		if (result <= 0)
			break;
		done++;
	}
	return result < 0 ? result : (int64_t)done;
}

int64_t ids_file_read(struct ids_file *file, uint64_t *ids, size_t count)
{
	int64_t got;

	if (file->text) {
		got = read_text(file, ids, count);
		if (got >= 0 && got < (int64_t)count && file->rows != IDS_FILE_ROWS_UNKNOWN) {
			say_error(file->path, "the file became shorter while it was read");
			return -EIO;
		}
	} else {
		int result = read_npy(file, ids, count);

		got = result < 0 ? result : (int64_t)count;
	}
	if (got > 0)
		file->next += (uint64_t)got;
	return got;
}

/* Of a store each ID that is no free row's stands once. Says errors. */
static int check_store_ids(struct ids_file *file, struct id_tally *tally, const uint64_t *ids,
                           size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int result = 1;

		if (ids[i] == QUIVER_ID_NONE)
			file->free_rows++;
		else
			result = id_tally_add(tally, ids[i]);
		if (result < 0) {
			say_errno(file->path, result);
			return result;
		}
		if (result > 0)
			continue;
		say_error(file->path,
		          "vector %" PRIu64
		          " has two rows in it, an old one and a new one: the store has changed "
		          "since its last checkpoint; write to MNT/control/checkpoint, unmount the "
		          "store, or use 'quiverfs export'",
		          ids[i]);
		return -ESTALE;
	}
	return 0;
}

/* Look at every ID of a .npy once, before anything is written. Says errors. */
static int check_npy(struct ids_file *file)
{
	uint64_t *ids = malloc(CHECK_IDS * sizeof(*ids));
	struct id_tally tally;
	int64_t got = 0;

	if (ids == NULL) {
		say_errno(file->path, -ENOMEM);
		return -ENOMEM;
	}
	id_tally_start(&tally, UINT64_MAX);
	while (file->next < file->rows && got >= 0) {
		uint64_t left = file->rows - file->next;

		got = ids_file_read(file, ids, left < CHECK_IDS ? (size_t)left : CHECK_IDS);
		if (got > 0 && file->of_store) {
			int result = check_store_ids(file, &tally, ids, (size_t)got);

			got = result < 0 ? result : got;
		}
	}
	id_tally_end(&tally);
	free(ids);
	file->next = 0;
	return got < 0 ? (int)got : 0;
}

/* The same of text, and count them. Says errors. */
static int check_text(struct ids_file *file)
{
	uint64_t id, rows = 0;
	int result = pass_mark(file);

	while (result >= 0) {
		result = read_line(file, rows, &id);
		if (result <= 0)
			break;
		rows++;
	}
	file->rows = rows;
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
		          "expected an array of IDs with 1 dimension and type <u8, <i8, <u4 or "
		          "<i4; got %u dimensions and type %s",
		          array.dimensions, array.type);
		return -EINVAL;
	}
	memcpy(file->type, array.type, sizeof(file->type));
	file->id_bytes = array.item_bytes;
	file->offset = array.data_offset;
	file->rows = array.shape[0];
	file->of_store = strcmp(array.type, "u8") == 0 && array.data_offset == STORE_HEADER_BYTES;
	return 0;
}

/* Open a .npy. Says errors. */
static int open_npy(struct ids_file *file)
{
	int result;

	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0) {
		result = -errno;
		say_errno(file->path, result);
		return result;
	}
	result = take_header(file);
	return result < 0 ? result : check_npy(file);
}

/* Open lines of text; what can be read twice is looked at first. Says errors. */
static int open_text(struct ids_file *file)
{
	int result = stream_open(file->path, &file->stream);

	if (result < 0) {
		say_errno(file->path, result);
		return result;
	}
	file->text = true;
	file->rows = IDS_FILE_ROWS_UNKNOWN;
	if (!file->stream.sized)
		return 0;
	result = check_text(file);
	if (result < 0)
		return result;
	stream_close(&file->stream);
	result = stream_open(file->path, &file->stream);
	if (result < 0) {
		file->text = false;
		say_errno(file->path, result);
	}
	return result;
}

int ids_file_open(const char *path, struct ids_file *file)
{
	const char *ending = strrchr(path, '.');
	int result = -EINVAL;

	memset(file, 0, sizeof(*file));
	file->fd = -1;
	file->path = path;
	if (ending != NULL && strcasecmp(ending, ".npy") == 0)
		result = open_npy(file);
	else if (ending != NULL && strcasecmp(ending, ".txt") == 0)
		result = open_text(file);
	else
		say_error(path, "--ids: its name must end in .npy or .txt (one ID per line)");
	if (result < 0)
		ids_file_close(file);
	return result;
}

void ids_file_close(struct ids_file *file)
{
	if (file->fd >= 0)
		(void)close(file->fd); /* it was only read */
	if (file->text)
		stream_close(&file->stream);
	file->fd = -1;
	file->text = false;
	file->path = NULL;
}
