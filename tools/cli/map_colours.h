/*
 * map_colours.h - what the colours of a map tell: a column of a file, or groups that lie together.
 */
#ifndef MAP_COLOURS_H
#define MAP_COLOURS_H

#include "tools/cli/map_points.h"
#include "tools/cli/map_table.h"

#include <stddef.h>
#include <stdint.h>

/* Whole numbers that are fewer than these tell groups, as classes do. */
#define MAP_CLASSES_MAX 12u

/*
 * By the values of a file. Its rows have IDs; or, where points have labels, labels; or else count up from
 * `start_id`. Numbers are a scale, anything else groups. Says errors.
 */
int map_colours_of_table(const struct map_table *table, uint64_t start_id,
                         struct map_points *points);

/* By up to `most` groups that points->reduced makes. -ENOMEM. */
int map_colours_of_clusters(size_t most, struct map_points *points);

#endif
