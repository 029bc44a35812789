/*
 * kmeans.h - centroids of a sample: S. Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on
 * Information Theory 1982.
 */
#ifndef QUIVER_LISTS_KMEANS_H
#define QUIVER_LISTS_KMEANS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/lists/points.h"

/* What a long work is told, and tells. */
struct lists_work {
	_Atomic bool stop;
	_Atomic uint64_t done, total;
};

#define KMEANS_ROUNDS 8u

/*
 * `lists` centroids of the `count` points at `sample`, at least as many, into centroids[]. Each point of
 * each round is a step that is done. 0; -EINTR stopped; -ENOMEM.
 */
int kmeans(const struct points *points, const float *sample, size_t count, size_t lists,
           uint64_t *random, float *centroids, struct lists_work *work);

#endif
