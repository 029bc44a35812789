/*
 * worker.h - threads for whatever may wait.
 *
 * libfuse serves each core's queue with one thread, so a handler that waits holds
 * up every client on that core. Work goes here instead and replies from there.
 *
 * There is a bounded pool for each kind of waiting, so that a pool full of
 * checkpoints does not keep reads from being answered. Waiting work is not
 * bounded here: each piece belongs to one request of the kernel.
 *
 * Whoever asks for the nearest gets a thread before those who have more of them,
 * and nobody has the last quarter: so one user's questions keep nobody waiting for
 * all of them.
 */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <sys/types.h>

struct workers;

enum worker_class {
	WORKER_READ, /* pages that are not in memory */
	WORKER_COMMIT, /* one commit: growth, log, a shared sync */
	WORKER_SYNC, /* fsync, flush, checkpoint, reserve: seconds, perhaps */
	WORKER_MATRIX, /* READs of matrix.npy and ids.npy: for the disk, and for nothing else */
	WORKER_TELL, /* for the kernel, and by that for WORKER_MATRIX; a thread */
	WORKER_CONTROL, /* files of control/ are read, which must work while all else waits */
	WORKER_GET, /* many vectors at once */
	WORKER_NEAREST, /* all vectors are looked at, by one pass for many that ask: a second, perhaps */
	WORKER_NEAREST_LARGE, /* the same for so many questions of one request that it takes minutes */
	WORKER_CLASSES,
};

/* To be embedded in the object that `run` works on; the caller keeps it alive
 * until run is called, and run may free it. */
struct work {
	void (*run)(struct work *work);
	struct work *next; /* workers' lock */
	uid_t user; /* whose it is, where it is one of the two last kinds */
};

/* The workers may use the CPUs that the calling thread may. `far`: they wait for other machines,
 * each for one request, so that there are many more. -ENOMEM, -EAGAIN no thread at all. */
int workers_new(bool far, struct workers **workers);

/* Run what is queued, end the threads and free the pool. No submission may
 * run at the same time or come later, except from work that still runs. */
void workers_free(struct workers *workers);

/* Have `work` run by a thread of `kind` soon. Never waits, never fails. Any
 * thread; no lock is needed, any may be held. */
void workers_submit(struct workers *workers, enum worker_class kind, struct work *work);

/* Wait until nothing is queued and nothing runs. Any thread but a worker; work that
 * is submitted meanwhile may be waited for too. */
void workers_drain(struct workers *workers);
/* The same for so long at most: whether there is nothing any more. */
bool workers_drain_for(struct workers *workers, unsigned wait_ms);

#endif
