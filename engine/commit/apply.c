#include "engine/commit/apply.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fault.h"
#include "engine/base/record_attr.h"
#include "engine/base/sizes.h"
#include "engine/media/ctime.h"

#define MODE_BITS 07777u

static int plan_init(struct plan *plan, size_t ops)
{
	assert(ops > 0);
	plan->count = 0;
	plan->time_ns = clock_realtime_ns();
	if (ops <= PLAN_FEW_OPS) {
		plan->ops = plan->few_ops;
		plan->records = plan->few_records;
		plan->payloads = plan->few_payloads;
		return 0;
	}
	plan->ops = calloc(ops, sizeof(struct commit_op *));
	plan->records = calloc(ops, sizeof(struct wal_record));
	plan->payloads = calloc(ops, sizeof(void *));
	return plan->ops && plan->records && plan->payloads ? 0 : -ENOMEM;
}

static void plan_free(struct plan *plan)
{
	if (plan->ops == plan->few_ops)
		return;
	free(plan->ops);
	free(plan->records);
	free(plan->payloads);
}

/* Slot of `id` in *slot, or SLOT_NONE. -EIO (reported) where damage may hide it, or where the
 * index names a free slot. */
static int look_up(struct committer *commits, uint64_t id, uint64_t *slot)
{
	int r;

	*slot = index_find(&commits->catalog->index, id);
	if (*slot == SLOT_NONE) {
		r = fault_covered() > 0 ? catalog_missing(commits->catalog, id) : 0;
		return r == -ENOENT ? 0 : r;
	}
	if (slots_is_live(&commits->catalog->slots, *slot))
		return 0;
	report_add(&commits->catalog->health->report,
	           "index: vector %" PRIu64 " should be in slot %" PRIu64
	           ", which is free; `quiverfs check --repair` makes the index anew",
	           id, *slot);
	return -EIO;
}

/* The same for what must be there: -ENOENT. */
static int look_up_present(struct committer *commits, uint64_t id, uint64_t *slot)
{
	int r = look_up(commits, id, slot);

	return r == 0 && *slot == SLOT_NONE ? catalog_missing(commits->catalog, id) : r;
}

/* Where the clock is above every ctime there is, which it is unless somebody has set it back, the
 * row that is replaced need not be read for its own. */
static bool clock_is_ahead(const struct committer *commits, const struct plan *plan)
{
	return plan->time_ns > commits->ctime_max_ns;
}

/* PUT: also where the row that it replaces is damaged; then the attributes are the new
 * ones. */
static int plan_put(struct committer *commits, const struct plan *plan, struct commit_op *op,
                    unsigned flags)
{
	struct meta_row old;
	int r = look_up(commits, op->id, &op->old_slot);

	if (r)
		return r;
	if (op->old_slot != SLOT_NONE && (flags & QUIVER_NOREPLACE))
		return -EEXIST;
	op->row.attr = op->attr;
	op->row.attr.ctime_ns = plan->time_ns;
	if (op->old_slot != SLOT_NONE &&
	    (op->mask != QUIVER_ATTR_ALL || !clock_is_ahead(commits, plan)) &&
	    catalog_row(commits->catalog, op->old_slot, op->id, &old) == 0) {
		record_attr_inherit(&op->row.attr, op->mask, &old.attr);
		op->row.attr.ctime_ns = ctime_after(old.attr.ctime_ns, plan->time_ns);
	}
	return 0;
}

/* The ctime of a vector that has had another name, and maybe replaces one. */
static int64_t renamed_ctime(struct committer *commits, const struct plan *plan,
                             const struct commit_op *op, const struct meta_row *row)
{
	int64_t ctime_ns = ctime_after(row->attr.ctime_ns, plan->time_ns);
	struct meta_row old;

	if (op->old_slot != SLOT_NONE && !clock_is_ahead(commits, plan) &&
	    catalog_row(commits->catalog, op->old_slot, op->id, &old) == 0)
		ctime_ns = ctime_after(old.attr.ctime_ns, ctime_ns);
	return ctime_ns;
}

static int plan_move(struct committer *commits, const struct plan *plan, struct commit_op *op,
                     unsigned flags)
{
	uint64_t from = op->type == WAL_RENAME ? op->from : op->id;
	uint64_t found;
	struct meta_row row;
	int r = look_up_present(commits, from, &found);

	if (r)
		return r;
	if (found != op->src_slot)
		return -ESTALE;
	op->old_slot = SLOT_NONE;
	if (op->type == WAL_RENAME) {
		r = look_up(commits, op->id, &op->old_slot);
		if (r)
			return r;
		if (op->old_slot != SLOT_NONE && (flags & QUIVER_NOREPLACE))
			return -EEXIST;
	}
	r = catalog_row(commits->catalog, found, from, &row);
	if (r)
		return r == -EBADMSG ? -EIO : r;
	if (row.lsn != op->src_lsn) /* another version is in that slot since */
		return -ESTALE;
	/* A snapshot was made meanwhile: what it has stays in its slot, so that two are compared by it. */
	if (op->type == WAL_MOVE && versions_may_want(&commits->catalog->versions, row.lsn))
		return -ESTALE;
	op->row.attr = row.attr;
	op->row.attr_lsn = row.attr_lsn;
	if (op->type == WAL_RENAME)
		op->row.attr.ctime_ns = renamed_ctime(commits, plan, op, &row);
	return 0;
}

