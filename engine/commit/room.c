#include "engine/commit/room.h"

#include <errno.h>

#define TRIES_MAX 3 /* others may take what was grown or freed */

int room_take(struct checkpointer *checkpointer, size_t count, bool nowait, uint64_t *slots)
{
	struct space *space = checkpointer->space;
	int r = space_take(space, count, slots);

	if (r == -EAGAIN && nowait) {
		wish_growth(space->wishes);
		return r;
	}
	for (int tries = 0; r == -EAGAIN && tries < TRIES_MAX; tries++) {
		r = health_judge(space->catalog->health, HEALTH_GROWTH,
		                 space_grow(space, count, false));
		if (r && health_verdict(HEALTH_GROWTH, r) == HEALTH_RETRY &&
		    atomic_load(&checkpointer->commits->deferred_count) > 0)
			r = checkpoint_run(checkpointer);
		if (r)
			return r;
		r = space_take(space, count, slots);
	}
	if (r == -EAGAIN)
		return -ENOSPC;
	if (r == 0 && space_is_low(space))
		wish_growth(space->wishes);
	return r;
}
