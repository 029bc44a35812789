#include "engine/commit/change.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/base/epoch.h"
#include "engine/base/record_attr.h"
#include "engine/commit/commit.h"
#include "engine/commit/room.h"

/* A rename or move whose source changes meanwhile starts again; this many times in a row
 * means that something is wrong. */
#define RETRIES_MAX 1000
#define PARTS_MAX 512
/* Parts of vectors.npy that are written to the device as soon as they are full (QUIVER_WRITE_SOON):
 * each request of it interrupts the processor. */
#define SOON_BYTES (UINT64_C(2) << 20)

static struct catalog *catalog_of(const struct checkpointer *checkpointer)
{
	return checkpointer->commits->catalog;
}

static uint64_t bytes_of(const struct checkpointer *checkpointer)
{
	return catalog_of(checkpointer)->columns.geometry.vector_bytes;
}

/* Early answers, before a slot is taken. */
static int may_change(const struct checkpointer *checkpointer, uint64_t id, unsigned flags)
{
	if (id > QUIVER_ID_MAX)
		return -EINVAL;
	if ((flags & QUIVER_NOWAIT) &&
	    ((flags & QUIVER_SYNC) || row_watch_is_on(checkpointer->commits->row_watch) ||
	     atomic_load(&checkpointer->commits->durability) == QUIVER_ALWAYS))
		return health_writable(catalog_of(checkpointer)->health) ? -EROFS : -EAGAIN;
	return health_writable(catalog_of(checkpointer)->health);
}

/* Slots that were taken: nobody waits for the disk to store into their rows or, with
 * QUIVER_NOWAIT, to write them. Else -EAGAIN, and they are given back. */
static int settle_slots(struct checkpointer *checkpointer, const struct commit_op *ops,
                        size_t count, unsigned flags)
{
	struct prefetch *prefetch = &checkpointer->space->prefetch;
	bool there = true;

	for (size_t i = 0; i < count && there; i++) {
		if (flags & QUIVER_NOWAIT)
			there = prefetch_has(prefetch, ops[i].slot);
		else
			prefetch_rows(prefetch, ops[i].slot);
	}
	for (size_t i = 0; i < count && !there; i++)
		slots_give(&catalog_of(checkpointer)->slots, ops[i].slot);
	return there ? 0 : -EAGAIN;
}

static int take_slot(struct checkpointer *checkpointer, struct commit_op *op, unsigned flags)
{
	int r = room_take(checkpointer, 1, flags & QUIVER_NOWAIT, &op->slot);

	return r ? r : settle_slots(checkpointer, op, 1, flags);
}

int change_put(struct checkpointer *checkpointer, uint64_t id, const void *data,
               const struct quiver_attr *attr, unsigned attr_mask, unsigned flags, uint64_t *lsn)
{
	struct commit_op op = {
		.type = WAL_PUT,
		.id = id,
		.src_slot = SLOT_NONE,
		.data = data,
		.attr = *attr,
		.mask = attr_mask,
	};
	struct commit_request request = { .ops = &op, .count = 1, .flags = flags };
	struct iovec part = { .iov_base = (void *)(uintptr_t)data,
		              .iov_len = bytes_of(checkpointer) };
	int r = may_change(checkpointer, id, flags);

	if (r == 0)
		r = catalog_warm(catalog_of(checkpointer), id, flags);
	if (r == 0)
		r = take_slot(checkpointer, &op, flags);
	if (r)
		return r;
	op.bytes_hash = XXH3_64bits(data, bytes_of(checkpointer));
	r = health_judge(
		catalog_of(checkpointer)->health, HEALTH_SLOTS,
		columns_write_vectors(&catalog_of(checkpointer)->columns, op.slot, &part, 1));
	if (r) {
		slots_give(&catalog_of(checkpointer)->slots, op.slot);
		return r;
	}
	r = commit_submit(checkpointer, &request);
	if (r == 0 && lsn)
		*lsn = request.lsn;
	return r;
}

struct keyed {
	uint64_t id;
	size_t at;
};

