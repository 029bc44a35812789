/*
 * map_labels.h - the keys of the points of a map, and of their neighbours.
 */
#ifndef MAP_LABELS_H
#define MAP_LABELS_H

#include "tools/cli/map_points.h"

#include <stdint.h>

/* Take them from a file with one a line, the first being that of vector `start_id`: labels and other_labels.
 * A vector beyond its end has none. Says errors. */
int map_labels_read(const char *path, uint64_t start_id, struct map_points *points);

#endif
