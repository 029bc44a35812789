/*
 * receive.c - quiverfs receive: streams of snapshots from standard input into a store.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/figures.h"
#include "tools/cli/mounts.h"
#include "tools/cli/progress.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a signal may go unseen that comes just before a wait. */
#define LOOK_MS 250
/* " --from N". */
#define FROM_BYTES 40

struct receive_arguments {
	char *store;
	char *name; /* NULL: that of the stream */
	bool force, undo;
	struct progress progress;
	bool shows; /* the bar has begun */
};

/* Some bytes of standard input. As quiver_receive wants them; -EINTR after a signal. */
static int64_t read_some(void *arg, void *to, size_t length)
{
	(void)arg;
	for (;;) {
		struct pollfd wait = { .fd = STDIN_FILENO, .events = POLLIN };
		ssize_t got;

		if (interrupted())
			return -EINTR;
		if (poll(&wait, 1, LOOK_MS) <= 0)
			continue;
		got = read(STDIN_FILENO, to, length);
		if (got >= 0 || (errno != EINTR && errno != EAGAIN))
			return got >= 0 ? got : -errno;
	}
}

static void show(void *arg, uint64_t done, uint64_t total)
{
	struct receive_arguments *arguments = arg;

	if (!arguments->shows)
		progress_start(&arguments->progress, "receive", "changes", done, total);
	arguments->shows = true;
	progress_update(&arguments->progress, done);
}

static void report(void *arg, const char *line)
{
	const struct receive_arguments *arguments = arg;

	say_note(arguments->store, "%s", line);
}

static struct quiver_receive_options options_of(struct receive_arguments *arguments)
{
	return (struct quiver_receive_options){
		.size = sizeof(struct quiver_receive_options),
		.name = arguments->name,
		.force = arguments->force,
		.lock_wait_ms = TARGET_WAIT_MS,
		.progress = show,
		.on_report = report,
		.arg = arguments,
	};
}

/* How to go on with half a stream. */
static void say_half(const struct receive_arguments *arguments,
                     const struct quiver_received *received)
{
	char from[FROM_BYTES] = "";

	if (received->position > 0)
		(void)snprintf(from, sizeof(from), " --from %" PRIu64, received->position);
	say_note(arguments->store,
	         "%" PRIu64 " of %" PRIu64
	         " changes are kept, and nobody else can open the store now; continue with "
	         "'quiverfs send SOURCE@%s%s%s%s | quiverfs receive %s%s%s' (SOURCE is the sending "
	         "store), or go back with 'quiverfs receive --undo %s'",
	         received->position, received->removals + received->attributes + received->vectors,
	         received->sent_name, received->since[0] != '\0' ? " --since " : "",
	         received->since, from, arguments->store, arguments->name != NULL ? " " : "",
	         arguments->name != NULL ? arguments->name : "", arguments->store);
}

static void say_received(const struct receive_arguments *arguments,
                         const struct quiver_received *received)
{
	char removals[FIGURE_BYTES], attributes[FIGURE_BYTES], vectors[FIGURE_BYTES];

	if (received->had_it)
		say_result("%s: it has snapshot %s already; nothing was changed", arguments->store,
		           received->name);
	else if (received->since[0] == '\0')
		say_result("%s: snapshot %s received, %s vectors", arguments->store, received->name,
		           figure_count(received->vectors, vectors));
	else
		say_result("%s: snapshot %s received: %s vectors, %s with other attributes alone, "
		           "%s removed",
		           arguments->store, received->name,
		           figure_count(received->vectors, vectors),
		           figure_count(received->attributes, attributes),
		           figure_count(received->removals, removals));
}

/* One stream. Says errors; *nothing: none came. */
static int receive_one(struct receive_arguments *arguments, const char *store, bool *nothing)
{
	const struct quiver_receive_options options = options_of(arguments);
	struct quiver_received received = { .size = sizeof(received) };
	struct quiver_error error = { "" };
	int result;

	arguments->shows = false;
	result = quiver_receive(store, &options, read_some, NULL, &received, &error);
	if (arguments->shows)
		progress_end(&arguments->progress);
	*nothing = received.nothing;
	if (result == 0) {
		if (!received.nothing)
			say_received(arguments, &received);
		return 0;
	}
	(void)fflush(stdout); /* main looks at its errors */
	if (result == -EINTR && interrupted())
		say_error(arguments->store, "stopped");
	else
		say_engine(store, error.text, result);
	if (received.is_half)
		say_half(arguments, &received);
	return result;
}

