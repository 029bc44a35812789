/*
 * regions.h - noting where rows are about to be stored, so that a recovery with a kept index need not
 * look at all of them; FORMAT.md, "regions". A note is durable before the first row of its region is
 * stored. That costs a sync, so regions are noted ahead of need: twice as many each time, of those
 * whose slots come next.
 */
#ifndef QUIVER_REGIONS_H
#define QUIVER_REGIONS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/regions_file.h"
#include "engine/index/slots.h"

/* The notes of one area. */
struct region_area {
	uint64_t generation; /* lock */
	_Atomic uint64_t *noted; /* owned; a bit for each region, durable; set under the lock */
};

struct regions {
	struct slots *slots; /* not owned */
	pthread_mutex_t lock; /* the file, and what says so; below the writer lock */
	struct regions_file file; /* lock */
	bool started; /* fixed once there are other threads */
	/* Rows in slots at and above need no note. Writer lock; 0: none does. */
	_Atomic uint64_t noted_below;
	_Atomic unsigned area; /* where notes go to; changed under writer lock and lock */
	struct region_area areas[REGIONS_AREAS];
	bool is_settled; /* lock; the superblock needs the notes of no other area */
	unsigned prepared; /* checkpoint lock; the area that regions_prepare has written */
	uint64_t ahead; /* lock; regions to note beyond what is needed */
	_Atomic uint64_t syncs; /* for tests: how often notes were made durable */
};

/* Whoever opens a store for use, before the superblock that says so: it names an index of
 * `generation` (0: none is kept, and nothing need be noted yet), and so many slots in use. Makes the
 * file where there is none. 0 or -errno; then nothing is noted in this life. `regions` is all zero. */
int regions_start(struct regions *regions, const struct quiver_io *io, int dir_fd,
                  const uint8_t uuid[16], struct slots *slots, uint64_t generation,
                  uint64_t slots_used);
/* Whether it was. An index is kept only then. */
bool regions_are_noted(const struct regions *regions);
/* Close the file and free what there is; also of all zeros. 0 or -errno of the close. */
int regions_stop(struct regions *regions);

/* Whether a row may be stored in `slot`. Writer lock. */
static inline bool regions_has(const struct regions *regions, uint64_t slot)
{
	uint64_t region = slot / REGION_SLOTS;
	const struct region_area *area;

	if (slot >= atomic_load_explicit(&regions->noted_below, memory_order_relaxed))
		return true;
	area = &regions->areas[atomic_load_explicit(&regions->area, memory_order_relaxed)];
	return atomic_load_explicit(&area->noted[region / 64], memory_order_acquire) >>
	               (region % 64) &
	       1;
}

/* Note the regions of those of `count` slots (the caller's, any order) that have no note, and some
 * that come next. Writer lock; waits for the disk. 0; -ENOMEM; -errno of the disk. */
int regions_note(struct regions *regions, const uint64_t *slots, size_t count);

/* A checkpoint that keeps an index of `generation` is going to begin: note for it, and durably, where
 * slots are taken now. Generations rise. 0 or -errno: it cannot keep one. Checkpoint lock; waits for
 * the disk. */
int regions_prepare(struct regions *regions, uint64_t generation);
/* It begins, with so many slots in use: from here on commits are noted for it. After a
 * regions_prepare that went well. Writer lock. */
void regions_begin(struct regions *regions, uint64_t slots_used);
/* The superblock of a checkpoint is durable, and names the index that was begun (`kept`), or none.
 * Checkpoint lock, and not the writer lock. Nothing is called where it failed: the next one notes for
 * both. */
void regions_end(struct regions *regions, bool kept);

#endif
