/*
 * map_svg.h - a map as a picture, in SVG.
 */
#ifndef MAP_SVG_H
#define MAP_SVG_H

#include "tools/cli/map_about.h"
#include "tools/cli/map_points.h"
#include "tools/cli/out_file.h"

/* Points that are drawn: what has more is slow to open, and blots. */
#define MAP_SVG_MAX 20000u

/* At most MAP_SVG_MAX points are drawn, spread evenly. Says errors. */
int map_svg_write(const struct map_about *about, const struct map_points *points,
                  struct out_file *file);

#endif
