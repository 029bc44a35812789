/* The jobs of a store in a local folder: compaction and verification. */
#include <errno.h>

#include "engine/commit/compact.h"
#include "engine/recovery/verify.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

static void compact_progress(void *arg, uint64_t done, uint64_t total)
{
	struct quiver *store = arg;

	job_progress(&store->job, done, total, 0);
}

static int compact(struct quiver *store)
{
	struct compaction compaction = { .stop = &store->job.stop,
		                         .progress = compact_progress,
		                         .arg = store };
	int r = compact_run(&store->checkpointer, &compaction);

	job_freed(&store->job, compaction.freed_bytes);
	return r;
}

static void verify_progress(void *arg, uint64_t done, uint64_t total, uint64_t mismatches)
{
	struct quiver *store = arg;

	job_progress(&store->job, done, total, mismatches);
}

static int verify(struct quiver *store)
{
	const struct verification verification = { .stop = &store->job.stop,
		                                   .progress = verify_progress,
		                                   .arg = store };

	return verify_run(&store->catalog, &verification);
}

int local_job_work(void *owner, enum quiver_job kind)
{
	return kind == QUIVER_COMPACT ? compact(owner) : verify(owner);
}

int local_job_start(struct quiver *store, enum quiver_job kind)
{
	if (kind == QUIVER_COMPACT && health_writable(&store->health) != 0)
		return -EROFS;
	return job_start(&store->job, kind);
}

int local_job_stop(struct quiver *store, enum quiver_job kind)
{
	return job_stop(&store->job, kind);
}

void local_job_status(struct quiver *store, enum quiver_job kind, struct quiver_job_status *status)
{
	job_status(&store->job, kind, status);
}
