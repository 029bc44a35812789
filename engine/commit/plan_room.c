#include "engine/commit/plan_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static bool sets_attrs(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->ops[i]->type == WAL_SETATTR)
			return true;
	return false;
}

size_t plan_count_ends(const struct plan *plan)
{
	size_t ends = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct commit_op *op = plan->ops[i];

		if (op->type == WAL_SETATTR || op->type == WAL_MOVE)
			ends++;
		else if (op->type != WAL_DIRATTR)
			ends += (op->old_slot != SLOT_NONE) + (op->type == WAL_RENAME);
	}
	return ends;
}

/* Whether a snapshot may have the row. */
static bool is_kept(struct committer *commits, uint64_t slot, uint64_t id)
{
	struct meta_row row;

	return slot != SLOT_NONE && catalog_row(commits->catalog, slot, id, &row) == 0 &&
	       row.lsn > 0 && versions_may_want(&commits->catalog->versions, row.lsn);
}

/* The same exactly, of those that snapshots may have: it reads their rows. */
static size_t count_kept_ends(struct committer *commits, const struct plan *plan)
{
	size_t ends = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct commit_op *op = plan->ops[i];

		if (op->type == WAL_SETATTR)
			ends += is_kept(commits, op->slot, op->id);
		else if (op->type != WAL_DIRATTR && op->type != WAL_MOVE)
			ends += is_kept(commits, op->old_slot, op->id);
		if (op->type == WAL_RENAME || op->type == WAL_MOVE)
			ends += is_kept(commits, op->src_slot,
			                op->type == WAL_RENAME ? op->from : op->id);
	}
	return ends;
}

/* Why nothing can be overwritten, nor even removed. Once, until it can be again. */
static void tell_full(struct committer *commits)
{
	struct quiver_snapshot most;

	if (versions_tell_most(&commits->catalog->versions, &most))
		report_add(&commits->catalog->health->report,
		           "versions: the disk is full, and snapshots need room to keep a vector "
		           "that is overwritten or removed; remove a snapshot: %s alone holds the "
		           "most, %" PRIu64 " bytes",
		           most.name, most.own_bytes);
}

/* On a full disk people remove: the last of the room is for that. */
static bool only_removes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->ops[i]->type != WAL_REMOVE)
			return false;
	return true;
}

/* Room for the rows that the plan ends and that snapshots have, in memory and on disk: a full disk is
 * told to whoever fills it. -EAGAIN where that must not wait for the disk. */
static int make_versions_room(struct committer *commits, const struct plan *plan, bool nowait)
{
	struct versions *versions = &commits->catalog->versions;
	size_t spare = only_removes(plan) ? 0 : VERSIONS_SPARE_RECORDS;
	size_t ends = plan_count_ends(plan);
	int r;

	if (versions->snapshot_count == 0 || ends == 0)
		return 0;
	r = versions_make_room(versions, ends);
	if (r == 0 && !versions_has_room_on_disk(versions, ends + spare))
		ends = count_kept_ends(commits, plan); /* on a full disk the others go on */
	if (r == 0 && ends > 0 && !versions_has_room_on_disk(versions, ends + spare))
		r = nowait ? -EAGAIN : versions_room_on_disk(versions, ends + spare);
	if (r == -ENOSPC && !commits->told_full)
		tell_full(commits);
	if (r == -ENOSPC || r == 0)
		commits->told_full = r != 0;
	return r;
}

/* Where the rows of the plan will be, for a recovery that does not look at all. -EAGAIN where that
 * must not wait for the disk. */
static int note_regions(struct committer *commits, const struct plan *plan, bool nowait)
{
	uint64_t *slots;
	size_t count = 0;
	int r;

	for (size_t i = 0; i < plan->count; i++)
		count += commit_op_has_slot(plan->ops[i]) &&
		         !regions_has(&commits->regions, plan->ops[i]->slot);
	if (count == 0)
		return 0;
	if (nowait)
		return -EAGAIN;
	slots = malloc(count * sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < plan->count; i++)
		if (commit_op_has_slot(plan->ops[i]) &&
		    !regions_has(&commits->regions, plan->ops[i]->slot))
			slots[count++] = plan->ops[i]->slot;
	commit_wait_begin(&commits->queue);
	r = health_judge(commits->catalog->health, HEALTH_NOTES,
	                 regions_note(&commits->regions, slots, count));
	commit_wait_end(&commits->queue);
	free(slots);
	return r;
}

/* All memory that publishing will need, so that it cannot fail. */
static int make_memory(struct committer *commits, const struct plan *plan, bool nowait)
{
	/* Those under way have not used theirs yet. */
	size_t ops = plan->count + commits->flights.ops;
	int r = make_versions_room(commits, plan, nowait);

	if (r == 0)
		r = catalog_make_room(commits->catalog, ops, nowait);

	/* It changes its size under the writer lock only, and shrinks after a burst. */
	if (r == 0 && (sets_attrs(plan) || commits->catalog->attr_deltas.places > 0))
		r = attr_deltas_make_room(&commits->catalog->attr_deltas, ops,
		                          atomic_load(&commits->catalog->columns.rows));
	if (r == 0)
		r = deferred_frees_make_room(&commits->deferred, 2 * ops);
	if (r == 0 && committer_mode(commits) == QUIVER_NONE)
		r = slot_list_make_room(&commits->unlogged, ops);
	return r;
}

int plan_make_room(struct committer *commits, const struct plan *plan, bool nowait)
{
	int r = make_memory(commits, plan, nowait);

	return r ? r : note_regions(commits, plan, nowait);
}
