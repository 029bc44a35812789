/*
 * Changing the table of the index. One that becomes full is followed by a larger one, which is
 * filled bit by bit, with each change some: a writer waits as long for a change to a hundred
 * million entries as for one to a hundred, and for no reader. Readers search the former table
 * until the next one holds all.
 */
#include <assert.h>
#include <errno.h>

#include "engine/base/epoch.h"
#include "engine/index/index.h"
#include "engine/index/index_table.h"

/* Copied for each insert that is announced. A sixteenth of the table's size in inserts, and all
 * is there: it is three quarters full when that begins, and 13 of 16 parts when it ends. */
#define COPY_ENTRIES 16u

static void store_entry(struct index_table *table, uint64_t at, uint64_t value)
{
	atomic_store_explicit(&table->entries[at], (uint32_t)value, memory_order_release);
}

/* Where the entry of `id` that holds `slot` is; it must exist. Writer lock. */
static uint64_t position_of(const struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = index_home_of(table, id);

	while (index_entry(table, at) != slot + INDEX_SLOT0) {
		assert(index_entry(table, at) != INDEX_EMPTY);
		at = index_after(table, at);
	}
	return at;
}

/* Where it was put. */
static uint64_t place(struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = index_home_of(table, id);

	while (index_entry(table, at) != INDEX_EMPTY)
		at = index_after(table, at);
	store_entry(table, at, slot + INDEX_SLOT0);
	return at;
}

/* Whether a tombstone is left. */
static bool take_away(struct index_table *table, uint64_t at)
{
	/* At the end of a run nobody probes past it: no tombstone needed. */
	bool last = index_entry(table, index_after(table, at)) == INDEX_EMPTY;

	store_entry(table, at, last ? INDEX_EMPTY : INDEX_TOMB);
	return !last;
}

/* ---- the next table ---- */

static int begin_next(struct index *index, uint64_t count)
{
	assert(!index->next && index_is_whole(index));
	index->next = index_table_new(index_entries_for(count));
	if (!index->next)
		return -ENOMEM;
	atomic_fetch_add(&index->bytes, index->next->bytes);
	index->next_tombs = 0;
	index->copied = 0;
	return 0;
}

/* The next table holds all: it is the table from now on. */
static void end_next(struct index *index)
{
	struct index_table *table = atomic_load(&index->table);

	table->former = index->former;
	index->former = table;
	atomic_store_explicit(&index->table, index->next, memory_order_release);
	index->tombs = index->next_tombs;
	index->next = NULL;
}

static void copy_entry(struct index *index, uint64_t entry)
{
	uint64_t slot = entry - INDEX_SLOT0;
	uint64_t id = columns_id(index->columns, slot);

	/* Unreadable: under its own ID it cannot be found any more. */
	if (id == QUIVER_ID_NONE)
		atomic_store(&index->misses_some, true);
	(void)place(index->next, id, slot);
}

/* The entries of `table` from `from` to `end`. Their IDs lie anywhere in the column: waiting for
 * all of them at once takes a fraction of the time. */
static void copy_range(struct index *index, const struct index_table *table, uint64_t from,
                       uint64_t end)
{
	for (uint64_t at = from; at < end; at++) {
		uint64_t entry = index_entry(table, at);

		if (entry >= INDEX_SLOT0)
			columns_prefetch_id(index->columns, entry - INDEX_SLOT0);
	}
	for (uint64_t at = from; at < end; at++) {
		uint64_t entry = index_entry(table, at);

		if (entry >= INDEX_SLOT0)
			copy_entry(index, entry);
	}
}

/* At most `entries` more. */
static void copy_some(struct index *index, uint64_t entries)
{
	const struct index_table *table = atomic_load(&index->table);
	uint64_t left = table->size - index->copied;
	uint64_t end = index->copied + (entries < left ? entries : left);

	while (index->copied < end) {
		uint64_t step = end - index->copied < COPY_ENTRIES ? end - index->copied
		                                                   : COPY_ENTRIES;

		copy_range(index, table, index->copied, index->copied + step);
		index->copied += step;
	}
	if (index->copied == table->size)
		end_next(index);
}

/* Whether a change to the entry at `at` of the table has to be made in the next one as well:
 * what is not copied yet will be as it is then. */
static bool is_copied(const struct index *index, uint64_t at)
{
	return index->next && at < index->copied;
}

/* Fill the next table, where there is one, and use it. */
static void settle(struct index *index)
{
	if (index->next)
		copy_some(index, UINT64_MAX);
}

