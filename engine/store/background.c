/*
 * The store's own threads. The housekeeper does what must not wait long: it syncs the log on
 * time, grows the files and makes log segments ahead of need. The checkpointer does what may
 * take seconds, the prefetcher what is needed in a millisecond.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/store/local.h"
#include "engine/store/store.h"

#define TICK_NS UINT64_C(500000000) /* what is not signalled is looked at this often */
#define RETRY_NS UINT64_C(2000000000) /* after a growth that the disk had no room for */

static void sync_on_time(struct quiver *store, uint64_t *last_sync_ns)
{
	uint64_t now = clock_monotonic_ns();
	uint64_t interval = (uint64_t)store->options.commit_interval_ms * 1000000;

	if (now - *last_sync_ns < interval ||
	    atomic_load(&store->commits.durability) != QUIVER_FSYNC ||
	    health_writable(&store->health) != 0)
		return;
	*last_sync_ns = now;
	/* Where it fails it has stopped the store. */
	(void)wal_sync(&store->wal, atomic_load(&store->commits.lsn));
}

static void grow_ahead(struct quiver *store, uint64_t cuts, uint64_t *not_before_ns)
{
	uint64_t now = clock_monotonic_ns();
	int r;

	if (now < *not_before_ns || health_writable(&store->health) != 0)
		return;
	r = space_grow_ahead(&store->space, cuts);
	if (r)
		*not_before_ns = now + RETRY_NS;
	(void)health_judge(&store->health, HEALTH_GROWTH_AHEAD, r); /* who needs it is told */
}

static void segment_ahead(struct quiver *store)
{
	if (health_writable(&store->health) == 0 && wal_wants_prepare(&store->wal))
		(void)wal_prepare(&store->wal); /* who needs it is told */
}

static void *housekeep(void *arg)
{
	struct quiver *store = arg;
	struct wishes *wishes = &store->wishes;
	uint64_t last_sync_ns = clock_monotonic_ns();
	uint64_t grow_not_before_ns = 0;
	uint64_t cuts;
	bool grow;

	pthread_mutex_lock(&wishes->lock);
	while (!wishes->stop) {
		if (!wishes->growth && !wishes->segment)
			wishes_nap(wishes, HOUSEKEEPER, TICK_NS);
		grow = wishes->growth;
		cuts = wishes->cuts;
		wishes->growth = wishes->segment = false;
		pthread_mutex_unlock(&wishes->lock);
		segment_ahead(store);
		/* Only for who takes slots: what compaction has cut would grow again by itself. */
		if (grow)
			grow_ahead(store, cuts, &grow_not_before_ns);
		sync_on_time(store, &last_sync_ns);
		pthread_mutex_lock(&wishes->lock);
	}
	pthread_mutex_unlock(&wishes->lock);
	return NULL;
}

/* Whether there is enough to do for a checkpoint that nobody asked for. */
static bool checkpoint_due(struct quiver *store)
{
	uint64_t log_bytes = atomic_load(&store->wal.appended_bytes) -
	                     atomic_load(&store->checkpointer.log_bytes);
	uint64_t deferred = atomic_load(&store->commits.deferred_count);
	int64_t idle_ns;

	if (health_writable(&store->health) != 0)
		return false;
	if (log_bytes >= STORE_CHECKPOINT_LOG_BYTES || deferred >= COMMITTER_DEFERRED_MAX ||
	    deferred * store->geometry.vector_bytes >= STORE_CHECKPOINT_LOG_BYTES ||
	    atomic_load(&store->catalog.attr_deltas.count) >= COMMITTER_ATTRS_MAX ||
	    atomic_load(&store->commits.unlogged_count) >= COMMITTER_UNLOGGED_MAX)
		return true;
	pthread_mutex_lock(&store->checkpointer.lock);
	idle_ns = (int64_t)clock_monotonic_ns() - store->checkpointer.last_ns;
	pthread_mutex_unlock(&store->checkpointer.lock);
	return idle_ns >= STORE_CHECKPOINT_INTERVAL_NS &&
	       (atomic_load(&store->commits.lsn) != atomic_load(&store->checkpointer.lsn) ||
	        deferred > 0 || versions_is_untidy(&store->catalog.versions));
}

/* Automatic runs are this far apart: what could not be moved then (a reader holds it, or it is
 * damaged) can probably not be moved a moment later. */
#define AUTOCOMPACT_PAUSE_NS INT64_C(10000000000)

static bool compacted_just_now(const struct quiver_job_status *status)
{
	return status->ever_ran && clock_realtime_ns() - status->started_ns - status->duration_ns <
	                                   AUTOCOMPACT_PAUSE_NS;
}

/* What the last compaction has left: where snapshots have what lies above free slots, the next would
 * find the same and move nothing either. */
struct left {
	int64_t started_ns; /* of that compaction; 0 there was none */
	uint64_t unused; /* slots */
	uint64_t newest_lsn; /* the newest snapshot then: what it has was not moved */
};

