/*
 * Changing the table of the index. One that becomes full is followed by a larger one, which is
 * filled bit by bit, with each change some: a writer waits as long for a change to a hundred
 * million entries as for one to a hundred, and for no reader. Readers search the former table
 * until the next one holds all.
 */
/* Of a few bytes: a call would take longer than the hash. */
#define XXH_INLINE_ALL
#include <assert.h>
#include <errno.h>

#include "engine/base/epoch.h"
#include "engine/index/index.h"
#include "engine/index/index_table.h"

/* Copied for each insert that is announced: at most 24 IDs. A twenty-fourth of the table's places
 * in inserts, and all is there: 13 of 16 are taken when that begins, and 14 at most when it
 * ends. */
#define COPY_BUCKETS 2u
/* Of a table: 150 million IDs. */
#define LARGE_BYTES (UINT64_C(1) << 30)

/* ---- one table ----
 *
 * What is stored, and in which order, so that a reader who looks on misses no ID that stays:
 * MEMORY.md. */

static void set_tag(struct index_bucket *bucket, unsigned place, unsigned tag)
{
	unsigned shift = place % 8 * 8;

	if (place < 8) {
		uint64_t tags = atomic_load_explicit(&bucket->tags, memory_order_relaxed);

		tags = (tags & ~(UINT64_C(0xFF) << shift)) | (uint64_t)tag << shift;
		atomic_store_explicit(&bucket->tags, tags, memory_order_release);
	} else {
		uint32_t tags = atomic_load_explicit(&bucket->more_tags, memory_order_relaxed);

		tags = (tags & ~(UINT32_C(0xFF) << shift)) | (uint32_t)tag << shift;
		atomic_store_explicit(&bucket->more_tags, tags, memory_order_release);
	}
}

static void set_slot(struct index_bucket *bucket, unsigned place, uint64_t slot)
{
	atomic_store_explicit(&bucket->slots[place], (uint32_t)slot, memory_order_release);
}

static void add_overflow(struct index_bucket *bucket, uint32_t by)
{
	uint32_t count = atomic_load_explicit(&bucket->overflow, memory_order_relaxed);

	atomic_store_explicit(&bucket->overflow, count + by, memory_order_release);
}

static void touch(const struct index_table *table, uint64_t at)
{
	index_pages_touch(table->changed, at / INDEX_PAGE_LINES);
}

/* Where an ID is in a table. */
struct spot {
	struct index_bucket *bucket;
	uint64_t at; /* the bucket */
	unsigned place;
};

/* The place of the ID with this hash that is in `slot`. Whether there is one: always, unless a
 * file has lied. */
static bool look_for(const struct index_table *table, uint64_t hash, uint64_t slot,
                     struct spot *spot)
{
	uint64_t at = index_home(table, hash);

	for (uint64_t step = 0; step < index_lines(table); step++) {
		struct index_bucket *bucket = index_bucket(table, at);
		index_places fits = index_fits(bucket, index_tag(hash));

		for (; fits; fits = index_other_places(fits)) {
			unsigned place = index_first_place(fits);

			if (index_slot(bucket, place) == slot) {
				*spot = (struct spot){ bucket, at, place };
				return true;
			}
		}
		if (!index_goes_on(bucket))
			return false;
		at = index_after(table, at);
	}
	return false;
}

/* The bucket where it was put: the first on its way that has room. */
static uint64_t place(struct index_table *table, uint64_t hash, uint64_t slot)
{
	uint64_t at = index_home(table, hash);
	struct index_bucket *bucket = index_bucket(table, at);
	index_places free;
	unsigned where;

	while (!(free = index_fits(bucket, 0))) {
		touch(table, at);
		add_overflow(bucket, 1);
		at = index_after(table, at);
		bucket = index_bucket(table, at);
	}
	where = index_first_place(free);
	touch(table, at);
	set_slot(bucket, where, slot);
	set_tag(bucket, where, index_tag(hash));
	return at;
}

/* The ID with this hash is no longer at `spot`. */
static void take_away(struct index_table *table, uint64_t hash, const struct spot *spot)
{
	touch(table, spot->at);
	set_tag(spot->bucket, spot->place, 0);
	for (uint64_t at = index_home(table, hash); at != spot->at; at = index_after(table, at)) {
		touch(table, at);
		add_overflow(index_bucket(table, at), UINT32_MAX); /* one less */
	}
}

/* ---- the next table ---- */

static int begin_next(struct index *index, uint64_t count)
{
	assert(!index->next && index_is_whole(index));
	index->next = index_table_new(index_pages_for(count));
	if (!index->next)
		return -ENOMEM;
	atomic_fetch_add(&index->bytes, index_table_bytes(index->next));
	index->copied = 1;
	return 0;
}

/* The next table holds all: it is the table from now on. */
static void end_next(struct index *index)
{
	struct index_table *table = atomic_load(&index->table);

	table->former = index->former;
	index->former = table;
	atomic_store_explicit(&index->table, index->next, memory_order_release);
	index->may_shrink = false;
	index->next = NULL;
}

/* The ID at `place` of the bucket `at` of the table. */
static void copy_id(struct index *index, const struct index_table *table, uint64_t at,
                    unsigned from)
{
	struct spot spot;
	uint64_t slot = index_slot(index_bucket(table, at), from);
	uint64_t id = columns_id(index->columns, slot);
	uint64_t hash = index_hash(id);

	/* Unreadable or changed: under its own ID it cannot be found any more. */
	if (id == QUIVER_ID_NONE || !look_for(table, hash, slot, &spot) || spot.at != at)
		atomic_store(&index->misses_some, true);
	(void)place(index->next, hash, slot);
}

