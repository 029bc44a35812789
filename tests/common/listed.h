/*
 * listed.h - all that a listing of a store has, at once.
 */
#ifndef LISTED_H
#define LISTED_H

#include <errno.h>
#include <stdlib.h>

#include "engine/quiver.h"

struct listed {
	uint64_t *ids;
	size_t count;
};

/* 0, -ENOMEM, or what the listing says. Given back with listed_free, also on failure. */
static inline int listed_all(struct quiver *store, struct listed *listed)
{
	struct quiver_list *list;
	int r = quiver_list_open(store, 0, &list);

	*listed = (struct listed){ NULL };
	if (r != 0)
		return r;
	listed->count = (size_t)quiver_list_count(store, list);
	listed->ids = malloc(listed->count * sizeof(uint64_t) + 1);
	if (listed->ids == NULL)
		r = -ENOMEM;
	/* In pieces, as a folder is read. */
	for (size_t at = 0; r == 0 && at < listed->count;) {
		size_t max = listed->count - at < 7 ? listed->count - at : 7;
		int64_t got = quiver_list_read(store, list, at, 0, listed->ids + at, max);

		r = got < 0 ? (int)got : 0;
		at += got > 0 ? (size_t)got : 0;
		if (got == 0) /* some are damaged */
			listed->count = at;
	}
	quiver_list_close(store, list);
	return r;
}

static inline void listed_free(struct listed *listed)
{
	free(listed->ids);
	*listed = (struct listed){ NULL };
}

#endif
