/*
 * clusters.c - points in groups that lie together.
 */
#include "tools/map/clusters.h"
#include "tools/map/random.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 40u
/* Points that are drawn for each centre at the beginning, of which the best becomes it. */
#define TRIED 4u
#define SEED UINT64_C(19820301)

struct clusters {
	const float *points;
	size_t count, dim, groups;
	uint32_t *which;
	float *centres;
	double *sums; /* groups * dim */
	size_t *sizes;
	float *nearest; /* of each point, to the centre of its group */
};

float clusters_distance(const float *one, const float *other, size_t dim)
{
	float sum = 0;

	for (size_t i = 0; i < dim; i++)
		sum += (one[i] - other[i]) * (one[i] - other[i]);
	return sum;
}

/* How far all points together are from their nearest centres if point `at` is one, too. */
static double try_centre(const struct clusters *clusters, size_t at, size_t group)
{
	const float *centre = clusters->points + at * clusters->dim;
	double total = 0;

	for (size_t i = 0; i < clusters->count; i++) {
		float distance = clusters_distance(clusters->points + i * clusters->dim, centre,
		                                   clusters->dim);

		total += (double)(group > 0 ? fminf(distance, clusters->nearest[i]) : distance);
	}
	return total;
}

/* Point `at` is the centre of group `group`, which is new. */
static void take_centre(struct clusters *clusters, size_t at, size_t group)
{
	float *centre = clusters->centres + group * clusters->dim;

	memcpy(centre, clusters->points + at * clusters->dim, clusters->dim * sizeof(*centre));
	for (size_t i = 0; i < clusters->count; i++) {
		float distance = clusters_distance(clusters->points + i * clusters->dim, centre,
		                                   clusters->dim);

		if (group == 0 || distance < clusters->nearest[i]) {
			clusters->nearest[i] = distance;
			clusters->which[i] = (uint32_t)group;
		}
	}
}

/* A point by chance, the more likely the farther it is from the centres, which is `total` in all. */
static size_t draw(const struct clusters *clusters, double total, uint64_t *state)
{
	double mark = random_share(state) * total;
	size_t at = 0;

	for (; at + 1 < clusters->count; at++) {
		mark -= (double)clusters->nearest[at];
		if (mark < 0)
			break;
	}
	return at;
}

/* The first centres are points, each the best of some that are drawn. */
static void begin(struct clusters *clusters)
{
	uint64_t state = SEED;
	double total = 0;

	for (size_t group = 0; group < clusters->groups; group++) {
		size_t best = (size_t)(random_share(&state) * (double)clusters->count);
		double least = INFINITY;

		for (unsigned tried = 0; group > 0 && tried < TRIED; tried++) {
			size_t at = draw(clusters, total, &state);
			double left = try_centre(clusters, at, group);

			if (left < least) {
				least = left;
				best = at;
			}
		}
		take_centre(clusters, best, group);
		total = 0;
		for (size_t i = 0; i < clusters->count; i++)
			total += (double)clusters->nearest[i];
		if (!(total > 0)) {
			clusters->groups = group + 1; /* there are no other points */
			return;
		}
	}
}

/* The centre of each group is the mean of its points; a group that has none keeps its centre. */
static void centre(struct clusters *clusters)
{
	size_t dim = clusters->dim;

	memset(clusters->sums, 0, clusters->groups * dim * sizeof(double));
	memset(clusters->sizes, 0, clusters->groups * sizeof(size_t));
	for (size_t i = 0; i < clusters->count; i++) {
		double *sum = clusters->sums + clusters->which[i] * dim;

		clusters->sizes[clusters->which[i]]++;
		for (size_t j = 0; j < dim; j++)
			sum[j] += (double)clusters->points[i * dim + j];
	}
	for (size_t k = 0; k < clusters->groups; k++) {
		for (size_t j = 0; clusters->sizes[k] > 0 && j < dim; j++)
			clusters->centres[k * dim + j] =
				(float)(clusters->sums[k * dim + j] / (double)clusters->sizes[k]);
	}
}

/* Put each point to the nearest centre: how many have changed. */
static size_t assign(struct clusters *clusters)
{
	size_t changed = 0;

	for (size_t i = 0; i < clusters->count; i++) {
		const float *point = clusters->points + i * clusters->dim;
		uint32_t best = 0;
		float least = INFINITY;

		for (size_t k = 0; k < clusters->groups; k++) {
			float distance = clusters_distance(
				point, clusters->centres + k * clusters->dim, clusters->dim);

			if (distance < least) {
				least = distance;
				best = (uint32_t)k;
			}
		}
		changed += best != clusters->which[i];
		clusters->which[i] = best;
	}
	return changed;
}

/* Number the groups by their sizes, and leave those out that have no point. 0 or -ENOMEM. */
static int sort(struct clusters *clusters)
{
	size_t dim = clusters->dim, groups = clusters->groups, kept = 0;
	uint32_t *number = calloc(groups, sizeof(*number));
	float *centres = calloc(groups * dim, sizeof(*centres));

	if (number != NULL && centres != NULL) {
		for (size_t k = 0; k < groups; k++) {
			size_t before = 0;

			for (size_t l = 0; l < groups; l++)
				before += clusters->sizes[l] > clusters->sizes[k] ||
				          (clusters->sizes[l] == clusters->sizes[k] && l < k);
			number[k] = (uint32_t)before;
			memcpy(centres + before * dim, clusters->centres + k * dim,
			       dim * sizeof(*centres));
			kept += clusters->sizes[k] > 0;
		}
		memcpy(clusters->centres, centres, groups * dim * sizeof(*centres));
		for (size_t i = 0; i < clusters->count; i++)
			clusters->which[i] = number[clusters->which[i]];
		clusters->groups = kept;
	}
	free(number);
	free(centres);
	return kept > 0 ? 0 : -ENOMEM;
}

int clusters_find(const float *points, size_t count, size_t dim, size_t *groups, uint32_t *which,
                  float *centres)
{
	struct clusters clusters = {
		.points = points,
		.count = count,
		.dim = dim,
		.groups = *groups < count ? *groups : count,
		.which = which,
		.centres = centres,
		.sums = calloc(*groups * dim + 1, sizeof(double)),
		.sizes = calloc(*groups + 1, sizeof(size_t)),
		.nearest = calloc(count + 1, sizeof(float)),
	};
	bool has_memory = clusters.sums != NULL && clusters.sizes != NULL &&
	                  clusters.nearest != NULL;
	int result = has_memory ? 0 : -ENOMEM;

	if (result == 0 && clusters.groups > 0) {
		begin(&clusters);
		for (unsigned round = 0; round < ROUNDS_MAX; round++) {
			centre(&clusters);
			if (assign(&clusters) == 0)
				break;
		}
		centre(&clusters);
		result = sort(&clusters);
	}
	*groups = clusters.groups;
	free(clusters.sums);
	free(clusters.sizes);
	free(clusters.nearest);
	return result;
}