static index_places taken(const struct index_bucket *bucket)
{
	const index_places all = UINT64_C(0x0101010101010101) | UINT64_C(0x02020202);

	return all & ~index_fits(bucket, 0);
}

/* Some buckets of the table from `from` on; returns the one behind them. The IDs lie anywhere in
 * the column: waiting for all of them at once takes a fraction of the time. */
static uint64_t copy_buckets(struct index *index, const struct index_table *table, uint64_t from,
                             uint64_t count)
{
	uint64_t at = from;
	uint64_t end = from;

	for (uint64_t i = 0; i < count && end < index_lines(table); i++) {
		const struct index_bucket *bucket = index_bucket(table, end);

		for (index_places left = taken(bucket); left; left = index_other_places(left))
			columns_prefetch_id(index->columns,
			                    index_slot(bucket, index_first_place(left)));
		end++;
		end += end % INDEX_PAGE_LINES == 0;
	}
	for (; at < end; at++) {
		if (at % INDEX_PAGE_LINES == 0)
			continue;
		for (index_places left = taken(index_bucket(table, at)); left;
		     left = index_other_places(left))
			copy_id(index, table, at, index_first_place(left));
	}
	return end;
}

/* At most `buckets` more. */
static void copy_some(struct index *index, uint64_t buckets)
{
	const struct index_table *table = atomic_load(&index->table);

	for (uint64_t i = 0; i < buckets && index->copied < index_lines(table); i += COPY_BUCKETS)
		index->copied = copy_buckets(index, table, index->copied, COPY_BUCKETS);
	if (index->copied >= index_lines(table))
		end_next(index);
}

/* Whether a change to the bucket at `at` of the table has to be made in the next one as well:
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

static uint64_t places_of(const struct index_table *table)
{
	return table->page_count * INDEX_PAGE_PLACES;
}

/* What the next table has to hold: what is there, what is announced, and what comes while it is
 * filled. As both are there meanwhile, a very large one grows by less, and more often. */
static uint64_t room_for(const struct index *index, uint64_t count)
{
	uint64_t present = atomic_load(&index->count);
	uint64_t places = places_of(atomic_load(&index->table));

	if (index_table_bytes(atomic_load(&index->table)) >= LARGE_BYTES)
		return present + count + places / 16;
	return present + count + (present / 4 > places / 8 ? present / 4 : places / 8);
}

/* Whether the table shall be replaced for `want` IDs. */
static bool has_outlived(struct index *index, uint64_t want)
{
	const struct index_table *table = atomic_load(&index->table);
	uint64_t places = places_of(table);

	if (want > places / 2)
		index->may_shrink = true;
	return want > places / 16 * 13 ||
	       (index->may_shrink && want < places / 8 && table->page_count > index_pages_for(0));
}

bool index_is_outlived(struct index *index, uint64_t count)
{
	return !index->next && has_outlived(index, atomic_load(&index->count) + count);
}

int index_make_room(struct index *index, uint64_t count)
{
	for (;;) {
		uint64_t want = atomic_load(&index->count) + count;
		int r;

		if (!index->next && !has_outlived(index, want))
			return 0;
		r = index->next ? 0 : begin_next(index, room_for(index, count));
		if (r)
			return r;
		if (want <= places_of(atomic_load(&index->table)) / 8 * 7) {
			copy_some(index, count * COPY_BUCKETS);
			return 0;
		}
		settle(index);
	}
}

void index_swap(struct index *index, struct index *with)
{
	struct index_table *old = atomic_load(&index->table);

	assert(!index->next);
	settle(with);
	index_free_former(with, index_take_former(with));
	old->former = index->former;
	index->former = old;
	atomic_store(&index->count, atomic_load(&with->count));
	atomic_fetch_add(&index->bytes, atomic_load(&with->bytes));
	atomic_store_explicit(&index->table, atomic_load(&with->table), memory_order_release);
	atomic_store(&with->table, NULL);
	atomic_store(&with->bytes, 0);
}

/* ---- changes ---- */

static void add(struct index *index, uint64_t id, uint64_t slot)
{
	uint64_t hash = index_hash(id);

	if (is_copied(index, place(atomic_load(&index->table), hash, slot)))
		(void)place(index->next, hash, slot);
}

static void change(struct index *index, uint64_t id, uint64_t old, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);
	uint64_t hash = index_hash(id);
	struct spot spot;

	if (!look_for(table, hash, old, &spot)) {
		assert(!"a slot that is replaced is in the index");
		return;
	}
	touch(table, spot.at);
	set_slot(spot.bucket, spot.place, slot);
	if (is_copied(index, spot.at) && look_for(index->next, hash, old, &spot)) {
		touch(index->next, spot.at);
		set_slot(spot.bucket, spot.place, slot);
	}
}

static void drop(struct index *index, uint64_t id, uint64_t slot)
{
	struct index_table *table = atomic_load(&index->table);
	uint64_t hash = index_hash(id);
	struct spot spot;

	if (!look_for(table, hash, slot, &spot)) {
		assert(!"a slot that is removed is in the index");
		return;
	}
	take_away(table, hash, &spot);
	if (is_copied(index, spot.at) && look_for(index->next, hash, slot, &spot))
		take_away(index->next, hash, &spot);
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
	atomic_store_explicit(&index->renaming, true,
	                      memory_order_relaxed); /* what follows releases it */
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
