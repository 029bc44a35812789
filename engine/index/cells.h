/*
 * cells.h - which list of an index of nearest neighbours the vector in each slot is in.
 *
 * A vector that is published is in none: its slot is pending, and each question is compared with it,
 * until the one thread that keeps the lists has put it into one. It puts the slot into the list first, and
 * then says so here. A number that rises with each publication shows it that the slot holds what it has
 * looked at.
 */
#ifndef QUIVER_CELLS_H
#define QUIVER_CELLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Slots whose pending ones are counted together. */
#define CELLS_BLOCK 1024u
/* One that is in use, and one that is being built. */
#define CELLS_WATCHED 2u

#define CELL_FREE \
	UINT32_C(0) /* nothing was there yet, or it was removed before it came into a list */
#define CELL_NOWHERE UINT32_C(0x7fffffff) /* a vector that has no distances is in no list */
#define CELL_PENDING UINT32_C(0x80000000) /* and the number of its publication */

/* Any other cell is the list and one. */
struct cells {
	uint64_t slots_max; /* fixed, as the next two: maps of addresses */
	_Atomic uint32_t *cells;
	_Atomic uint32_t *pending; /* slots of each block */
	_Atomic uint64_t
		opened; /* slots that there is memory for; publish lock once it is watched */
	_Atomic uint64_t pending_count;
	_Atomic bool
		lost; /* there was no memory for a slot: nothing can be concluded from the rest */
};

/* What all publications are told to; publish lock of the store. */
struct cells_watched {
	struct cells *_Atomic cells[CELLS_WATCHED];
};

/* Of at most `slots_max` slots, with memory for `slots`. NULL: no memory. */
struct cells *cells_create(uint64_t slots_max, uint64_t slots);
/* NULL is allowed. */
void cells_free(struct cells *cells);

/* A vector has been published in the slot. The publish lock held, or of cells that are not watched; of a
 * slot below cells_end any thread. */
void cells_tell(struct cells *cells, uint64_t slot);

/* The same to all that are watched. The publish lock held. */
static inline void cells_published(struct cells_watched *watched, uint64_t slot)
{
	for (unsigned i = 0; i < CELLS_WATCHED; i++) {
		struct cells *cells =
			atomic_load_explicit(&watched->cells[i], memory_order_relaxed);

		if (__builtin_expect(cells != NULL, 0))
			cells_tell(cells, slot);
	}
}

/* Slots that can be asked for. Any thread, as the next. */
static inline uint64_t cells_end(const struct cells *cells)
{
	return atomic_load_explicit(&cells->opened, memory_order_acquire);
}

/* slot < cells_end. */
static inline uint32_t cells_of(const struct cells *cells, uint64_t slot)
{
	return atomic_load_explicit(&cells->cells[slot], memory_order_acquire);
}

static inline bool cell_is_pending(uint32_t cell)
{
	return (cell & CELL_PENDING) != 0;
}

/* Whether the cell is that of a list. */
static inline bool cell_is_list(uint32_t cell)
{
	return cell - 1 < CELL_NOWHERE - 1;
}

/* What was looked at when the slot was `was` is in `cell` now; false: something else is in the slot, or
 * may be, and it is pending. The thread that keeps the lists. */
bool cells_put(struct cells *cells, uint64_t slot, uint32_t was, uint32_t cell);

/* Pending slots from *from on, ascending, at most `max`, into out[]: how many; *from is behind what was
 * looked at, cells_end at the end. Any thread. */
size_t cells_next(const struct cells *cells, uint64_t *from, uint32_t *out, size_t max);

/* What it uses of memory where so many slots are in use. */
uint64_t cells_bytes(const struct cells *cells, uint64_t slots);

#endif
