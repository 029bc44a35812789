#include "engine/nearest/comparing.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "engine/base/fault.h"

#define LINE 64u /* scores that are looked at together */

static size_t limits_count(const struct distance_questions *questions)
{
	return questions->padded < LINE ? LINE : questions->padded;
}

/* The score above which nothing can be among those that are kept, of question j whose top is full. */
static float limit_of(const struct comparing *comparing, size_t j)
{
	const struct round *round = comparing->round;
	double score;

	if (comparing->tops[j].room == 0)
		return -INFINITY;
	score = comparing->tops[j].heap[0].score;
	if (round->in_double)
		score += distance_error(round->distance, round->vectors[j], score,
		                        comparing->norm_max);
	return nextafterf((float)score, INFINITY);
}

/* For what comes from now on. */
static void set_limit(struct comparing *comparing, size_t j)
{
	const float *farthest = comparing->round->farthest;
	float limit = farthest ? farthest[j] : INFINITY;

	if (top_is_full(&comparing->tops[j]))
		limit = fminf(limit, limit_of(comparing, j));
	/* Where a line has several rows, each has its own copy. */
	for (size_t i = j; i < limits_count(comparing->questions);
	     i += comparing->questions->padded)
		comparing->limits[i] = limit;
}

static int make_heaps(struct comparing *comparing)
{
	const struct round *round = comparing->round;
	size_t total = 0, at = 0;

	assert(round->count > 0);
	for (size_t j = 0; j < round->count; j++)
		total += round->tops[j].room;
	comparing->tops = calloc(round->count, sizeof(*comparing->tops));
	comparing->heaps = calloc(total + 1, sizeof(*comparing->heaps));
	if (!comparing->tops || !comparing->heaps)
		return -ENOMEM;
	for (size_t j = 0; j < round->count; j++) {
		comparing->tops[j] =
			(struct top){ .heap = comparing->heaps + at, .room = round->tops[j].room };
		at += round->tops[j].room;
	}
	return 0;
}

int comparing_init(struct comparing *comparing, const struct distance_questions *questions,
                   const struct round *round, bool own, comparing_identify *identify, void *arg)
{
	size_t limits = limits_count(questions);

	*comparing = (struct comparing){
		.questions = questions,
		.round = round,
		.tops = own ? NULL : round->tops,
		.identify = identify,
		.arg = arg,
	};
	if (own && make_heaps(comparing) != 0)
		return -ENOMEM;
	comparing->limits = aligned_alloc(64, limits * sizeof(float));
	comparing->scores =
		aligned_alloc(64, DISTANCE_ROWS_MAX * questions->padded * sizeof(float));
	if (!comparing->limits || !comparing->scores)
		return -ENOMEM;
	for (size_t i = 0; i < limits; i++)
		comparing->limits[i] = -INFINITY;
	for (size_t j = 0; j < round->count; j++)
		set_limit(comparing, j);
	return 0;
}

int comparing_guard(struct comparing *comparing, const void *map, size_t map_bytes)
{
	comparing->map = map;
	comparing->map_bytes = map_bytes;
	comparing->copy = malloc(comparing->round->distance->vector_bytes);
	return comparing->copy ? 0 : -ENOMEM;
}

void comparing_merge(struct comparing *comparing, struct round *round)
{
	if (comparing->norm_max > round->norm_max)
		round->norm_max = comparing->norm_max;
	if (!comparing->heaps)
		return;
	for (size_t j = 0; j < round->count; j++)
		for (uint32_t i = 0; i < comparing->tops[j].count; i++)
			(void)top_push(&round->tops[j], comparing->tops[j].heap[i]);
}

void comparing_free(struct comparing *comparing)
{
	free(comparing->scores);
	free(comparing->limits);
	free(comparing->copy);
	if (comparing->heaps || comparing->tops != comparing->round->tops)
		free(comparing->tops);
	free(comparing->heaps);
	comparing->scores = comparing->limits = NULL;
	comparing->copy = NULL;
	comparing->tops = NULL;
	comparing->heaps = NULL;
}

