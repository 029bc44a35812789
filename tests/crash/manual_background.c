/* Takes the place of engine/commit/background.c. */
#include "manual_background.h"

#include <errno.h>

#include "engine/store/store.h"

int background_start(struct quiver *store)
{
	store->background.running = true;
	return 0;
}

void background_stop(struct quiver *store)
{
	store->background.running = false;
}

void background_want_growth(struct quiver *store)
{
	store->background.grow_wanted = true;
}

void background_want_prefetch(struct quiver *store)
{
	store->background.prefetch_wanted = true;
}

void background_want_segment(struct quiver *store)
{
	store->background.segment_wanted = true;
}

void background_want_checkpoint(struct quiver *store)
{
	store->background.checkpoint_wanted = true;
}

int manual_background_keep_house(struct quiver *store)
{
	struct slots_counts counts;
	int r = 0;

	if (wal_wants_prepare(&store->wal))
		r = wal_prepare(&store->wal);
	if (r == 0 && space_is_low(store)) {
		slots_counts(&store->catalog.slots, &counts);
		r = space_grow(store, counts.free_below + (counts.rows - counts.used) + 1, false);
	}
	store->background.grow_wanted = store->background.segment_wanted = false;
	if (r == 0 && store->background.checkpoint_wanted)
		r = checkpoint_run(store);
	store->background.checkpoint_wanted = false;
	return r;
}

int manual_background_sync(struct quiver *store)
{
	if (atomic_load(&store->durability) != QUIVER_FSYNC)
		return 0;
	return health_judge(&store->health, HEALTH_LOG_SYNC,
	                    wal_sync(&store->wal, atomic_load(&store->lsn)));
}

int manual_background_compact(struct quiver *store)
{
	store->job.kind = QUIVER_COMPACT;
	return compact_run(store);
}
