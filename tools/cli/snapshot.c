/*
 * snapshot.c - quiverfs snapshot: make, remove, list and compare snapshots of a store.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/figures.h"
#include "tools/cli/say.h"
#include "tools/cli/session.h"
#include "tools/cli/snapshot_diff.h"
#include "tools/cli/snapshot_list.h"
#include "tools/cli/snapshots.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define USAGE_FORMS                                \
	"create STORE|MNT NAME\nremove STORE|MNT " \
	"NAME\nlist STORE|MNT\ndiff STORE|MNT OLD NEW"

struct snapshot_arguments;

struct action {
	const char *name;
	size_t least, most; /* names of snapshots */
	int (*run)(const struct snapshot_arguments *arguments);
};

struct snapshot_arguments {
	char *word;
	const struct action *action;
	char *target;
	char **names;
	size_t count;
	bool json, attributes;
};

static int run_create(const struct snapshot_arguments *arguments)
{
	struct session session;
	struct reach reach = { "" };
	struct quiver_snapshot made;
	char vectors[FIGURE_BYTES];
	int result, closed;

	result = session_begin(arguments->target, &reach, 0, &session);
	if (result < 0)
		return result;
	result = cli_snapshots_create(&session, arguments->names[0], &made);
	if (result == 0 && made.name[0] != '\0')
		say_result("%s: snapshot %s made: %s vector%s, LSN %" PRIu64, arguments->target,
		           made.name, figure_count(made.count, vectors), made.count == 1 ? "" : "s",
		           made.lsn);
	closed = session_close(&session);
	return result < 0 ? result : closed;
}

/* Each of them, also where another cannot be removed. */
static int run_remove(const struct snapshot_arguments *arguments)
{
	struct session session;
	struct reach reach = { "" };
	int result, closed;

	result = session_begin(arguments->target, &reach, 0, &session);
	if (result < 0)
		return result;
	for (size_t i = 0; i < arguments->count; i++) {
		int removed = cli_snapshots_remove(&session, arguments->names[i]);

		if (removed == 0)
			say_result("%s: snapshot %s removed", arguments->target,
			           arguments->names[i]);
		else
			result = removed;
	}
	closed = session_close(&session);
	return result < 0 ? result : closed;
}

static int run_list(const struct snapshot_arguments *arguments)
{
	return snapshot_list(arguments->target, arguments->json);
}

static int run_diff(const struct snapshot_arguments *arguments)
{
	return snapshot_diff(arguments->target, arguments->names[0], arguments->names[1],
	                     arguments->attributes);
}

static const struct action actions[] = {
	{ "create", 1, 1, run_create },
	{ "remove", 1, SIZE_MAX, run_remove },
	{ "list", 0, 0, run_list },
	{ "diff", 2, 2, run_diff },
};

/* A name that cannot be one never gets as far as a file of that name. */
static void check_names(const struct snapshot_arguments *arguments, const struct argp_state *state)
{
	size_t length;

	if (arguments->count < arguments->action->least &&
	    quiver_is_snapshot(arguments->target, &length))
		arguments_error(state,
		                "give the name as a separate word: 'quiverfs snapshot %s %.*s %s'",
		                arguments->action->name, (int)length, arguments->target,
		                arguments->target + length + 1);
	if (arguments->count < arguments->action->least)
		arguments_error(state, "the name of a snapshot is missing");
	if (arguments->count > arguments->action->most)
		arguments_error(state, "unexpected '%s'",
		                arguments->names[arguments->action->most]);
	for (size_t i = 0; i < arguments->count; i++) {
		if (!quiver_snapshot_name_is_valid(arguments->names[i]))
			arguments_error(state,
			                "'%s' cannot be the name of a snapshot; expected 1 to %u "
			                "characters of A-Z a-z 0-9 . _ : -, and no dot in front",
			                arguments->names[i], QUIVER_SNAPSHOT_NAME_MAX);
	}
}

static void check(void *to, const struct argp_state *state)
{
	struct snapshot_arguments *arguments = to;

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, arguments->word) == 0)
			arguments->action = &actions[i];
	}
	if (arguments->action == NULL)
		arguments_error(state, "expected create, remove, list or diff, got '%s'",
		                arguments->word);
	if (arguments->json && arguments->action->run != run_list)
		arguments_error(state, "--json is only for list");
	if (arguments->attributes && arguments->action->run != run_diff)
		arguments_error(state, "--attributes is only for diff");
	check_names(arguments, state);
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct snapshot_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "json", 0, NULL, "list: a JSON array, for programs", .sets = &parsed->json },
		{ "attributes", 0, NULL,
		  "diff: show also vectors with the same bytes but another owner, time or "
		  "permissions, behind a '='",
		  .sets = &parsed->attributes },
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = USAGE_FORMS,
		.help = "Keep the store as it is now, under a name; list and compare snapshots.\v"
			"A snapshot copies nothing. Its vectors are kept until it is removed. Read "
			"it in MNT/snapshots/NAME, mount it with 'quiverfs mount STORE@NAME MNT', "
			"or export it with 'quiverfs export STORE@NAME FILE'. diff prints one ID "
			"per line: '+' if only NEW has it, '-' if only OLD has it, '~' if it was "
			"written again.",
		.options = options,
		.words = { &parsed->word, &parsed->target },
		.rest = &parsed->names,
		.rest_count = &parsed->count,
		.least = 2,
		.missing = "expected create, remove, list or diff, then STORE or MNT",
		.check = check,
		.to = parsed,
	};

	return arguments_parse(&arguments, argc, argv);
}

int snapshot_command(int argc, char **argv)
{
	struct snapshot_arguments arguments = { 0 };

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	if (!quiver_is_folder(arguments.target)) {
		cli_snapshots_say_none(arguments.target);
		return STATUS_USAGE;
	}
	return arguments.action->run(&arguments) == 0 ? STATUS_OK : STATUS_FAILED;
}
