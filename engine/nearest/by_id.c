#include "engine/nearest/by_id.h"

#include <errno.h>
#include <stdlib.h>

/* What was found at once. */
struct batch {
	uint64_t *ids; /* malloc'd: finder->at_once */
	const void **rows; /* malloc'd, as many */
	const uint64_t *compared; /* of those in `ids` that are just being compared */
};

static bool identify(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const struct batch *batch = arg;

	(void)comparing;
	(void)j;
	*id = batch->compared[i];
	return true;
}

/* Those that were found. */
static void compare(struct comparing *comparing, struct batch *batch, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (!batch->rows[i])
			continue;
		batch->ids[n] = batch->ids[i];
		batch->rows[n++] = batch->rows[i];
	}
	for (size_t i = 0; i < n; i += DISTANCE_ROWS_MAX) {
		batch->compared = batch->ids + i;
		comparing_rows(comparing, batch->rows + i,
		               n - i < DISTANCE_ROWS_MAX ? n - i : DISTANCE_ROWS_MAX);
	}
}

static int find_all(struct comparing *comparing, struct batch *batch, const struct finder *finder,
                    by_id_next *next, void *next_arg)
{
	size_t at_once = finder->at_once;
	int64_t n;
	int r;

	if (finder->is_section && at_once > comparing_rows_at_once(comparing->questions))
		at_once = comparing_rows_at_once(comparing->questions);
	while ((n = next(next_arg, batch->ids, at_once)) > 0) {
		r = finder->find(finder->arg, batch->ids, (size_t)n, batch->rows);
		if (r)
			return r;
		compare(comparing, batch, (size_t)n);
		if (finder->release)
			finder->release(finder->arg);
	}
	return (int)n;
}

int by_id_pass(struct round *round, const struct finder *finder, by_id_next *next, void *next_arg)
{
	struct distance_questions questions;
	struct comparing comparing = { .round = round, .tops = round->tops };
	struct batch batch = { .ids = malloc(finder->at_once * sizeof(uint64_t)),
		               .rows = malloc(finder->at_once * sizeof(void *)) };
	int r = distance_questions_init(&questions, round->distance, round->vectors, round->count);

	if (r == 0 && (!batch.ids || !batch.rows))
		r = -ENOMEM;
	if (r == 0)
		r = comparing_init(&comparing, &questions, round, false, identify, &batch);
	if (r == 0 && finder->map)
		r = comparing_guard(&comparing, finder->map, finder->map_bytes);
	if (r == 0)
		r = find_all(&comparing, &batch, finder, next, next_arg);
	if (r == 0)
		comparing_merge(&comparing, round);
	comparing_free(&comparing);
	distance_questions_free(&questions);
	free(batch.rows);
	free(batch.ids);
	return r;
}
