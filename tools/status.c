/*
 * status.c - quiverfs status.
 */
#include "status.h"
#include "command.h"
#include "say.h"

#include <argp.h>
#include <stdbool.h>

enum { KEY_JSON = 256 };

struct status_arguments {
	char *target;
	bool json;
};

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "One flat JSON object, for programs", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct status_arguments *arguments = state->input;

	switch (key) {
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->target != NULL)
			argp_error(state, "unexpected '%s'", text);
		arguments->target = text;
		return 0;
	case ARGP_KEY_END:
		if (arguments->target == NULL)
			argp_error(state, "STORE or MNT is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	options,
	parse,
	"STORE|MNT",
	"Show what is wrong, what is in the store and how it does.\v"
	"A store that is not mounted is opened to look at it; one that was not closed cleanly is "
	"recovered by that. The numbers of --json are those of control/stats.",
	NULL,
	NULL,
	NULL,
};

int status_command(int argc, char **argv)
{
	struct status_arguments arguments = { 0 };
	struct session session;
	struct facts facts;
	int result, closed;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	if (session_open(arguments.target, SESSION_READ_ONLY | SESSION_QUIET, &session) < 0)
		return STATUS_FAILED;
	result = facts_get(&session, &facts);
	if (result == 0) {
		if (arguments.json)
			result = status_print_json(&session, &facts);
		else
			status_show(&session, &facts);
		if (result < 0)
			say_errno("standard output", result);
		facts_free(&facts);
	}
	closed = session_close(&session);
	return result == 0 && closed == 0 ? STATUS_OK : STATUS_FAILED;
}
