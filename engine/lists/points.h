/*
 * points.h - vectors as points whose squared distance says what is near under their metric; FORMAT.md,
 * nearest/.
 */
#ifndef QUIVER_LISTS_POINTS_H
#define QUIVER_LISTS_POINTS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/distance/distance.h"

struct points {
	struct distance vectors; /* under the metric */
	struct distance l2; /* of points, `width` numbers each */
	uint32_t width;
	double norm_max; /* of l2 and ip: points are as large as their share of it */
};

/* norm_max 0: it is not known, or there is nothing but zeros. -EINVAL a metric that does not go with the
 * dtype. Else 0. */
int points_init(struct points *points, enum quiver_metric metric, enum quiver_dtype dtype,
                uint32_t dim, double norm_max);
/* The point of a vector that has distances, or of a question, to to[0 ... width - 1]. Any thread. */
void point_of_vector(const struct points *points, const void *vector, float *to);
void point_of_question(const struct points *points, const void *vector, float *to);
/* The norm of a vector, of which `norm_max` is the greatest; under other metrics 0. Any thread. */
double points_norm(const struct points *points, const void *vector);

/* So many points at a time: enough for the kernels, and few enough for their caches. */
#define POINTS_AT_ONCE 256u
/* The same where they are long. */
size_t points_at_once(const struct points *points);

/* The nearest of `count` centroids, `width` numbers each, of `n` points, at most POINTS_AT_ONCE of them;
 * the first of equals, and 0 where single precision can tell none. 0 or -ENOMEM. Any thread. */
int points_nearest(const struct points *points, const float *centroids, size_t count,
                   const float *from, size_t n, uint32_t *nearest);

#endif
