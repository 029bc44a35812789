#include "engine/lists/points.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "engine/media/nearest_page.h"

#define BYTES_AT_ONCE (UINT64_C(8) << 20)

int points_init(struct points *points, enum quiver_metric metric, enum quiver_dtype dtype,
                uint32_t dim, float norm_max)
{
	int r = distance_init(&points->vectors, metric, dtype, dim);

	points->width = nearest_width(metric, dtype, dim);
	points->norm_max = norm_max;
	return r ? r : distance_init(&points->l2, QUIVER_L2, QUIVER_F4, points->width);
}

static double norm_of(const float *numbers, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)numbers[i] * (double)numbers[i];
	return sqrt(sum);
}

static void scale(float *numbers, size_t count, double by)
{
	if (!isfinite(by))
		return;
	for (size_t i = 0; i < count; i++)
		numbers[i] = (float)((double)numbers[i] * by);
}

static void bits_of(const uint8_t *bytes, size_t count, float *to)
{
	for (size_t i = 0; i < count * 8; i++)
		to[i] = (float)(bytes[i / 8] >> i % 8 & 1);
}

static void point_of(const struct points *points, const void *vector, float *to)
{
	if (points->vectors.metric == QUIVER_HAMMING && points->vectors.dtype == QUIVER_U1)
		bits_of(vector, points->vectors.dim, to);
	else
		distance_floats(&points->vectors, vector, to);
	if (points->vectors.metric == QUIVER_COSINE)
		scale(to, points->width, 1 / norm_of(to, points->width));
}

void point_of_vector(const struct points *points, const void *vector, float *to)
{
	double norm;

	point_of(points, vector, to);
	if (points->vectors.metric != QUIVER_IP)
		return;
	norm = norm_of(to, points->width - 1);
	to[points->width - 1] = norm < (double)points->norm_max
	                                ? (float)sqrt(((double)points->norm_max - norm) *
	                                              ((double)points->norm_max + norm))
	                                : 0;
}

void point_of_question(const struct points *points, const void *vector, float *to)
{
	double norm;

	point_of(points, vector, to);
	if (points->vectors.metric != QUIVER_IP)
		return;
	norm = norm_of(to, points->width - 1);
	scale(to, points->width - 1, (double)points->norm_max / norm);
	to[points->width - 1] = 0;
}

float points_norm(const struct points *points, const void *vector, float *room)
{
	if (points->vectors.metric != QUIVER_IP)
		return 0;
	point_of(points, vector, room);
	return (float)norm_of(room, points->width - 1);
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
