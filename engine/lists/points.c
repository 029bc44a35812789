#include "engine/lists/points.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "engine/distance/elements.h"
#include "engine/media/nearest_page.h"

#define BYTES_AT_ONCE (UINT64_C(8) << 20)
#define BLOCK 256u /* elements; a multiple of 8 */

int points_init(struct points *points, enum quiver_metric metric, enum quiver_dtype dtype,
                uint32_t dim, double norm_max)
{
	int r = distance_init(&points->vectors, metric, dtype, dim);

	points->width = nearest_width(metric, dtype, dim);
	points->norm_max = norm_max > 0 ? norm_max : 1;
	return r ? r : distance_init(&points->l2, QUIVER_L2, QUIVER_F4, points->width);
}

static uint32_t block_at(const struct points *points, uint32_t at)
{
	return points->vectors.dim - at < BLOCK ? points->vectors.dim - at : BLOCK;
}

/* In doubles, which hold the square of no element that is too large or too small. */
static double norm_of(const struct points *points, const void *vector)
{
	double block[BLOCK];
	double most = 0, sum = 0, scale;

	for (uint32_t at = 0; at < points->vectors.dim; at += BLOCK) {
		uint32_t n = block_at(points, at);

		elements_doubles(points->vectors.dtype, vector, at, n, block);
		for (uint32_t i = 0; i < n; i++)
			most = fmax(most, fabs(block[i]));
	}
	if (most == 0)
		return 0;
	scale = elements_scale(most);
	for (uint32_t at = 0; at < points->vectors.dim; at += BLOCK) {
		uint32_t n = block_at(points, at);

		elements_doubles(points->vectors.dtype, vector, at, n, block);
		for (uint32_t i = 0; i < n; i++)
			sum += block[i] * scale * (block[i] * scale);
	}
	return fmin(sqrt(sum) / scale, DBL_MAX);
}

double points_norm(const struct points *points, const void *vector)
{
	bool counts = points->vectors.metric == QUIVER_L2 || points->vectors.metric == QUIVER_IP;

	return counts ? norm_of(points, vector) : 0;
}

/* The elements, divided by something above 0, of which the reciprocal may be infinite. */
static void divide(const struct points *points, const void *vector, double by, float *to)
{
	double block[BLOCK];

	for (uint32_t at = 0; at < points->vectors.dim; at += BLOCK) {
		uint32_t n = block_at(points, at);

		elements_doubles(points->vectors.dtype, vector, at, n, block);
		for (uint32_t i = 0; i < n; i++)
			to[at + i] = (float)(block[i] / by);
	}
}

static void bits_of(const uint8_t *bytes, size_t count, float *to)
{
	for (size_t i = 0; i < count * 8; i++)
		to[i] = (float)(bytes[i / 8] >> i % 8 & 1);
}

/* Where a question lies as a vector does. */
static void point_of(const struct points *points, const void *vector, float *to)
{
	const struct distance *vectors = &points->vectors;

	if (vectors->metric == QUIVER_HAMMING && vectors->dtype == QUIVER_U1)
		bits_of(vector, vectors->dim, to);
	else if (vectors->metric == QUIVER_HAMMING)
		divide(points, vector, 1, to);
	else
		divide(points, vector,
		       vectors->metric == QUIVER_COSINE ? norm_of(points, vector)
		                                        : points->norm_max,
		       to);
}

void point_of_vector(const struct points *points, const void *vector, float *to)
{
	double norm;

	point_of(points, vector, to);
	if (points->vectors.metric != QUIVER_IP)
		return;
	norm = norm_of(points, vector) / points->norm_max;
	to[points->width - 1] = norm < 1 ? (float)sqrt((1 - norm) * (1 + norm)) : 0;
}

void point_of_question(const struct points *points, const void *vector, float *to)
{
	double norm;

	if (points->vectors.metric != QUIVER_IP) {
		point_of(points, vector, to);
		return;
	}
	norm = norm_of(points, vector);
	divide(points, vector, norm > 0 ? norm : 1, to);
	to[points->width - 1] = 0;
}

size_t points_at_once(const struct points *points)
{
	size_t fit = BYTES_AT_ONCE / ((size_t)points->width * sizeof(float));

	return fit < 1 ? 1 : fit < POINTS_AT_ONCE ? fit : POINTS_AT_ONCE;
}

/* Scores of some centroids, `first` and those behind it: where one is less than what there was. */
static void take_nearer(const float *scores, size_t padded, size_t first, size_t count, size_t n,
                        float *least, uint32_t *nearest)
{
	for (size_t i = 0; i < count; i++)
		for (size_t at = 0; at < n; at += 64) {
			const float *line = scores + i * padded + at;
			uint64_t hits = distance_hits(line, least + at, n - at < 64 ? n - at : 64);

			for (; hits; hits &= hits - 1) {
				size_t j = (size_t)__builtin_ctzll(hits);

				if (!(line[j] < least[at + j]))
					continue;
				least[at + j] = line[j];
				nearest[at + j] = (uint32_t)(first + i);
			}
		}
}

int points_nearest(const struct points *points, const float *centroids, size_t count,
                   const float *from, size_t n, uint32_t *nearest)
{
	const void *rows[POINTS_AT_ONCE];
	float least[POINTS_AT_ONCE];
	struct distance_questions questions;
	float *scores = NULL;
	float norm_max = 0;
	int r;

	for (size_t j = 0; j < n; j++) {
		rows[j] = from + j * points->width;
		least[j] = INFINITY;
		nearest[j] = 0;
	}
	r = distance_questions_init(&questions, &points->l2, rows, n);
	if (r == 0) {
		scores = aligned_alloc(64, DISTANCE_ROWS_MAX * questions.padded * sizeof(*scores));
		r = scores ? 0 : -ENOMEM;
	}
	for (size_t first = 0; r == 0 && first < count; first += DISTANCE_ROWS_MAX) {
		size_t some = count - first < DISTANCE_ROWS_MAX ? count - first : DISTANCE_ROWS_MAX;

		for (size_t i = 0; i < some; i++)
			rows[i] = centroids + (first + i) * points->width;
		distance_scores(&questions, rows, some, scores, &norm_max);
		take_nearer(scores, questions.padded, first, some, n, least, nearest);
	}
	free(scores);
	distance_questions_free(&questions);
	return r;
}
