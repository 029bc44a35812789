/*
 * row_names.c - the keys of the rows that were read last, kept in memory to name them.
 */
#include "tools/cli/row_names.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_FIRST 1024u
#define TEXT_FIRST 16384u

void row_names_begin(struct row_names *names)
{
	names->length = 0;
	names->count = 0;
}

/* Room for a name of so many bytes with its NUL. -ENOMEM. */
static int make_room(struct row_names *names, size_t bytes)
{
	size_t text_room = names->text_room > 0 ? names->text_room : TEXT_FIRST;
	size_t room = names->room > 0 ? names->room * 2 : NAMES_FIRST;
	size_t *starts = names->starts;
	char *text = names->text;

	if (names->count == names->room)
		starts = reallocarray(names->starts, room, sizeof(*starts));
	if (starts == NULL)
		return -ENOMEM;
	if (names->count == names->room)
		names->room = room;
	names->starts = starts;
	while (text_room - names->length < bytes) {
		if (__builtin_mul_overflow(text_room, 2, &text_room))
			return -ENOMEM;
	}
	if (text_room > names->text_room)
		text = realloc(names->text, text_room);
	if (text == NULL)
		return -ENOMEM;
	names->text = text;
	names->text_room = text_room;
	return 0;
}

int row_names_take(void *arg, const char *key, size_t length)
{
	struct row_names *names = arg;
	int result = make_room(names, length + 1);

	if (result < 0) {
		say_errno("keys", result);
		return result;
	}
	names->starts[names->count++] = names->length;
	memcpy(names->text + names->length, key, length);
	names->text[names->length + length] = '\0';
	names->length += length + 1;
	return 0;
}

const char *row_names_find(const struct row_names *names, size_t index)
{
	return index < names->count ? names->text + names->starts[index] : NULL;
}

void row_names_free(struct row_names *names)
{
	free(names->text);
	free(names->starts);
	memset(names, 0, sizeof(*names));
}