static int plan_attr(struct committer *commits, const struct plan *plan, struct commit_op *op)
{
	struct meta_row row;
	int r = look_up_present(commits, op->id, &op->slot);

	if (r)
		return r;
	r = catalog_row(commits->catalog, op->slot, op->id, &row);
	if (r)
		return r == -EBADMSG ? -EIO : r;
	op->row = row;
	op->row.attr = op->attr;
	record_attr_inherit(&op->row.attr, op->mask, &row.attr);
	op->row.attr.ctime_ns = ctime_after(row.attr.ctime_ns, plan->time_ns);
	return 0;
}

static int plan_op(struct committer *commits, const struct plan *plan, struct commit_op *op,
                   unsigned flags)
{
	bool nowait = flags & QUIVER_NOWAIT;
	int r = 0;

	if (op->type != WAL_DIRATTR)
		r = catalog_ready(commits->catalog, op->id, plan->pending, nowait);
	if (r == 0 && op->type == WAL_RENAME)
		r = catalog_ready(commits->catalog, op->from, plan->pending, nowait);
	if (r)
		return r;
	switch (op->type) {
	case WAL_PUT:
		return plan_put(commits, plan, op, flags);
	case WAL_REMOVE:
		op->row.attr.ctime_ns = plan->time_ns;
		return look_up_present(commits, op->id, &op->old_slot);
	case WAL_RENAME:
	case WAL_MOVE:
		return plan_move(commits, plan, op, flags);
	case WAL_SETATTR:
		return plan_attr(commits, plan, op);
	case WAL_DIRATTR:
		op->row.attr = op->attr;
		record_attr_inherit(&op->row.attr, op->mask, &commits->dir);
		op->row.attr.ctime_ns = ctime_after(commits->dir.ctime_ns, plan->time_ns);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Whether the log names only the slots of a request's vectors, which hold the bytes already:
 * half the writing. Whoever waits for a sync gets by with one if all is in the log, so that is
 * how it begins after each. Writer lock; once for each request, as another may sync meanwhile. */
static void choose_how(struct committer *commits, struct commit_request *const *group, size_t count)
{
	uint64_t unsynced_bytes = atomic_load(&commits->unsynced_bytes);

	for (size_t i = 0; i < count; i++) {
		struct commit_request *request = group[i];

		request->by_slot = false;
		if (request->ops[0].type != WAL_PUT)
			continue;
		unsynced_bytes += request->count * commits->catalog->columns.geometry.vector_bytes;
		request->by_slot = !(request->flags & QUIVER_SYNC) &&
		                   atomic_load(&commits->durability) != QUIVER_ALWAYS &&
		                   unsynced_bytes >= PUTSLOT_MIN_BYTES;
	}
}

/* A vector that has changed later than the clock says, and gets another name. */
static bool is_ahead(const struct plan *plan, const struct commit_op *op)
{
	return op->type == WAL_RENAME && op->row.attr.ctime_ns > plan->time_ns;
}

/* Give the op its LSN and its log record. */
static void record_op(struct committer *commits, struct plan *plan, struct commit_op *op,
                      bool by_slot, bool more)
{
	struct wal_record *record = &plan->records[plan->count];

	op->lsn = commits->next_lsn++;
	assert(op->lsn < atomic_load(&commits->lsn_ceiling));
	if (commit_op_has_slot(op)) {
		op->row.lsn = op->lsn;
		op->row.sum = vector_sum(op->id, op->lsn, op->bytes_hash);
	}
	op->row.attr.mode &= MODE_BITS; /* a superblock with others would not be believed */
	if (op->type != WAL_MOVE)
		op->row.attr_lsn = op->lsn;
	if (op->type != WAL_DIRATTR && op->row.attr.ctime_ns > commits->ctime_max_ns)
		commits->ctime_max_ns = op->row.attr.ctime_ns;
	*record = (struct wal_record){
		.type = by_slot ? WAL_PUTSLOT : (uint16_t)op->type,
		.more = more,
		.ahead = is_ahead(plan, op),
		.lsn = op->lsn,
		.id = op->id,
		.slot = op->slot,
		.old_slot = op->type == WAL_SETATTR || op->type == WAL_DIRATTR ? SLOT_NONE
		                                                               : op->old_slot,
		.aux = op->type == WAL_RENAME    ? op->from
		       : op->type == WAL_SETATTR ? op->row.lsn
		       : op->type == WAL_MOVE    ? op->row.attr_lsn
		                                 : 0,
		.src_slot = op->type == WAL_RENAME || op->type == WAL_MOVE ? op->src_slot
		                                                           : SLOT_NONE,
		.attr = op->row.attr,
		.sum = op->row.sum,
	};
	plan->payloads[plan->count] = NULL;
	if (record->type == WAL_PUT) {
		record->payload_bytes = commits->catalog->columns.geometry.vector_bytes;
		plan->payloads[plan->count] = op->data;
	}
	plan->ops[plan->count++] = op;
}

/* Plan what can be. */
static void plan_each(struct committer *commits, struct plan *plan, struct commit_request *request)
{
	request->result = 0;
	for (size_t i = 0; i < request->count; i++) {
		struct commit_op *op = &request->ops[i];

		op->result = plan_op(commits, plan, op, request->flags);
		if (op->result == 0)
			record_op(commits, plan, op, false, false);
	}
}

/* How many look-ups ahead an entry of the index is asked for: about as many as fit into the time that
 * memory takes. */
#define ENTRY_AHEAD 12u

/* Plan a request whole or not at all. */
static void plan_request(struct committer *commits, struct plan *plan,
                         struct commit_request *request)
{
	request->result = 0;
	for (size_t i = 0; request->result == 0 && i < request->count; i++) {
		if (i + ENTRY_AHEAD < request->count)
			index_prefetch(&commits->catalog->index, request->ops[i + ENTRY_AHEAD].id);
		request->result = plan_op(commits, plan, &request->ops[i], request->flags);
	}
	for (size_t i = 0; request->result == 0 && i < request->count; i++)
		record_op(commits, plan, &request->ops[i], request->by_slot,
		          i + 1 < request->count);
}

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

static bool sets_attrs(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->ops[i]->type == WAL_SETATTR)
			return true;
	return false;
}

/* Rows that the plan ends, at most. */
static size_t count_ends(const struct plan *plan)
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
		           "versions: the disk is full, and there has to be room for what "
		           "snapshots keep of a vector that is overwritten or removed; remove a "
		           "snapshot: %s holds the most alone, %" PRIu64 " bytes",
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
	size_t ends = count_ends(plan);
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

	if (is_ahead(plan, op))
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

/* Writer lock: the mode in force decides what is logged. */
static uint64_t log_bytes_at_most(const struct committer *commits,
                                  struct commit_request *const *group, size_t count)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++) {
		bool whole = !group[i]->by_slot;

		for (size_t k = 0; k < group[i]->count; k++)
			bytes += wal_record_bytes(
				whole && group[i]->ops[k].type == WAL_PUT
					? commits->catalog->columns.geometry.vector_bytes
					: 0);
	}
	return bytes;
}

