/*
 * map_place.h - where the vectors of a session lie in two dimensions.
 */
#ifndef MAP_PLACE_H
#define MAP_PLACE_H

#include "tools/cli/map_points.h"
#include "tools/cli/session.h"

#include <stdint.h>

/*
 * Find the directions in which all vectors of the session differ most, compared by points->metric, and where
 * at most `most` of them, spread evenly over their IDs, lie in these: ids, places, reduced, shares and what
 * is counted. `points` is zeros but for the metric. Says errors, but for -EINTR after a signal.
 */
int map_place(struct session *session, uint64_t most, struct map_points *points);

#endif
