/*
 * Compaction: vectors move from the tail into free slots, one commit each, while everyone else
 * goes on; then a checkpoint frees the tail and the files are cut. No second copy is needed.
 */
#include "engine/commit/compact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/commit/change.h"

/* A vector that keeps changing under our hands is let be after so many tries. */
#define TRIES_MAX 64

/* ID in a live slot. *kept: a snapshot has it, so its slot would not come free. */
static uint64_t id_in(struct checkpointer *checkpointer, uint64_t slot, bool *kept)
{
	struct catalog *catalog = checkpointer->commits->catalog;
	struct meta_row row;
	uint64_t id;

	epoch_enter();
	id = slots_is_live(&catalog->slots, slot) ? columns_id(&catalog->columns, slot)
	                                          : QUIVER_ID_NONE;
	/* One that cannot be read is found out by who moves it. */
	*kept = id != QUIVER_ID_NONE && versions_may_want(&catalog->versions, 1) &&
	        catalog_row(catalog, slot, id, &row) == 0 &&
	        versions_may_want(&catalog->versions, row.lsn);
	epoch_leave();
	return id;
}

/* The highest slot below *below with a vector that can be moved, which is *id, or SLOT_NONE. *below goes
 * down past those that snapshots have, and past what has no ID: it was removed just now, or cannot be
 * read. */
static uint64_t highest_movable(struct checkpointer *checkpointer, uint64_t *below, uint64_t *id)
{
	const struct slots *slots = &checkpointer->commits->catalog->slots;
	uint64_t slot;
	bool kept;

	while ((slot = slots_highest_live(slots, *below)) != SLOT_NONE) {
		*id = id_in(checkpointer, slot, &kept);
		if (*id != QUIVER_ID_NONE && !kept)
			break;
		*below = slot;
	}
	return slot;
}

/* Move one vector from as far up as possible to a free slot below. 1 moved, 0 nothing is left
 * to move, -errno. *below goes down past slots that are done with. */
static int move_one(struct checkpointer *checkpointer, uint64_t *below, void *buffer)
{
	uint64_t id;

	for (int tries = 0; tries < TRIES_MAX; tries++) {
		uint64_t slot = highest_movable(checkpointer, below, &id);
		uint64_t to;
		int64_t got;
		int r;

		if (slot == SLOT_NONE)
			return 0;
		got = space_take_below(checkpointer->space, slot, 1, &to);
		if (got <= 0)
			return (int)got;
		r = change_move(checkpointer, id, slot, to, buffer);
		if (r == 0) {
			*below = slot;
			return 1;
		}
		if (r == -EBADMSG)
			*below = slot; /* it stays where it is */
		else if (r != -ESTALE && r != -ENOENT)
			return r;
	}
	return 0;
}

static int move_all(struct checkpointer *checkpointer, struct compaction *compaction, void *buffer)
{
	struct slots_counts counts;
	uint64_t below;
	uint64_t total;
	uint64_t moved = 0;
	int r = 1;

	slots_counts(&checkpointer->commits->catalog->slots, &counts);
	below = counts.used;
	total = counts.free_below;
	while (r == 1 && moved < total && !atomic_load(compaction->stop)) {
		uint64_t began = clock_monotonic_ns();

		r = move_one(checkpointer, &below, buffer);
		if (r != 1)
			break;
		moved++;
		atomic_fetch_add(&checkpointer->commits->catalog->health->counters.moved, 1);
		latency_add(&checkpointer->commits->catalog->health->counters.compact_step,
		            clock_monotonic_ns() - began);
		/* What is above `below` and still free needs no move: the total shrinks. */
		if (moved % 256 == 0)
			compaction->progress(compaction->arg, moved, total);
	}
	compaction->progress(compaction->arg, moved, moved);
	return r < 0 ? r : 0;
}

int compact_run(struct checkpointer *checkpointer, struct compaction *compaction)
{
	void *buffer = malloc(checkpointer->commits->catalog->columns.geometry.vector_bytes);
	uint64_t freed = 0;
	int r = buffer ? 0 : -ENOMEM;

	/* What is superseded now becomes free, so that the moves can go there. */
	if (r == 0)
		r = checkpoint_run(checkpointer);
	/* Who writes meanwhile fills the holes below, too, or the end would not come free. */
	slots_pack(&checkpointer->commits->catalog->slots, true);
	if (r == 0)
		r = move_all(checkpointer, compaction, buffer);
	slots_pack(&checkpointer->commits->catalog->slots, false);
	if (r == 0)
		r = checkpoint_run(checkpointer);
	if (r == 0) {
		/* Errors are this job's result: giving space back is what it is for. */
		pthread_mutex_lock(&checkpointer->lock);
		r = space_punch(checkpointer->space, 0, &freed);
		if (r == 0)
			r = space_cut(checkpointer->space, 0, &freed);
		if (checkpointer->pinned.count > 0)
			space_cut_later(checkpointer->space);
		pthread_mutex_unlock(&checkpointer->lock);
		row_watch_settle(checkpointer->commits->row_watch);
	}
	free(buffer);
	compaction->freed_bytes = freed;
	if (r == 0)
		atomic_fetch_add(&checkpointer->commits->catalog->health->counters.compactions, 1);
	else
		report_add(&checkpointer->commits->catalog->health->report, "compact: %s",
		           quiver_strerror(r));
	return r;
}
