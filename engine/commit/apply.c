#include "engine/commit/apply.h"

#include <errno.h>

#include "engine/commit/plan.h"
#include "engine/commit/plan_room.h"
#include "engine/media/ctime.h"

#define ROWS_AT_ONCE 256u /* on the stack: 14 KiB */

/* Rows of neighbouring slots go in one write. `freeing` writes free rows instead. */
static int write_rows(struct committer *commits, const struct plan *plan, bool freeing)
{
	uint64_t ids[ROWS_AT_ONCE];
	struct meta_row rows[ROWS_AT_ONCE];
	uint64_t first = 0;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->count; i++) {
		const struct commit_op *op = plan->ops[i];

		if (!commit_op_has_slot(op))
			continue;
		if (n > 0 && (n == ROWS_AT_ONCE || op->slot != first + n)) {
			r = columns_write_rows(&commits->catalog->columns, first, ids, rows, n);
			n = 0;
		}
		if (n == 0)
			first = op->slot;
		ids[n] = freeing ? QUIVER_ID_NONE : op->id;
		rows[n] = freeing ? (struct meta_row){ 0 } : op->row;
		n++;
	}
	if (r == 0 && n > 0)
		r = columns_write_rows(&commits->catalog->columns, first, ids, rows, n);
	return r;
}

/* A row is about to end: where a snapshot has it it is kept. Before that becomes visible, so that who
 * does not find it in the columns finds it there. */
static void keep_version(struct committer *commits, uint64_t slot, uint64_t id, uint64_t lsn,
                         enum version_kind kind)
{
	struct versions *versions = &commits->catalog->versions;
	struct meta_row row;

	if (versions->snapshot_count == 0)
		return;
	/* One that cannot be read is lost to the snapshots, too: who misses it there is told. */
	if (catalog_row(commits->catalog, slot, id, &row) != 0 || row.lsn == 0)
		atomic_fetch_add(&versions->lost_bytes, VERSION_RECORD_BYTES);
	else if (versions_may_want(versions, row.lsn))
		versions_end(versions, slot, id, &row, lsn, kind);
}

static void defer_free(struct committer *commits, uint64_t slot, uint64_t id, uint64_t lsn)
{
	struct deferred_free item = { .slot = slot, .id = id, .lsn = lsn };

	slots_clear_live(&commits->catalog->slots, slot);
	attr_deltas_drop(&commits->catalog->attr_deltas, slot);
	commits->deferred.items[commits->deferred.count++] = item;
	atomic_fetch_add(&commits->deferred_count, 1);
}

static void publish_slot(struct committer *commits, const struct commit_op *op)
{
	struct index *index = &commits->catalog->index;
	uint64_t was = op->type == WAL_RENAME ? op->from : op->id;

	if (op->type != WAL_MOVE && op->old_slot != SLOT_NONE)
		keep_version(commits, op->old_slot, op->id, op->lsn, VERSION_SUPERSEDED);
	if (op->type != WAL_PUT)
		keep_version(commits, op->src_slot, was, op->lsn, VERSION_SUPERSEDED);
	slots_set_live(&commits->catalog->slots, op->slot);
	if (op->type == WAL_RENAME)
		index_rename(index, op->from, op->src_slot, op->id, op->old_slot, op->slot);
	else if (op->type == WAL_MOVE)
		index_replace(index, op->id, op->src_slot, op->slot);
	else if (op->old_slot != SLOT_NONE)
		index_replace(index, op->id, op->old_slot, op->slot);
	else
		index_insert(index, op->id, op->slot);
	published_add(&commits->catalog->published, op->slot);
	cells_published(&commits->catalog->cells, op->slot);
	if (op->type != WAL_MOVE && op->old_slot != SLOT_NONE)
		defer_free(commits, op->old_slot, op->id, op->lsn);
	if (op->type != WAL_PUT)
		defer_free(commits, op->src_slot, was, op->lsn);
	if (committer_mode(commits) == QUIVER_NONE) {
		commits->unlogged.items[commits->unlogged.count++] = op->slot;
		atomic_store(&commits->unlogged_count, commits->unlogged.count);
		/* Not at the next tick: until then there may be a million more. */
		if (commits->unlogged.count == COMMITTER_UNLOGGED_MAX)
			wish_checkpoint(commits->wishes);
	}
}

static void set_dir(struct committer *commits, const struct quiver_attr *attr)
{
	pthread_mutex_lock(&commits->dir_lock);
	commits->dir = *attr;
	pthread_mutex_unlock(&commits->dir_lock);
}

static void touch_dir(struct committer *commits, const struct plan *plan,
                      const struct commit_op *op)
{
	struct quiver_attr attr = commits->dir;

	if (plan_is_ahead(plan, op))
		ctime_step_dir(&attr);
	else
		ctime_touch_dir(&attr, op->row.attr.ctime_ns);
	set_dir(commits, &attr);
}

