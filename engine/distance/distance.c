#include "engine/distance/distance.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int distance_init(struct distance *distance, enum quiver_metric metric, enum quiver_dtype dtype,
                  uint32_t dim)
{
	if (metric == QUIVER_HAMMING && dtype != QUIVER_B1 && dtype != QUIVER_U1)
		return -EINVAL;
	*distance = (struct distance){
		.metric = metric,
		.dtype = dtype,
		.dim = dim,
		.vector_bytes = quiver_vector_bytes(dim, dtype),
	};
	return 0;
}

/* What is computed at once: a power of two, or several times 64. */
static size_t padded(size_t count)
{
	size_t n = 1;

	while (n < 64 && n < count)
		n *= 2;
	return n < 64 ? n : (count + 63) / 64 * 64;
}

int distance_questions_init(struct distance_questions *questions, const struct distance *distance,
                            const void *const *vectors, size_t count)
{
	uint8_t *copies = calloc(count, distance->vector_bytes);

	*questions = (struct distance_questions){
		.distance = distance,
		.count = count,
		.padded = padded(count),
		.prepared = copies,
	};
	if (!copies)
		return -ENOMEM;
	for (size_t j = 0; j < count; j++)
		memcpy(copies + j * distance->vector_bytes, vectors[j], distance->vector_bytes);
	return 0;
}

void distance_questions_free(struct distance_questions *questions)
{
	free(questions->prepared);
	questions->prepared = NULL;
}

void distance_scores(const struct distance_questions *questions, const void *const *rows,
                     size_t count, float *scores, float *norm_max)
{
	const struct distance *distance = questions->distance;
	const uint8_t *copies = questions->prepared;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < questions->count; j++)
			scores[i * questions->padded + j] = (float)distance_score(
				distance, copies + j * distance->vector_bytes, rows[i]);
	*norm_max = INFINITY;
}

uint64_t distance_hits(const float *scores, const float *limits, size_t count)
{
	uint64_t hits = 0;

	for (size_t i = 0; i < count; i++)
		hits |= (uint64_t) !(scores[i] > limits[i]) << i;
	return hits;
}

double distance_error(const struct distance *distance, const void *question, double score,
                      float norm_max)
{
	(void)distance;
	(void)question;
	(void)norm_max;
	return fabs(score) * 0x1p-23;
}
