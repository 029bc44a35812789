#include "engine/rados/id_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 1024u
/* So few are sorted faster by insertion. */
#define INSERTION_MAX 32u

int id_array_add(struct id_array *array, uint64_t id)
{
	if (array->count == array->room) {
		size_t room = array->room ? array->room * 2 : ROOM_MIN;
		uint64_t *ids = realloc(array->ids, room * sizeof(*ids));

		if (!ids)
			return -ENOMEM;
		array->ids = ids;
		array->room = room;
	}
	array->ids[array->count++] = id;
	return 0;
}

static void insertion_sort(uint64_t *ids, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		uint64_t id = ids[i];
		size_t at = i;

		for (; at > 0 && ids[at - 1] > id; at--)
			ids[at] = ids[at - 1];
		ids[at] = id;
	}
}

/* Into the 256 ranges of one byte, each ID by exchange with the one that is in its place (American
 * flag sort); `ends` gets where each range ends. */
static void distribute(uint64_t *ids, size_t count, unsigned shift, size_t ends[256])
{
	size_t next[256] = { 0 };
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		next[ids[i] >> shift & 255]++;
	for (unsigned byte = 0; byte < 256; byte++) {
		size_t begin = sum;

		sum += next[byte];
		next[byte] = begin;
		ends[byte] = sum;
	}
	for (unsigned byte = 0; byte < 256; byte++) {
		while (next[byte] < ends[byte]) {
			uint64_t id = ids[next[byte]];
			unsigned belongs = id >> shift & 255;

			if (belongs == byte) {
				next[byte]++;
			} else {
				ids[next[byte]] = ids[next[belongs]];
				ids[next[belongs]++] = id;
			}
		}
	}
}

/* By the bytes from `shift` down: at most eight deep. */
static void sort(uint64_t *ids, size_t count, unsigned shift)
{
	size_t ends[256];
	size_t begin = 0;

	if (count <= INSERTION_MAX) {
		insertion_sort(ids, count);
		return;
	}
	distribute(ids, count, shift, ends);
	for (unsigned byte = 0; shift > 0 && byte < 256; byte++) {
		sort(ids + begin, ends[byte] - begin, shift - 8);
		begin = ends[byte];
	}
}

void id_array_finish(struct id_array *array)
{
	uint64_t *less;
	size_t kept = 0;

	if (array->count == 0)
		return;
	sort(array->ids, array->count, 56);
	for (size_t i = 0; i < array->count; i++) {
		if (i == 0 || array->ids[i] != array->ids[kept - 1])
			array->ids[kept++] = array->ids[i];
	}
	array->count = kept;
	less = realloc(array->ids, kept * sizeof(*less));
	if (less) {
		array->ids = less;
		array->room = kept;
	}
}
