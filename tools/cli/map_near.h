/*
 * map_near.h - the neighbours of the points of a map, among all vectors.
 */
#ifndef MAP_NEAR_H
#define MAP_NEAR_H

#include "tools/cli/map_points.h"
#include "tools/cli/session.h"

#include <stdint.h>

/* Comparisons of two elements that are made unless it is said how many points are asked about: about ten
 * seconds of two processors. */
#define MAP_NEAR_STEPS UINT64_C(400000000000)

/* How many points are asked about within MAP_NEAR_STEPS. */
uint64_t map_near_most(const struct session *session, const struct map_points *points);

/* Find the `k` nearest of at most `most` points, spread evenly, by points->metric and comparing all vectors.
 * Says errors, but for -EINTR after a signal. */
int map_near(struct session *session, uint32_t k, uint64_t most, struct map_points *points);

#endif
