/*
 * upkeep_state.h - what upkeep.c and upkeep_files.c share: the lists of an open store.
 */
#ifndef QUIVER_LISTS_UPKEEP_STATE_H
#define QUIVER_LISTS_UPKEEP_STATE_H

#include <pthread.h>

#include "engine/disk/io.h"
#include "engine/lists/build.h"

struct upkeep {
	struct catalog *catalog; /* not owned, as the next two */
	const struct quiver_io *io;
	const _Atomic uint64_t *lsn; /* of the last commit */
	int dir_fd; /* of the store; set by upkeep_open, as the next */
	bool may_write;

	struct lists *_Atomic current; /* in use; NULL: none */
	struct lists_work work; /* of the build that runs; `stop` ends one */
	struct lists_work measuring; /* of what is measured in between */
	_Atomic bool ending; /* all work is to end */
	_Atomic bool wanted; /* a build is; stays until that has ended */
	_Atomic bool loaded; /* what there was in files */
	_Atomic bool failed; /* a failed write was reported */

	pthread_mutex_t load_lock; /* of a store that is only read, whose questions load */
	pthread_mutex_t status_lock;
	struct nearest_page
		page; /* status lock; of what is in use, or does not help; rows 0: none */
	int result; /* status lock; of the last build */
	int64_t started_ns, duration_ns; /* status lock; of the last build */
	uint64_t centroids_bytes, cells_bytes; /* status lock; of the files */

	/* The thread that does the work, or who has ended it. */
	uint64_t saved_assigned, saved_lsn; /* when the cells were saved last */
	uint64_t measured_assigned; /* when it was measured last */
	bool unsaved; /* the centroids in use are in no file */
	uint64_t not_before_ns; /* no build by itself earlier */
	uint64_t saved_ns;
};

#endif
