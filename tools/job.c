/*
 * job.c - starting long work and waiting for it, with a progress bar.
 */
#include "job.h"
#include "interrupt.h"
#include "live.h"
#include "progress.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a job is looked at. */
#define POLL_MS 100u
/* Room for what control/compact and control/verify say. */
#define STATE_BYTES_MAX 512

/* The control file of a job, which is also its label. */
static const char *job_name(enum quiver_job job)
{
	return job == QUIVER_COMPACT ? "compact" : "verify";
}

/* ---- a store that is opened directly ----------------------------------- */

/* Wait until the job has ended, with *status its end. */
static void wait_store(struct quiver *store, enum quiver_job job, struct quiver_job_status *status)
{
	struct progress progress;
	bool asked = false;

	quiver_job_status(store, job, status);
	progress_start(&progress, job_name(job), "slots", 0, status->total);
	while (status->running) {
		if (interrupted() && !asked)
			asked = quiver_job_stop(store, job) == 0;
		interruptible_sleep(POLL_MS);
		quiver_job_status(store, job, status);
		progress.total = status->total;
		progress_update(&progress, status->done);
	}
	progress_end(&progress);
}

/* Print the result. Says errors. */
static int tell_store(struct session *session, enum quiver_job job,
                      const struct quiver_job_status *status)
{
	const char *path = session->target.path;

	if (job == QUIVER_VERIFY && status->mismatches > 0)
		say_error(path,
		          "%" PRIu64 " of %" PRIu64 " vectors do not match their checksum; "
		          "'quiverfs check %s' says which",
		          status->mismatches, status->done, path);
	if (status->result < 0)
		say_error(path, "%s failed: %s", job_name(job), strerror(-status->result));
	else if (status->stopped)
		say_error(path, "%s stopped after %" PRIu64 " of %" PRIu64 " slots", job_name(job),
		          status->done, status->total);
	else if (job == QUIVER_COMPACT)
		(void)printf("%" PRIu64 " vectors moved, %" PRIu64 " bytes given back\n",
		             status->done, status->freed_bytes);
	else if (status->mismatches == 0)
		(void)printf("%" PRIu64 " slots checked, no mismatches\n", status->done);
	if (status->result < 0)
		return status->result;
	if (status->mismatches > 0)
		return -EIO;
	return status->stopped ? -EINTR : 0;
}

int job_run_store(struct session *session, enum quiver_job job)
{
	struct quiver_job_status status;
	int result = quiver_job_start(session->store, job);

	if (result < 0) {
		say_error(session->target.path, "%s cannot start: %s", job_name(job),
		          strerror(-result));
		return result;
	}
	wait_store(session->store, job, &status);
	return tell_store(session, job, &status);
}
