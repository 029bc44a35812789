/* Long work in a thread of its own: compaction and verification, one at a time. */
#include <errno.h>
#include <string.h>

#include "engine/commit/compact.h"
#include "engine/recovery/verify.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

void job_init(struct job *job)
{
	memset(job, 0, sizeof(*job));
	pthread_mutex_init(&job->lock, NULL);
	atomic_init(&job->stop, false);
}

static void job_progress(struct quiver *store, uint64_t done, uint64_t total)
{
	struct quiver_job_status *status = &store->job.status[store->job.kind];

	pthread_mutex_lock(&store->job.lock);
	status->done = done;
	status->total = total;
	pthread_mutex_unlock(&store->job.lock);
}

static void compact_progress(void *arg, uint64_t done, uint64_t total)
{
	job_progress(arg, done, total);
}

int job_compact(struct quiver *store)
{
	struct compaction compaction = { .stop = &store->job.stop,
		                         .progress = compact_progress,
		                         .arg = store };
	int r = compact_run(&store->checkpointer, &compaction);

	pthread_mutex_lock(&store->job.lock);
	store->job.status[QUIVER_COMPACT].freed_bytes = compaction.freed_bytes;
	pthread_mutex_unlock(&store->job.lock);
	return r;
}

static void verify_progress(void *arg, uint64_t done, uint64_t total, uint64_t mismatches)
{
	struct quiver *store = arg;

	job_progress(store, done, total);
	pthread_mutex_lock(&store->job.lock);
	store->job.status[QUIVER_VERIFY].mismatches = mismatches;
	pthread_mutex_unlock(&store->job.lock);
}

static int verify(struct quiver *store)
{
	const struct verification verification = { .stop = &store->job.stop,
		                                   .progress = verify_progress,
		                                   .arg = store };

	return verify_run(&store->catalog, &verification);
}

static void *run(void *arg)
{
	struct quiver *store = arg;
	struct job *job = &store->job;
	struct quiver_job_status *status = &job->status[job->kind];
	uint64_t began = clock_monotonic_ns();
	int r = job->kind == QUIVER_COMPACT ? job_compact(store) : verify(store);

	pthread_mutex_lock(&job->lock);
	status->result = r;
	status->stopped = atomic_load(&job->stop);
	status->duration_ns = (int64_t)(clock_monotonic_ns() - began);
	status->ever_ran = true;
	status->running = false;
	pthread_mutex_unlock(&job->lock);
	return NULL;
}

int local_job_start(struct quiver *store, enum quiver_job kind)
{
	struct job *job = &store->job;
	struct quiver_job_status *status = &job->status[kind];
	int r = 0;

	if (kind == QUIVER_COMPACT && health_writable(&store->health) != 0)
		return -EROFS;
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
	r = -pthread_create(&job->thread, NULL, run, store);
	job->joinable = r == 0;
	status->running = r == 0;
out:
	pthread_mutex_unlock(&job->lock);
	return r;
}

int local_job_stop(struct quiver *store, enum quiver_job kind)
{
	struct job *job = &store->job;

	pthread_mutex_lock(&job->lock);
	if (job->status[kind].running)
		atomic_store(&job->stop, true);
	pthread_mutex_unlock(&job->lock);
	return 0;
}

void local_job_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status)
{
	pthread_mutex_lock(&store->job.lock);
	*status = store->job.status[kind];
	pthread_mutex_unlock(&store->job.lock);
	if (status->running)
		status->duration_ns = clock_realtime_ns() - status->started_ns;
}

void job_end(struct quiver *store)
{
	struct job *job = &store->job;
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
