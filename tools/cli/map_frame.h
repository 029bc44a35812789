/*
 * map_frame.h - what part of the plane a map shows, and how places become shares of it.
 */
#ifndef MAP_FRAME_H
#define MAP_FRAME_H

#include "tools/cli/map_points.h"

#include <stddef.h>

/* A square around all points; both axes have one scale. */
struct map_frame {
	double x, y, span; /* its lower left corner, and how long its sides are */
	double wide, high; /* shares of it that points take, 0 ... 1, from that corner on */
};

struct map_frame map_frame_of(const struct map_points *points);

/* Where point `index` lies in it, 0 ... 1, to the right and upwards. */
double map_frame_x(const struct map_frame *frame, const struct map_points *points, size_t index);
double map_frame_y(const struct map_frame *frame, const struct map_points *points, size_t index);

/* Where a number lies between the least and the most, 0 ... 1. */
double map_share(const struct map_points *points, double number);

#endif
