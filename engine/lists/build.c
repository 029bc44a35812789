#include "engine/lists/build.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/latency.h"
#include "engine/lists/assign.h"
#include "engine/lists/measure.h"
#include "engine/lists/sample.h"

/* Points of the sample for each list: with fewer the centroids follow chance, with more they get hardly
 * better (J. Johnson et al., "Billion-scale similarity search with GPUs", 2017, takes 39 to 256). */
#define SAMPLE_OF_LIST 64u
#define SAMPLE_OF_LIST_LEAST 8u
/* Lists are this times the square root of the vectors. */
#define LISTS_FACTOR 4.0

struct building {
	struct catalog *catalog;
	struct lists_work *work;
	uint64_t random;
	struct points points;
	struct nearest_page page;
	uint32_t *slots; /* malloc'd; of the sample */
	float *sample; /* malloc'd */
	size_t sampled;
	float *centroids; /* malloc'd */
};

/* How many lists, and how large the sample is at most. */
static size_t plan(struct building *building)
{
	uint64_t vectors = catalog_count(building->catalog);
	uint64_t width = building->page.width;
	uint64_t lists = (uint64_t)(LISTS_FACTOR * sqrt((double)vectors));
	uint64_t fit = BUILD_SAMPLE_BYTES / (width * sizeof(float));
	uint64_t sample;

	if (lists > NEAREST_LISTS_MAX)
		lists = NEAREST_LISTS_MAX;
	if (lists > NEAREST_NUMBERS_MAX / width)
		lists = NEAREST_NUMBERS_MAX / width;
	sample = lists * SAMPLE_OF_LIST;
	if (sample > vectors)
		sample = vectors;
	if (sample > fit)
		sample = fit;
	if (lists > sample / SAMPLE_OF_LIST_LEAST)
		lists = sample / SAMPLE_OF_LIST_LEAST;
	building->page.vectors = vectors;
	building->page.rows = lists < 1 ? 1 : lists;
	return sample;
}

static bool is_finite(const float *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(numbers[i]))
			return false;
	return true;
}

/* The greatest norm has to be known before there are points. */
static int find_norm(struct building *building, uint8_t *vector)
{
	double most = 0;
	uint64_t id;

	for (size_t i = 0; i < building->sampled; i++) {
		if (atomic_load(&building->work->stop))
			return -EINTR;
		sample_fetch(building->catalog, building->slots[i], building->slots[i]);
		if (sample_read(building->catalog, building->slots[i], vector, &id) &&
		    distance_has_any(&building->points.vectors, vector))
			most = fmax(most, points_norm(&building->points, vector));
	}
	building->page.norm_max = most;
	return points_init(&building->points, building->page.metric, building->page.dtype,
	                   building->page.dim, most);
}

/* The points of the slots that still have one. */
static int read_sample(struct building *building, uint8_t *vector)
{
	const struct points *points = &building->points;
	size_t kept = 0;
	uint64_t id;

	for (size_t i = 0; i < building->sampled; i++) {
		float *to = building->sample + kept * points->width;

		if (atomic_load(&building->work->stop))
			return -EINTR;
		sample_fetch(building->catalog, building->slots[i], building->slots[i]);
		if (!sample_read(building->catalog, building->slots[i], vector, &id) ||
		    !distance_has_any(&points->vectors, vector))
			continue;
		point_of_vector(points, vector, to);
		kept += is_finite(to, points->width);
	}
	building->sampled = kept;
	if (kept == 0)
		return -ENODATA;
	if (building->page.rows > kept)
		building->page.rows = kept;
	return 0;
}

static int take_sample(struct building *building)
{
	size_t max = plan(building);
	uint8_t *vector = malloc(building->points.vectors.vector_bytes);
	uint64_t pinned, told;
	int r = sample_pin(building->catalog, &pinned, &told);

	building->slots = malloc(max * sizeof(*building->slots) + 1);
	building->sample = malloc((max + 1) * building->points.width * sizeof(float));
	if (r == 0 && (!vector || !building->slots || !building->sample))
		r = -ENOMEM;
	if (r == 0 && pinned == SLOT_NONE)
		r = -ENODATA;
	if (r == 0) {
		building->sampled = sample_slots(building->catalog, &building->random, pinned + 1,
		                                 max, building->slots);
		r = find_norm(building, vector);
	}
	if (r == 0)
		r = read_sample(building, vector);
	sample_unpin(building->catalog, pinned);
	free(vector);
	free(building->slots);
	building->slots = NULL;
	return r;
}

static int find_centroids(struct building *building)
{
	struct slots_counts counts;
	int r = take_sample(building);

	slots_counts(&building->catalog->slots, &counts);
	/* Rounds over the sample; then all slots are put into lists, and all are compared. */
	atomic_store(&building->work->total, building->sampled * KMEANS_ROUNDS + 2 * counts.used);
	if (r == 0) {
		building->centroids =
			malloc(building->page.rows * building->points.width * sizeof(float));
		r = building->centroids ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = kmeans(&building->points, building->sample, building->sampled,
		           building->page.rows, &building->random, building->centroids,
		           building->work);
	free(building->sample);
	building->sample = NULL;
	return r;
}

static int fill_lists(struct building *building, struct lists *lists)
{
	struct measures measures;
	int r = lists_watch(lists);

	if (r)
		return r;
	r = assign_all(lists, building->work);
	if (r == 0)
		r = measure(lists, &building->random, &measures, building->work);
	if (r) {
		lists_unwatch(lists);
		return r;
	}
	measure_set(lists, &measures);
	lists->page.no_help = measures.index_ms * NEAREST_INDEX_HELPS > measures.exact_ms;
	return 0;
}

int build_lists(struct catalog *catalog, enum quiver_metric metric, const uint8_t uuid[16],
                uint64_t build, struct lists **lists, struct lists_work *work)
{
	const struct quiver_geometry *geometry = &catalog->columns.geometry;
	struct building building = { .catalog = catalog, .work = work, .random = build };
	uint64_t began = clock_monotonic_ns();
	int r = points_init(&building.points, metric, geometry->dtype, geometry->dim, 0);

	*lists = NULL;
	building.page = (struct nearest_page){
		.array = NEAREST_CENTROIDS,
		.build = build,
		.dim = geometry->dim,
		.dtype = geometry->dtype,
		.metric = metric,
		.width = building.points.width,
		.started_ns = clock_realtime_ns(),
	};
	memcpy(building.page.uuid, uuid, sizeof(building.page.uuid));
	if (r == 0 && catalog_count(catalog) < NEAREST_INDEX_LEAST)
		r = -ENODATA;
	if (r == 0)
		r = find_centroids(&building);
	if (r == 0) {
		*lists = lists_create(catalog, &building.page, building.centroids);
		r = *lists ? 0 : -ENOMEM;
	}
	if (r == 0)
		building.centroids = NULL; /* theirs */
	if (r == 0)
		r = fill_lists(&building, *lists);
	free(building.centroids);
	if (r) {
		lists_free(*lists);
		*lists = NULL;
		return r;
	}
	(*lists)->page.duration_ns = (int64_t)(clock_monotonic_ns() - began);
	return 0;
}
