/* Of a few bytes: a call would take longer than the hash. */
#define XXH_INLINE_ALL
#include "engine/index/index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/epoch.h"
#include "engine/index/index_table.h"

/* With `table` as what there is. */
static void begin(struct index *index, const struct columns *columns, struct index_table *table,
                  uint64_t count)
{
	index->columns = columns;
	index->may_shrink = false;
	index->next = NULL;
	index->former = NULL;
	atomic_init(&index->misses_some, false);
	atomic_init(&index->count, count);
	atomic_init(&index->bytes, index_table_bytes(table));
	atomic_init(&index->renaming, false);
	(void)pthread_mutex_init(&index->rename_lock, NULL); /* cannot fail with defaults */
	atomic_init(&index->table, table);
}

int index_init(struct index *index, const struct columns *columns, uint64_t expected)
{
	struct index_table *table = index_table_new(index_pages_for(expected));

	if (!table)
		return -ENOMEM;
	begin(index, columns, table, 0);
	return 0;
}

int index_load(struct index *index, const struct columns *columns, const struct quiver_io *io,
               int dir_fd, const struct index_stamp *stamp, uint64_t *live,
               struct index_pages *live_pages)
{
	struct index_source *source;
	struct index_table *table;
	int r = index_source_open(io, dir_fd, stamp, live, live_pages, &source);

	if (r)
		return r;
	table = index_table_new(index_source_header(source)->table_pages);
	if (!table) {
		index_source_close(source);
		return -ENOMEM;
	}
	table->ready = index_source_ready(source);
	atomic_init(&table->source, source);
	index_table_fills(table, true);
	index_pages_all_read(table->changed, table->page_count);
	begin(index, columns, table, stamp->count);
	index->may_shrink = true;
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

		atomic_fetch_sub(&index->bytes, index_table_bytes(former));
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

uint64_t index_pages(const struct index *index)
{
	return atomic_load_explicit(&index->table, memory_order_acquire)->page_count;
}

int index_damage(const struct index *index)
{
	const struct index_source *source =
		source_of(atomic_load_explicit(&index->table, memory_order_acquire));

	return source ? index_source_error(source) : 0;
}

int index_load_rest(struct index *index, const uint64_t *live, uint64_t slots_used)
{
	struct index_table *table = atomic_load(&index->table);
	struct index_source *source = source_of(table);
	int r = source ? index_source_use_all(source, table, live, slots_used) : 0;

	if (r || !source)
		return r;
	index_table_fills(table, false);
	atomic_store_explicit(&table->source, NULL, memory_order_release);
	epoch_wait(); /* readers that are taking a page store what was in it */
	index_source_close(source);
	return 0;
}

/* 0: the bucket at `at`, which a search has come to in `steps` steps, can be looked at. Why not. */
static inline int use(const struct index_table *table, uint64_t at, uint64_t steps)
{
	struct index_source *source;

	if (steps > 0 && at % INDEX_PAGE_LINES != 1)
		return 0; /* in the page of the one before */
	source = source_of(table);
	if (!source || index_has_bit(table->ready, at / INDEX_PAGE_LINES))
		return 0;
	return index_source_use(source, table, at / INDEX_PAGE_LINES);
}

/* ---- looking ---- */

/* `read`: the vector is read next. What is needed of a slot that is likely the one is fetched at
 * once: one after the other would take twice as long. */
static inline struct index_found find(const struct index *index, uint64_t id, bool read)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	struct index_found found = { .slot = SLOT_NONE };
	uint64_t hash = index_hash(id);
	uint64_t at = index_home(table, hash);
	unsigned tag = index_tag(hash);

	/* Of a table that is sound some bucket ends it; the bound guards against damage. */
	for (uint64_t step = 0; step < index_lines(table); step++) {
		const struct index_bucket *bucket = index_bucket(table, at);
		index_places fits;

		found.stopped = use(table, at, step) != 0;
		if (found.stopped)
			return found;
		for (fits = index_fits(bucket, tag); fits; fits = index_other_places(fits)) {
			uint64_t slot = index_slot(bucket, index_first_place(fits));

			columns_prefetch_row(index->columns, slot);
			if (read)
				columns_prefetch_vector(index->columns, slot);
			if (columns_id(index->columns, slot) == id) {
				found.slot = slot;
				return found;
			}
			found.met_others = true;
		}
		if (!index_goes_on(bucket))
			return found;
		at = index_after(table, at);
	}
	return found;
}

uint64_t index_find(const struct index *index, uint64_t id)
{
	return find(index, id, false).slot;
}

struct index_found index_look_up(const struct index *index, uint64_t id, bool read)
{
	return find(index, id, read);
}

void index_prefetch(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);

	__builtin_prefetch(index_bucket(table, index_home(table, index_hash(id))));
}

uint64_t index_guess(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t hash = index_hash(id);
	const struct index_bucket *bucket = index_bucket(table, index_home(table, hash));
	/* Of a page that is not read yet all are empty. */
	index_places fits = index_fits(bucket, index_tag(hash));

	return fits ? index_slot(bucket, index_first_place(fits)) : SLOT_NONE;
}

