/*
 * job.c - starting long work and waiting for it, with a progress bar.
 */
#include "tools/cli/job.h"
#include "tools/cli/live.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/formats/interrupt.h"

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

/* Whether it cannot start, with `result`, since there is nothing to do for it; says so. */
static bool is_needless(const struct session *session, enum quiver_job job, int result)
{
	if (result != -EOPNOTSUPP || !session->is_shared || job != QUIVER_COMPACT)
		return false;
	say_error(session->target.path,
	          "a collection in Ceph needs no compaction: the cluster gets the space of a "
	          "vector back when the vector is removed");
	return true;
}

/* ---- a store that is opened directly ----------------------------------- */

/* What a job counts. */
static const char *steps_of(const struct session *session)
{
	return session->target.elsewhere ? "vectors" : "slots";
}

/* Wait until the job has ended, with *status its end. */
static void wait_store(struct session *session, enum quiver_job job,
                       struct quiver_job_status *status)
{
	struct quiver *store = session->store;
	const char *steps = steps_of(session);
	struct progress progress;
	bool asked = false;

	quiver_job_status(store, job, status);
	progress_start(&progress, job_name(job), steps, 0, status->total);
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
	bool damaged = job == QUIVER_VERIFY && status->mismatches > 0;

	if (damaged)
		say_error(path,
		          "%" PRIu64 " of %" PRIu64 " vectors do not match their checksum; "
		          "'quiverfs check %s' says which",
		          status->mismatches, status->done, path);
	if (damaged && status->result == -EIO)
		return -EIO; /* that is it */
	if (status->result < 0)
		say_error(path, "%s failed: %s", job_name(job), strerror(-status->result));
	else if (status->stopped)
		say_error(path, "%s stopped after %" PRIu64 " of %" PRIu64 " %s", job_name(job),
		          status->done, status->total, steps_of(session));
	else if (job == QUIVER_COMPACT)
		(void)printf("%" PRIu64 " vectors moved, %" PRIu64 " bytes given back\n",
		             status->done, status->freed_bytes);
	else if (status->mismatches == 0)
		(void)printf("%" PRIu64 " %s checked, no mismatches\n", status->done,
		             steps_of(session));
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

	if (is_needless(session, job, result))
		return result;
	if (result < 0) {
		say_error(session->target.path, "%s cannot start: %s", job_name(job),
		          strerror(-result));
		return result;
	}
	wait_store(session, job, &status);
	return tell_store(session, job, &status);
}

/* ---- a live mount ------------------------------------------------------- */

/* Read control/compact or control/verify. Says errors. */
static int read_state(struct session *session, enum quiver_job job, char state[STATE_BYTES_MAX])
{
	int result = live_read(session->mount_fd, job_name(job), state, STATE_BYTES_MAX);

	if (result < 0)
		say_error(session->target.path, "control/%s cannot be read: %s", job_name(job),
		          live_strerror(result));
	return result;
}

static bool is_running(const char *state)
{
	return strncmp(state, "running", strlen("running")) == 0;
}

/* Start the job, or join one of its kind that runs already. Says errors. */
static int start_live(struct session *session, enum quiver_job job)
{
	const char *path = session->target.path;
	char state[STATE_BYTES_MAX];
	int result = live_write(session->mount_fd, job_name(job), "start");

	if (result == -EBUSY) {
		result = read_state(session, job, state);
		if (result < 0)
			return result;
		if (is_running(state)) {
			say_note(path, "%s runs already; waiting for that to end", job_name(job));
			return 0;
		}
		say_error(path, "%s cannot start while %s runs; wait for that to end",
		          job_name(job), job == QUIVER_COMPACT ? "verify" : "compact");
		return -EBUSY;
	}
	if (is_needless(session, job, result))
		return result;
	if (result == -EROFS || result == -EACCES)
		say_error(path, "%s cannot start: %s%s", job_name(job), strerror(-result),
		          result == -EROFS ? "; on a read-only mount it is not available"
		                           : "; only the user who mounted the store may do that");
	else if (result < 0)
		say_error(path, "%s cannot start: %s", job_name(job), live_strerror(result));
	return result;
}

/* Follow the job to its end; `state` is then its result. Says errors. */
static int wait_live(struct session *session, enum quiver_job job, char state[STATE_BYTES_MAX])
{
	struct progress progress;
	bool asked = false;
	int result;

	progress_start(&progress, job_name(job), NULL, 0, 100);
	for (;;) {
		result = read_state(session, job, state);
		if (result < 0 || !is_running(state))
			break;
		progress_update(&progress, strtoul(state + strlen("running"), NULL, 10));
		if (interrupted() && !asked)
			asked = live_write(session->mount_fd, job_name(job), "stop") == 0;
		interruptible_sleep(POLL_MS);
	}
	progress_end(&progress);
	return result;
}

/* The number in front of `word` in the result, 0 where it is not there. */
static unsigned long long number_before(const char *state, const char *word)
{
	const char *at = strstr(state, word);

	if (at == NULL)
		return 0;
	while (at > state && (at[-1] == ' ' || (at[-1] >= '0' && at[-1] <= '9')))
		at--;
	return strtoull(at, NULL, 10);
}

int job_run_live(struct session *session, enum quiver_job job)
{
	static const char last[] = "last run";
	char state[STATE_BYTES_MAX];
	const char *text;
	int result = start_live(session, job);

	if (result == 0)
		result = wait_live(session, job, state);
	if (result < 0)
		return result;
	text = strstr(state, last);
	text = text != NULL ? text + strlen(last) : state;
	text += strspn(text, ": ");
	if (strncmp(text, "failed", strlen("failed")) == 0 ||
	    strncmp(text, "stopped", strlen("stopped")) == 0) {
		say_error(session->target.path, "%s %s", job_name(job), text);
		return text[0] == 'f' ? -EIO : -EINTR;
	}
	if (job == QUIVER_VERIFY && number_before(text, " mismatches") > 0) {
		say_error(session->target.path, "%s; control/errors says which", text);
		return -EIO;
	}
	say_result("%s", text);
	return 0;
}
