#include "engine/commit/none_log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Three lists, each in the order of its LSNs, become one. */
struct merge {
	const struct none_log *what;
	const uint32_t *order; /* of what->rows */
	size_t puts, frees, attrs; /* so many of each list are done */
	struct wal_record put; /* the next of the first list, which is read from its row */
	bool has_put;
	bool ended; /* the directory's attributes are given, too */
};

uint64_t none_log_bytes(const struct none_log *what)
{
	return (what->unlogged->count + what->deferred->count + what->row_count + 1) *
	       wal_record_bytes(0);
}

static int by_lsn(const void *a, const void *b, void *arg)
{
	const struct attr_delta *rows = arg;
	uint64_t x = rows[*(const uint32_t *)a].row.attr_lsn;
	uint64_t y = rows[*(const uint32_t *)b].row.attr_lsn;

	return x < y ? -1 : x > y;
}

int none_log_order(const struct none_log *what, uint32_t **order)
{
	*order = NULL;
	if (what->row_count == 0)
		return 0;
	assert(what->row_count <= UINT32_MAX);
	*order = malloc(what->row_count * sizeof(**order));
	if (!*order)
		return -ENOMEM;
	for (size_t i = 0; i < what->row_count; i++)
		(*order)[i] = (uint32_t)i;
	qsort_r(*order, what->row_count, sizeof(**order), by_lsn, (void *)(uintptr_t)what->rows);
	return 0;
}

static struct wal_record record_of(enum wal_type type, uint64_t lsn, uint64_t id, uint64_t slot)
{
	return (struct wal_record){ .type = (uint16_t)type,
		                    .more = true,
		                    .lsn = lsn,
		                    .id = id,
		                    .slot = slot,
		                    .old_slot = SLOT_NONE,
		                    .src_slot = SLOT_NONE };
}

/* Have the next row that was written at hand, where there is one. */
static void read_put(struct merge *merge)
{
	const struct none_log *what = merge->what;

	while (!merge->has_put && merge->puts < what->unlogged->count) {
		uint64_t slot = what->unlogged->items[merge->puts++];
		uint64_t id = columns_id(what->columns, slot);
		struct meta_row row;

		if (columns_meta(what->columns, slot, id, &row) != 0)
			continue; /* damage under our feet: left unconfirmed, so it is freed */
		merge->put = record_of(WAL_PUTREF, row.lsn, id, slot);
		merge->put.aux = row.attr_lsn;
		merge->put.attr = row.attr;
		merge->put.sum = row.sum;
		merge->has_put = true;
	}
}

static void give_free(struct merge *merge, struct wal_record *record)
{
	const struct deferred_free *item = &merge->what->deferred->items[merge->frees++];

	*record = record_of(WAL_FREE, item->lsn, item->id, SLOT_NONE);
	record->old_slot = item->slot;
}

static const struct attr_delta *next_delta(const struct merge *merge)
{
	return merge->attrs < merge->what->row_count
	               ? &merge->what->rows[merge->order[merge->attrs]]
	               : NULL;
}

static void give_attr(struct merge *merge, const struct attr_delta *delta,
                      struct wal_record *record)
{
	*record = record_of(WAL_SETATTR, delta->row.attr_lsn,
	                    columns_id(merge->what->columns, delta->slot), delta->slot);
	record->aux = delta->row.lsn;
	record->attr = delta->row.attr;
	record->sum = delta->row.sum;
	merge->attrs++;
}

/* The next record. False where there is no more. */
static bool give(struct merge *merge, struct wal_record *record)
{
	const struct none_log *what = merge->what;
	const struct attr_delta *delta = next_delta(merge);
	bool frees = merge->frees < what->deferred->count;
	uint64_t put_lsn, free_lsn, attr_lsn;

	read_put(merge);
	put_lsn = merge->has_put ? merge->put.lsn : UINT64_MAX;
	free_lsn = frees ? what->deferred->items[merge->frees].lsn : UINT64_MAX;
	attr_lsn = delta ? delta->row.attr_lsn : UINT64_MAX;
	if (merge->has_put && put_lsn <= free_lsn && put_lsn <= attr_lsn) {
		*record = merge->put;
		merge->has_put = false;
	} else if (frees && free_lsn <= attr_lsn) {
		give_free(merge, record);
	} else if (delta) {
		give_attr(merge, delta, record);
	} else if (!merge->ended) {
		*record = record_of(WAL_DIRATTR, what->lsn, QUIVER_ID_NONE, SLOT_NONE);
		record->more = false;
		record->attr = what->dir;
		merge->ended = true;
	} else {
		return false;
	}
	return true;
}

static size_t give_some(void *arg, struct wal_record *records, size_t room)
{
	size_t n = 0;

	while (n < room && give(arg, &records[n]))
		n++;
	return n;
}

int none_log_append(const struct none_log *what, const uint32_t *order, struct wal *wal)
{
	struct merge merge = { .what = what, .order = order };

	return wal_append_stream(wal, give_some, &merge);
}
