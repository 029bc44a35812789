/*
 * prefetch.h - pages in memory before slots in them are written: of the slots that are taken
 * next, which are the lowest free ones. All that is remembered are hints.
 */
#ifndef QUIVER_PREFETCH_H
#define QUIVER_PREFETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/commit/wishes.h"
#include "engine/index/catalog.h"

struct prefetch {
	struct catalog *catalog; /* not owned */
	struct wishes *wishes; /* not owned */
	_Atomic uint64_t ask_at; /* who takes this slot or one above asks for more of the tail */
	_Atomic uint64_t tail; /* of the slots at the end of the file, all below */
	_Atomic uint64_t holes_enough; /* who takes a slot when so many were given out asks for more
	                                  holes */
	/* The page of meta.npy that was in memory when the last slot was taken, and the second of
	 * that. A hint. */
	_Atomic uint64_t tail_seen;
	uint64_t holes_to; /* the prefetcher's; how many will have been given out once all holes
	                      are taken that were asked for */
	uint64_t asked_ns; /* the prefetcher's; when pages of the tail were last asked for */
	uint64_t syncs; /* the prefetcher's; syncs of the slots until then */
	uint64_t
		parts; /* the prefetcher's; asked for since those were as many, of WRITE_WINDOW_BYTES */
};

void prefetch_init(struct prefetch *prefetch, struct catalog *catalog, struct wishes *wishes);
/* Slots were taken: wish for the pages of those that come next, if that is due. Any
 * thread. */
void prefetch_taken(struct prefetch *prefetch, const uint64_t *slots, size_t count);
/* Whether `slot`, which was taken, can be written without reading any page from the disk; a best
 * effort. Any thread. */
bool prefetch_has(struct prefetch *prefetch, uint64_t slot);
/* Have the rows of one in memory, which are stored into with the writer lock held, where that
 * matters to anybody (catalog_warm). Waits for the disk. */
void prefetch_rows(struct prefetch *prefetch, uint64_t slot);
/* Slots have become free, so there may be holes that nobody has asked for. Any thread. */
void prefetch_freed(struct prefetch *prefetch);
/* The files end after `rows`. */
void prefetch_cut(struct prefetch *prefetch, uint64_t rows);
/* Have the pages of the slots that will be taken next in memory. The prefetcher. */
void prefetch_ahead(struct prefetch *prefetch);

#endif
