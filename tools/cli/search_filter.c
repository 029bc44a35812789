/*
 * search_filter.c - the IDs among which is searched.
 */
#include "tools/cli/search_filter.h"
#include "tools/cli/ids_file.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdlib.h>

/* Read at once. */
#define CHUNK_IDS 65536u

/* Room for so many more. Says errors. */
static int make_room(const struct ids_file *file, struct search_wanted *wanted, size_t *room)
{
	size_t larger = *room > 0 ? *room * 2 : CHUNK_IDS;
	uint64_t *ids;

	if (*room - wanted->id_count >= CHUNK_IDS)
		return 0;
	ids = reallocarray(wanted->ids, larger, sizeof(*ids));
	if (ids == NULL) {
		say_errno(file->path, -ENOMEM);
		return -ENOMEM;
	}
	wanted->ids = ids;
	*room = larger;
	return 0;
}

static int compare(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

/* Put them in order, each once. */
static void sort(struct search_wanted *wanted)
{
	size_t kept = 0;

	qsort(wanted->ids, wanted->id_count, sizeof(*wanted->ids), compare);
	for (size_t i = 0; i < wanted->id_count; i++) {
		uint64_t id = wanted->ids[i];

		if (id != QUIVER_ID_NONE && (kept == 0 || wanted->ids[kept - 1] != id))
			wanted->ids[kept++] = id;
	}
	wanted->id_count = kept;
}

int search_filter_read(const char *path, struct search_wanted *wanted)
{
	struct ids_file file;
	size_t room = 0;
	int64_t got = 1;
	int result = ids_file_open(path, &file);

	if (result < 0)
		return result;
	wanted->has_ids = true;
	while (result == 0 && got > 0) {
		size_t max = CHUNK_IDS;

		if (file.rows != IDS_FILE_ROWS_UNKNOWN && file.rows - file.next < max)
			max = (size_t)(file.rows - file.next);
		result = make_room(&file, wanted, &room);
		got = result < 0 || max == 0
		              ? 0
		              : ids_file_read(&file, wanted->ids + wanted->id_count, max);
		if (got > 0)
			wanted->id_count += (size_t)got;
	}
	if (got < 0)
		result = (int)got;
	ids_file_close(&file);
	if (result == 0)
		sort(wanted);
	return result;
}

void search_filter_cut(const struct search_wanted *wanted, uint64_t *ids, size_t *count)
{
	size_t kept = 0, at = 0;

	for (size_t i = 0; i < *count; i++) {
		while (at < wanted->id_count && wanted->ids[at] < ids[i])
			at++;
		if (at < wanted->id_count && wanted->ids[at] == ids[i])
			ids[kept++] = ids[i];
	}
	*count = kept;
}
