/*
 * map_near.c - the neighbours of the points of a map, among all vectors.
 */
#include "tools/cli/map_near.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/search_answers.h"
#include "tools/cli/search_ask.h"
#include "tools/cli/search_batch.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct nearing {
	struct map_points *points;
	struct search_wanted wanted;
	struct search_asker asker;
	struct search_source source;
	struct search_batch batch;
	struct search_answers answers;
	uint64_t *ids; /* of the points that are asked about */
	uint64_t *found_ids; /* as points->near, by their IDs */
};

uint64_t map_near_most(const struct session *session, const struct map_points *points)
{
	double each = (double)points->in_store * (double)session->geometry.dim;
	double most = (double)MAP_NEAR_STEPS / (each > 1 ? each : 1);

	return most < 1 ? 1 : most > (double)UINT32_MAX ? UINT32_MAX : (uint64_t)most;
}

static int make_room(struct nearing *nearing, uint32_t k, uint64_t most)
{
	struct map_points *points = nearing->points;
	size_t count = most < points->count ? (size_t)most : points->count;

	points->k = k;
	points->asked_count = count;
	points->asked = calloc(count + 1, sizeof(*points->asked));
	points->found = calloc(count + 1, sizeof(*points->found));
	points->near = calloc(count * k + 1, sizeof(*points->near));
	points->distances = calloc(count * k + 1, sizeof(*points->distances));
	nearing->ids = calloc(count + 1, sizeof(*nearing->ids));
	nearing->found_ids = calloc(count * k + 1, sizeof(*nearing->found_ids));
	if (points->asked == NULL || points->found == NULL || points->near == NULL ||
	    points->distances == NULL || nearing->ids == NULL || nearing->found_ids == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		points->asked[i] = (uint32_t)((double)i * (double)points->count / (double)count);
		nearing->ids[i] = points->ids[points->asked[i]];
	}
	return 0;
}

/* Keep the answers to the batch, of which the first is question `first`. */
static int keep_answers(struct nearing *nearing, size_t first)
{
	struct map_points *points = nearing->points;
	int result = search_answers_begin(&nearing->answers);

	for (size_t i = 0; result == 0 && i < nearing->batch.count; i++) {
		const struct quiver_neighbour *list = NULL;
		size_t count = 0, at = first + i;

		result = search_answers_get(&nearing->answers, i, &list, &count);
		for (size_t j = 0; result == 0 && j < count && j < points->k; j++) {
			nearing->found_ids[at * points->k + j] = list[j].id;
			points->distances[at * points->k + j] = (float)list[j].distance;
			points->found[at]++;
		}
	}
	return result;
}

static int ask_all(struct nearing *nearing)
{
	struct progress progress;
	size_t done = 0;
	int64_t got;
	int result = 0;

	progress_start(&progress, "neighbours", "vectors", 0, nearing->points->asked_count);
	while (result == 0 && (got = search_source_read(&nearing->source, &nearing->batch)) != 0) {
		result = got < 0 ? (int)got : keep_answers(nearing, done);
		done += nearing->batch.count;
		progress_update(&progress, done);
	}
	progress_end(&progress);
	return result;
}

static int compare_ids(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* Tell neighbours that are drawn by their points, and list those that are not. */
static int number_all(struct nearing *nearing)
{
	struct map_points *points = nearing->points;
	size_t room = points->asked_count * points->k, kept = 0;

	points->others = calloc(room + 1, sizeof(*points->others));
	if (points->others == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < room; i++) {
		if (i % points->k < points->found[i / points->k] &&
		    map_points_find(points->ids, points->count, nearing->found_ids[i]) == MAP_NONE)
			points->others[kept++] = nearing->found_ids[i];
	}
	qsort(points->others, kept, sizeof(*points->others), compare_ids);
	for (size_t i = 0; i < kept; i++) {
		if (points->other_count == 0 ||
		    points->others[points->other_count - 1] != points->others[i])
			points->others[points->other_count++] = points->others[i];
	}
	for (size_t i = 0; i < room; i++) {
		uint64_t id = nearing->found_ids[i];
		uint32_t at = map_points_find(points->ids, points->count, id);

		if (at == MAP_NONE && i % points->k < points->found[i / points->k])
			at = (uint32_t)points->count +
			     map_points_find(points->others, points->other_count, id);
		points->near[i] = at;
	}
	return 0;
}

static int open_all(struct nearing *nearing, struct session *session, uint32_t k)
{
	size_t room = search_answers_room(session, k);
	int result = search_asker_open(session, &nearing->wanted, &nearing->asker);

	nearing->source = (struct search_source){ .asker = &nearing->asker,
		                                  .ids = nearing->ids,
		                                  .id_count = nearing->points->asked_count,
		                                  .is_all = true,
		                                  .get_fd = -1,
		                                  .folder_fd = -1 };
	if (result == 0)
		result = search_batch_make(session, room, &nearing->batch);
	if (result == 0)
		result = search_source_open(&nearing->source, room);
	nearing->batch.is_by_id = true;
	if (result == 0)
		result = search_answers_open(&nearing->source, &nearing->batch, k,
		                             &nearing->answers);
	return result;
}

int map_near(struct session *session, uint32_t k, uint64_t most, struct map_points *points)
{
	struct nearing nearing = { .points = points,
		                   .wanted = { .metric = (int)points->metric, .exact = true },
		                   .source = { .get_fd = -1, .folder_fd = -1 },
		                   .asker = { .fd = -1 } };
	int result = make_room(&nearing, k, most);

	if (result < 0)
		say_errno(session->target.path, result);
	if (result == 0)
		result = open_all(&nearing, session, k);
	if (result == 0)
		result = ask_all(&nearing);
	if (result == 0) {
		result = number_all(&nearing);
		if (result < 0)
			say_errno(session->target.path, result);
	}
	search_answers_close(&nearing.answers);
	search_batch_free(&nearing.batch);
	search_source_close(&nearing.source);
	search_asker_close(&nearing.asker);
	free(nearing.ids);
	free(nearing.found_ids);
	return result;
}
