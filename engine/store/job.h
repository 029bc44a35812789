/*
 * job.h - long work in a thread of its own, one at a time.
 */
#ifndef QUIVER_JOB_H
#define QUIVER_JOB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/quiver.h"

struct job {
	pthread_mutex_t lock;
	pthread_t thread; /* lock; valid while started and not joined */
	bool joinable; /* lock */
	bool closed; /* lock; the store is being closed: autocompact must not start another */
	enum quiver_job kind; /* lock */
	struct quiver_job_status status[2]; /* lock; by kind */
	_Atomic bool stop;
	int (*work)(void *owner, enum quiver_job kind); /* fixed; in the thread */
	void *owner; /* fixed */
};

void job_init(struct job *job, int (*work)(void *owner, enum quiver_job kind), void *owner);
/* Nothing runs any more, or job_end was called. */
void job_destroy(struct job *job);
/* As the calls of quiver.h. Any thread. */
int job_start(struct job *job, enum quiver_job kind);
int job_stop(struct job *job, enum quiver_job kind);
void job_status(struct job *job, enum quiver_job kind, struct quiver_job_status *status);
/* By the work: how far it has come. */
void job_progress(struct job *job, uint64_t done, uint64_t total, uint64_t mismatches);
void job_freed(struct job *job, uint64_t freed_bytes);
/* Stop what runs, wait for it, and start nothing any more. */
void job_end(struct job *job);

#endif
