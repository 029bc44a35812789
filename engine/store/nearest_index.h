/*
 * nearest_index.h - the index of nearest neighbours of a store in a local folder: what works on it, and
 * questions that go by it.
 */
#ifndef QUIVER_NEAREST_INDEX_H
#define QUIVER_NEAREST_INDEX_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/lists/upkeep.h"
#include "engine/nearest/ask.h"

/* The thread that keeps the lists, which is made when there is something to do. */
struct nearest_thread {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread; /* valid while it runs */
	bool runs; /* lock */
	bool stop; /* lock */
	bool woken; /* lock; there is something to do at once */
};

struct nearest_index {
	struct upkeep upkeep;
	pthread_mutex_t control_lock; /* above all others; who starts the index or ends it */
	struct nearest_thread thread;
};

/* ---- nearest_index.c ---- */

/* All-zero memory becomes that of a store without an index. */
void nearest_index_init(struct quiver *store);
/* Nobody is inside. */
void nearest_index_destroy(struct quiver *store);
/* The store has been opened for use: what there is in files is loaded by and by. */
void nearest_index_open(struct quiver *store);
/* The store is being closed: end what is under way, so that nothing changes the lists any more ... */
void nearest_index_end(struct quiver *store);
/* ... and, after the last commit, save them. */
void nearest_index_save(struct quiver *store);

/* `ask` of all vectors with `exact` for a source, by the index where there is one for that question. */
int nearest_index_ask(struct quiver *store, const struct source *exact,
                      const struct distance *distance, const struct quiver_question *question,
                      struct quiver_neighbour *answers, uint32_t *found);

/* ---- nearest_thread.c ---- */

void nearest_thread_init(struct nearest_thread *thread);
void nearest_thread_destroy(struct nearest_thread *thread);
/* Have it run, and begin. 0; -EAGAIN, -ENOMEM there can be none. One caller at a time, as the next. */
int nearest_thread_start(struct quiver *store);
/* End it, if it runs, after the step that it is at. */
void nearest_thread_stop(struct quiver *store);

#endif
