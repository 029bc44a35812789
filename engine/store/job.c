#include "engine/store/job.h"

#include <errno.h>
#include <string.h>

#include "engine/base/latency.h"

void job_init(struct job *job, int (*work)(void *owner, enum quiver_job kind), void *owner)
{
	memset(job, 0, sizeof(*job));
	pthread_mutex_init(&job->lock, NULL);
	atomic_init(&job->stop, false);
	job->work = work;
	job->owner = owner;
}

void job_destroy(struct job *job)
{
	pthread_mutex_destroy(&job->lock);
}

void job_progress(struct job *job, uint64_t done, uint64_t total, uint64_t mismatches)
{
	struct quiver_job_status *status;

	pthread_mutex_lock(&job->lock);
	status = &job->status[job->kind];
	status->done = done;
	status->total = total;
	status->mismatches = mismatches;
	pthread_mutex_unlock(&job->lock);
}

void job_freed(struct job *job, uint64_t freed_bytes)
{
	pthread_mutex_lock(&job->lock);
	job->status[job->kind].freed_bytes = freed_bytes;
	pthread_mutex_unlock(&job->lock);
}

static void *run(void *arg)
{
	struct job *job = arg;
	struct quiver_job_status *status = &job->status[job->kind];
	uint64_t began = clock_monotonic_ns();
	int r = job->work(job->owner, job->kind);

	pthread_mutex_lock(&job->lock);
	status->result = r;
	status->stopped = atomic_load(&job->stop);
	status->duration_ns = (int64_t)(clock_monotonic_ns() - began);
	status->ever_ran = true;
	status->running = false;
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

int job_start(struct job *job, enum quiver_job kind)
{
	struct quiver_job_status *status = &job->status[kind];
	int r = 0;

	pthread_mutex_lock(&job->lock);
	if (job->closed || job->status[QUIVER_COMPACT].running ||
	    job->status[QUIVER_VERIFY].running) {
		r = -EBUSY;
		goto out;
	}
	if (job->joinable)
		(void)pthread_join(job->thread, NULL); /* it has ended but for returning */
	job->joinable = false;
	job->kind = kind;
	atomic_store(&job->stop, false);
	memset(status, 0, sizeof(*status));
	status->running = true;
	status->started_ns = clock_realtime_ns();
	r = -pthread_create(&job->thread, NULL, run, job);
	job->joinable = r == 0;
	status->running = r == 0;
out:
	pthread_mutex_unlock(&job->lock);
	return r;
}

int job_stop(struct job *job, enum quiver_job kind)
{
	pthread_mutex_lock(&job->lock);
	if (job->status[kind].running)
		atomic_store(&job->stop, true);
	pthread_mutex_unlock(&job->lock);
	return 0;
}

void job_status(struct job *job, enum quiver_job kind, struct quiver_job_status *status)
{
	pthread_mutex_lock(&job->lock);
	*status = job->status[kind];
	pthread_mutex_unlock(&job->lock);
	if (status->running)
		status->duration_ns = clock_realtime_ns() - status->started_ns;
}

void job_end(struct job *job)
{
	bool joinable;

	pthread_mutex_lock(&job->lock);
	atomic_store(&job->stop, true);
	joinable = job->joinable;
	job->joinable = false;
	job->closed = true;
	pthread_mutex_unlock(&job->lock);
	if (joinable)
		(void)pthread_join(job->thread, NULL);
}