static int by_id_then_place(const void *a, const void *b)
{
	const struct keyed *x = a;
	const struct keyed *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* One op for each ID, from the last record that names it, in the order of those records.
 * *ops is malloc'd. */
static int ops_of(const struct quiver_record *records, size_t count, const struct quiver_attr *attr,
                  unsigned attr_mask, struct commit_op **ops, size_t *n)
{
	struct keyed *keys = malloc(count * sizeof(*keys));
	bool *last = calloc(count, sizeof(*last));
	int r = 0;

	*n = 0;
	*ops = calloc(count, sizeof(**ops));
	if (!keys || !last || !*ops) {
		r = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < count; i++)
		keys[i] = (struct keyed){ .id = records[i].id, .at = i };
	qsort(keys, count, sizeof(*keys), by_id_then_place);
	for (size_t i = 0; i < count; i++)
		last[keys[i].at] = i + 1 == count || keys[i + 1].id != keys[i].id;
	for (size_t i = 0; i < count; i++) {
		struct commit_op op = { .type = WAL_PUT,
			                .id = records[i].id,
			                .src_slot = SLOT_NONE,
			                .data = records[i].data,
			                .mask = attr_mask };

		op.attr = record_attr(&records[i], attr, &op.mask);
		if (last[i])
			(*ops)[(*n)++] = op;
	}
out:
	if (r) {
		free(*ops);
		*ops = NULL;
	}
	free(keys);
	free(last);
	return r;
}

/* Neighbouring slots that were written: the parts that end in them are on their way to the device,
 * if that is wanted. What others write there meanwhile is, too. */
static void write_soon(struct checkpointer *checkpointer, uint64_t slot, uint64_t count,
                       unsigned flags)
{
	uint64_t part = SOON_BYTES / bytes_of(checkpointer);
	uint64_t from, to;

	part = part > 0 ? part : 1;
	from = slot / part * part;
	to = (slot + count) / part * part;
	if ((flags & QUIVER_WRITE_SOON) && from < to)
		columns_slots_soon(&catalog_of(checkpointer)->columns, from, to - from);
}

/* Write the bytes of all ops, neighbouring slots in one call. */
static int write_batch(struct checkpointer *checkpointer, struct commit_op *ops, size_t count,
                       unsigned flags)
{
	struct iovec parts[PARTS_MAX];
	int n = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		ops[i].bytes_hash = XXH3_64bits(ops[i].data, bytes_of(checkpointer));
		parts[n].iov_base = (void *)(uintptr_t)ops[i].data;
		parts[n++].iov_len = bytes_of(checkpointer);
		if (i + 1 == count || n == PARTS_MAX || ops[i + 1].slot != ops[i].slot + 1) {
			uint64_t first = ops[i].slot - (uint64_t)(n - 1);

			r = health_judge(catalog_of(checkpointer)->health, HEALTH_SLOTS,
			                 columns_write_vectors(&catalog_of(checkpointer)->columns,
			                                       first, parts, n));
			if (r == 0)
				write_soon(checkpointer, first, (uint64_t)n, flags);
			n = 0;
		}
	}
	return r;
}

static int take_batch(struct checkpointer *checkpointer, struct commit_op *ops, size_t count,
                      unsigned flags)
{
	uint64_t *slots = malloc(count * sizeof(*slots));
	int r = slots ? room_take(checkpointer, count, flags & QUIVER_NOWAIT, slots) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < count; i++)
		ops[i].slot = slots[i];
	free(slots);
	return r ? r : settle_slots(checkpointer, ops, count, flags);
}

