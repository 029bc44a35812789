/*
 * index.h - the table from ID to slot: buckets of twelve, one line of the processor's cache each,
 * with eight bits of the hash of each ID, so that only a slot that is likely the one is compared
 * in the ids column. One writer (the store's writer lock), readers without locks inside an epoch
 * section.
 */
#ifndef QUIVER_INDEX_H
#define QUIVER_INDEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/columns.h"
#include "engine/disk/io.h"
#include "engine/index/index_source.h"

struct index_table;

struct index {
	const struct columns *columns;
	struct index_table *_Atomic table; /* written under the writer lock */
	_Atomic bool renaming; /* rename lock; beside the table, as who looks asks for both */
	_Atomic uint64_t count; /* writer lock */
	_Atomic uint64_t members; /* writer lock; how often an ID came or went */
	_Atomic uint64_t moves; /* writer lock; how often one went to another slot */
	_Atomic bool misses_some; /* made of rows of which some are damaged: an ID that is not
	                             found may be there. Written under the writer lock */
	bool may_shrink; /* writer lock; the table was filled once, or comes from a file */
	_Atomic uint64_t bytes; /* of all tables */
	/* The table that is going to follow, or NULL: it has what the buckets of the table before
	 * `copied` have. */
	struct index_table *next; /* writer lock */
	uint64_t copied; /* writer lock; a bucket, as index_table.h counts them */
	struct index_table *former; /* writer lock; replaced ones, readers may be inside */
	pthread_mutex_t rename_lock; /* within the writer lock; held for two stores */
};

/* An empty table with room for `expected` IDs. 0 or -ENOMEM. */
int index_init(struct index *index, const struct columns *columns, uint64_t expected);
void index_destroy(struct index *index);

/* Slot of `id`, or SLOT_NONE - also where index_damage says why. Inside an epoch section, or
 * under the writer lock. */
uint64_t index_find(const struct index *index, uint64_t id);
/* What a search has come to. */
struct index_found {
	uint64_t slot; /* or SLOT_NONE */
	bool stopped; /* by a page that cannot be used: when one asks index_damage, there may be
	                 another table already */
	bool met_others; /* it has looked at rows of other IDs */
};

/* The same. `read`: the vector is read next. Inside an epoch section. */
struct index_found index_look_up(const struct index *index, uint64_t id, bool read);
/* For an ID that was not found: whether every row that the search has looked at matches its
 * checksum. One that does not may be the row of that ID. As index_find. */
bool index_way_is_sound(const struct index *index, uint64_t id);
/* The same of an ID that index_look_up has not found. */
static inline bool index_found_sound(const struct index *index, uint64_t id,
                                     const struct index_found *found)
{
	return (!found->met_others &&
	        !atomic_load_explicit(&index->misses_some, memory_order_relaxed)) ||
	       index_way_is_sound(index, id);
}
/* Whether the index says that `id` may be in `slot`, of all slots in that one: for who must not
 * look at the row, as it is torn or free by now. As index_find. */
bool index_names(const struct index *index, uint64_t id, uint64_t slot);
/* Have all in memory that a search for `id` looks at, and that adding or removing it changes, also
 * when of so many free places that lie ahead all but one have been taken. 0, -EBADMSG, -errno of the read: as index_damage. Writer lock. */
int index_ready(const struct index *index, uint64_t id, uint64_t places);

/* Where the way of an ID begins: for index_ready_all. Writer lock. */
uint64_t index_way_begins(const struct index *index, uint64_t id);
/* Have all in memory that adding `count` IDs changes whose ways begin at `begins`, in ascending order,
 * in whatever order they are added. As index_ready. */
int index_ready_all(const struct index *index, const uint64_t *begins, size_t count);

/* Whether index_ready would not have to read anything. In an epoch section. */
bool index_is_ready(const struct index *index, uint64_t id, uint64_t places);

/* A search without looking at rows: whose rows it looks at, one after the other. */
struct index_way {
	const struct index_table *table;
	uint64_t at; /* the bucket */
	uint64_t steps; /* buckets that were entered */
	uint64_t places; /* of the bucket, that are still to be looked at */
	unsigned tag;
};

