/*
 * Compaction: vectors move from the tail into free slots, one commit each but many at a time, while
 * everyone else goes on; then a checkpoint frees the tail and the files are cut. No second copy is needed.
 */
#include "engine/commit/compact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/commit/change.h"

/* Vectors that are moved at a time: one write to the log, one turn in the queue. Others who commit wait for
 * all of it; with 8 the ends of groups cost them more than that. */
#define GROUP_MAX 64
/* Bytes that are copied for it: they stay in a core's cache until they are written. */
#define GROUP_BYTES (UINT64_C(256) << 10)

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

/* Slots of the group, the lowest last. How many; *below goes down past those that are not moved. */
static size_t find_sources(struct checkpointer *checkpointer, uint64_t *below, size_t max,
                           uint64_t *slots, uint64_t *ids)
{
	uint64_t at = *below;
	size_t n = 0;

	while (n < max && (slots[n] = highest_movable(checkpointer, &at, &ids[n])) != SLOT_NONE)
		at = slots[n++];
	if (n == 0)
		*below = at;
	return n;
}

/* Free slots below the lowest of the group. Where there are fewer than of those the group becomes as
 * small: near the end holes and vectors lie between each other. How many, or -errno. */
static int64_t find_targets(struct checkpointer *checkpointer, const uint64_t *from, size_t max,
                            uint64_t *to)
{
	int64_t got = 0;

	while (got == 0 && max > 0) {
		got = space_take_below(checkpointer->space, from[max - 1], max, to);
		max /= 2;
	}
	return got;
}

/* Move a group of at most `max` vectors from as far up as possible to free slots below, in the order
 * in which they lie. 1 there may be more, 0 nothing is left to move, -errno. *below goes down past
 * slots that are done with. *moved: so many were. */
static int move_some(struct checkpointer *checkpointer, uint64_t *below, size_t max, void *buffer,
                     size_t *moved)
{
	struct commit_op ops[GROUP_MAX];
	uint64_t from[GROUP_MAX] = { 0 }, to[GROUP_MAX] = { 0 }, ids[GROUP_MAX] = { 0 };
	size_t found = find_sources(checkpointer, below, max, from, ids);
	int64_t n;
	int r;

	*moved = 0;
	if (found == 0)
		return 0;
	n = find_targets(checkpointer, from, found, to);
	if (n <= 0)
		return (int)n;
	for (int64_t i = 0; i < n; i++)
		ops[i] = (struct commit_op){ .type = WAL_MOVE,
			                     .id = ids[n - 1 - i],
			                     .src_slot = from[n - 1 - i],
			                     .slot = to[i] };
	*below = from[n - 1];
	r = change_move(checkpointer, ops, (size_t)n, buffer, moved);
	return r ? r : 1;
}

/* Vectors of a group. */
static size_t group_size(const struct checkpointer *checkpointer)
{
	uint64_t vector_bytes = checkpointer->commits->catalog->columns.geometry.vector_bytes;

	if (vector_bytes > GROUP_BYTES)
		return 1;
	return GROUP_BYTES / vector_bytes < GROUP_MAX ? GROUP_BYTES / vector_bytes : GROUP_MAX;
}

static void tell_progress(struct checkpointer *checkpointer, struct compaction *compaction,
                          uint64_t moved, uint64_t total, uint64_t took_ns)
{
	struct counters *counters = &checkpointer->commits->catalog->health->counters;

	latency_add(&counters->compact_step, took_ns);
	/* What is above `below` and still free needs no move: the total shrinks. */
	compaction->progress(compaction->arg, moved, total);
}

static int move_all(struct checkpointer *checkpointer, struct compaction *compaction, void *buffer)
{
	struct slots_counts counts;
	size_t most = group_size(checkpointer);
	uint64_t below;
	uint64_t total;
	uint64_t moved = 0;
	size_t now = 0;
	int r = 1;

	slots_counts(&checkpointer->commits->catalog->slots, &counts);
	below = counts.used;
	total = counts.free_below;
	while (r == 1 && moved < total && !atomic_load(compaction->stop)) {
		uint64_t began = clock_monotonic_ns();

		r = move_some(checkpointer, &below, most < total - moved ? most : total - moved,
		              buffer, &now);
		moved += now;
		atomic_fetch_add(&checkpointer->commits->catalog->health->counters.moved, now);
		if (now > 0)
			tell_progress(checkpointer, compaction, moved, total,
			              clock_monotonic_ns() - began);
	}
	compaction->progress(compaction->arg, moved, moved);
	return r < 0 ? r : 0;
}

int compact_run(struct checkpointer *checkpointer, struct compaction *compaction)
{
	uint64_t vector_bytes = checkpointer->commits->catalog->columns.geometry.vector_bytes;
	void *buffer = malloc(vector_bytes > GROUP_BYTES ? vector_bytes : GROUP_BYTES);
	uint64_t freed = 0;
	int r = buffer ? 0 : -ENOMEM;

	/* Who writes meanwhile fills the holes below, too, or the end would not come free. */
	slots_pack(&checkpointer->commits->catalog->slots, true);
	/* What is superseded now becomes free, so that the moves can go there. */
	if (r == 0)
		r = checkpoint_run(checkpointer);
	if (r == 0)
		r = move_all(checkpointer, compaction, buffer);
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
	slots_pack(&checkpointer->commits->catalog->slots, false);
	free(buffer);
	compaction->freed_bytes = freed;
	if (r == 0)
		atomic_fetch_add(&checkpointer->commits->catalog->health->counters.compactions, 1);
	else
		report_add(&checkpointer->commits->catalog->health->report, "compact: %s",
		           quiver_strerror(r));
	return r;
}
