/* Of a few bytes: a call would take longer than the hash. */
#define XXH_INLINE_ALL
#include "engine/index/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/index/index_table.h"

int index_init(struct index *index, const struct columns *columns, uint64_t expected)
{
	struct index_table *table = index_table_new(index_entries_for(expected));

	if (!table)
		return -ENOMEM;
	index->columns = columns;
	index->tombs = 0;
	index->is_saved = false;
	atomic_init(&index->misses_some, false);
	atomic_init(&index->count, 0);
	atomic_init(&index->bytes, table->bytes);
	index->next = NULL;
	index->former = NULL;
	atomic_init(&index->renaming, false);
	(void)pthread_mutex_init(&index->rename_lock, NULL); /* cannot fail with defaults */
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
	index->tombs = 0;
	index->is_saved = true;
	atomic_init(&index->misses_some, false);
	index->saved = *stamp;
	atomic_init(&index->count, count);
	atomic_init(&index->bytes, table->bytes);
	index->next = NULL;
	index->former = NULL;
	atomic_init(&index->renaming, false);
	(void)pthread_mutex_init(&index->rename_lock, NULL); /* cannot fail with defaults */
	atomic_init(&index->table, table);
	return 0;
}

struct index_table *index_take_former(struct index *index)
{
	struct index_table *former = index->former;

	index->former = NULL;
	return former;
}

void index_free_former(struct index *index, struct index_table *former)
{
	while (former) {
		struct index_table *next = former->former;

		atomic_fetch_sub(&index->bytes, former->bytes);
		index_table_free(former);
		former = next;
	}
}

void index_destroy(struct index *index)
{
	index_free_former(index, index_take_former(index));
	index_table_free(index->next);
	index->next = NULL;
	index_table_free(atomic_load(&index->table));
	atomic_store(&index->table, NULL);
	atomic_store(&index->bytes, 0);
	pthread_mutex_destroy(&index->rename_lock);
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

int index_load_rest(struct index *index, const uint64_t *live)
{
	struct index_table *table = atomic_load(&index->table);
	struct index_source *source = source_of(table);
	int r = source ? index_source_use_all(source, table->entries, live) : 0;

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
	return !source ||
	       index_source_use(source, ((struct index_table *)(uintptr_t)table)->entries,
	                        at / INDEX_PAGE_ENTRIES) == 0;
}

/* ---- looking ---- */

/* `read`: the vector is read next. What is needed of a slot that is likely the one is fetched at
 * once: one after the other would take twice as long. */
static inline uint64_t find(const struct index *index, uint64_t id, bool read, bool *stopped)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = index_home_of(table, id);

	/* A table is never full, so a search ends; the bound guards against damage. */
	for (uint64_t step = 0; step < table->size; step++) {
		uint64_t entry;

		*stopped = !can_look(table, at, step);
		if (*stopped)
			return SLOT_NONE;
		entry = index_entry(table, at);
		if (entry == INDEX_EMPTY)
			return SLOT_NONE;
		if (entry != INDEX_TOMB) {
			columns_prefetch_row(index->columns, entry - INDEX_SLOT0);
			if (read)
				columns_prefetch_vector(index->columns, entry - INDEX_SLOT0);
			if (columns_id(index->columns, entry - INDEX_SLOT0) == id)
				return entry - INDEX_SLOT0;
		}
		at = index_after(table, at);
	}
	return SLOT_NONE;
}

struct index_way index_way_of(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);

	return (struct index_way){ .table = table, .at = index_home_of(table, id) };
}

int index_way_next(struct index_way *way, uint64_t *slot)
{
	struct index_source *source = source_of(way->table);

	while (way->step < way->table->size) {
		uint64_t entry;

		if (source && !index_source_has(source, way->at / INDEX_PAGE_ENTRIES))
			return -EAGAIN;
		entry = index_entry(way->table, way->at);
		if (entry == INDEX_EMPTY)
			return 0;
		way->at = index_after(way->table, way->at);
		way->step++;
		if (entry != INDEX_TOMB) {
			*slot = entry - INDEX_SLOT0;
			return 1;
		}
	}
	return 0;
}

uint64_t index_find(const struct index *index, uint64_t id)
{
	bool stopped;

	return find(index, id, false, &stopped);
}

uint64_t index_look_up(const struct index *index, uint64_t id, bool read, bool *stopped)
{
	return find(index, id, read, stopped);
}

void index_prefetch(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);

	__builtin_prefetch(&table->entries[index_home_of(table, id)]);
}

uint64_t index_guess(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t entry = index_entry(table, index_home_of(table, id));

	/* Of a page that is not read yet all are empty. */
	return entry == INDEX_EMPTY || entry == INDEX_TOMB ? SLOT_NONE : entry - INDEX_SLOT0;
}

bool index_way_is_sound(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = index_home_of(table, id);

	if (atomic_load_explicit(&index->misses_some, memory_order_relaxed))
		return false;
	for (uint64_t step = 0; step < table->size; step++, at = index_after(table, at)) {
		uint64_t entry;
		uint64_t slot;
		struct meta_row row;

		if (!can_look(table, at, step))
			return false;
		entry = index_entry(table, at);
		slot = entry - INDEX_SLOT0;
		if (entry == INDEX_EMPTY)
			break;
		if (entry != INDEX_TOMB &&
		    columns_meta(index->columns, slot, columns_id(index->columns, slot), &row))
			return false;
	}
	return true;
}

uint64_t index_bytes(const struct index *index)
{
	return atomic_load_explicit(&index->bytes, memory_order_relaxed);
}
