/*
 * by_id.h - a pass that finds each vector by its ID: of some of them, or where there is nothing faster.
 */
#ifndef QUIVER_NEAREST_BY_ID_H
#define QUIVER_NEAREST_BY_ID_H

#include "engine/nearest/comparing.h"

/* How vectors are found. */
struct finder {
	void *arg;
	/* The bytes of `count` vectors, at most `at_once`; rows[i] is NULL where there is no ids[i]. They
	 * stay until `release`. 0 or a negative errno, which ends the pass. */
	int (*find)(void *arg, const uint64_t *ids, size_t count, const void **rows);
	void (*release)(void *arg); /* NULL: nothing to do */
	size_t at_once; /* IDs that are found together, at most */
	bool is_section; /* `find` to `release` is an epoch section, which has to be short */
	/* Where they lie, if reading them can fail (comparing.h). NULL: it cannot. */
	const void *map;
	size_t map_bytes;
};

/* The next IDs, at most `max`: how many, 0 at the end, or a negative errno. */
typedef int64_t by_id_next(void *arg, uint64_t *ids, size_t max);

/* Compare the vectors of all IDs that `next` tells. The calling thread alone. 0; errors of the functions;
 * -ENOMEM. */
int by_id_pass(struct round *round, const struct finder *finder, by_id_next *next, void *next_arg);

#endif
