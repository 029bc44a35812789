/*
 * jobs.c - quiverfs flush, compact and verify: work on a store or a live mount
 * that ends by itself.
 */
#include "engine/quiver.h"
#include "tools/cli/command.h"
#include "tools/cli/job.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/formats/interrupt.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>

static error_t parse(int key, char *text, struct argp_state *state)
{
	char **target = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*target != NULL)
			argp_error(state, "unexpected '%s'", text);
		*target = text;
		return 0;
	case ARGP_KEY_END:
		if (*target == NULL)
			argp_error(state, "STORE or MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Parse the arguments, catch signals and open the session. False where the exit
 * status is *status. */
static bool begin(const struct argp *argp, int argc, char **argv, unsigned flags,
                  struct session *session, int *status)
{
	char *target = NULL;
	int result;

	*status = STATUS_USAGE;
	if (argp_parse(argp, argc, argv, 0, NULL, &target) != 0)
		return false;
	*status = STATUS_FAILED;
	result = interrupt_catch();
	if (result < 0) {
		say_errno("signals", result);
		return false;
	}
	return session_open(target, flags, session) == 0;
}

/* Run a job and close the session. */
static int run_job(struct session *session, enum quiver_job job)
{
	int result = session->target.live ? job_run_live(session, job)
	                                  : job_run_store(session, job);
	int closed = session_close(session);

	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}

static const struct argp flush_argp = {
	NULL,
	parse,
	"STORE|MNT",
	"Return once everything committed so far is on stable storage.\v"
	"On a live mount this is what its durability mode makes of fsync: in mode 'flush' commits "
	"are "
	"only handed over to the kernel. A store that was not closed cleanly is recovered.",
	NULL,
	NULL,
	NULL,
};

int flush_command(int argc, char **argv)
{
	struct session session;
	int status, result, closed;

	if (!begin(&flush_argp, argc, argv, 0, &session, &status))
		return status;
	if (session.target.live)
		result = live_write(session.mount_fd, "flush", "1");
	else
		result = quiver_checkpoint(session.store);
	if (result < 0)
		say_error(session.target.path, "flush failed: %s; 'quiverfs status' says more",
		          live_strerror(result));
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}

static const struct argp compact_argp = {
	NULL,
	parse,
	"STORE|MNT",
	"Move vectors from the end of the store into free slots and give the space back.\v"
	"Readers and writers of a live mount go on meanwhile. Ctrl-C ends it cleanly; what was "
	"moved stays moved.",
	NULL,
	NULL,
	NULL,
};

int compact_command(int argc, char **argv)
{
	struct session session;
	int status;

	if (!begin(&compact_argp, argc, argv, 0, &session, &status))
		return status;
	return run_job(&session, QUIVER_COMPACT);
}

static const struct argp verify_argp = {
	NULL,
	parse,
	"STORE|MNT",
	"Compare the checksum of every vector.\v"
	"The exit status is 1 where one does not match; control/errors of a live mount names each. "
	"'quiverfs check' looks at the rest of a store too, but needs it unmounted.",
	NULL,
	NULL,
	NULL,
};

int verify_command(int argc, char **argv)
{
	struct session session;
	int status;

	if (!begin(&verify_argp, argc, argv, SESSION_READ_ONLY, &session, &status))
		return status;
	return run_job(&session, QUIVER_VERIFY);
}
