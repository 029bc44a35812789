/*
 * keys_file.c - the key of each vector, from a file with one a line.
 */
#include "tools/cli/keys_file.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int keys_file_open(const char *path, uint64_t start_id, struct keys_file *keys)
{
	int result = stream_open(path, &keys->stream);

	if (result < 0) {
		say_errno(path, result);
		return result;
	}
	keys->path = path;
	keys->next_id = start_id;
	return 0;
}

void keys_file_close(struct keys_file *keys)
{
	if (keys->path != NULL)
		stream_close(&keys->stream);
	keys->path = NULL;
}

int keys_file_find(struct keys_file *keys, uint64_t id, const char **key)
{
	char *line = NULL;
	size_t length = 0;

	while (keys->next_id <= id) {
		int result = keys->stream.offset == 0 ? stream_pass_mark(&keys->stream) : 0;

		if (result == 0)
			result = stream_line(&keys->stream, &line, &length);
		if (result < 0) {
			say_error(keys->path, "%s", stream_strerror(&keys->stream, result));
			return result;
		}
		if (result == 0)
			break;
		keys->next_id++;
	}
	if (line != NULL && length > 0 && keys->next_id == id + 1) {
		*key = line;
		return 0;
	}
	say_error(keys->path, "it has no key for vector %" PRIu64, id);
	return -ENOENT;
}
