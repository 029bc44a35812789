#include "engine/commit/plan.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/base/fault.h"
#include "engine/base/record_attr.h"
#include "engine/base/sizes.h"
#include "engine/media/ctime.h"

#define MODE_BITS 07777u

int plan_init(struct plan *plan, size_t ops)
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

void plan_free(struct plan *plan)
{
	if (plan->ops == plan->few_ops)
		return;
	free(plan->ops);
	free(plan->records);
	free(plan->payloads);
}

size_t plan_count_ops(struct commit_request *const *group, size_t count)
{
	size_t ops = 0;

	for (size_t i = 0; i < count; i++)
		ops += group[i]->count;
	return ops;
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
	           ", but that slot is free; `quiverfs check --repair` rebuilds the index",
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

void plan_choose_how(struct committer *commits, struct commit_request *const *group, size_t count)
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

uint64_t plan_log_bytes_at_most(const struct committer *commits,
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

bool plan_is_ahead(const struct plan *plan, const struct commit_op *op)
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
		.ahead = plan_is_ahead(plan, op),
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

/* IDs that an op changes, to `ids` from `count` on; how many there are then. */
static size_t add_ids(const struct commit_op *op, uint64_t *ids, size_t count)
{
	if (op->type != WAL_DIRATTR)
		ids[count++] = op->id;
	if (op->type == WAL_RENAME)
		ids[count++] = op->from;
	return count;
}

int plan_ready(struct committer *commits, struct commit_request *const *group, size_t count)
{
	size_t pending = commits->flights.ops + plan_count_ops(group, count);
	size_t n = 0;
	uint64_t *ids;
	int r;

	if (!catalog_wants_many(commits->catalog, pending))
		return 0;
	ids = malloc(2 * pending * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	for (const struct commit_flight *f = commits->flights.first; f; f = f->next)
		for (size_t i = 0; i < f->plan.count; i++)
			n = add_ids(f->plan.ops[i], ids, n);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < group[i]->count; k++)
			n = add_ids(&group[i]->ops[k], ids, n);
	r = catalog_ready_many(commits->catalog, ids, n, group[0]->flags & QUIVER_NOWAIT);
	free(ids);
	return r;
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

bool plan_group(struct committer *commits, struct plan *plan, struct commit_request *const *group,
                size_t count)
{
	enum quiver_durability mode = committer_mode(commits);
	bool sync = false;

	plan->first_lsn = commits->next_lsn;
	plan->pending = commits->flights.ops + plan_count_ops(group, count);
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
