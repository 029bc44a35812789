/*
 * json_path.h - a member of an object by its name or by a path through objects and arrays,
 * as data.embedding or data.0.embedding.
 */
#ifndef JSON_PATH_H
#define JSON_PATH_H

#include "tools/formats/json_scan.h"

#include <stdbool.h>

#define JSON_PATH_PARTS_MAX 8u

struct json_path {
	struct {
		const char *name; /* of the text the path was made of */
		size_t length;
	} parts[JSON_PATH_PARTS_MAX]; /* the first is a member of the row's object */
	unsigned count; /* 0: there is none */
};

/*
 * Find what `text` names in the object at `object.at`: the member of that name, dots and all, or
 * else what the path leads to. Its path to *path, its value to *value. False where there is none.
 */
bool json_path_find(struct json_span object, const char *text, struct json_path *path,
                    struct json_span *value);

/* Follow the parts after the first, whose value is `first`. at is NULL where they lead nowhere. */
struct json_span json_path_follow(const struct json_path *path, struct json_span first);

#endif
