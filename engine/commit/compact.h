/*
 * compact.h - compaction: vectors move from the tail into free slots, and the files are cut.
 */
#ifndef QUIVER_COMPACT_H
#define QUIVER_COMPACT_H

#include "engine/commit/checkpoint.h"

/* How a run is followed, by whoever started it. */
struct compaction {
	const _Atomic bool *stop; /* end soon; what was moved stays */
	void (*progress)(void *arg, uint64_t done, uint64_t total); /* steps; by this thread */
	void *arg;
	uint64_t freed_bytes; /* given back to the filesystem, once it has run */
};

/* Run one. 0 (also stopped), -ENOMEM, -EROFS, -errno (reported). No lock held; waits for the
 * disk, in small steps between which everyone else goes on. One at a time. */
int compact_run(struct checkpointer *checkpointer, struct compaction *compaction);

#endif
