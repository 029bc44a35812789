/* Takes the place of engine/store/background.c and nearest_thread.c. */
#include "manual_background.h"

#include <errno.h>

#include "engine/base/sizes.h"
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

void manual_background_prefetch(struct quiver *store)
{
	struct columns *columns = &store->catalog.columns;
	struct slots *slots = &store->catalog.slots;
	struct slots_counts counts;
	struct slots_ahead ahead;
	uint64_t hole, at;
	bool holes = slots_peek(slots, 1, &hole, &ahead) > 0 && ahead.tail == 0;

	slots_counts(slots, &counts);
	at = columns_vector_offset(columns, holes ? hole : counts.used);
	/* Those behind that part, so from that part on. */
	(void)write_windows_follow(columns, at - WRITE_WINDOW_BYTES,
	                           columns_vector_offset(columns, counts.rows));
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
		manual_background_prefetch(store);
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
	return local_job_work(store, QUIVER_COMPACT);
}

void nearest_thread_init(struct nearest_thread *thread)
{
	pthread_mutex_init(&thread->lock, NULL);
}

void nearest_thread_destroy(struct nearest_thread *thread)
{
	pthread_mutex_destroy(&thread->lock);
}

int nearest_thread_start(struct quiver *store)
{
	store->nearest_index.thread.woken = true;
	return 0;
}

void nearest_thread_stop(struct quiver *store)
{
	store->nearest_index.thread.woken = false;
}

void manual_background_keep_lists(struct quiver *store)
{
	struct quiver_description description;

	quiver_describe(store, &description);
	while (store->nearest_index.thread.woken &&
	       upkeep_step(&store->nearest_index.upkeep, description.metric))
		;
}
