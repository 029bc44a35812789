/*
 * map_labels.c - the keys of the points of a map, and of their neighbours.
 */
#include "tools/cli/map_labels.h"
#include "tools/cli/say.h"
#include "tools/formats/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of one label: what is longer is cut, between two characters. */
#define LABEL_BYTES_MAX 200u

struct labels {
	struct map_points *points;
	size_t next, next_other; /* the first of each that is not passed yet */
};

static char *copy(const char *line, size_t length)
{
	if (length > LABEL_BYTES_MAX) {
		length = LABEL_BYTES_MAX;
		while (length > 0 && ((unsigned char)line[length] & 0xc0) == 0x80)
			length--;
	}
	return strndup(line, length);
}

/* The label of vector `id`, for those of `ids` that it is one of. */
static int take(const uint64_t *ids, size_t count, size_t *next, uint64_t id, const char *line,
                size_t length, char **labels)
{
	while (*next < count && ids[*next] < id)
		(*next)++;
	if (*next == count || ids[*next] != id || length == 0)
		return 0;
	labels[*next] = copy(line, length);
	return labels[*next] == NULL ? -ENOMEM : 0;
}

static bool is_done(const struct labels *labels)
{
	return labels->next == labels->points->count &&
	       labels->next_other == labels->points->other_count;
}

static int read_lines(struct stream *stream, uint64_t id, struct labels *labels)
{
	struct map_points *points = labels->points;
	int result = stream_pass_mark(stream);
	size_t length = 0;
	char *line = NULL;

	while (result == 0 && !is_done(labels)) {
		int got = stream_line(stream, &line, &length);

		if (got <= 0)
			return got;
		result = take(points->ids, points->count, &labels->next, id, line, length,
		              points->labels);
		if (result == 0)
			result = take(points->others, points->other_count, &labels->next_other, id,
			              line, length, points->other_labels);
		id++;
	}
	return result;
}

int map_labels_read(const char *path, uint64_t start_id, struct map_points *points)
{
	struct labels labels = { .points = points };
	struct stream stream;
	size_t found = 0;
	int result = stream_open(path, &stream);

	if (result < 0) {
		say_errno(path, result);
		return result;
	}
	points->labels = calloc(points->count + 1, sizeof(*points->labels));
	points->other_labels = calloc(points->other_count + 1, sizeof(*points->other_labels));
	if (points->labels == NULL || points->other_labels == NULL)
		result = -ENOMEM;
	if (result == 0)
		result = stream_unpack(&stream, false, false);
	if (result == 0)
		result = read_lines(&stream, start_id, &labels);
	if (result < 0 && result != -EINTR)
		say_error(path, "%s", stream_strerror(&stream, result));
	stream_close(&stream);
	for (size_t i = 0; result == 0 && i < points->count; i++)
		found += points->labels[i] != NULL;
	if (result == 0 && found < points->count)
		say_note(path, "it has no key for %zu of %zu vectors", points->count - found,
		         points->count);
	return result;
}
