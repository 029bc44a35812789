/*
 * json_path.c - a member of an object by its name or by a path through objects and arrays.
 */
#include "tools/formats/json_path.h"

#include <stdint.h>
#include <string.h>

/* The path whose parts are what dots separate. False where they are too many or one is empty. */
static bool split(const char *text, struct json_path *path)
{
	path->count = 0;
	for (;;) {
		size_t length = strcspn(text, ".");

		if (length == 0 || path->count == JSON_PATH_PARTS_MAX)
			return false;
		path->parts[path->count].name = text;
		path->parts[path->count++].length = length;
		if (text[length] == '\0')
			return true;
		text += length + 1;
	}
}

/* An index of an array. False where the part is none. */
static bool read_index(const char *text, size_t length, size_t *index)
{
	*index = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9' || *index > SIZE_MAX / 100)
			return false;
		*index = *index * 10 + (size_t)(text[i] - '0');
	}
	return true;
}

static struct json_span find_part(struct json_span value, const char *name, size_t length)
{
	struct json_member member = { .name = name, .length = length };
	struct json_span none = { NULL, NULL };
	size_t index;

	if (*value.at == '[')
		return read_index(name, length, &index)
		               ? json_scan_element(value.at, value.end, index)
		               : none;
	if (*value.at == '{' && json_scan_find(value.at, value.end, &member, 1) != NULL)
		return member.value;
	return none;
}

struct json_span json_path_follow(const struct json_path *path, struct json_span first)
{
	for (unsigned i = 1; i < path->count && first.at != NULL; i++)
		first = find_part(first, path->parts[i].name, path->parts[i].length);
	return first;
}

bool json_path_find(struct json_span object, const char *text, struct json_path *path,
                    struct json_span *value)
{
	path->parts[0].name = text;
	path->parts[0].length = strlen(text);
	path->count = 1;
	*value = find_part(object, text, path->parts[0].length);
	if (value->at != NULL)
		return true;
	if (!split(text, path))
		return false;
	*value = find_part(object, path->parts[0].name, path->parts[0].length);
	*value = json_path_follow(path, *value);
	return value->at != NULL;
}
