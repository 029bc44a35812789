/*
 * map_csv.h - a map as a table, for other programs.
 */
#ifndef MAP_CSV_H
#define MAP_CSV_H

#include "tools/cli/map_points.h"
#include "tools/cli/out_file.h"

/* A line for each point: id, x, y, and colour and label where there are some. Says errors. */
int map_csv_write(const struct map_points *points, struct out_file *file);

#endif
