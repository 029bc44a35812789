/* quiver_nearest: what is asked is looked at here, for every kind of store. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sized.h"
#include "engine/nearest/ask.h"
#include "engine/nearest/by_id.h"
#include "engine/nearest/slots_by_id.h"
#include "engine/store/elsewhere.h"
#include "engine/store/kind.h"
#include "engine/store/store.h"

static bool kind_is_local(const struct quiver *store)
{
	return ((const struct quiver_head *)store)->kind == NULL;
}

#define QUESTION_LEAST offsetof(struct quiver_question, within)

/* ---- vectors that are fetched by the public calls ---- */

/* At once of a store elsewhere; of one here it does not matter. */
#define FETCHED DISTANCE_ROWS_MAX

struct fetching {
	struct quiver *store;
	uint8_t *copies; /* malloc'd: FETCHED vectors */
	struct quiver_list *list; /* NULL: the IDs are those of `ids` */
	const uint64_t *ids;
	size_t id_count;
	uint64_t position;
};

static int fetch(void *arg, const uint64_t *ids, size_t count, const void **rows)
{
	struct fetching *fetching = arg;
	size_t bytes = quiver_geometry(fetching->store)->vector_bytes;
	int results[FETCHED];
	int r = quiver_get_many(fetching->store, ids, count, fetching->copies, NULL, results);

	for (size_t i = 0; r == 0 && i < count; i++)
		rows[i] = results[i] == 0 ? fetching->copies + i * bytes : NULL;
	return r;
}

static int64_t next(void *arg, uint64_t *ids, size_t max)
{
	struct fetching *fetching = arg;
	uint64_t left = fetching->id_count - fetching->position;
	int64_t n;

	if (elsewhere_is_interrupted())
		return -EINTR;
	if (fetching->list) {
		n = quiver_list_read(fetching->store, fetching->list, fetching->position, 0, ids,
		                     max);
	} else {
		n = (int64_t)(left < max ? left : max);
		if (n > 0)
			memcpy(ids, fetching->ids + fetching->position, (size_t)n * sizeof(*ids));
	}
	if (n > 0)
		fetching->position += (uint64_t)n;
	return n;
}

static int fetching_pass(void *arg, struct round *round, const uint64_t *ids, size_t id_count)
{
	struct quiver *store = arg;
	struct fetching fetching = { .store = store, .ids = ids, .id_count = id_count };
	struct finder finder = { .arg = &fetching, .find = fetch, .at_once = FETCHED };
	int r = 0;

	if (kind_is_local(store)) {
		slots_by_id(&finder, &store->catalog);
	} else {
		fetching.copies = malloc((size_t)FETCHED * quiver_geometry(store)->vector_bytes);
		if (!fetching.copies)
			r = -ENOMEM;
	}
	if (r == 0 && !ids)
		r = quiver_list_open(store, 0, &fetching.list);
	if (r == 0)
		r = by_id_pass(round, &finder, next, &fetching);
	quiver_list_close(store, fetching.list);
	free(fetching.copies);
	return r;
}

/* Passes that are begun anew where too much is changed meanwhile. */
#define SCANS_MAX 3

/* Of a local folder: by its slots, or one by one where it was changed faster than that can be followed. */
static int scan(void *arg, struct round *round, const uint64_t *ids, size_t id_count)
{
	struct quiver *store = arg;
	int r = -EOVERFLOW;

	if (ids)
		return fetching_pass(arg, round, ids, id_count);
	for (int tries = 0; r == -EOVERFLOW && tries < SCANS_MAX; tries++) {
		for (size_t j = 0; j < round->count; j++)
			round->tops[j].count = 0;
		r = nearest_pass(&store->nearest, round, elsewhere_is_interrupted);
	}
	if (r != -EOVERFLOW)
		return r;
	for (size_t j = 0; j < round->count; j++)
		round->tops[j].count = 0;
	return fetching_pass(arg, round, NULL, 0);
}

static int copy(void *arg, uint64_t id, void *to)
{
	return quiver_get_copy(arg, id, to, NULL, NULL);
}

/* ---- the question ---- */

static int look_at(const struct quiver_question *question)
{
	if (question->count == 0 || question->k == 0 || !question->vectors ||
	    (question->flags & ~(unsigned)(QUIVER_NEAREST_EXACT | QUIVER_NEAREST_WITHIN)) ||
	    ((question->flags & QUIVER_NEAREST_WITHIN) && isnan(question->within)) ||
	    question->metric < QUIVER_METRIC_OF_STORE || question->metric > QUIVER_HAMMING)
		return -EINVAL;
	if (question->k > QUIVER_NEAREST_MAX || question->count > QUIVER_QUESTIONS_MAX ||
	    question->count * question->k > QUIVER_NEAREST_ANSWERS_MAX)
		return -E2BIG;
	return 0;
}

static int look_at_vectors(const struct distance *distance, const struct quiver_question *question)
{
	const uint8_t *vector = question->vectors;

	if (question->count * distance->vector_bytes > QUIVER_QUESTION_BYTES_MAX)
		return -E2BIG;
	for (size_t j = 0; j < question->count; j++)
		if (!distance_has_any(distance, vector + j * distance->vector_bytes))
			return -EINVAL;
	return 0;
}

int quiver_nearest(struct quiver *store, const struct quiver_question *question,
                   struct quiver_neighbour *answers, uint32_t *found)
{
	const struct quiver_geometry *geometry = quiver_geometry(store);
	const struct source source = { .arg = store,
		                       .pass = kind_is_local(store) ? scan : fetching_pass,
		                       .copy = copy };
	struct quiver_description description;
	struct quiver_question whole;
	struct distance distance;
	int r = sized_take(&whole, sizeof(whole), question, question->size, QUESTION_LEAST);

	if (r == 0)
		r = look_at(&whole);
	if (r)
		return r;
	if (whole.metric == QUIVER_METRIC_OF_STORE) {
		quiver_describe(store, &description);
		whole.metric = (int)description.metric;
	}
	r = distance_init(&distance, (enum quiver_metric)whole.metric, geometry->dtype,
	                  geometry->dim);
	if (r == 0)
		r = look_at_vectors(&distance, &whole);
	return r ? r : ask(&source, &distance, &whole, answers, found);
}

/* ---- the index ---- */

int quiver_nearest_index_start(struct quiver *store)
{
	(void)store;
	return -EOPNOTSUPP;
}

int quiver_nearest_index_stop(struct quiver *store)
{
	(void)store;
	return -EOPNOTSUPP;
}

int quiver_nearest_index_off(struct quiver *store)
{
	(void)store;
	return -EOPNOTSUPP;
}

void quiver_nearest_status(struct quiver *store, struct quiver_nearest_status *status)
{
	const struct quiver_nearest_status none = { .size = status->size };

	(void)store;
	sized_give(status, status->size, &none, sizeof(none));
}
