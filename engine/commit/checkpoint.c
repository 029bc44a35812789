/*
 * Checkpoint: make everything up to an LSN durable in the data files, so that the log behind
 * it can go and superseded slots can be used again. DESIGN section 4 gives the order; writers
 * are stopped only while `begin` copies lists.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/store/store.h"

struct checkpoint {
	uint64_t lsn;
	uint64_t log_bytes; /* wal.appended_bytes then */
	uint64_t count;
	uint64_t slots_used;
	struct quiver_attr dir;
	struct deferred_free_list deferred; /* owned */
	struct slot_list unlogged; /* owned */
	struct attr_delta *rows; /* owned */
	size_t row_count;
	struct index_table *former; /* owned */
};

/* Room for `count` more in an array; doubling. */
static int make_room(void **items, size_t *capacity, size_t used, size_t count, size_t size)
{
	size_t want = *capacity ? *capacity : 64;
	void *grown;

	if (used + count <= *capacity)
		return 0;
	while (want < used + count)
		want *= 2;
	grown = realloc(*items, want * size);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*capacity = want;
	return 0;
}

int deferred_frees_make_room(struct deferred_free_list *list, size_t count)
{
	void *items = list->items;
	int r = make_room(&items, &list->capacity, list->count, count, sizeof(*list->items));

	list->items = items;
	return r;
}

int slot_list_make_room(struct slot_list *list, size_t count)
{
	void *items = list->items;
	int r = make_room(&items, &list->capacity, list->count, count, sizeof(*list->items));

	list->items = items;
	return r;
}

/* The state as of one LSN. Writers wait for the copying of small lists only. */
static int begin(struct quiver *store, struct checkpoint *cp)
{
	struct slots_counts counts;
	int r;

	memset(cp, 0, sizeof(*cp));
	pthread_mutex_lock(&store->catalog.writer_lock);
	r = attr_deltas_copy(&store->catalog.attr_deltas, &cp->rows, &cp->row_count);
	if (r == 0) {
		cp->lsn = atomic_load(&store->lsn);
		cp->log_bytes = atomic_load(&store->wal.appended_bytes);
		cp->count = atomic_load(&store->catalog.index.count);
		cp->dir = store->dir;
		slots_counts(&store->catalog.slots, &counts);
		cp->slots_used = counts.used;
		cp->deferred = store->deferred_frees;
		cp->unlogged = store->unlogged;
		cp->former = index_take_former(&store->catalog.index);
		memset(&store->deferred_frees, 0, sizeof(store->deferred_frees));
		memset(&store->unlogged, 0, sizeof(store->unlogged));
		atomic_store(&store->unlogged_count, 0);
		wal_rotate(&store->wal);
	}
	pthread_mutex_unlock(&store->catalog.writer_lock);
	return r;
}

static int by_lsn(const void *a, const void *b)
{
	const struct wal_record *x = a;
	const struct wal_record *y = b;

	return x->lsn < y->lsn ? -1 : x->lsn > y->lsn;
}

/* Mode none: what to log so that a crash while rows are freed is told from damage. Each record
 * names a row; together they take effect at once. */
static size_t none_records(struct quiver *store, const struct checkpoint *cp,
                           struct wal_record *records)
{
	size_t n = 0;