int change_put_batch(struct checkpointer *checkpointer, const struct quiver_record *records,
                     size_t count, const struct quiver_attr *attr, unsigned attr_mask,
                     unsigned flags, uint64_t *lsn)
{
	struct commit_request request = { .flags = flags };
	int r = may_change(checkpointer, 0, flags);

	if (r == 0 && count > change_batch_max(bytes_of(checkpointer)))
		r = -E2BIG;
	for (size_t i = 0; r == 0 && i < count; i++)
		if (records[i].id > QUIVER_ID_MAX)
			r = -EINVAL;
	if (r || count == 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = catalog_warm(catalog_of(checkpointer), records[i].id, flags);
	if (r == 0)
		r = ops_of(records, count, attr, attr_mask, &request.ops, &request.count);
	if (r)
		return r;
	r = take_batch(checkpointer, request.ops, request.count, flags);
	if (r)
		goto out;
	r = write_batch(checkpointer, request.ops, request.count, flags);
	if (r) {
		for (size_t i = 0; i < request.count; i++)
			slots_give(&catalog_of(checkpointer)->slots, request.ops[i].slot);
		goto out;
	}
	r = commit_submit(checkpointer, &request);
	if (r == 0) {
		atomic_fetch_add(&catalog_of(checkpointer)->health->counters.batches, 1);
		if (lsn)
			*lsn = request.lsn;
	}
out:
	free(request.ops);
	return r;
}

int change_remove(struct checkpointer *checkpointer, uint64_t id, unsigned flags, uint64_t *lsn)
{
	struct commit_op op = {
		.type = WAL_REMOVE, .id = id, .slot = SLOT_NONE, .src_slot = SLOT_NONE
	};
	struct commit_request request = { .ops = &op, .count = 1, .flags = flags };
	int r = may_change(checkpointer, 0, flags);

	if (r == 0)
		r = catalog_warm(catalog_of(checkpointer), id, flags);
	if (r == 0)
		r = commit_submit(checkpointer, &request);
	if (r == 0 && lsn)
		*lsn = request.lsn;
	return r;
}

/* Copy the bytes of `ref`, which `op` takes from there, to `buffer` of N bytes, checked. `flags`:
 * as of quiver_ref_verify. */
static int read_slot(struct checkpointer *checkpointer, const struct quiver_ref *ref,
                     struct commit_op *op, unsigned flags, void *buffer)
{
	uint64_t n = bytes_of(checkpointer);
	int r;

	if ((flags & QUIVER_NOWAIT) && !catalog_ref_resident(catalog_of(checkpointer), ref))
		return -EAGAIN;
	r = catalog_ref_read(catalog_of(checkpointer), ref, 0, n, buffer);
	if (r)
		return r;
	op->src_slot = ref->slot;
	op->src_lsn = ref->lsn;
	/* Of the copy, as that is what is written. */
	op->bytes_hash = XXH3_64bits(buffer, n);
	if (vector_sum(ref->id, ref->lsn, op->bytes_hash) == ref->sum)
		return 0;
	(void)catalog_ref_verify(catalog_of(checkpointer), ref, 0); /* reports it */
	return -EIO;
}

/* Write them to the slot of `op`. */
static int write_slot(struct checkpointer *checkpointer, const struct commit_op *op, void *buffer)
{
	struct iovec part = { .iov_base = buffer, .iov_len = bytes_of(checkpointer) };

	return health_judge(
		catalog_of(checkpointer)->health, HEALTH_SLOTS,
		columns_write_vectors(&catalog_of(checkpointer)->columns, op->slot, &part, 1));
}

static int rename_once(struct checkpointer *checkpointer, struct commit_op *op, unsigned flags,
                       void *buffer, uint64_t *lsn)
{
	struct commit_request request = { .ops = op, .count = 1, .flags = flags };
	struct quiver_ref ref;
	int r = catalog_get(catalog_of(checkpointer), op->from, flags & QUIVER_NOWAIT, &ref);

	if (r)
		return r;
	r = catalog_warm(catalog_of(checkpointer), op->id, flags);
	if (r == 0)
		r = read_slot(checkpointer, &ref, op, flags & QUIVER_NOWAIT, buffer);
	if (r == 0)
		r = take_slot(checkpointer, op, flags);
	if (r)
		goto unref;
	r = write_slot(checkpointer, op, buffer);
	if (r) {
		slots_give(&catalog_of(checkpointer)->slots, op->slot);
		goto unref;
	}
	r = commit_submit(checkpointer, &request);
	if (r == 0 && lsn)
		*lsn = request.lsn;
unref:
	catalog_unref(catalog_of(checkpointer), &ref);
	return r;
}

int change_rename(struct checkpointer *checkpointer, uint64_t from, uint64_t to, unsigned flags,
                  uint64_t *lsn)
{
	struct commit_op op = { .type = WAL_RENAME, .id = to, .from = from };
	void *buffer;
	int r = may_change(checkpointer, to, flags);

	if (r)
		return r;
	if (from == to) {
		if (flags & QUIVER_NOREPLACE)
			lsn = NULL;
		r = catalog_stat(catalog_of(checkpointer), to, flags & QUIVER_NOWAIT, NULL, lsn);
		return r == 0 && (flags & QUIVER_NOREPLACE) ? -EEXIST : r;
	}
	buffer = malloc(bytes_of(checkpointer));
	if (!buffer)
		return -ENOMEM;
	r = -ESTALE;
	for (int tries = 0; r == -ESTALE && tries < RETRIES_MAX; tries++)
		r = rename_once(checkpointer, &op, flags, buffer, lsn);
	free(buffer);
	return r == -ESTALE ? -EBUSY : r;
}

/* The bytes of one that is to be moved, checked, in `buffer`. It need not be pinned for longer: a
 * commit finds out whether its slot has another version by then. 0, -ESTALE, -ENOENT, -EIO. */
static int read_moved(struct checkpointer *checkpointer, struct commit_op *op, void *buffer)
{
	uint64_t from = op->src_slot;
	struct quiver_ref ref;
	int r = catalog_get(catalog_of(checkpointer), op->id, 0, &ref);

	if (r)
		return r;
	r = ref.slot == from ? read_slot(checkpointer, &ref, op, 0, buffer) : -ESTALE;
	catalog_unref(catalog_of(checkpointer), &ref);
	return r;
}

/* Write what lies in `buffer` one behind the other to the slots of the ops, neighbours in one call. */
static int write_moved(struct checkpointer *checkpointer, const struct commit_op *ops, size_t count,
                       uint8_t *buffer)
{
	uint64_t n = bytes_of(checkpointer);
	int r = 0;

	for (size_t i = 0, run; r == 0 && i < count; i += run) {
		struct iovec part = { .iov_base = buffer + i * n };

		for (run = 1; i + run < count && ops[i + run].slot == ops[i].slot + run;)
			run++;
		part.iov_len = run * n;
		r = health_judge(catalog_of(checkpointer)->health, HEALTH_SLOTS,
		                 columns_write_vectors(&catalog_of(checkpointer)->columns,
		                                       ops[i].slot, &part, 1));
	}
	return r;
}

static void give_moved(struct checkpointer *checkpointer, const struct commit_op *ops, size_t count)
{
	for (size_t i = 0; i < count; i++)
		slots_give(&catalog_of(checkpointer)->slots, ops[i].slot);
}

/* Have the processor fetch what is looked at for each of them while it looks at others. */
static void fetch_entries(struct checkpointer *checkpointer, const struct commit_op *ops,
                          size_t count)
{
	epoch_enter();
	for (size_t i = 0; i < count; i++)
		index_prefetch(&catalog_of(checkpointer)->index, ops[i].id);
	epoch_leave();
}

/* Of the ops those whose bytes are in `buffer` then, first; *count of them. The slots of the others
 * are given back. */
static int read_all_moved(struct checkpointer *checkpointer, struct commit_op *ops, size_t *count,
                          uint8_t *buffer)
{
	size_t kept = 0;
	int r = 0;

	fetch_entries(checkpointer, ops, *count);
	for (size_t i = 0; i < *count; i++) {
		if (r == 0)
			r = read_moved(checkpointer, &ops[i],
			               buffer + kept * bytes_of(checkpointer));
		if (r == 0) {
			prefetch_rows(&checkpointer->space->prefetch, ops[i].slot);
			ops[kept++] = ops[i];
			continue;
		}
		give_moved(checkpointer, &ops[i], 1);
		/* It is gone or elsewhere, or damaged, which was reported: it stays where it is. */
		if (r == -ESTALE || r == -ENOENT || r == -EIO)
			r = 0;
	}
	*count = kept;
	return r;
}

int change_move(struct checkpointer *checkpointer, struct commit_op *ops, size_t count,
                void *buffer, size_t *moved)
{
	struct commit_request request = { .ops = ops, .each = true };
	int r = read_all_moved(checkpointer, ops, &count, buffer);

	*moved = 0;
	if (r == 0)
		r = write_moved(checkpointer, ops, count, buffer);
	if (r) {
		give_moved(checkpointer, ops, count);
		return r;
	}
	if (count == 0)
		return 0;
	request.count = count;
	r = commit_submit(checkpointer, &request);
	for (size_t i = 0; request.published && i < count; i++) {
		if (ops[i].result == 0)
			++*moved;
		else if (r == 0 && ops[i].result != -ESTALE && ops[i].result != -ENOENT)
			r = ops[i].result;
	}
	return r;
}

/* Of a vector or, with QUIVER_ID_NONE, of the directory. */
static int commit_attr(struct checkpointer *checkpointer, enum wal_type type, uint64_t id,
                       const struct quiver_attr *attr, unsigned mask, unsigned flags)
{
	struct commit_op op = {
		.type = type,
		.id = id,
		.slot = SLOT_NONE,
		.src_slot = SLOT_NONE,
		.attr = *attr,
		.mask = mask,
	};
	struct commit_request request = { .ops = &op, .count = 1, .flags = flags };

	return commit_submit(checkpointer, &request);
}

int change_set_attr(struct checkpointer *checkpointer, uint64_t id, const struct quiver_attr *attr,
                    unsigned mask, unsigned flags)
{
	int r = may_change(checkpointer, 0, flags);

	if (r == 0)
		r = catalog_warm(catalog_of(checkpointer), id, flags);
	return r ? r : commit_attr(checkpointer, WAL_SETATTR, id, attr, mask, flags);
}

int change_set_dir_attr(struct checkpointer *checkpointer, const struct quiver_attr *attr,
                        unsigned mask, unsigned flags)
{
	return commit_attr(checkpointer, WAL_DIRATTR, QUIVER_ID_NONE, attr, mask, flags);
}
