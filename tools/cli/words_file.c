/*
 * words_file.c - the word of each vector, from a file with one a line.
 */
#include "tools/cli/words_file.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int words_file_open(const char *path, uint64_t start_id, struct words_file *words)
{
	int result = stream_open(path, &words->stream);

	if (result < 0) {
		say_errno(path, result);
		return result;
	}
	words->path = path;
	words->next_id = start_id;
	return 0;
}

void words_file_close(struct words_file *words)
{
	if (words->path != NULL)
		stream_close(&words->stream);
	words->path = NULL;
}

int words_file_find(struct words_file *words, uint64_t id, const char **word)
{
	char *line = NULL;
	size_t length = 0;

	while (words->next_id <= id) {
		int result = stream_line(&words->stream, &line, &length);

		if (result < 0) {
			say_errno(words->path, result);
			return result;
		}
		if (result == 0)
			break;
		words->next_id++;
	}
	if (line != NULL && length > 0 && words->next_id == id + 1) {
		*word = line;
		return 0;
	}
	say_error(words->path, "it has no word for vector %" PRIu64, id);
	return -ENOENT;
}