	for (size_t i = 0; i < cp->unlogged.count; i++) {
		uint64_t slot = cp->unlogged.items[i];
		uint64_t id = columns_id(&store->catalog.columns, slot);
		struct meta_row row;

		if (columns_meta(&store->catalog.columns, slot, id, &row) != 0)
			continue; /* damage under our feet: left unconfirmed, so it is freed */
		records[n++] = (struct wal_record){ .type = WAL_PUTREF,
			                            .lsn = row.lsn,
			                            .id = id,
			                            .slot = slot,
			                            .old_slot = SLOT_NONE,
			                            .src_slot = SLOT_NONE,
			                            .attr = row.attr,
			                            .sum = row.sum,
			                            .time_ns = cp->dir.mtime_ns };
	}
	for (size_t i = 0; i < cp->deferred.count; i++)
		records[n++] = (struct wal_record){ .type = WAL_FREE,
			                            .lsn = cp->deferred.items[i].lsn,
			                            .id = cp->deferred.items[i].id,
			                            .slot = SLOT_NONE,
			                            .old_slot = cp->deferred.items[i].slot,
			                            .src_slot = SLOT_NONE,
			                            .time_ns = cp->dir.mtime_ns };
	for (size_t i = 0; i < cp->row_count; i++)
		records[n++] = (struct wal_record){ .type = WAL_SETATTR,
			                            .lsn = cp->rows[i].lsn,
			                            .id = cp->rows[i].id,
			                            .slot = cp->rows[i].slot,
			                            .old_slot = SLOT_NONE,
			                            .src_slot = SLOT_NONE,
			                            .aux = cp->rows[i].row.lsn,
			                            .attr = cp->rows[i].row.attr,
			                            .sum = cp->rows[i].row.sum,
			                            .time_ns = cp->dir.mtime_ns };
	qsort(records, n, sizeof(*records), by_lsn);
	/* The directory's attributes as they are with all of these. */
	records[n++] = (struct wal_record){ .type = WAL_DIRATTR,
		                            .lsn = cp->lsn,
		                            .id = QUIVER_ID_NONE,
		                            .slot = SLOT_NONE,
		                            .old_slot = SLOT_NONE,
		                            .src_slot = SLOT_NONE,
		                            .attr = cp->dir,
		                            .time_ns = cp->dir.mtime_ns };
	return n;
}

static int log_none(struct quiver *store, const struct checkpoint *cp)
{
	size_t most = cp->unlogged.count + cp->deferred.count + cp->row_count + 1;
	struct wal_record *records;
	const void **payloads;
	size_t n;
	int r = 0;

	records = calloc(most, sizeof(*records));
	payloads = calloc(most, sizeof(*payloads));
	if (!records || !payloads) {
		r = -ENOMEM;
		goto out;
	}
	n = none_records(store, cp, records);
	for (size_t i = 0; i + 1 < n; i++)
		records[i].more = true;
	pthread_mutex_lock(&store->catalog.writer_lock);
	r = wal_make_room(&store->wal, n * wal_record_bytes(0), false);
	if (r == 0)
		r = wal_append(&store->wal, records, payloads, n, true);
	pthread_mutex_unlock(&store->catalog.writer_lock);
out:
	free(records);
	free(payloads);
	return r;
}

