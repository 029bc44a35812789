#include "index.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <xxhash.h>

#include "bytes.h"
#include "epoch.h"
#include "index_table.h"

#define ENTRIES_MIN 4096u /* one page of the snapshot is 1024 entries */

static uint64_t hash_id(uint64_t id)
{
	uint8_t key[8];

	put_le64(key, id);
	return XXH3_64bits(key, sizeof(key));
}

static uint64_t load_entry(const struct index_table *table, uint64_t at)
{
	return atomic_load_explicit(&table->entries[at], memory_order_acquire);
}

static void store_entry(struct index_table *table, uint64_t at, uint64_t value)
{
	atomic_store_explicit(&table->entries[at], (uint32_t)value, memory_order_release);
}

struct index_table *index_table_new(uint64_t entries)
{
	size_t bytes = sizeof(struct index_table) + entries * sizeof(uint32_t);
	struct index_table *table =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	table->bytes = bytes;
	table->mask = entries - 1;
	return table;
}

void index_table_free(struct index_table *table)
{
	if (table && munmap(table, table->bytes) != 0)
		assert(!"munmap of an index table");
}

/* Entries for `count` IDs at a load of at most two thirds. */
static uint64_t entries_for(uint64_t count)
{
	uint64_t entries = ENTRIES_MIN;

	while (entries / 3 * 2 < count)
		entries *= 2;
	return entries;
}

int index_init(struct index *index, const struct columns *columns, uint64_t expected)
{
	struct index_table *table = index_table_new(entries_for(expected));

	if (!table)
		return -ENOMEM;
	index->columns = columns;
	index->tombs = 0;
	atomic_init(&index->count, 0);
	atomic_init(&index->table, table);
	return 0;
}

void index_destroy(struct index *index)
{
	index_table_free(atomic_load(&index->table));
	atomic_store(&index->table, NULL);
}

uint64_t index_find(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = hash_id(id) & table->mask;

	/* A table is never full, so a probe ends; the bound guards against damage. */
	for (uint64_t step = 0; step <= table->mask; step++) {
		uint64_t entry = load_entry(table, at);

		if (entry == INDEX_EMPTY)
			return SLOT_NONE;
		if (entry != INDEX_TOMB && columns_id(index->columns, entry - INDEX_SLOT0) == id)
			return entry - INDEX_SLOT0;
		at = (at + 1) & table->mask;
	}
	return SLOT_NONE;
}

bool index_way_is_sound(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t at = hash_id(id) & table->mask;

	for (uint64_t step = 0; step <= table->mask; step++, at = (at + 1) & table->mask) {
		uint64_t entry = load_entry(table, at);
		uint64_t slot = entry - INDEX_SLOT0;
		struct meta_row row;

		if (entry == INDEX_EMPTY)
			break;
		if (entry != INDEX_TOMB &&
		    columns_meta(index->columns, slot, columns_id(index->columns, slot), &row))
			return false;
	}
	return true;
}

/* Where the entry of `id` that holds `slot` is; it must exist. Writer lock. */
static uint64_t position_of(const struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = hash_id(id) & table->mask;

	while (load_entry(table, at) != slot + INDEX_SLOT0) {
		assert(load_entry(table, at) != INDEX_EMPTY);
		at = (at + 1) & table->mask;
	}
	return at;
}

static void place(struct index_table *table, uint64_t id, uint64_t slot)
{
	uint64_t at = hash_id(id) & table->mask;

	while (load_entry(table, at) != INDEX_EMPTY)
		at = (at + 1) & table->mask;
	store_entry(table, at, slot + INDEX_SLOT0);
}

/* Into a new table without tombstones, with room for `count` IDs. */
static int rebuild(struct index *index, uint64_t count)
{
	struct index_table *table = atomic_load(&index->table);
	struct index_table *bigger = index_table_new(entries_for(count));

	if (!bigger)
		return -ENOMEM;
	for (uint64_t at = 0; at <= table->mask; at++) {
		uint64_t entry = load_entry(table, at);

		if (entry >= INDEX_SLOT0) {
			uint64_t slot = entry - INDEX_SLOT0;

			place(bigger, columns_id(index->columns, slot), slot);
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

	if (present + index->tombs + count <= (table->mask + 1) / 4 * 3)
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
	bool last = load_entry(table, (at + 1) & table->mask) == INDEX_EMPTY;

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
