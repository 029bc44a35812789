/* quiver_nearest: what is asked is looked at here, for every kind of store. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/sized.h"
#include "engine/nearest/ask.h"
#include "engine/store/elsewhere.h"
#include "engine/store/fetching.h"
#include "engine/store/kind.h"
#include "engine/store/store.h"

static bool kind_is_local(const struct quiver *store)
{
	return ((const struct quiver_head *)store)->kind == NULL;
}

#define QUESTION_LEAST offsetof(struct quiver_question, within)

/* ---- passes ---- */

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

static int fetch_pass(void *arg, struct round *round, const uint64_t *ids, size_t id_count)
{
	return fetching_pass(arg, round, ids, id_count);
}

static int copy(void *arg, const uint64_t *ids, size_t count, void *to, int *results)
{
	if (elsewhere_is_interrupted())
		return -EINTR;
	return quiver_get_many(arg, ids, count, to, NULL, results);
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
		                       .pass = kind_is_local(store) ? scan : fetch_pass,
		                       .copy = copy,
		                       .questions_max = kind_is_local(store)
		                                                ? NEAREST_ROUND_MAX
		                                                : DISTANCE_QUESTIONS_MAX };
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
	if (r)
		return r;
	return kind_is_local(store)
	               ? nearest_index_ask(store, &source, &distance, &whole, answers, found)
	               : ask(&source, &distance, &whole, answers, found);
}