/* Make one op visible to whoever looks from now on. */
static void publish(struct committer *commits, const struct plan *plan, const struct commit_op *op)
{
	struct counters *counters = &commits->catalog->health->counters;

	if (commit_op_has_slot(op)) {
		publish_slot(commits, op);
		if (op->type == WAL_RENAME || (op->type == WAL_PUT && op->old_slot == SLOT_NONE))
			touch_dir(commits, plan, op);
		if (op->type != WAL_MOVE)
			atomic_fetch_add(op->type == WAL_PUT ? &counters->puts : &counters->renames,
			                 1);
	} else if (op->type == WAL_REMOVE) {
		keep_version(commits, op->old_slot, op->id, op->lsn, VERSION_SUPERSEDED);
		index_remove(&commits->catalog->index, op->id, op->old_slot);
		defer_free(commits, op->old_slot, op->id, op->lsn);
		touch_dir(commits, plan, op);
		atomic_fetch_add(&counters->removes, 1);
	} else if (op->type == WAL_SETATTR) {
		struct attr_delta row = { .slot = op->slot, .row = op->row };

		keep_version(commits, op->slot, op->id, op->lsn, VERSION_ATTRIBUTES);
		attr_deltas_put(&commits->catalog->attr_deltas, &row);
		if (atomic_load(&commits->catalog->attr_deltas.count) == COMMITTER_ATTRS_MAX)
			wish_checkpoint(commits->wishes);
		atomic_fetch_add(&counters->set_attrs, 1);
	} else {
		set_dir(commits, &op->row.attr);
	}
	atomic_store(&commits->lsn, op->lsn);
}

/* Log the plan, of which a sync comes next where `sync`. On failure the rows are free again, or the
 * store has failed. */
static int log_plan(struct committer *commits, struct plan *plan, bool sync)
{
	int undo;
	int r = health_judge(commits->catalog->health, HEALTH_COMMIT_ROWS,
	                     write_rows(commits, plan, false));

	if (r == 0 && committer_mode(commits) != QUIVER_NONE)
		r = wal_append(commits->wal, plan->records, plan->payloads, plan->count, sync);
	if (r == 0)
		return 0;
	undo = write_rows(commits, plan, true);
	/* Else a crash could mix these rows with those of who takes the slots next. */
	if (undo == 0)
		undo = columns_sync(&commits->catalog->columns, false, true);
	undo = health_judge(commits->catalog->health, HEALTH_UNDO_ROWS, undo);
	commits->next_lsn = plan->first_lsn;
	return undo ? undo : r;
}

/* Whether the next checkpoint of mode none can log one more group along with what has come since
 * the last. -EAGAIN or, where that may be waited for, -ENOBUFS. */
static int make_checkpoint_room(struct committer *commits, bool nowait)
{
	if (commits->deferred.count + commits->unlogged.count + atomic_load(&commits->taken_count) +
	            atomic_load(&commits->catalog->attr_deltas.count) <
	    COMMITTER_NONE_MAX)
		return 0;
	wish_checkpoint(commits->wishes);
	return nowait ? -EAGAIN : -ENOBUFS;
}

/* Room in the log. A group that must not wait is turned away where a segment would have to be
 * made. */
static int make_log_room(struct committer *commits, struct commit_request *const *group,
                         uint64_t bytes)
{
	int r;

	if (committer_mode(commits) == QUIVER_NONE)
		return make_checkpoint_room(commits, group[0]->flags & QUIVER_NOWAIT);
	r = wal_make_room(commits->wal, bytes, true);
	if (r != -EAGAIN)
		return r;
	wish_segment(commits->wishes);
	if (group[0]->flags & QUIVER_NOWAIT) /* as all others, then */
		return r;
	commit_wait_begin(&commits->queue);
	r = wal_make_room(commits->wal, bytes, false);
	commit_wait_end(&commits->queue);
	return r;
}

static void fail_group(struct commit_request *const *group, size_t count, int error)
{
	for (size_t i = 0; i < count; i++)
		if (group[i]->result == 0)
			group[i]->result = error;
}

static void publish_group(struct committer *commits, const struct plan *plan,
                          struct commit_request *const *group, size_t count)
{
	pthread_mutex_lock(&commits->catalog->publish_lock);
	for (size_t i = 0; i < plan->count; i++)
		publish(commits, plan, plan->ops[i]);
	pthread_mutex_unlock(&commits->catalog->publish_lock);
	for (size_t i = 0; i < count; i++) {
		if (group[i]->result)
			continue;
		group[i]->published = true;
		if (group[i]->ops[0].type == WAL_PUT)
			atomic_fetch_add(&commits->unsynced_bytes,
			                 group[i]->count *
			                         commits->catalog->columns.geometry.vector_bytes);
		group[i]->lsn = group[i]->ops[group[i]->count - 1].lsn;
	}
}

