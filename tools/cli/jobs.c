/*
 * jobs.c - quiverfs flush, compact and verify: work on a store or a live mount
 * that ends by itself.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/job.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Read the arguments and open the session. False where the exit status is *status. */
static bool begin(const char *help, int argc, char **argv, unsigned flags, struct session *session,
                  int *status)
{
	char *target = NULL;
	struct reach reach = { "" };
	const struct argument_option options[] = { REACH_OPTION(&reach), { 0 } };
	const struct arguments arguments = {
		.usage = "STORE|MNT",
		.help = help,
		.options = options,
		.words = { &target },
		.least = 1,
		.missing = "STORE or MNT is missing",
	};

	*status = STATUS_USAGE;
	if (arguments_parse(&arguments, argc, argv) < 0)
		return false;
	*status = STATUS_FAILED;
	return session_begin(target, &reach, flags, session) == 0;
}

static const char flush_help[] =
	"Bring everything committed so far to stable storage, then return.\v"
	"On a live mount the durability mode decides, as for fsync: in mode 'flush' commits are "
	"only handed to the kernel. A store that was not closed cleanly is recovered.";

int flush_command(int argc, char **argv)
{
	struct session session;
	int status, result, closed;

	if (!begin(flush_help, argc, argv, 0, &session, &status))
		return status;
	if (session.target.live)
		result = live_write(session.mount_fd, "flush", "1");
	else if ((session.capabilities & QUIVER_HAS_CHECKPOINT) != 0)
		result = quiver_checkpoint(session.store);
	else
		result = quiver_flush(session.store);
	if (result < 0)
		say_error(session.target.path, "flush failed: %s; 'quiverfs status' says more",
		          live_strerror(result));
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}

/* Says errors. */
static int run_in(struct session *session, enum quiver_job job)
{
	if (session->target.snapshot && session->target.live) {
		say_error(session->target.path,
		          "in a live mount a snapshot is verified together with its store: give "
		          "the mount without @NAME, or the folder of the store with @NAME");
		return -EOPNOTSUPP;
	}
	return session->target.live ? job_run_live(session, job) : job_run_store(session, job);
}

/* Run a job of the engine from its arguments to its end. The exit status. */
static int run_job(const char *help, int argc, char **argv, unsigned flags, enum quiver_job job)
{
	struct session session;
	int status, result, closed;

	if (!begin(help, argc, argv, flags, &session, &status))
		return status;
	result = run_in(&session, job);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}

static const char compact_help[] =
	"Move vectors from the end of the store into free slots and give the space back.\v"
	"Readers and writers of a live mount continue meanwhile. Ctrl-C ends it cleanly; what was "
	"moved stays moved.";

int compact_command(int argc, char **argv)
{
	return run_job(compact_help, argc, argv, 0, QUIVER_COMPACT);
}

static const char verify_help[] =
	"Compare the checksum of every vector.\v"
	"The exit status is 1 if one does not match; control/errors of a live mount names each. "
	"'quiverfs check' checks the rest of a store, too, but the store must not be mounted.";

int verify_command(int argc, char **argv)
{
	return run_job(verify_help, argc, argv, SESSION_READ_ONLY, QUIVER_VERIFY);
}