/* What the next table has to hold: what is there, what is announced, and what comes while it is
 * filled. */
static uint64_t room_for(const struct index *index, uint64_t count)
{
	uint64_t present = atomic_load(&index->count);
	uint64_t size = atomic_load(&index->table)->size;

	return present + count + (present / 4 > size / 8 ? present / 4 : size / 8);
}

int index_make_room(struct index *index, uint64_t count)
{
	for (;;) {
		uint64_t size = atomic_load(&index->table)->size;
		uint64_t want = atomic_load(&index->count) + index->tombs + count;
		int r;

		if (!index->next && want <= size / 4 * 3)
			return 0;
		r = index->next ? 0 : begin_next(index, room_for(index, count));
		if (r)
			return r;
		if (want <= size / 8 * 7) {
			copy_some(index, count * COPY_ENTRIES);
			return 0;
		}
		settle(index);
	}
}

int index_drop_tombs(struct index *index)
{
	int r;

	settle(index);
	r = index->tombs > 0 ? begin_next(index, atomic_load(&index->count)) : 0;
	if (r)
		return r;
	settle(index);
	if (index->former) {
		epoch_wait();
		index_free_former(index, index_take_former(index));
	}
	return 0;
}

void index_swap(struct index *index, struct index *with)
{
	struct index_table *old = atomic_load(&index->table);
	uint64_t count = atomic_load(&index->count);
	uint64_t tombs = index->tombs;
	uint64_t bytes = atomic_load(&index->bytes);

	assert(!index->next && !index->former);
	settle(with);
	index_free_former(with, index_take_former(with));
	index->is_saved = with->is_saved = false;
	atomic_store(&index->count, atomic_load(&with->count));
	index->tombs = with->tombs;
	atomic_store(&index->bytes, atomic_load(&with->bytes));
	atomic_store_explicit(&index->table, atomic_load(&with->table), memory_order_release);
	epoch_wait();
	atomic_store(&with->table, old);
	atomic_store(&with->count, count);
	with->tombs = tombs;
	atomic_store(&with->bytes, bytes);
}

/* ---- changes ---- */

static void add(struct index *index, uint64_t id, uint64_t slot)
{
	if (is_copied(index, place(atomic_load(&index->table), id, slot)))
		(void)place(index->next, id, slot);
}

static void change(struct index *index, uint64_t id, uint64_t old, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);
	uint64_t at = position_of(table, id, old);

	store_entry(table, at, slot + INDEX_SLOT0);
	if (is_copied(index, at))
		store_entry(index->next, position_of(index->next, id, old), slot + INDEX_SLOT0);
}

static void drop(struct index *index, uint64_t id, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);
	uint64_t at = position_of(table, id, slot);

	index->tombs += take_away(table, at);
	if (is_copied(index, at))
		index->next_tombs += take_away(index->next, position_of(index->next, id, slot));
}

void index_insert(struct index *index, uint64_t id, uint64_t slot)
{
	add(index, id, slot);
	atomic_fetch_add(&index->count, 1);
	atomic_fetch_add(&index->members, 1);
}

void index_replace(struct index *index, uint64_t id, uint64_t old, uint64_t slot)
{
	change(index, id, old, slot);
	atomic_fetch_add(&index->moves, 1);
}

void index_remove(struct index *index, uint64_t id, uint64_t slot)
{
	drop(index, id, slot);
	atomic_fetch_sub(&index->count, 1);
	atomic_fetch_add(&index->members, 1);
}

void index_rename(struct index *index, uint64_t from, uint64_t src, uint64_t to, uint64_t old,
                  uint64_t slot)
{
	pthread_mutex_lock(&index->rename_lock);
	atomic_store_explicit(&index->renaming, true, memory_order_relaxed); /* entries release */
	if (old == SLOT_NONE)
		add(index, to, slot);
	else
		change(index, to, old, slot);
	drop(index, from, src);
	atomic_store_explicit(&index->renaming, false, memory_order_release);
	pthread_mutex_unlock(&index->rename_lock);
	if (old != SLOT_NONE) {
		atomic_fetch_sub(&index->count, 1);
		atomic_fetch_add(&index->moves, 1);
	}
	atomic_fetch_add(&index->members, 1);
}

void index_await_rename(struct index *index)
{
	pthread_mutex_lock(&index->rename_lock);
	pthread_mutex_unlock(&index->rename_lock);
}