/* Where one for `id` begins. As index_find, as is the next. */
struct index_way index_way_of(const struct index *index, uint64_t id);
/* The next slot of it: 1; 0 at its end; -EAGAIN a page of the table would have to be read. */
int index_way_next(struct index_way *way, uint64_t *slot);

/* Whether index_make_room would begin another table for `count` inserts: of one that is not whole it
 * cannot. Writer lock. */
bool index_is_outlived(struct index *index, uint64_t count);
/* Make sure that `count` inserts will not need memory. 0 or -ENOMEM. Writer lock. Takes no longer
 * than the inserts do, and waits for nobody: a table that becomes full is replaced bit by bit. */
int index_make_room(struct index *index, uint64_t count);
/* The tables that were replaced since, for index_free_former. Writer lock. */
struct index_table *index_take_former(struct index *index);
/* Free them. No reader may be in them: at the end of an epoch_wait that began after they were
 * taken. Any thread. */
void index_free_former(struct index *index, struct index_table *former);
/* Add an ID that is not there. Its row must be written. Writer lock. */
void index_insert(struct index *index, uint64_t id, uint64_t slot);
/* The ID moves from slot `old` to `slot`. Writer lock. */
void index_replace(struct index *index, uint64_t id, uint64_t old, uint64_t slot);
/* Have what index_guess looks at come from memory. Inside an epoch section. */
void index_prefetch(const struct index *index, uint64_t id);
/* Where `id` most likely is, by the bucket where its search begins; SLOT_NONE: not there. For
 * hints. Inside an epoch section. */
uint64_t index_guess(const struct index *index, uint64_t id);
/* Writer lock. */
void index_remove(struct index *index, uint64_t id, uint64_t slot);
/* The vector `from` in slot `src` becomes `to` in `slot`, in place of the one in `old` where that
 * is not SLOT_NONE. Who calls index_settle before each search sees both IDs change at once. Its
 * row must be written. Writer lock. */
void index_rename(struct index *index, uint64_t from, uint64_t src, uint64_t to, uint64_t old,
                  uint64_t slot);
/* Wait until a rename is over that is half done. */
void index_await_rename(struct index *index);
/* Before a search for one of several IDs that shall agree with each other: whoever has seen the
 * one side of a rename, or has been told of it, sees the other side, too. A search that began
 * before may find what was there then. Any thread that holds no lock of the store. */
static inline void index_settle(struct index *index)
{
	if (__builtin_expect(atomic_load_explicit(&index->renaming, memory_order_acquire), 0))
		index_await_rename(index);
}

uint64_t index_bytes(const struct index *index);

/* ---- the file `index`, FORMAT.md; index_keep.h writes it ---- */

/* Open it. On success the index is initialised, its count set, and `live` (index_live_bytes of the
 * stamp's slots in use) holds the live map, of which all is checked; otherwise that holds anything.
 * `live_pages`, which may be NULL, learns which places of the live map count. The pages of the table
 * are read and checked when they are first used. -ENOENT, -ESTALE it is of something else, -EBADMSG
 * damaged: make it from the columns then; -ENOMEM; -errno of the reads. */
int index_load(struct index *index, const struct columns *columns, const struct quiver_io *io,
               int dir_fd, const struct index_stamp *stamp, uint64_t *live,
               struct index_pages *live_pages);
/* Pages of the table. As index_find. */
uint64_t index_pages(const struct index *index);
/* Whether no page is left to be read. Any thread, in an epoch section or under the writer lock. */
bool index_is_whole(const struct index *index);
/* Read what is left, and compare all of it with `live`, slots_used bits of the live map as it is now.
 * 0, -EBADMSG, -errno of the reads, -ENOMEM. Writer lock; waits for readers. */
int index_load_rest(struct index *index, const uint64_t *live, uint64_t slots_used);
/* What a page could not be used for, whose searches find nothing then, or -EBADMSG where
 * index_load_rest found that the table does not fit the live map. 0 while there was none. As
 * index_is_whole. */
int index_damage(const struct index *index);
/* Have in `index` what `with` holds, of the same columns, whose table becomes a former one of
 * `index`'s; `with` is left without anything. Writer lock. */
void index_swap(struct index *index, struct index *with);

#endif
