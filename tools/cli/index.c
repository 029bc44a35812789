/*
 * index.c - quiverfs index: building, stopping and removing the index of nearest neighbours.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/index_state.h"
#include "tools/cli/live.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How often a build is looked at. */
#define POLL_MS 100u
/* The control file, whose words are those of the command. */
#define CONTROL_NAME "nearest_index"

enum wish { WISH_START, WISH_STOP, WISH_OFF };
static const char *const wishes[] = { "start", "stop", "off" };

/* ---- asking ------------------------------------------------------------- */

static int do_wish(struct session *session, enum wish wish)
{
	if (session->target.live)
		return live_write(session->mount_fd, CONTROL_NAME, wishes[wish]);
	if (wish == WISH_START)
		return quiver_nearest_index_start(session->store);
	return wish == WISH_STOP ? quiver_nearest_index_stop(session->store)
	                         : quiver_nearest_index_off(session->store);
}

/* Says errors. */
static int look(struct session *session, struct quiver_nearest_status *state)
{
	char text[INDEX_STATE_BYTES_MAX];
	int result;

	if (!session->target.live) {
		index_state_of(session->store, state);
		return 0;
	}
	result = live_read(session->mount_fd, CONTROL_NAME, text, sizeof(text));
	if (result < 0)
		say_error(session->target.path, "control/" CONTROL_NAME " cannot be read: %s",
		          live_strerror(result));
	else
		index_state_parse(text, state);
	return result;
}

/* Say why it was refused. */
static void say_refused(const struct session *session, enum wish wish, int result)
{
	const char *path = session->target.path;

	if (result == -EOPNOTSUPP || (session->target.live && result == -ENOENT))
		say_error(path, "%s, so that all vectors are compared",
		          session->is_shared ? "a collection in Ceph has no index"
		                             : "it can have no index");
	else if (result == -ENODATA)
		say_error(path, "it holds fewer than 10,000 vectors; comparing all of them is "
		                "fast, so no index is needed");
	else if (result == -EROFS || result == -EACCES)
		say_error(path, "%s: %s%s", wishes[wish], strerror(-result),
		          result == -EROFS ? "; it is read-only, or its disk has failed"
		                           : "; only the user who mounted the store may do that");
	else
		say_error(path, "%s of the index failed: %s", wishes[wish], live_strerror(result));
}

/* ---- a build ------------------------------------------------------------ */

/* Follow the build to its end. Says errors. */
static int wait(struct session *session, struct quiver_nearest_status *state)
{
	struct progress progress;
	bool asked = false;
	int result;

	progress_start(&progress, "index", NULL, 0, 0);
	for (;;) {
		result = look(session, state);
		if (result < 0 || !state->building)
			break;
		progress.total = state->total;
		progress_update(&progress, state->done);
		if (interrupted() && !asked)
			asked = do_wish(session, WISH_STOP) == 0;
		interruptible_sleep(POLL_MS);
	}
	progress_end(&progress);
	return result;
}

/* Tell what a build has made. */
static int tell(const struct session *session, const struct quiver_nearest_status *state)
{
	const char *path = session->target.path;

	if (state->result == -EINTR) {
		say_error(path, "index stopped; the index from before stays in use");
		return -EINTR;
	}
	if (state->result < 0) {
		say_error(path, "index failed: %s", strerror(-state->result));
		return state->result;
	}
	if (state->state == QUIVER_NEAREST_NO_HELP)
		say_result(
			"no index: comparing all of these vectors is as fast, %.3g ms per question",
			state->exact_ms);
	else
		say_result(
			"%" PRIu64 " lists; a question looks at %" PRIu64
			" of them, and finds %.1f%% of the 10 nearest, in %.3g ms instead of %.3g",
			state->lists, state->probes, state->recall * 100, state->index_ms,
			state->exact_ms);
	return 0;
}

/* Build it, or join a build that runs already. Says errors. */
static int build(struct session *session)
{
	struct quiver_nearest_status state;
	int result = do_wish(session, WISH_START);

	if (result == -EBUSY) {
		say_note(session->target.path,
		         "it is being built already; waiting for that to end");
		result = 0;
	}
	if (result < 0) {
		say_refused(session, WISH_START, result);
		return result;
	}
	result = wait(session, &state);
	return result < 0 ? result : tell(session, &state);
}

/* ---- the command -------------------------------------------------------- */

static int run(struct session *session, enum wish wish)
{
	int result;

	if (wish == WISH_START)
		return build(session);
	result = do_wish(session, wish);
	if (result < 0)
		say_refused(session, wish, result);
	return result;
}

/* What is asked for; says what is none of them. */
static int parse_wish(const char *word, enum wish *wish)
{
	*wish = WISH_START;
	if (word == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		if (strcmp(wishes[i], word) == 0) {
			*wish = (enum wish)i;
			return 0;
		}
	}
	say_error(word, "expected start, stop or off");
	return -EINVAL;
}

static const char index_help[] =
	"Build an index for nearest neighbours, stop building it, or remove it.\v"
	"An index makes searches faster; without one all vectors are compared. Once built it is "
	"used by 'quiverfs search', nearest/ and the others, and follows all changes. It misses at "
	"most one neighbour in twenty; that is measured. It is built in the background, at the "
	"lowest priority. Ctrl-C stops the building. 'quiverfs status' shows its state.";

int index_command(int argc, char **argv)
{
	char *target = NULL, *word = NULL;
	struct reach reach = { "" };
	const struct argument_option options[] = { REACH_OPTION(&reach), { 0 } };
	const struct arguments arguments = {
		.usage = "STORE|MNT [start|stop|off]",
		.help = index_help,
		.options = options,
		.words = { &target, &word },
		.least = 1,
		.missing = "STORE or MNT is missing",
	};
	struct session session;
	enum wish wish;
	int result, closed;

	if (arguments_parse(&arguments, argc, argv) < 0 || parse_wish(word, &wish) < 0)
		return STATUS_USAGE;
	if (session_begin(target, &reach, 0, &session) < 0)
		return STATUS_FAILED;
	result = run(&session, wish);
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
