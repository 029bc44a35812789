#include "engine/nearest/by_id.h"

#include <errno.h>

struct batch {
	const uint64_t *ids; /* of the rows that are being compared */
};

static bool identify(void *arg, struct comparing *comparing, size_t i, size_t j, uint64_t *id)
{
	const struct batch *batch = arg;

	(void)comparing;
	(void)j;
	*id = batch->ids[i];
	return true;
}

/* Those that were found, together. */
static void compare(struct comparing *comparing, struct batch *batch, uint64_t *ids,
                    const void **rows, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (!rows[i])
			continue;
		ids[n] = ids[i];
		rows[n++] = rows[i];
	}
	batch->ids = ids;
	if (n > 0)
		comparing_rows(comparing, rows, n);
}

int by_id_pass(struct round *round, const struct finder *finder, by_id_next *next, void *next_arg)
{
	uint64_t ids[DISTANCE_ROWS_MAX];
	const void *rows[DISTANCE_ROWS_MAX];
	struct distance_questions questions;
	struct comparing comparing = { .round = round, .tops = round->tops };
	struct batch batch = { 0 };
	int64_t n = 0;
	int r = distance_questions_init(&questions, round->distance, round->vectors, round->count);

	if (r == 0)
		r = comparing_init(&comparing, &questions, round, false, identify, &batch);
	if (r == 0 && finder->map)
		r = comparing_guard(&comparing, finder->map, finder->map_bytes);
	while (r == 0 && (n = next(next_arg, ids, finder->at_once)) > 0) {
		r = finder->find(finder->arg, ids, (size_t)n, rows);
		if (r)
			break;
		compare(&comparing, &batch, ids, rows, (size_t)n);
		if (finder->release)
			finder->release(finder->arg);
	}
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		comparing_merge(&comparing, round);
	comparing_free(&comparing);
	distance_questions_free(&questions);
	return r;
}
