/*
 * top.h - the nearest of what was seen so far: a bounded heap, the farthest first.
 */
#ifndef QUIVER_NEAREST_TOP_H
#define QUIVER_NEAREST_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct candidate {
	double score; /* distance.h; a number */
	uint64_t id;
};

/* One thread at a time. */
struct top {
	struct candidate *heap; /* not owned; room for `room` */
	uint32_t room;
	uint32_t count;
};

/* Whether `a` comes after `b`: it is farther, or as far and of a higher ID. */
static inline bool candidate_is_after(const struct candidate *a, const struct candidate *b)
{
	return a->score != b->score ? a->score > b->score : a->id > b->id;
}

static inline bool top_is_full(const struct top *top)
{
	return top->count == top->room;
}

/* Take it in where it is among the nearest `room`; whether it was. The same ID may come twice. */
bool top_push(struct top *top, struct candidate candidate);
/* Order them, the nearest first: no heap any more. */
void top_sort(struct top *top);

#endif