/* All that come, one after the other. */
static int receive_all(struct receive_arguments *arguments, const char *store)
{
	bool nothing, first = true;
	int result;

	do {
		result = receive_one(arguments, store, &nothing);
		if (result == 0 && nothing && first) {
			say_error(arguments->store, "nothing came on standard input; expected the "
			                            "output of 'quiverfs send'");
			result = -ENODATA;
		}
		first = false;
		arguments->force = false; /* the next one builds on this one */
	} while (result == 0 && !nothing);
	return result;
}

static int undo(struct receive_arguments *arguments, const char *store)
{
	const struct quiver_receive_options options = options_of(arguments);
	struct quiver_error error = { "" };
	int result = quiver_receive_undo(store, &options, &error);

	if (result < 0)
		say_engine(store, error.text, result);
	else
		say_result("%s: the store is as it was before the stream", arguments->store);
	return result;
}

/* A store that is mounted cannot be half of a stream. */
static int say_mounted(const char *given, const char *store, const char *point)
{
	say_error(
		given,
		"%s is mounted at %s; unmount it first, and receive into its folder. Its snapshots "
		"can be mounted meanwhile, as %s@NAME",
		store, point, store);
	return -EBUSY;
}

/* Where it goes. 0, or a negative errno after having said what is wrong. */
static int find_folder(const char *given, char store[PATH_MAX])
{
	struct quiver_holder holder;
	struct mount_found mount = { .found = false };
	struct target target = { .live = false };
	char path[PATH_MAX];
	int result;

	if (!quiver_is_folder(given)) {
		say_error(given, "only a store in a local folder can receive a stream");
		return -EOPNOTSUPP;
	}
	if (realpath(given, path) != NULL && mounts_find(path, &mount) == 0 && mount.found &&
	    strcmp(mount.type, MOUNT_TYPE) == 0)
		return say_mounted(given, mount.source, path);
	result = quiver_holder(given, &holder);
	if (result == -ENOENT || result == -EINVAL) {
		if (target_say_taken(given))
			return -EEXIST;
		if (snprintf(store, PATH_MAX, "%s", given) < PATH_MAX)
			return 0;
		say_errno(given, -ENAMETOOLONG);
		return -ENAMETOOLONG;
	}
	result = target_resolve(given, TARGET_CHANGE, &target);
	if (result == 0 && target.live)
		return say_mounted(given, given, target.path);
	if (result == 0)
		memcpy(store, target.path, PATH_MAX);
	return result;
}

static void check_arguments(void *to, const struct argp_state *state)
{
	const struct receive_arguments *arguments = to;

	if (arguments->name != NULL && !quiver_snapshot_name_is_valid(arguments->name))
		arguments_error(state, "'%s' cannot be the name of a snapshot", arguments->name);
	if (arguments->undo && (arguments->force || arguments->name != NULL))
		arguments_error(state, "--undo takes only the STORE");
	if (!arguments->undo && isatty(STDIN_FILENO))
		arguments_error(state, "standard input is a terminal; expected a stream: quiverfs "
		                       "send STORE@NAME | quiverfs receive STORE");
}

static const char receive_help[] =
	"Read the output of 'quiverfs send' from standard input into a store.\v"
	"A whole stream makes the STORE, which must not exist. A stream of changes goes into a "
	"store whose state is the snapshot that it builds on. At the end the store has the "
	"snapshot, under its name or NAME, and is in that state. A mounted store is refused. "
	"During a stream, and after one that ends early, nobody can open the store, only its "
	"snapshots. Send the same stream again to continue, or use --undo to go back.";

int receive_command(int argc, char **argv)
{
	struct receive_arguments parsed = { 0 };
	const struct argument_option options[] = {
		{ "force", 0, NULL,
		  "If the store has changed since the snapshot that the stream builds on, go back "
		  "to that first; the changes are lost",
		  .sets = &parsed.force },
		{ "undo", 0, NULL, "Go back from half a stream to the state before it",
		  .sets = &parsed.undo },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE [NAME]\n--undo STORE",
		.help = receive_help,
		.options = options,
		.words = { &parsed.store, &parsed.name },
		.least = 1,
		.missing = "the STORE is missing",
		.check = check_arguments,
		.to = &parsed,
	};
	char store[PATH_MAX];
	int result;

	if (arguments_parse(&arguments, argc, argv) < 0)
		return STATUS_USAGE;
	result = interrupt_catch();
	if (result < 0)
		say_errno("signals", result);
	if (result == 0)
		result = find_folder(parsed.store, store);
	if (result == 0)
		result = parsed.undo ? undo(&parsed, store) : receive_all(&parsed, store);
	return result < 0 ? STATUS_FAILED : STATUS_OK;
}
