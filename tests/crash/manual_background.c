/* Takes the place of engine/store/background.c. */
#include "manual_background.h"

#include <errno.h>

#include "engine/disk/write_window.h"
#include "engine/store/store.h"

int background_start(struct quiver *store)
{
	int r = wishes_init(&store->wishes);

	store->wishes.open = r == 0;
	return r;
}

void background_stop(struct quiver *store)
{
	if (!store->wishes.open)
		return;
	store->wishes.open = false;
	wishes_destroy(&store->wishes);
}

/* As the prefetcher, for whom it depends on the time. */
static void move_windows(struct quiver *store)
{
	struct slots_counts counts;

	slots_counts(&store->catalog.slots, &counts);
	(void)write_windows_follow(&store->catalog.columns,
	                           columns_vector_offset(&store->catalog.columns, counts.used),
	                           columns_vector_offset(&store->catalog.columns, counts.rows));
}

int manual_background_keep_house(struct quiver *store)
{
	struct slots_counts counts;
	int r = 0;

	if (wal_wants_prepare(&store->wal))
		r = wal_prepare(&store->wal);
	if (r == 0 && space_is_low(&store->space)) {
		slots_counts(&store->catalog.slots, &counts);
		r = space_grow(&store->space, counts.free_below + (counts.rows - counts.used) + 1,
		               false);
	}
	if (r == 0)
		move_windows(store);
	store->wishes.growth = store->wishes.segment = false;
	if (r == 0 && store->wishes.checkpoint)
		r = checkpoint_run(&store->checkpointer);
	store->wishes.checkpoint = false;
	return r;
}

int manual_background_sync(struct quiver *store)
{
	if (atomic_load(&store->commits.durability) != QUIVER_FSYNC)
		return 0;
	return health_judge(&store->health, HEALTH_LOG_SYNC,
	                    wal_sync(&store->wal, atomic_load(&store->commits.lsn)));
}

int manual_background_compact(struct quiver *store)
{
	store->job.kind = QUIVER_COMPACT;
	return job_compact(store);
}
