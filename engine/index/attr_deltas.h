/*
 * attr_deltas.h - rows of live slots whose attributes have changed since the last checkpoint.
 *
 * A live row on disk may change only when a synced log record can mend it, so
 * quiver_set_attr changes it here; the checkpoint writes it to meta.npy later.
 *
 * A bit for each slot tells whether it has one, so that who looks up another slot, which is nearly
 * everybody, takes no lock.
 */
#ifndef QUIVER_ATTR_DELTAS_H
#define QUIVER_ATTR_DELTAS_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/disk/columns.h"

struct attr_delta {
	uint64_t slot; /* SLOT_NONE: an empty place */
	struct meta_row row; /* attr_lsn is that of the commit that is newest here */
};

/* COMMITTER_ATTRS_MAX and more, looked up at random. */
static_assert(sizeof(struct attr_delta) == 64, "as a cache line");

struct attr_deltas {
	pthread_mutex_t lock;
	struct attr_delta *rows; /* lock; open addressing */
	size_t places; /* lock; a power of two, or 0 */
	_Atomic size_t count; /* changed under the lock; read without it to pass by */
	_Atomic uint64_t *marks; /* a bit for each slot; changed under the lock, after the row was
	                            put and after it was dropped */
	uint64_t marks_bytes; /* reserved; zeros that can be read */
	uint64_t open_bytes; /* lock; of them, that can be changed */
};

void attr_deltas_init(struct attr_deltas *deltas);
/* Addresses for the bits of `rows_max` slots; memory is used as slots get attributes. Before
 * there are other threads. 0 or -ENOMEM. */
int attr_deltas_open(struct attr_deltas *deltas, uint64_t rows_max);
void attr_deltas_destroy(struct attr_deltas *deltas);
/* Room for `count` more, of slots below `rows`; gives back what a burst has left. 0 or -ENOMEM.
 * Writer lock. */
int attr_deltas_make_room(struct attr_deltas *deltas, size_t count, uint64_t rows);
/* Room must have been made. Writer lock. */
void attr_deltas_put(struct attr_deltas *deltas, const struct attr_delta *row);
/* The same as attr_deltas_get, where the slot is marked. */
bool attr_deltas_find(struct attr_deltas *deltas, uint64_t slot, struct meta_row *row);
/* Whether `slot` has one, or has just had one. Any thread. */
static inline bool attr_deltas_marks(const struct attr_deltas *deltas, uint64_t slot)
{
	return atomic_load_explicit(&deltas->count, memory_order_acquire) != 0 &&
	       atomic_load_explicit(&deltas->marks[slot / 64], memory_order_acquire) >>
	                       (slot % 64) &
	               1;
}
/* True and *row where `slot` has one. Any thread. */
static inline bool attr_deltas_get(struct attr_deltas *deltas, uint64_t slot, struct meta_row *row)
{
	return attr_deltas_marks(deltas, slot) && attr_deltas_find(deltas, slot, row);
}
/* The slot's row is gone: its free is deferred. */
void attr_deltas_drop(struct attr_deltas *deltas, uint64_t slot);
/* The rows were written at a checkpoint: those that are not newer here go. Lets others in now and
 * then. */
void attr_deltas_drop_rows(struct attr_deltas *deltas, const struct attr_delta *rows, size_t count);
/* A copy of all rows, malloc'd; *count of them. 0 or -ENOMEM. */
int attr_deltas_copy(struct attr_deltas *deltas, struct attr_delta **rows, size_t *count);

#endif
