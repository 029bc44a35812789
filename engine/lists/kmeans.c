#include "engine/lists/kmeans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/lists/sample.h"

/* One round. */
struct rounds {
	const struct points *points;
	const float *sample;
	size_t count;
	size_t lists;
	uint64_t *random;
	float *centroids;
	float *sums; /* malloc'd; as centroids */
	uint32_t *members; /* malloc'd; of each list */
};

static const float *point_at(const struct rounds *rounds, size_t i)
{
	return rounds->sample + i * rounds->points->width;
}

/* Out of each of as many equal parts one. */
static void begin(const struct rounds *rounds)
{
	size_t width = rounds->points->width;

	for (size_t c = 0; c < rounds->lists; c++) {
		size_t from = (size_t)((__uint128_t)c * rounds->count / rounds->lists);
		size_t pick =
			from + sample_random(rounds->random) % (rounds->count / rounds->lists);

		memcpy(rounds->centroids + c * width, point_at(rounds, pick),
		       width * sizeof(float));
	}
}

static void add(const struct rounds *rounds, const float *point, uint32_t list)
{
	float *sum = rounds->sums + (size_t)list * rounds->points->width;

	rounds->members[list]++;
	for (size_t a = 0; a < rounds->points->width; a++)
		sum[a] += point[a];
}

/* The mean of each list; of one without members any point. */
static void move(const struct rounds *rounds)
{
	size_t width = rounds->points->width;

	for (size_t c = 0; c < rounds->lists; c++) {
		float *centroid = rounds->centroids + c * width;
		const float *sum = rounds->sums + c * width;

		if (rounds->members[c] == 0) {
			memcpy(centroid,
			       point_at(rounds, sample_random(rounds->random) % rounds->count),
			       width * sizeof(float));
			continue;
		}
		for (size_t a = 0; a < width; a++)
			centroid[a] = sum[a] / (float)rounds->members[c];
	}
}

static int run_round(const struct rounds *rounds, struct lists_work *work)
{
	size_t at_once = points_at_once(rounds->points);
	uint32_t nearest[POINTS_AT_ONCE];

	memset(rounds->sums, 0, rounds->lists * rounds->points->width * sizeof(float));
	memset(rounds->members, 0, rounds->lists * sizeof(*rounds->members));
	for (size_t first = 0; first < rounds->count; first += at_once) {
		size_t n = rounds->count - first < at_once ? rounds->count - first : at_once;
		int r = atomic_load(&work->stop)
		                ? -EINTR
		                : points_nearest(rounds->points, rounds->centroids, rounds->lists,
		                                 point_at(rounds, first), n, nearest);

		if (r)
			return r;
		for (size_t i = 0; i < n; i++)
			add(rounds, point_at(rounds, first + i), nearest[i]);
		atomic_fetch_add(&work->done, n);
	}
	move(rounds);
	return 0;
}

int kmeans(const struct points *points, const float *sample, size_t count, size_t lists,
           uint64_t *random, float *centroids, struct lists_work *work)
{
	struct rounds rounds = { .points = points,
		                 .sample = sample,
		                 .count = count,
		                 .lists = lists,
		                 .random = random,
		                 .centroids = centroids };
	int r = 0;

	rounds.sums = malloc(lists * points->width * sizeof(float));
	rounds.members = malloc(lists * sizeof(*rounds.members));
	if (!rounds.sums || !rounds.members)
		r = -ENOMEM;
	if (r == 0)
		begin(&rounds);
	for (unsigned round = 0; r == 0 && round < KMEANS_ROUNDS; round++)
		r = run_round(&rounds, work);
	free(rounds.members);
	free(rounds.sums);
	return r;
}
