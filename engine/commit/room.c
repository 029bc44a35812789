#include "engine/commit/room.h"

#include <errno.h>

/* Others may take what was grown or freed, and each time it is they who go on. */
#define TRIES_MAX 100

/* Have the columns grow, and take what there is then. A compaction takes holes, so that after the
 * first try none is counted on, unless the disk has room for nothing else. */
static int grow_and_take(struct checkpointer *checkpointer, size_t count, uint64_t *slots)
{
	struct space *space = checkpointer->space;
	struct slots_counts counts;
	int r = -EAGAIN;

	for (int tries = 0; r == -EAGAIN && tries < TRIES_MAX; tries++) {
		slots_counts(&space->catalog->slots, &counts);
		r = space_grow(space, count + (tries > 0 ? counts.free_below : 0), false);
		if (r == -ENOSPC && tries > 0)
			r = space_grow(space, count, false);
		r = health_judge(space->catalog->health, HEALTH_GROWTH, r);
		if (r && health_verdict(HEALTH_GROWTH, r) == HEALTH_RETRY &&
		    atomic_load(&checkpointer->commits->deferred_count) > 0)
			r = checkpoint_run(checkpointer);
		if (r)
			return r;
		r = space_take(space, count, slots);
	}
	return r == -EAGAIN ? -ENOSPC : r;
}

int room_take(struct checkpointer *checkpointer, size_t count, bool nowait, uint64_t *slots)
{
	struct space *space = checkpointer->space;
	int r = space_take(space, count, slots);

	if (r == -EAGAIN && nowait) {
		wish_growth(space->wishes);
		return r;
	}
	if (r == -EAGAIN) {
		/* or a compaction would cut what was grown before it is taken */
		space_hold(space);
		r = grow_and_take(checkpointer, count, slots);
		space_release(space);
	}
	if (r == 0 && space_is_low(space))
		wish_growth(space->wishes);
	return r;
}
