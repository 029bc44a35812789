/*
 * upkeep.h - the lists of an open store from file to file: loaded, kept up with what is changed, measured,
 * made anew, saved.
 *
 * One thread at a time does the work, a step at a time (upkeep_step). Questions take the lists that are in
 * use and give them back.
 */
#ifndef QUIVER_LISTS_UPKEEP_H
#define QUIVER_LISTS_UPKEEP_H

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
	uint64_t not_before_ns; /* no build by itself earlier */
	uint64_t saved_ns;
};

/* All-zero memory becomes one of a store without lists. */
void upkeep_init(struct upkeep *upkeep, struct catalog *catalog, const struct quiver_io *io,
                 const _Atomic uint64_t *lsn);
/* The store is open: `dir_fd` is its folder. */
void upkeep_open(struct upkeep *upkeep, int dir_fd, bool may_write);
/* Of a store that is only read, before the first question has loaded the lists: what status tells of
 * them. Waits for the disk, but not long. Before anybody else is there. */
void upkeep_look(struct upkeep *upkeep, enum quiver_metric metric);
/* Nobody is inside, and nobody publishes. */
void upkeep_destroy(struct upkeep *upkeep);
/* Whether there are files: so work for upkeep_step. Waits for the disk. */
bool upkeep_has_files(const struct upkeep *upkeep);

/* Have a build begin with the next step. 0; -EBUSY one is under way, or will be. Any thread, as the next. */
int upkeep_want(struct upkeep *upkeep);
/* A build that is under way ends soon. */
void upkeep_stop(struct upkeep *upkeep);
/* All that is under way ends soon, and the step with it. */
void upkeep_end(struct upkeep *upkeep);
/* After that, when no step is under way: steps do something again. */
void upkeep_resume(struct upkeep *upkeep);

/* Do some of what is to be done; whether there is more at once. `metric`: the store's now. Waits for the
 * disk. One thread at a time. */
bool upkeep_step(struct upkeep *upkeep, enum quiver_metric metric);
/* After the last step: save what is not. What fails is reported, and costs time when the store is opened
 * next. */
void upkeep_save(struct upkeep *upkeep);
/* No step is under way, nor will be: the lists go, and their files. 0 or -errno of removing those. */
int upkeep_off(struct upkeep *upkeep);

/* The lists for a question under `metric`, to be given back; NULL: there are none for it. Of a store that is
 * only read the first call loads them. Any thread. */
struct lists *upkeep_take(struct upkeep *upkeep, enum quiver_metric metric);
void upkeep_give(struct lists *lists);

/* As in quiver.h; all members but the size. Any thread. */
void upkeep_status(struct upkeep *upkeep, struct quiver_nearest_status *status);

#endif