static void keep(struct comparing *comparing, size_t j, struct candidate candidate)
{
	if (comparing->round->except && comparing->round->except[j] == candidate.id)
		return;
	if (top_push(&comparing->tops[j], candidate) && top_is_full(&comparing->tops[j]))
		set_limit(comparing, j);
}

void comparing_offer(struct comparing *comparing, size_t j, uint64_t id, const void *row)
{
	const struct distance *distance = comparing->round->distance;
	double score;

	if (comparing->map) {
		if (fault_copy(comparing->copy, row, distance->vector_bytes) != 0)
			return; /* whoever gets it is told */
		row = comparing->copy;
	}
	score = distance_score(distance, comparing->round->vectors[j], row);
	if (!isnan(score))
		keep(comparing, j, (struct candidate){ .score = score, .id = id });
}

/* Score `at` of those just computed is not above its limit. */
static void take_hit(struct comparing *comparing, const void *const *rows, size_t at)
{
	size_t i = at / comparing->questions->padded, j = at % comparing->questions->padded;
	uint64_t id;

	/* The limit may have fallen since. */
	if (j >= comparing->round->count || comparing->scores[at] > comparing->limits[j])
		return;
	if (!comparing->identify(comparing->arg, comparing, i, j, &id))
		return;
	if (comparing->round->in_double || isnan(comparing->scores[at]))
		comparing_offer(comparing, j, id, rows[i]);
	else
		keep(comparing, j,
		     (struct candidate){ .score = (double)comparing->scores[at], .id = id });
}

/* Elements in a millisecond, on a slow machine. */
#define ELEMENTS_AT_ONCE (UINT64_C(4) << 20)

size_t comparing_rows_at_once(const struct distance_questions *questions)
{
	uint64_t rows = ELEMENTS_AT_ONCE / (questions->count * questions->distance->dim);

	return rows < 1 ? 1 : rows < DISTANCE_ROWS_MAX ? (size_t)rows : DISTANCE_ROWS_MAX;
}

struct computing {
	struct comparing *comparing;
	const void *const *rows;
	size_t count;
};

static void compute(void *arg)
{
	const struct computing *computing = arg;
	struct comparing *comparing = computing->comparing;

	distance_scores_within(comparing->questions, computing->rows, computing->count,
	                       comparing->limits, comparing->scores, &comparing->norm_max);
}

/* A number of rows after their scores were computed. */
static void take_hits(struct comparing *comparing, const void *const *rows, size_t count)
{
	size_t padded = comparing->questions->padded, total = count * padded;

	for (size_t at = 0; at < total; at += LINE) {
		size_t n = total - at < LINE ? total - at : LINE;
		size_t line = padded < LINE ? 0 : at % padded;
		uint64_t hits = distance_hits(comparing->scores + at, comparing->limits + line, n);

		for (; hits; hits &= hits - 1)
			take_hit(comparing, rows, at + (size_t)__builtin_ctzll(hits));
	}
}

/* Some of them cannot be read: each by itself. The others' scores are all to be told anew. */
static void compare_each(struct comparing *comparing, const void *const *rows, size_t count)
{
	uint64_t id;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < comparing->round->count; j++)
			if (comparing->identify(comparing->arg, comparing, i, j, &id))
				comparing_offer(comparing, j, id, rows[i]);
}

void comparing_rows(struct comparing *comparing, const void *const *rows, size_t count)
{
	struct computing computing = { .comparing = comparing, .rows = rows, .count = count };
	float norm_max = comparing->norm_max;
	int r = 0;

	if (comparing->map)
		r = fault_run(comparing->map, comparing->map_bytes, compute, &computing);
	else
		compute(&computing);
	/* Of longer rows single precision is wrong by more. */
	for (size_t j = 0; comparing->norm_max > norm_max && j < comparing->round->count; j++)
		set_limit(comparing, j);
	if (r)
		compare_each(comparing, rows, count);
	else
		take_hits(comparing, rows, count);
}
