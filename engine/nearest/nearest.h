/*
 * nearest.h - questions to the vectors of a catalog: those that wait at the same time share one pass, as
 * commits share a sync.
 */
#ifndef QUIVER_NEAREST_NEAREST_H
#define QUIVER_NEAREST_NEAREST_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/nearest/scan.h"

struct waiting_round;

struct nearest {
	struct scanner scanner; /* whoever has `busy` */
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool busy; /* lock; somebody leads a pass */
	struct waiting_round *first, *last; /* lock; that are in no pass yet */
};

/* Nothing is allocated before the first question. */
void nearest_init(struct nearest *nearest, struct catalog *catalog, const struct quiver_io *io);
/* Nobody is inside. */
void nearest_destroy(struct nearest *nearest);

/* Questions of a round, so that a pass does not take so long that others wait for it; more are hardly
 * faster for each. */
#define NEAREST_ROUND_MAX 256u

/* Compare all vectors with the questions of a round, at most NEAREST_ROUND_MAX, along with the rounds of others. Any thread; it
 * waits. Errors of scanner_pass. */
int nearest_pass(struct nearest *nearest, struct round *round, bool (*stopped)(void));

#endif
