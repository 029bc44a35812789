#include "index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xxhash.h>

#include "bytes.h"
#include "epoch.h"
#include "index_table.h"

#define ENTRIES_MIN (4 * INDEX_PAGE_ENTRIES)

__extension__ typedef unsigned __int128 wide;

/* Where the search for an ID begins: its hash, scaled to the table. */
static uint64_t home_of(const struct index_table *table, uint64_t id)
{
	uint8_t key[8];

	put_le64(key, id);
	return (uint64_t)((wide)XXH3_64bits(key, sizeof(key)) * table->size >> 64);
}

static uint64_t after(const struct index_table *table, uint64_t at)
{
	return at + 1 < table->size ? at + 1 : 0;
}

static uint64_t load_entry(const struct index_table *table, uint64_t at)
{
	return atomic_load_explicit(&table->entries[at], memory_order_acquire);
}

static void store_entry(struct index_table *table, uint64_t at, uint64_t value)
{
	atomic_store_explicit(&table->entries[at], (uint32_t)value, memory_order_release);
}

struct index_table *index_table_new(uint64_t size)
{
	size_t bytes = sizeof(struct index_table) + size * sizeof(uint32_t);
	struct index_table *table =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	table->bytes = bytes;
	table->size = size;
	atomic_init(&table->source, NULL);
	return table;
}

void index_table_free(struct index_table *table)
{
	if (!table)
		return;
	index_source_close(atomic_load(&table->source));
	if (munmap(table, table->bytes) != 0)
		assert(!"munmap of an index table");
}

/* Entries for `count` IDs at a load of two thirds. */
static uint64_t entries_for(uint64_t count)
{
	uint64_t entries = count + count / 2;

	if (entries < ENTRIES_MIN)
		return ENTRIES_MIN;
	return (entries + INDEX_PAGE_ENTRIES - 1) / INDEX_PAGE_ENTRIES * INDEX_PAGE_ENTRIES;
}

int index_init(struct index *index, const struct columns *columns, uint64_t expected)
{
	struct index_table *table = index_table_new(entries_for(expected));

	if (!table)
		return -ENOMEM;
	index->columns = columns;
	index->along = NULL;
	index->tombs = 0;
	index->is_saved = false;
	atomic_init(&index->misses_some, false);
	atomic_init(&index->count, 0);
	atomic_init(&index->table, table);
	return 0;
}

int index_load(struct index *index, const struct columns *columns, const struct quiver_io *io,
               int dir_fd, const struct index_stamp *stamp, uint64_t *live)
{
	struct index_source *source;
	struct index_table *table;
	uint64_t entries;
	uint64_t count;
	int r = index_source_open(io, dir_fd, stamp, &source, &entries, &count, live);

	if (r)
		return r;
	table = index_table_new(entries);
	if (!table) {
		index_source_close(source);
		return -ENOMEM;
	}
	atomic_init(&table->source, source);
	index->columns = columns;
	index->along = NULL;
	index->tombs = 0;
	index->is_saved = true;
	atomic_init(&index->misses_some, false);
	index->saved = *stamp;
	atomic_init(&index->count, count);
	atomic_init(&index->table, table);
	return 0;
}

void index_destroy(struct index *index)
{
	index_table_free(atomic_load(&index->table));
	atomic_store(&index->table, NULL);
}

void index_swap(struct index *index, struct index *with)
{
	struct index_table *old = atomic_load(&index->table);
	uint64_t count = atomic_load(&index->count);
	uint64_t tombs = index->tombs;

	index->is_saved = with->is_saved = false;
	atomic_store(&index->count, atomic_load(&with->count));
	index->tombs = with->tombs;
	atomic_store_explicit(&index->table, atomic_load(&with->table), memory_order_release);
	epoch_wait();
	atomic_store(&with->table, old);
	atomic_store(&with->count, count);
	with->tombs = tombs;
}

/* ---- a table whose pages are read as they are used ---- */

static struct index_source *source_of(const struct index_table *table)
{
	return atomic_load_explicit(&table->source, memory_order_acquire);
}

bool index_is_whole(const struct index *index)
{
	return !source_of(atomic_load_explicit(&index->table, memory_order_acquire));
}

int index_damage(const struct index *index)
{
	const struct index_source *source =
		source_of(atomic_load_explicit(&index->table, memory_order_acquire));

	return source ? index_source_error(source) : 0;
}

int index_load_rest(struct index *index)
{
	struct index_table *table = atomic_load(&index->table);
	struct index_source *source = source_of(table);
	int r = source ? index_source_use_all(source, table) : 0;

	if (r || !source)
		return r;
	atomic_store_explicit(&table->source, NULL, memory_order_release);
	epoch_wait(); /* readers that are taking a page store what was in it */
	index_source_close(source);
	return 0;
}

bool index_is_saved(const struct index *index, const struct index_stamp *stamp)
{
	return index->is_saved &&
	       memcmp(index->saved.uuid, stamp->uuid, sizeof(stamp->uuid)) == 0 &&
	       index->saved.lsn == stamp->lsn && index->saved.slots_used == stamp->slots_used;
}

