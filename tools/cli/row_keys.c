/*
 * row_keys.c - the keys of rows that are imported, on their way into a file of one a line.
 */
#include "tools/cli/row_keys.h"
#include "tools/cli/say.h"
#include "tools/formats/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_FIRST 1024u

/* Nobody else may add to the file meanwhile: two would give one number to two keys. Says errors. */
static int lock_file(struct row_keys *keys)
{
	struct stat opened, named;
	int result = 0;

	keys->lock_fd = open(keys->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (keys->lock_fd < 0 || fstat(keys->lock_fd, &opened) < 0) {
		result = -errno;
		say_errno(keys->path, result);
		return result;
	}
	if (!S_ISREG(opened.st_mode)) {
		say_error(keys->path,
		          "--keys: this is not a regular file, so no keys can be added");
		return -EINVAL;
	}
	/* who had it until now has put another file in its place */
	if (flock(keys->lock_fd, LOCK_EX | LOCK_NB) == 0 && stat(keys->path, &named) == 0 &&
	    named.st_dev == opened.st_dev && named.st_ino == opened.st_ino)
		return 0;
	say_error(keys->path, "--keys: another import is adding keys to it; wait until that ends");
	return -EBUSY;
}

/* Write a line. A first key that begins with a byte order mark gets one more before it, which who
 * reads it passes over. Says errors. */
static int write_line(struct row_keys *keys, const char *key, size_t length)
{
	size_t mark = strlen(STREAM_MARK);
	int result = 0;

	if (keys->lines == 0 && length >= mark && memcmp(key, STREAM_MARK, mark) == 0)
		result = out_file_write(&keys->file, STREAM_MARK, mark);
	if (result == 0)
		result = out_file_write(&keys->file, key, length);
	if (result == 0)
		result = out_file_write(&keys->file, "\n", 1);
	keys->lines++;
	return result;
}

/* Take over the keys that are there. Of a key that stands twice the first line counts. Says
 * errors. */
static int take_known(struct row_keys *keys)
{
	struct stream stream;
	char *line;
	size_t length;
	uint64_t number;
	int read = 0;
	int result = stream_open(keys->path, &stream);

	if (result < 0) {
		say_errno(keys->path, result);
		return result;
	}
	read = stream_pass_mark(&stream);
	while (read >= 0 && result == 0 && (read = stream_line(&stream, &line, &length)) > 0) {
		result = key_table_add(&keys->table, line, length, keys->lines, &number);
		if (result < 0)
			say_errno(keys->path, result);
		else
			result = write_line(keys, line, length);
	}
	if (read < 0 && read != -EINTR)
		say_error(keys->path, "line %" PRIu64 ": %s", keys->lines + 1,
		          stream_strerror(&stream, read));
	stream_close(&stream);
	keys->known = keys->lines;
	return result < 0 ? result : read;
}

/* Say that the file is there: of one that is read, that. */
static int refuse_existing(struct row_keys *keys, struct apart *apart)
{
	int result = out_file_open(keys->path, OUT_FILE_WHOLE, apart, &keys->file);

	if (result < 0)
		return result;
	out_file_drop(&keys->file);
	say_error(keys->path, "--keys: the file exists already, and this import would replace it; "
	                      "remove it, give another name, or give --add-keys: it keeps the keys "
	                      "in the file and adds new ones");
	return -EEXIST;
}

int row_keys_open(const char *path, bool add, struct apart *apart, struct row_keys *keys)
{
	struct stat status;
	/* nothing stays in a pipe */
	bool there = stat(path, &status) == 0 && (add || S_ISREG(status.st_mode));
	int result = 0;

	memset(keys, 0, sizeof(*keys));
	keys->lock_fd = -1;
	keys->path = path;
	keys->numbering = add;
	if (there && !add)
		return refuse_existing(keys, apart);
	if (there)
		result = lock_file(keys);
	if (result == 0)
		result = out_file_open(path, OUT_FILE_WHOLE, apart, &keys->file);
	if (result == 0 && there)
		result = take_known(keys);
	else if (result == 0 && add)
		say_note(path, "this file is new: no key has a number yet");
	return result;
}

void row_keys_number(struct row_keys *keys)
{
	keys->numbering = true;
}

void row_keys_begin(struct row_keys *keys)
{
	keys->count = 0;
}

/* Room for one row more. Says errors. */
static int make_room(struct row_keys *keys)
{
	size_t more = keys->room > 0 ? keys->room * 2 : ROWS_FIRST;
	struct row_key *grown;

	if (keys->count < keys->room)
		return 0;
	grown = reallocarray(keys->rows, more, sizeof(*grown));
	if (grown == NULL) {
		say_errno(keys->path, -ENOMEM);
		return -ENOMEM;
	}
	keys->rows = grown;
	keys->room = more;
	return 0;
}

int row_keys_take(void *arg, const char *key, size_t length)
{
	struct row_keys *keys = arg;
	struct row_key *row;
	int added = 1;
	int result = make_room(keys);

	if (result < 0)
		return result;
	row = &keys->rows[keys->count++];
	row->number = keys->lines;
	if (keys->numbering)
		added = key_table_add(&keys->table, key, length, keys->lines, &row->number);
	if (added < 0)
		say_errno(keys->path, added);
	row->added = added > 0;
	return added > 0 ? write_line(keys, key, length) : added;
}

int row_keys_finish(struct row_keys *keys)
{
	int result;

	if (keys->path == NULL)
		return 0;
	result = out_file_sync(&keys->file);
	return result < 0 ? result : out_file_end(&keys->file);
}

void row_keys_close(struct row_keys *keys)
{
	if (keys->path == NULL)
		return;
	out_file_drop(&keys->file);
	if (keys->lock_fd >= 0)
		(void)close(keys->lock_fd); /* it was only locked */
	key_table_free(&keys->table);
	free(keys->rows);
	memset(keys, 0, sizeof(*keys));
	keys->lock_fd = -1;
}
