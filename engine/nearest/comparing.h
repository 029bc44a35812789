/*
 * comparing.h - one thread's part of a pass: rows are compared with the questions, and the nearest
 * are kept.
 */
#ifndef QUIVER_NEAREST_COMPARING_H
#define QUIVER_NEAREST_COMPARING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/distance/distance.h"
#include "engine/nearest/top.h"

/* Questions that are compared in one pass, and what it finds. */
struct round {
	const struct distance *distance;
	const void *const *vectors; /* of the questions */
	const uint64_t *except; /* an ID for each that is no answer to it; NULL: none */
	const float
		*farthest; /* scores of each above which nothing is wanted; NULL: there are none */
	/* Scores in single precision only tell which rows are looked at in double: the nearest are the
	 * nearest then, and not only nearly so. */
	bool in_double;
	size_t count; /* at most DISTANCE_QUESTIONS_MAX */
	struct top *tops; /* of each; the nearest */
	float norm_max; /* distance.h */
};

struct comparing;
/* Which vector row `i` of those being compared is, which is near question j: false where it is none.
 * What is to be compared in its place it offers itself. */
typedef bool comparing_identify(void *arg, struct comparing *comparing, size_t i, size_t j,
                                uint64_t *id);

/* One thread at a time. */
struct comparing {
	const struct distance_questions *questions; /* not owned */
	const struct round *round; /* not owned */
	struct top *tops; /* this thread's */
	struct candidate *heaps; /* owned; NULL: the tops are the round's */
	float *limits; /* owned; lines of at least 64: what is farther is none of the nearest */
	float *scores; /* owned */
	float norm_max;
	/* The rows lie in this map, in which a read may fail (fault.h). NULL: they cannot. */
	const void *map;
	size_t map_bytes;
	uint8_t *copy; /* owned; a row that is looked at by itself; NULL without a map */
	comparing_identify *identify;
	void *arg;
};

/* Begin. With `own` the thread keeps the nearest for itself, and they are given to the round by
 * comparing_merge; else they are the round's at once. 0 or -ENOMEM; to be freed also then. */
int comparing_init(struct comparing *comparing, const struct distance_questions *questions,
                   const struct round *round, bool own, comparing_identify *identify, void *arg);
/* Say that the rows lie in a map, of `map_bytes` in all. 0 or -ENOMEM. */
int comparing_guard(struct comparing *comparing, const void *map, size_t map_bytes);
/* Give the round what was found. One thread at a time. */
void comparing_merge(struct comparing *comparing, struct round *round);
void comparing_free(struct comparing *comparing);

/* Compare `count` rows, at most DISTANCE_ROWS_MAX. One that cannot be read is none. */
void comparing_rows(struct comparing *comparing, const void *const *rows, size_t count);
/* Rows at once that take no longer than an epoch section may. */
size_t comparing_rows_at_once(const struct distance_questions *questions);
/* Vector `id` with the bytes `row` is one of those compared, for question j. */
void comparing_offer(struct comparing *comparing, size_t j, uint64_t id, const void *row);

#endif
