/*
 * map_points.c - what a map shows.
 */
#include "tools/cli/map_points.h"

#include <stdlib.h>
#include <string.h>

static void free_labels(char **labels, size_t count)
{
	for (size_t i = 0; labels != NULL && i < count; i++)
		free(labels[i]);
	free(labels);
}

void map_points_free(struct map_points *points)
{
	free_labels(points->labels, points->count);
	free_labels(points->other_labels, points->other_count);
	for (size_t i = 0; i < points->name_count; i++)
		free(points->names[i]);
	free(points->ids);
	free(points->places);
	free(points->reduced);
	free(points->colour_title);
	free(points->groups);
	free(points->numbers);
	free(points->asked);
	free(points->found);
	free(points->near);
	free(points->distances);
	free(points->others);
	memset(points, 0, sizeof(*points));
}

uint32_t map_points_find(const uint64_t *ids, size_t count, uint64_t id)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && ids[low] == id ? (uint32_t)low : MAP_NONE;
}
