#include "engine/rados/monitor_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_spaces(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* Behind the colon of the first `"key":` before `end` (NULL: all of it); NULL: there is none. */
static const char *find_value(const char *text, const char *end, const char *key)
{
	size_t length = strlen(key);

	for (const char *at = strchr(text, '"'); at && (!end || at < end);
	     at = strchr(at + 1, '"')) {
		const char *after;

		if (strncmp(at + 1, key, length) != 0 || at[1 + length] != '"')
			continue;
		after = skip_spaces(at + length + 2);
		if (*after == ':')
			return skip_spaces(after + 1);
	}
	return NULL;
}

static bool read_number(const char *at, uint64_t *value)
{
	char *end;

	if (!at || *at < '0' || *at > '9')
		return false;
	errno = 0;
	*value = strtoull(at, &end, 10);
	return errno == 0;
}

bool monitor_text_of_pool(const char *text, int64_t pool, const char *key, uint64_t *value)
{
	const char *at = find_value(text, NULL, "pools");

	while (at && (at = find_value(at, NULL, "id"))) {
		const char *stats = find_value(at, NULL, "stats");
		const char *next = find_value(at, NULL, "id");
		uint64_t id;

		if (read_number(at, &id) && (int64_t)id == pool && stats && (!next || stats < next))
			return read_number(find_value(stats, next, key), value);
	}
	return false;
}

bool monitor_text_number(const char *text, const char *key, uint64_t *value)
{
	return read_number(find_value(text, NULL, key), value);
}
