/*
 * status.c - quiverfs status.
 */
#include "tools/cli/status.h"
#include "tools/cli/command.h"
#include "tools/cli/say.h"

#include <argp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	KEY_JSON = 256,
	KEY_WATCH,
};

#define WATCH_SECONDS_DEFAULT 2.0
/* Less would be seen by nobody, more is a slip. */
#define WATCH_SECONDS_MIN 0.1
#define WATCH_SECONDS_MAX 86400.0

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "One flat JSON object, for programs", 0 },
	{ "watch", KEY_WATCH, "SECONDS", OPTION_ARG_OPTIONAL,
	  "Show it again every SECONDS (2), with what happens in a second, until Ctrl-C", 0 },
	{ 0 },
};

struct status_arguments {
	struct status_wanted wanted;
	bool has_seconds;
	const char *words[2];
	unsigned count; /* of words */
};

static bool take_seconds(struct status_arguments *arguments, const char *text)
{
	double *seconds = &arguments->wanted.seconds;
	char *end;

	*seconds = strtod(text, &end);
	arguments->has_seconds = end != text && *end == '\0' && *seconds >= WATCH_SECONDS_MIN &&
	                         *seconds <= WATCH_SECONDS_MAX;
	return arguments->has_seconds;
}

/* One word, what to look at; behind --watch or elsewhere there may be the seconds. */
static void take_words(struct status_arguments *arguments, struct argp_state *state)
{
	const char **words = arguments->words;

	if (arguments->count == 0)
		argp_error(state, "STORE or MNT is missing");
	arguments->wanted.target = words[0];
	if (arguments->count == 1)
		return;
	if (arguments->wanted.follow && !arguments->has_seconds) {
		if (take_seconds(arguments, words[1]))
			return;
		if (take_seconds(arguments, words[0])) {
			arguments->wanted.target = words[1];
			return;
		}
	}
	argp_error(state, "unexpected '%s'", words[1]);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct status_arguments *arguments = state->input;

	switch (key) {
	case KEY_JSON:
		arguments->wanted.json = true;
		return 0;
	case KEY_WATCH:
		arguments->wanted.follow = true;
		if (text != NULL && !take_seconds(arguments, text))
			argp_error(state, "--watch takes %.1f to %.0f seconds, not '%s'",
			           WATCH_SECONDS_MIN, WATCH_SECONDS_MAX, text);
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->count == 2)
			argp_error(state, "unexpected '%s'", text);
		arguments->words[arguments->count++] = text;
		return 0;
	case ARGP_KEY_END:
		take_words(arguments, state);
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

static int64_t now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		return 0;
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Show what there is, and keep it for the next time where there is one. */
static int show(const struct status_wanted *wanted, const struct screen *screen,
                const struct session *session, struct facts *facts, struct status_before *before)
{
	int64_t now = now_ns();
	int result = 0;

	if (wanted->json)
		result = status_print_json(session, facts, wanted->follow);
	else
		status_show(screen, session, facts, before, now);
	if (result < 0)
		say_errno("standard output", result);
	if (before != NULL) {
		facts_free(&before->facts);
		before->facts = *facts;
		before->at_ns = now;
		memset(facts, 0, sizeof(*facts));
	}
	return result;
}

int status_look(const struct status_wanted *wanted, const struct screen *screen,
                struct status_before *before)
{
	struct session session;
	struct facts facts;
	int result = session_open(wanted->target, SESSION_READ_ONLY | SESSION_QUIET, &session);
	int closed;

	if (result < 0)
		return result;
	result = facts_get(&session, &facts);
	if (result == 0) {
		result = show(wanted, screen, &session, &facts, before);
		facts_free(&facts);
	}
	closed = session_close(&session);
	return result < 0 ? result : closed;
}

int status_command(int argc, char **argv)
{
	struct status_arguments arguments = { .wanted.seconds = WATCH_SECONDS_DEFAULT };
	struct screen screen;
	int result;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	screen_of_terminal(&screen);
	if (arguments.wanted.follow)
		result = status_follow(&arguments.wanted, &screen);
	else
		result = status_look(&arguments.wanted, &screen, NULL);
	return result == 0 ? STATUS_OK : STATUS_FAILED;
}