/* Whether the entry at `at`, the `step`th of a search, can be looked at. */
static bool can_look(const struct index_table *table, uint64_t at, uint64_t step)
{
	struct index_source *source;

	if (step > 0 && at % INDEX_PAGE_ENTRIES != 0)
		return true; /* in the page of the one before */
	source = source_of(table);
	/* Only what the map file holds is stored: the table as such does not change. */
	return !source || index_source_use(source, (struct index_table *)(uintptr_t)table,
	                                   at / INDEX_PAGE_ENTRIES) == 0;
}

/* ---- looking ---- */

void index_fetch_along(struct index *index, const void *base)
{
	index->along = base;
}

/* What is needed of a slot that is likely the one: waiting for all of it at once takes a third
 * of the time of waiting for one after the other. */
static void fetch(const struct index *index, uint64_t slot)
{
	columns_fetch_row(index->columns, slot);
	if (index->along)
		__builtin_prefetch(index->along + slot, 1);
}

uint64_t index_find(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = home_of(table, id);

	/* A table is never full, so a search ends; the bound guards against damage. */
	for (uint64_t step = 0; step < table->size && can_look(table, at, step); step++) {
		uint64_t entry = load_entry(table, at);

		if (entry == INDEX_EMPTY)
			return SLOT_NONE;
		if (entry != INDEX_TOMB) {
			fetch(index, entry - INDEX_SLOT0);
			if (columns_id(index->columns, entry - INDEX_SLOT0) == id)
				return entry - INDEX_SLOT0;
		}
		at = after(table, at);
	}
	return SLOT_NONE;
}

bool index_way_is_sound(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = home_of(table, id);

	if (atomic_load_explicit(&index->misses_some, memory_order_relaxed))
		return false;
	for (uint64_t step = 0; step < table->size; step++, at = after(table, at)) {
		uint64_t entry;
		uint64_t slot;
		struct meta_row row;

		if (!can_look(table, at, step))
			return false;
		entry = load_entry(table, at);
		slot = entry - INDEX_SLOT0;
		if (entry == INDEX_EMPTY)
			break;
		if (entry != INDEX_TOMB &&
		    columns_meta(index->columns, slot, columns_id(index->columns, slot), &row))
			return false;
	}
	return true;
}

/* ---- changing; the table is whole ---- */

/* Where the entry of `id` that holds `slot` is; it must exist. Writer lock. */
static uint64_t position_of(const struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = home_of(table, id);

	while (load_entry(table, at) != slot + INDEX_SLOT0) {
		assert(load_entry(table, at) != INDEX_EMPTY);
		at = after(table, at);
	}
	return at;
}

static void place(struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = home_of(table, id);

	while (load_entry(table, at) != INDEX_EMPTY)
		at = after(table, at);
	store_entry(table, at, slot + INDEX_SLOT0);
}

/* Into a new table without tombstones, with room for `count` IDs. */
static int rebuild(struct index *index, uint64_t count)
{
	struct index_table *table = atomic_load(&index->table);
	struct index_table *bigger = index_table_new(entries_for(count));

	if (!bigger)
		return -ENOMEM;
	assert(!source_of(table));
	for (uint64_t at = 0; at < table->size; at++) {
		uint64_t entry = load_entry(table, at);

		if (entry >= INDEX_SLOT0) {
			uint64_t slot = entry - INDEX_SLOT0;
			uint64_t id = columns_id(index->columns, slot);

			/* Unreadable: under its own ID it cannot be found any more. */
			if (id == QUIVER_ID_NONE)
				atomic_store(&index->misses_some, true);
			place(bigger, id, slot);
		}
	}
	atomic_store_explicit(&index->table, bigger, memory_order_release);
	index->tombs = 0;
	epoch_wait();
	index_table_free(table);
	return 0;
}

int index_make_room(struct index *index, uint64_t count)
{
	const struct index_table *table = atomic_load(&index->table);
	uint64_t present = atomic_load(&index->count);

	if (present + index->tombs + count <= table->size / 4 * 3)
		return 0;
	return rebuild(index, present + count + present / 4);
}

int index_drop_tombs(struct index *index)
{
	return index->tombs > 0 ? rebuild(index, atomic_load(&index->count)) : 0;
}

void index_insert(struct index *index, uint64_t id, uint64_t slot)
{
	place(atomic_load(&index->table), id, slot);
	atomic_fetch_add(&index->count, 1);
}

void index_replace(struct index *index, uint64_t id, uint64_t old, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);

	store_entry(table, position_of(table, id, old), slot + INDEX_SLOT0);
}

void index_remove(struct index *index, uint64_t id, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);
	uint64_t at = position_of(table, id, slot);
	bool last = load_entry(table, after(table, at)) == INDEX_EMPTY;

	/* At the end of a run nobody probes past it: no tombstone needed. */
	store_entry(table, at, last ? INDEX_EMPTY : INDEX_TOMB);
	if (!last)
		index->tombs++;
	atomic_fetch_sub(&index->count, 1);
}

uint64_t index_bytes(const struct index *index)
{
	const struct index_table *table = atomic_load(&index->table);

	return table ? table->bytes : 0;
}