/* Slots that a compaction may give back, of those that are unused. */
static uint64_t slots_to_gain(struct quiver *store, const struct quiver_job_status *status,
                              uint64_t unused, struct left *left)
{
	uint64_t newest_lsn = atomic_load(&store->catalog.versions.newest_lsn);

	if (status->ever_ran && status->started_ns != left->started_ns) {
		bool ended = status->result == 0 && !status->stopped;

		*left = (struct left){ status->started_ns, ended ? unused : 0, newest_lsn };
	}
	/* Of a snapshot that is gone the vectors can be moved now. */
	if (newest_lsn < left->newest_lsn || newest_lsn == 0)
		left->unused = 0;
	if (left->unused > unused)
		left->unused = unused;
	return unused - left->unused;
}

static void compact_if_due(struct quiver *store, struct left *left)
{
	uint32_t percent = atomic_load(&store->autocompact_percent);
	struct quiver_job_status status;
	struct slots_counts counts;
	uint64_t gain;

	if (percent == 0 || health_writable(&store->health) != 0)
		return;
	local_job_status(store, QUIVER_COMPACT, &status);
	if (status.running)
		return;
	slots_counts(&store->catalog.slots, &counts);
	gain = slots_to_gain(store, &status,
	                     counts.free_below + atomic_load(&store->commits.deferred_count), left);
	/* Less than a growth step is not worth the moves. */
	if (counts.used == 0 || gain * 100 < (uint64_t)percent * counts.used ||
	    gain * store->geometry.vector_bytes < UINT64_C(16) << 20)
		return;
	if (!compacted_just_now(&status))
		(void)local_job_start(store, QUIVER_COMPACT); /* -EBUSY: something runs already */
}

/* A cut that a hold or a reader put off. */
static void cut_if_wanted(struct quiver *store)
{
	uint64_t freed = 0;
	int r = 0;

	if (!space_cut_is_due(&store->space, false) || health_writable(&store->health) != 0)
		return;
	pthread_mutex_lock(&store->checkpointer.lock);
	checkpoint_free_unpinned(&store->checkpointer);
	if (store->checkpointer.pinned.count == 0) {
		(void)space_cut_is_due(&store->space, true); /* a new hold puts it off again */
		r = space_cut(&store->space, 0, &freed);
	}
	pthread_mutex_unlock(&store->checkpointer.lock);
	(void)health_judge(&store->health, HEALTH_CUT, r);
}

static void *checkpointer(void *arg)
{
	struct quiver *store = arg;
	struct wishes *wishes = &store->wishes;
	struct left left = { 0 };
	bool wanted;

	pthread_mutex_lock(&wishes->lock);
	while (!wishes->stop) {
		if (!wishes->checkpoint)
			wishes_nap(wishes, CHECKPOINTER, TICK_NS);
		wanted = wishes->checkpoint;
		wishes->checkpoint = false;
		pthread_mutex_unlock(&wishes->lock);
		/* Errors have turned the store read-only and are reported; -ENOMEM is tried
		 * again at the next tick. */
		if (wanted || checkpoint_due(store))
			(void)checkpoint_run(&store->checkpointer);
		compact_if_due(store, &left);
		cut_if_wanted(store);
		pthread_mutex_lock(&wishes->lock);
	}
	pthread_mutex_unlock(&wishes->lock);
	return NULL;
}

static void *prefetcher(void *arg)
{
	struct quiver *store = arg;
	struct wishes *wishes = &store->wishes;

	pthread_mutex_lock(&wishes->lock);
	while (!wishes->stop) {
		if (!wishes->prefetch) {
			wishes_nap(wishes, PREFETCHER, TICK_NS);
			continue;
		}
		wishes->prefetch = false;
		pthread_mutex_unlock(&wishes->lock);
		prefetch_ahead(&store->space.prefetch);
		pthread_mutex_lock(&wishes->lock);
	}
	pthread_mutex_unlock(&wishes->lock);
	return NULL;
}

/* End the first `count` threads. */
static void stop_threads(struct quiver *store, size_t count)
{
	wishes_stop(&store->wishes);
	for (size_t i = 0; i < count; i++)
		(void)pthread_join(store->threads[i], NULL);
	store->wishes.open = false;
}

int background_start(struct quiver *store)
{
	static void *(*const bodies[WISH_THREADS])(void *) = {
		[HOUSEKEEPER] = housekeep,
		[CHECKPOINTER] = checkpointer,
		[PREFETCHER] = prefetcher,
	};
	int r = wishes_init(&store->wishes);

	if (r)
		return r;
	store->wishes.open = true; /* before a thread may look */
	for (size_t i = 0; r == 0 && i < WISH_THREADS; i++) {
		r = -pthread_create(&store->threads[i], NULL, bodies[i], store);
		if (r)
			stop_threads(store, i);
	}
	return r;
}

void background_stop(struct quiver *store)
{
	if (!store->wishes.open)
		return;
	stop_threads(store, WISH_THREADS);
	wishes_destroy(&store->wishes);
}
