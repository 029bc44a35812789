/*
 * search_answers.h - the answers to a batch of questions, in their order, in bounded memory.
 *
 * Where all within a distance are wanted, how many that are is not known before: the batch is asked for a
 * few, and those that had as many are asked again for more, some at a time.
 */
#ifndef SEARCH_ANSWERS_H
#define SEARCH_ANSWERS_H

#include "tools/cli/search_batch.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often it is asked for more, up to QUIVER_NEAREST_MAX. */
#define SEARCH_LEVELS 6u

/* What was asked for with one k. */
struct search_level {
	uint32_t k;
	size_t room; /* questions that can be asked at once */
	size_t *which; /* those that were, by their places in the batch, ascending */
	size_t count;
	size_t at; /* of `which`, that is looked at */
	struct quiver_neighbour *answers; /* room * k */
	uint32_t *found;
};

struct search_answers {
	struct search_source *source;
	struct search_batch *batch;
	struct search_level levels[SEARCH_LEVELS];
	size_t level_count;
	bool is_all; /* within a distance, however many */
	unsigned char
		*vectors; /* of the questions that are asked, and the IDs that are no answers */
	uint64_t *except;
	struct quiver_neighbour *whole; /* of one question that has more than can be asked for */
	size_t whole_count, whole_room;
};

/* How many questions may be in a batch, where `k` are wanted of each; 0: all. */
size_t search_answers_room(const struct session *session, uint32_t k);

/* Keeps source and batch, whose room search_answers_room has told. To be given back with
 * search_answers_close in any case. -ENOMEM after having said it. */
int search_answers_open(struct search_source *source, struct search_batch *batch, uint32_t k,
                        struct search_answers *answers);
void search_answers_close(struct search_answers *answers);

/* A batch was read: ask its questions. Those that turn out to have no distances are refused
 * (search_source_refuse). Errors of search_ask. */
int search_answers_begin(struct search_answers *answers);

/* The answers to question `index`, which is asked for in ascending order: *list, until the next call. Errors
 * of search_ask. */
int search_answers_get(struct search_answers *answers, size_t index,
                       const struct quiver_neighbour **list, size_t *count);

#endif
