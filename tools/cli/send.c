/*
 * send.c - quiverfs send: a snapshot, or what has changed since an older one, to standard output.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a signal may go unseen that comes just before a wait. */
#define LOOK_MS 250

struct send_arguments {
	char *snapshot; /* STORE|MNT@NAME */
	const char *since;
	uint64_t from;
};

/* Write all of it to standard output. 0 or a negative errno; -EINTR after a signal. */
static int write_all(void *arg, const void *bytes, size_t length)
{
	const char *from = bytes;

	(void)arg;
	while (length > 0) {
		struct pollfd wait = { .fd = STDOUT_FILENO, .events = POLLOUT };
		ssize_t wrote;

		if (interrupted())
			return -EINTR;
		if (poll(&wait, 1, LOOK_MS) <= 0)
			continue;
		wrote = write(STDOUT_FILENO, from, length);
		if (wrote < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (wrote > 0) {
			from += wrote;
			length -= (size_t)wrote;
		}
	}
	return 0;
}

static void show(void *arg, uint64_t done, uint64_t total)
{
	struct progress *progress = arg;

	progress->total = total;
	progress_update(progress, done);
}

/* Say why it ended early, and where. */
static void say_failed(const char *store, const struct quiver_error *error, int result,
                       const struct quiver_sent *sent)
{
	if (result == -EINTR && interrupted())
		say_error(store, "stopped; the stream is not whole");
	else if (error->text[0] == '\0' &&
	         (result == -EPIPE || result == -ENOSPC || result == -EFBIG || result == -EBADF))
		say_error("standard output", "%s", quiver_strerror(result));
	else
		say_engine(store, error->text, result);
	if (sent->bytes > 0)
		say_note(store,
		         "%" PRIu64 " of %" PRIu64
		         " changes were written; 'quiverfs receive' says how to continue",
		         sent->position, sent->removals + sent->attributes + sent->vectors);
}

static int send_snapshot(const struct send_arguments *arguments, const char *store,
                         const char *name)
{
	struct progress progress;
	struct quiver_error error = { "" };
	struct quiver_sent sent = { .size = sizeof(sent) };
	struct quiver_send_options options = {
		.size = sizeof(options),
		.since = arguments->since,
		.from = arguments->from,
		.progress = show,
		.progress_arg = &progress,
	};
	int result = interrupt_catch();

	if (result < 0) {
		say_errno("signals", result);
		return result;
	}
	(void)signal(SIGPIPE, SIG_IGN); /* fails for wrong numbers only */
	progress_start(&progress, "send", "changes", arguments->from, 0);
	result = quiver_send(store, name, &options, write_all, NULL, &sent, &error);
	progress_end(&progress);
	if (result < 0)
		say_failed(store, &error, result, &sent);
	return result;
}

static error_t take_from(void *to, char *text, const struct argp_state *state)
{
	uint64_t *from = to;
	char *end;

	errno = 0;
	*from = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9')
		arguments_error(
			state,
			"--from: '%s' is not a position; 'quiverfs receive' tells the right one",
			text);
	return 0;
}

static void check_arguments(void *to, const struct argp_state *state)
{
	const struct send_arguments *arguments = to;
	size_t length;

	if (!quiver_is_folder(arguments->snapshot))
		arguments_error(state, "'%s': a collection in Ceph has no snapshots",
		                arguments->snapshot);
	if (!quiver_is_snapshot(arguments->snapshot, &length))
		arguments_error(state,
		                "'%s' does not name a snapshot; expected STORE@NAME or MNT@NAME",
		                arguments->snapshot);
	if (arguments->since != NULL && !quiver_snapshot_name_is_valid(arguments->since))
		arguments_error(state, "--since: '%s' is not the name of a snapshot",
		                arguments->since);
	if (isatty(STDOUT_FILENO))
		arguments_error(state, "a stream cannot go to a terminal; send it to a file or a "
		                       "pipe: quiverfs send ... | quiverfs receive STORE");
}

static const char send_help[] =
	"Write a snapshot, or what has changed since an older one, to standard output.\v"
	"'quiverfs receive' reads it, here or on another machine: quiverfs send STORE@NEW --since "
	"OLD | ssh HOST quiverfs receive STORE. The store may stay mounted and in use. Its folder "
	"must be readable, even if MNT is given. Each vector is compared with its checksum. If one "
	"is damaged the stream ends early, and the receiver refuses it.";

int send_command(int argc, char **argv)
{
	struct send_arguments parsed = { 0 };
	const struct argument_option options[] = {
		{ "since", 0, "OLD",
		  "Send only what has changed since this older snapshot; the receiver must have it",
		  .keeps = &parsed.since },
		{ "from", 0, "POSITION",
		  "Continue a stream that was interrupted; 'quiverfs receive' tells the position",
		  .take = take_from, .to = &parsed.from },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE@NAME|MNT@NAME",
		.help = send_help,
		.options = options,
		.words = { &parsed.snapshot },
		.least = 1,
		.missing = "the STORE@NAME is missing",
		.check = check_arguments,
		.to = &parsed,
	};
	char store[PATH_MAX];
	size_t length = 0;
	char *at;

	if (arguments_parse(&arguments, argc, argv) < 0)
		return STATUS_USAGE;
	say_leave_stdout();
	(void)quiver_is_snapshot(parsed.snapshot, &length); /* it was asked above */
	at = parsed.snapshot + length;
	*at = '\0';
	if (target_find_store(parsed.snapshot, store) < 0)
		return STATUS_FAILED;
	return send_snapshot(&parsed, store, at + 1) < 0 ? STATUS_FAILED : STATUS_OK;
}