/* ---- the way of a search, without the rows ---- */

struct index_way index_way_of(const struct index *index, uint64_t id)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t hash = index_hash(id);

	return (struct index_way){ .table = table,
		                   .at = index_home(table, hash),
		                   .tag = index_tag(hash) };
}

/* 0: the bucket that a way has come to can be looked at; with `wait` why it cannot, without
 * -EAGAIN where it would have to be read. */
static int look(const struct index_way *way, bool wait)
{
	const struct index_source *source = source_of(way->table);

	if (wait)
		return use(way->table, way->at, way->steps);
	return source && !index_source_has(source, way->at / INDEX_PAGE_LINES) ? -EAGAIN : 0;
}

/* Into the next bucket: 1; 0 there is none; else as look. */
static int enter(struct index_way *way, bool wait)
{
	int r;

	if (way->steps > 0) {
		if (!index_goes_on(index_bucket(way->table, way->at)) ||
		    way->steps == index_lines(way->table))
			return 0;
		way->at = index_after(way->table, way->at);
	}
	r = look(way, wait);
	if (r)
		return r;
	way->steps++;
	way->places = index_fits(index_bucket(way->table, way->at), way->tag);
	return 1;
}

static int next_slot(struct index_way *way, bool wait, uint64_t *slot)
{
	while (!way->places) {
		int r = enter(way, wait);

		if (r != 1)
			return r;
	}
	*slot = index_slot(index_bucket(way->table, way->at), index_first_place(way->places));
	way->places = index_other_places(way->places);
	return 1;
}

int index_way_next(struct index_way *way, uint64_t *slot)
{
	return next_slot(way, false, slot);
}

bool index_way_is_sound(const struct index *index, uint64_t id)
{
	struct index_way way = index_way_of(index, id);
	struct meta_row row;
	uint64_t slot;
	int r;

	if (atomic_load_explicit(&index->misses_some, memory_order_relaxed))
		return false;
	while ((r = next_slot(&way, true, &slot)) == 1)
		if (columns_meta(index->columns, slot, columns_id(index->columns, slot), &row))
			return false;
	return r == 0;
}

bool index_names(const struct index *index, uint64_t id, uint64_t slot)
{
	struct index_way way = index_way_of(index, id);
	uint64_t named;

	while (next_slot(&way, true, &named) == 1)
		if (named == slot)
			return true;
	return false;
}

static uint64_t places_free(const struct index_way *way)
{
	return (uint64_t)__builtin_popcountll(index_fits(index_bucket(way->table, way->at), 0));
}

/* The way of an ID, and on past so many places where it could be put; `wait` as in enter. */
static int walk(const struct index *index, uint64_t id, uint64_t places, bool wait)
{
	struct index_way way = index_way_of(index, id);
	uint64_t found = 0;
	int r;

	while ((r = enter(&way, wait)) == 1)
		found += places_free(&way);
	/* Adding it passes all that are full. */
	while (r == 0 && found < places && way.steps < index_lines(way.table)) {
		way.at = index_after(way.table, way.at);
		r = look(&way, wait);
		way.steps++;
		found += r == 0 ? places_free(&way) : 0;
	}
	return r;
}

int index_ready(const struct index *index, uint64_t id, uint64_t places)
{
	return index_is_whole(index) ? 0 : walk(index, id, places, true);
}

uint64_t index_way_begins(const struct index *index, uint64_t id)
{
	return index_way_of(index, id).at;
}

/* From the first bucket on: where more come than there is room for, the rest goes on to the next. How
 * many have not found any before the end of the table is in *over, and comes in at its beginning. */
static int fill(const struct index_table *table, const uint64_t *begins, size_t count,
                uint64_t *over)
{
	struct index_way way = { .table = table, .at = 1 };
	size_t i = 0;
	int r = 0;

	while (r == 0 && (i < count || *over > 0)) {
		uint64_t room;

		if (*over == 0)
			way.at = begins[i];
		for (; i < count && begins[i] == way.at; i++)
			++*over;
		r = look(&way, true);
		room = r == 0 ? places_free(&way) : 0;
		*over -= room < *over ? room : *over;
		way.at = index_after(table, way.at);
		if (way.at == 1) /* all begin below the end */
			break;
	}
	return r;
}

int index_ready_all(const struct index *index, const uint64_t *begins, size_t count)
{
	const struct index_table *table = atomic_load_explicit(&index->table, memory_order_acquire);
	uint64_t over = 0;
	int r = index_is_whole(index) ? 0 : fill(table, begins, count, &over);

	/* A table has room for all that are added: once round is enough. */
	return r == 0 && over > 0 ? fill(table, begins, count, &over) : r;
}

bool index_is_ready(const struct index *index, uint64_t id, uint64_t places)
{
	return index_is_whole(index) || walk(index, id, places, false) == 0;
}

uint64_t index_bytes(const struct index *index)
{
	return atomic_load_explicit(&index->bytes, memory_order_relaxed);
}