/* Plan the group and log it. Writer lock. */
static int plan_and_log(struct committer *commits, struct commit_flight *flight)
{
	struct commit_request *const *group = flight->group;
	struct plan *plan = &flight->plan;
	bool nowait = group[0]->flags & QUIVER_NOWAIT;
	int r = health_writable(commits->catalog->health);

	plan_choose_how(commits, group, flight->count);
	if (r == 0)
		r = make_log_room(commits, group,
		                  plan_log_bytes_at_most(commits, group, flight->count));
	if (r == 0)
		r = plan_ready(commits, group, flight->count);
	if (r)
		return r;
	flight->sync = plan_group(commits, plan, group, flight->count);
	if (plan->count == 0)
		return 0;
	r = plan_make_room(commits, plan, nowait);
	if (r) {
		commits->next_lsn = plan->first_lsn;
		return r;
	}
	return log_plan(commits, plan, flight->sync);
}

/* It is logged, and waits. Who must not wait behind it is turned away. Writer lock. */
static void take_off(struct committer *commits, struct commit_flight *flight)
{
	struct versions *versions = &commits->catalog->versions;

	flight->ends = versions->snapshot_count > 0 ? plan_count_ends(&flight->plan) : 0;
	versions->promised += flight->ends;
	commit_flights_add(&commits->flights, flight);
	commit_wait_begin(&commits->queue);
}

bool apply_log(struct committer *commits, struct commit_flight *flight,
               struct commit_request *const *group, size_t count)
{
	struct commit_flights *flights = &commits->flights;
	bool waits = false;
	int r = plan_init(&flight->plan, plan_count_ops(group, count));

	flight->group = group;
	flight->count = count;
	flight->sync = false;
	for (size_t i = 0; i < count; i++)
		group[i]->result = 0;
	pthread_mutex_lock(&commits->catalog->writer_lock);
	while (commit_flights_hinder(flights, group, count))
		pthread_cond_wait(&flights->landed, &commits->catalog->writer_lock);
	if (r == 0)
		r = plan_and_log(commits, flight);
	if (r == 0 && flight->plan.count > 0) {
		waits = flight->sync || flights->first;
		if (waits)
			take_off(commits, flight);
		else
			publish_group(commits, &flight->plan, group, count);
	}
	pthread_mutex_unlock(&commits->catalog->writer_lock);
	if (!waits) {
		fail_group(group, count, r);
		plan_free(&flight->plan);
	}
	if (wal_wants_prepare(commits->wal))
		wish_segment(commits->wishes);
	return waits;
}

/* Have land whatever can, in the order of their LSNs. Where the store has failed those that are not
 * durable fail, and with them those behind. Writer lock. */
static void land_some(struct committer *commits)
{
	struct commit_flights *flights = &commits->flights;
	uint64_t durable = atomic_load(&commits->wal->durable_lsn);
	bool failed = health_failed(commits->catalog->health);
	int r = 0;

	while (flights->first) {
		struct commit_flight *flight = flights->first;
		const struct plan *plan = &flight->plan;

		if (flight->sync && plan->ops[plan->count - 1]->lsn > durable) {
			if (!failed)
				break;
			r = -EIO;
		}
		commits->catalog->versions.promised -= flight->ends;
		if (r == 0)
			publish_group(commits, plan, flight->group, flight->count);
		commit_flights_land(flights, r);
	}
	pthread_cond_broadcast(&flights->landed);
}

void apply_land(struct committer *commits, struct commit_flight *flight)
{
	const struct plan *plan = &flight->plan;

	if (flight->sync) {
		atomic_store(&commits->unsynced_bytes, 0);
		/* What becomes of it is the same for all: land_some. */
		if (wal_sync(commits->wal, plan->ops[plan->count - 1]->lsn) == 0)
			latency_add(&commits->catalog->health->counters.sync,
			            atomic_load(&commits->wal->sync_ns));
	}
	pthread_mutex_lock(&commits->catalog->writer_lock);
	land_some(commits);
	while (!flight->landed)
		pthread_cond_wait(&commits->flights.landed, &commits->catalog->writer_lock);
	pthread_mutex_unlock(&commits->catalog->writer_lock);
	commit_wait_end(&commits->queue);
	fail_group(flight->group, flight->count, flight->result);
	plan_free(&flight->plan);
}

void apply_group(struct committer *commits, struct commit_request *const *group, size_t count)
{
	struct commit_flight flight;

	if (apply_log(commits, &flight, group, count))
		apply_land(commits, &flight);
}
