/*
 * Compaction: vectors move from the tail into free slots, one commit each, while everyone else
 * goes on; then a checkpoint frees the tail and the files are cut. No second copy is needed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/store/store.h"

/* A vector that keeps changing under our hands is let be after so many tries. */
#define TRIES_MAX 64

/* ID in a live slot. */
static uint64_t id_in(struct quiver *store, uint64_t slot)
{
	uint64_t id;

	epoch_enter();
	id = slots_is_live(&store->catalog.slots, slot) ? columns_id(&store->catalog.columns, slot)
	                                                : QUIVER_ID_NONE;
	epoch_leave();
	return id;
}

/* Move one vector from as far up as possible to a free slot below. 1 moved, 0 nothing is left
 * to move, -errno. *below goes down past slots that are done with. */
static int move_one(struct quiver *store, uint64_t *below, void *buffer)
{
	for (int tries = 0; tries < TRIES_MAX; tries++) {
		uint64_t slot = slots_highest_live(&store->catalog.slots, *below);
		uint64_t to;
		uint64_t id;
		int64_t got;
		int r;

		if (slot == SLOT_NONE)
			return 0;
		got = space_take_below(store, slot, 1, &to);
		if (got <= 0)
			return (int)got;
		id = id_in(store, slot);
		if (id == QUIVER_ID_NONE) {
			slots_give(&store->catalog.slots, to);
			continue;
		}
		r = store_move(store, id, slot, to, buffer);
		if (r == 0) {
			*below = slot;
			return 1;
		}
		if (r == -EIO && !health_failed(&store->health))
			*below = slot; /* damaged, and reported: it stays where it is */
		else if (r != -ESTALE && r != -ENOENT)
			return r;
	}
	return 0;
}

static int move_all(struct quiver *store, void *buffer)
{
	struct slots_counts counts;
	uint64_t below;
	uint64_t total;
	uint64_t moved = 0;
	int r = 1;

	slots_counts(&store->catalog.slots, &counts);
	below = counts.used;
	total = counts.free_below;
	while (r == 1 && moved < total && !atomic_load(&store->job.stop)) {
		uint64_t began = clock_monotonic_ns();

		r = move_one(store, &below, buffer);
		if (r != 1)
			break;
		moved++;
		atomic_fetch_add(&store->health.counters.moved, 1);
		latency_add(&store->health.counters.compact_step, clock_monotonic_ns() - began);
		/* What is above `below` and still free needs no move: the total shrinks. */
		if (moved % 256 == 0)
			job_progress(store, moved, total);
	}
	job_progress(store, moved, moved);
	return r < 0 ? r : 0;
}

int compact_run(struct quiver *store)
{
	void *buffer = malloc(store->geometry.vector_bytes);
	uint64_t freed = 0;
	int r = buffer ? 0 : -ENOMEM;

	/* What is superseded now becomes free, so that the moves can go there. */
	if (r == 0)
		r = checkpoint_run(store);
	if (r == 0)
		r = move_all(store, buffer);
	if (r == 0)
		r = checkpoint_run(store);
	if (r == 0) {
		pthread_mutex_lock(&store->checkpoint_lock);
		r = space_punch(store, 0, &freed);
		if (r == 0)
			r = space_cut(store, 0, &freed);
		if (store->deferred_pinned.count > 0)
			space_cut_later(store);
		pthread_mutex_unlock(&store->checkpoint_lock);
	}
	free(buffer);
	pthread_mutex_lock(&store->job.lock);
	store->job.status[QUIVER_COMPACT].freed_bytes = freed;
	pthread_mutex_unlock(&store->job.lock);
	if (r == 0)
		atomic_fetch_add(&store->health.counters.compactions, 1);
	else
		report_add(&store->health.report, "compact: %s", strerror(-r));
	return r;
}
