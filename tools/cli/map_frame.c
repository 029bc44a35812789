/*
 * map_frame.c - what part of the plane a map shows.
 */
#include "tools/cli/map_frame.h"

#include <math.h>

struct map_frame map_frame_of(const struct map_points *points)
{
	double low[2] = { INFINITY, INFINITY }, high[2] = { -INFINITY, -INFINITY };
	struct map_frame frame = { .span = 1 };

	if (points->count == 0)
		return frame;
	for (size_t i = 0; i < 2 * points->count; i++) {
		low[i % 2] = fmin(low[i % 2], points->places[i]);
		high[i % 2] = fmax(high[i % 2], points->places[i]);
	}
	frame.x = low[0];
	frame.y = low[1];
	frame.span = fmax(high[0] - low[0], high[1] - low[1]);
	if (!(frame.span > 0))
		frame.span = 1;
	frame.wide = (high[0] - low[0]) / frame.span;
	frame.high = (high[1] - low[1]) / frame.span;
	return frame;
}

static double within(double share)
{
	return fmin(1, fmax(0, share));
}

double map_frame_x(const struct map_frame *frame, const struct map_points *points, size_t index)
{
	return within((points->places[2 * index] - frame->x) / frame->span);
}

double map_frame_y(const struct map_frame *frame, const struct map_points *points, size_t index)
{
	return within((points->places[2 * index + 1] - frame->y) / frame->span);
}

double map_share(const struct map_points *points, double number)
{
	double span = points->most - points->least;

	return span > 0 ? within((number - points->least) / span) : 0;
}
