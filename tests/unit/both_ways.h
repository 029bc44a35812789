/*
 * both_ways.h - a store of a unit test, recovered with the index that it has kept and from the rows.
 */
#ifndef BOTH_WAYS_H
#define BOTH_WAYS_H

#include "store_test.h"
#include "tests/common/recoveries.h"

/* The same must come of both. Whether there was an index, and it was taken. */
static inline bool both_ways(const struct store_dir *s)
{
	char why[RECOVERIES_WHY_BYTES];
	char room[UNIT_PATH_BYTES + 32];
	bool took;

	(void)snprintf(room, sizeof(room), "%s/both", s->dir.path);
	if (recoveries_compare(s->path, room, &took, why) != 0)
		fail_msg("%s", why);
	return took;
}

#endif