static size_t count_ops(struct commit_request *const *group, size_t count)
{
	size_t ops = 0;

	for (size_t i = 0; i < count; i++)
		ops += group[i]->count;
	return ops;
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

/* A move changes nothing that anyone could see or lose: the old slot stays until a checkpoint,
 * so compaction need not wait for the disk at every step. */
static bool only_moves(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->ops[i]->type != WAL_MOVE)
			return false;
	return true;
}

/* Writer lock. Which of the requests are planned, and whether the plan has to be synced. */
static bool plan_group(struct committer *commits, struct plan *plan,
                       struct commit_request *const *group, size_t count)
{
	enum quiver_durability mode = committer_mode(commits);
	bool sync = false;

	plan->first_lsn = commits->next_lsn;
	plan->pending = commits->flights.ops + count_ops(group, count);
	for (size_t i = 0; i < count; i++) {
		/* Its checkpoint could fail when it is visible already. */
		if ((group[i]->flags & QUIVER_SYNC) && mode == QUIVER_NONE)
			group[i]->result = -ECANCELED;
		if (group[i]->result == 0)
			(group[i]->each ? plan_each : plan_request)(commits, plan, group[i]);
		if (group[i]->result == 0 && (group[i]->flags & QUIVER_SYNC))
			sync = true;
	}
	return mode != QUIVER_NONE && (sync || (mode == QUIVER_ALWAYS && !only_moves(plan)));
}

/* Plan the group and log it. Writer lock. */
static int plan_and_log(struct committer *commits, struct commit_flight *flight)
{
	struct commit_request *const *group = flight->group;
	struct plan *plan = &flight->plan;
	bool nowait = group[0]->flags & QUIVER_NOWAIT;
	int r = health_writable(commits->catalog->health);

	choose_how(commits, group, flight->count);
	if (r == 0)
		r = make_log_room(commits, group, log_bytes_at_most(commits, group, flight->count));
	if (r)
		return r;
	flight->sync = plan_group(commits, plan, group, flight->count);
	if (plan->count == 0)
		return 0;
	r = make_memory(commits, plan, nowait);
	if (r == 0)
		r = note_regions(commits, plan, nowait);
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

	flight->ends = versions->snapshot_count > 0 ? count_ends(&flight->plan) : 0;
	versions->promised += flight->ends;
	commit_flights_add(&commits->flights, flight);
	commit_wait_begin(&commits->queue);
}

bool apply_log(struct committer *commits, struct commit_flight *flight,
               struct commit_request *const *group, size_t count)
{
	struct commit_flights *flights = &commits->flights;
	bool waits = false;
	int r = plan_init(&flight->plan, count_ops(group, count));

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
