/*
 * map_place.c - where the vectors of a session lie in two dimensions.
 */
#include "tools/cli/map_place.h"
#include "tools/cli/map_read.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/vectors.h"
#include "tools/map/pca.h"
#include "tools/map/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEED UINT64_C(20211130)

struct placing {
	struct map_points *points;
	struct map_reader reader;
	struct pca pca;
	struct vectors_list list;
	uint64_t *sample; /* IDs that are to be drawn */
	size_t sample_count;
	double *row; /* a point in all directions */
};

static int add_row(void *arg, size_t index, const double *row)
{
	struct placing *placing = arg;

	(void)index;
	pca_add(&placing->pca, row);
	return 0;
}

/* Pass over all vectors as often as it takes. */
static int find_directions(struct placing *placing)
{
	size_t count = placing->list.count;
	struct progress progress;
	uint64_t passes = 0;
	bool again = true;
	int result = 0;

	progress_start(&progress, "directions", "vectors", 0, count);
	while (result == 0 && again) {
		progress.total = (passes + 1) * count;
		result = map_read(&placing->reader, placing->list.ids, count, &progress,
		                  passes * count, add_row, placing);
		if (result < 0)
			break;
		result = pca_pass_end(&placing->pca, &again);
		if (result < 0)
			say_errno(placing->reader.session->target.path, result);
		passes++;
	}
	progress_end(&progress);
	placing->points->used = placing->reader.given;
	placing->points->not_finite = placing->reader.not_finite;
	placing->points->without_direction = placing->reader.without_direction;
	return result;
}

/* Choose which IDs are drawn: one out of each part of the list, by chance, so that no pattern of the IDs
 * shows. */
static int choose(struct placing *placing, uint64_t most)
{
	size_t all = placing->list.count, count = most < all ? (size_t)most : all;
	uint64_t state = SEED;

	placing->sample = calloc(count + 1, sizeof(*placing->sample));
	if (placing->sample == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		double share = count < all ? random_share(&state) : 0;
		size_t at = (size_t)(((double)i + share) * (double)all / (double)count);

		placing->sample[i] = placing->list.ids[count < all ? at : i];
	}
	placing->sample_count = count;
	return 0;
}

static int place_row(void *arg, size_t index, const double *row)
{
	struct placing *placing = arg;
	struct map_points *points = placing->points;
	size_t at = points->count++, directions = points->directions;
	float *reduced = points->reduced + at * directions;

	pca_place(&placing->pca, row, directions, placing->row);
	for (size_t i = 0; i < directions; i++)
		reduced[i] = (float)placing->row[i];
	points->ids[at] = placing->sample[index];
	points->places[2 * at] = placing->row[0];
	points->places[2 * at + 1] = directions > 1 ? placing->row[1] : 0;
	return 0;
}

static int place_sample(struct placing *placing)
{
	struct map_points *points = placing->points;
	size_t count = placing->sample_count;
	struct progress progress;
	int result;

	points->directions = placing->pca.wanted;
	points->ids = calloc(count + 1, sizeof(*points->ids));
	points->places = calloc(2 * count + 1, sizeof(*points->places));
	points->reduced = calloc(points->directions * count + 1, sizeof(*points->reduced));
	placing->row = calloc(points->directions, sizeof(*placing->row));
	if (points->ids == NULL || points->places == NULL || points->reduced == NULL ||
	    placing->row == NULL) {
		say_errno(placing->reader.session->target.path, -ENOMEM);
		return -ENOMEM;
	}
	progress_start(&progress, "places", "vectors", 0, count);
	result = map_read(&placing->reader, placing->sample, count, &progress, 0, place_row,
	                  placing);
	progress_end(&progress);
	points->is_pca = true;
	for (size_t i = 0; i < 2 && i < points->directions && placing->pca.variance > 0; i++)
		points->shares[i] = placing->pca.variances[i] / placing->pca.variance;
	return result;
}

int map_place(struct session *session, uint64_t most, struct map_points *points)
{
	struct placing placing = { .points = points, .reader = { .get_fd = -1, .folder_fd = -1 } };
	int result = vectors_list(session, &placing.list);

	if (result < 0)
		return result;
	points->in_store = placing.list.count;
	result = pca_open(session->geometry.dim, MAP_DIRECTIONS, &placing.pca);
	if (result == 0)
		result = choose(&placing, most);
	if (result < 0)
		say_errno(session->target.path, result);
	if (result == 0)
		result = map_reader_open(session, points->metric, &placing.reader);
	if (result == 0)
		result = find_directions(&placing);
	if (result == 0)
		result = place_sample(&placing);
	map_reader_close(&placing.reader);
	pca_close(&placing.pca);
	vectors_list_free(&placing.list);
	free(placing.sample);
	free(placing.row);
	return result;
}
