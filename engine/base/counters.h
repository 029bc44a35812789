/*
 * counters.h - what has happened since the store was opened, as numbers.
 */
#ifndef QUIVER_COUNTERS_H
#define QUIVER_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/latency.h"

/* Any thread adds, any reads. */
struct counters {
	_Atomic uint64_t puts, removes, renames, set_attrs, batches;
	_Atomic uint64_t checkpoints, compactions, growths, punches, moved, replayed;
	_Atomic uint64_t rows_scanned; /* while it was opened */
	_Atomic uint64_t index_taken; /* 1: a recovery has gone on from one that was kept */
	_Atomic bool index_kept; /* the superblock names one; changed under the checkpoint lock */
	_Atomic uint64_t checksum_errors, io_errors;
	struct latency commit, sync, growth, checkpoint, compact_step;
};

#endif
