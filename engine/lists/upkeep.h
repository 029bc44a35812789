/*
 * upkeep.h - the lists of an open store from file to file: loaded, kept up with what is changed, measured,
 * made anew, saved.
 *
 * One thread at a time does the work, a step at a time (upkeep_step). Questions take the lists that are in
 * use and give them back.
 */
#ifndef QUIVER_LISTS_UPKEEP_H
#define QUIVER_LISTS_UPKEEP_H

#include "engine/lists/upkeep_state.h"

/* All-zero memory becomes one of a store without lists. */
void upkeep_init(struct upkeep *upkeep, struct catalog *catalog, const struct quiver_io *io,
                 const _Atomic uint64_t *lsn);
/* The store is open: `dir_fd` is its folder. */
void upkeep_open(struct upkeep *upkeep, int dir_fd, bool may_write);
/* What status tells of the lists before they are loaded, which the first step does, or the first question
 * to a store that is only read. Waits for the disk, but not long. Before anybody else is there. */
void upkeep_look(struct upkeep *upkeep, enum quiver_metric metric);
/* Nobody is inside, and nobody publishes. */
void upkeep_destroy(struct upkeep *upkeep);
/* Whether there are files: so work for upkeep_step. Waits for the disk. */
bool upkeep_has_files(const struct upkeep *upkeep);

/* Whether steps do nothing until a build is wanted. The thread that does them. */
bool upkeep_is_idle(struct upkeep *upkeep);

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