static int deferred_by_slot(const void *a, const void *b)
{
	const struct deferred_free *x = a;
	const struct deferred_free *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int rows_by_slot(const void *a, const void *b)
{
	const struct attr_delta *x = a;
	const struct attr_delta *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Zero the superseded rows and write the rows whose attributes changed, in the order of the files:
 * a page that is come back to is written once more. */
static int write_rows(struct quiver *store, const struct checkpoint *cp)
{
	static const uint64_t none = QUIVER_ID_NONE;
	static const struct meta_row free_row;
	int r = 0;

	if (cp->deferred.count > 1) /* without any there is no array */
		qsort(cp->deferred.items, cp->deferred.count, sizeof(*cp->deferred.items),
		      deferred_by_slot);
	if (cp->row_count > 1)
		qsort(cp->rows, cp->row_count, sizeof(*cp->rows), rows_by_slot);
	for (size_t i = 0; r == 0 && i < cp->deferred.count; i++)
		r = columns_write_rows(&store->catalog.columns, cp->deferred.items[i].slot, &none,
		                       &free_row, 1);
	for (size_t i = 0; r == 0 && i < cp->row_count; i++) {
		const struct attr_delta *row = &cp->rows[i];

		r = columns_write_meta(&store->catalog.columns, row->slot, row->id, &row->row);
	}
	return r;
}

/* Rows superseded after begin keep their attributes to themselves: a row whose free is deferred
 * between is freed by the next checkpoint, whatever is written to it now. */
static void drop_rows(struct quiver *store, const struct checkpoint *cp)
{
	for (size_t i = 0; i < cp->row_count; i++)
		attr_deltas_drop(&store->catalog.attr_deltas, cp->rows[i].slot, cp->rows[i].lsn);
}

static int write_superblock(struct quiver *store, const struct checkpoint *cp)
{
	struct superblock *sb = &store->superblock.now;

	sb->slots_used = cp->slots_used;
	sb->count = cp->count;
	sb->checkpoint_lsn = cp->lsn;
	sb->lsn_ceiling = cp->lsn + STORE_LSN_STEP > sb->lsn_ceiling ? cp->lsn + STORE_LSN_STEP
	                                                             : sb->lsn_ceiling;
	sb->wal_first = wal_first_above(&store->wal, cp->lsn);
	sb->dir = cp->dir;
	return superblock_write(store->io, store->superblock.fd, sb);
}

/* Until here the old checkpoint holds; on failure nothing may be reused, so the store stops. */
static int make_durable(struct quiver *store, const struct checkpoint *cp)
{
	enum health_subject subject = HEALTH_CHECKPOINT_SLOTS;
	int r = columns_write_out(&store->catalog.columns);

	if (r == 0)
		r = columns_sync(&store->catalog.columns, true, true);
	if (r == 0 && store_mode(store) == QUIVER_NONE) {
		subject = HEALTH_CHECKPOINT_LOG;
		r = log_none(store, cp);
	}
	if (r == 0) {
		subject = HEALTH_CHECKPOINT_SYNC;
		r = wal_sync(&store->wal, cp->lsn);
	}
	if (r == 0) {
		/* Readers who looked past an attribute change may be in the row still. */
		epoch_wait();
		subject = HEALTH_CHECKPOINT_ROWS;
		r = write_rows(store, cp);
	}
	if (r == 0) {
		subject = HEALTH_CHECKPOINT_ROWS_SYNC;
		r = columns_sync(&store->catalog.columns, false, true);
	}
	if (r == 0) {
		subject = HEALTH_SUPERBLOCK;
		r = write_superblock(store, cp);
	}
	return health_judge(&store->health, subject, r);
}

static bool is_among(uint64_t slot, const uint32_t *slots, size_t count)
{
	size_t from = 0;

	while (from < count) {
		size_t middle = from + (count - from) / 2;

		if (slots[middle] == slot)
			return true;
		if (slots[middle] < slot)
			from = middle + 1;
		else
			count = middle;
	}
	return false;
}

void checkpoint_free_unpinned(struct quiver *store)
{
	struct deferred_free_list *list = &store->deferred_pinned;
	uint32_t pinned[READERS_PINS_MAX];
	size_t count = readers_pinned(&store->catalog.readers, pinned);
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		uint64_t slot = list->items[i].slot;

		if (slots_pinned(&store->catalog.slots, slot) || is_among(slot, pinned, count)) {
			list->items[kept++] = list->items[i];
		} else {
			slots_give(&store->catalog.slots, slot);
			atomic_fetch_sub(&store->deferred_count, 1);
		}
	}
	if (kept < list->count)
		prefetch_freed(store);
	list->count = kept;
}

static void release_slots(struct quiver *store, const struct checkpoint *cp)
{
	/* Room was made before the checkpoint became durable. */
	for (size_t i = 0; i < cp->deferred.count; i++)
		store->deferred_pinned.items[store->deferred_pinned.count++] =
			cp->deferred.items[i];
	epoch_wait();
	checkpoint_free_unpinned(store);
}

/* A checkpoint that could not begin, or failed: what was taken goes back in front. Without
 * memory for that the slots would be lost to the next one, so the store stops. */
static void put_back(struct quiver *store, struct checkpoint *cp)
{
	int r;

	pthread_mutex_lock(&store->catalog.writer_lock);
	r = deferred_frees_make_room(&cp->deferred, store->deferred_frees.count);
	if (r == 0)
		r = slot_list_make_room(&cp->unlogged, store->unlogged.count);
	if (r) {
		pthread_mutex_unlock(&store->catalog.writer_lock);
		(void)health_judge(&store->health, HEALTH_CHECKPOINT_LISTS, r);
		return;
	}
	for (size_t i = 0; i < store->deferred_frees.count; i++)
		cp->deferred.items[cp->deferred.count++] = store->deferred_frees.items[i];
	free(store->deferred_frees.items);
	store->deferred_frees = cp->deferred;
	memset(&cp->deferred, 0, sizeof(cp->deferred));
	for (size_t i = 0; i < store->unlogged.count; i++)
		cp->unlogged.items[cp->unlogged.count++] = store->unlogged.items[i];
	free(store->unlogged.items);
	store->unlogged = cp->unlogged;
	atomic_store(&store->unlogged_count, store->unlogged.count);
	memset(&cp->unlogged, 0, sizeof(cp->unlogged));
	pthread_mutex_unlock(&store->catalog.writer_lock);
}

/* Space back to the filesystem; failures here lose nothing and are only reported. */
static void give_back_space(struct quiver *store)
{
	uint64_t freed = 0;

	(void)health_judge(&store->health, HEALTH_LOG_CUT,
	                   wal_cut(&store->wal, store->superblock.now.checkpoint_lsn));
	(void)health_judge(&store->health, HEALTH_PUNCH,
	                   space_punch(store, space_headroom(store), &freed));
}

static bool nothing_to_do(struct quiver *store)
{
	bool nothing;

	pthread_mutex_lock(&store->catalog.writer_lock);
	nothing = atomic_load(&store->lsn) == store->superblock.now.checkpoint_lsn &&
	          store->deferred_frees.count == 0;
	pthread_mutex_unlock(&store->catalog.writer_lock);
	return nothing;
}

static int run_locked(struct quiver *store)
{
	struct checkpoint cp;
	uint64_t began = clock_monotonic_ns();
	int r;

	store->last_checkpoint_ns = (int64_t)began;
	if (nothing_to_do(store)) {
		epoch_wait();
		checkpoint_free_unpinned(store);
		return 0;
	}
	r = begin(store, &cp);
	if (r)
		return r;
	r = deferred_frees_make_room(&store->deferred_pinned, cp.deferred.count);
	if (r == 0)
		r = make_durable(store, &cp);
	if (r) {
		put_back(store, &cp);
		goto out;
	}
	atomic_store(&store->lsn_ceiling, store->superblock.now.lsn_ceiling);
	atomic_store(&store->checkpoint_lsn, cp.lsn);
	atomic_store(&store->checkpoint_bytes, cp.log_bytes);
	drop_rows(store, &cp);
	release_slots(store, &cp);
	give_back_space(store);
	atomic_fetch_add(&store->health.counters.checkpoints, 1);
	latency_add(&store->health.counters.checkpoint, clock_monotonic_ns() - began);
out:
	if (cp.former)
		epoch_wait();
	index_free_former(&store->catalog.index, cp.former);
	free(cp.deferred.items);
	free(cp.unlogged.items);
	free(cp.rows);
	return r;
}

int checkpoint_run(struct quiver *store)
{
	int r = health_writable(&store->health);

	if (r)
		return store->health.read_only && !health_failed(&store->health) ? 0 : r;
	pthread_mutex_lock(&store->checkpoint_lock);
	r = health_writable(&store->health);
	if (r == 0)
		r = run_locked(store);
	pthread_mutex_unlock(&store->checkpoint_lock);
	return r;
}
