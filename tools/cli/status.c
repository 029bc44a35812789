/*
 * status.c - quiverfs status.
 */
#include "tools/cli/status.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"

#include <stdbool.h>
#include <stdlib.h>

#define WATCH_SECONDS_DEFAULT 2.0
/* Less would be seen by nobody, more is a slip. */
#define WATCH_SECONDS_MIN 0.1
#define WATCH_SECONDS_MAX 86400.0

struct status_arguments {
	struct status_wanted wanted;
	bool has_seconds;
	char *words[2]; /* NULL: none */
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
static void take_words(void *to, const struct argp_state *state)
{
	struct status_arguments *arguments = to;
	char **words = arguments->words;

	arguments->wanted.target = words[0];
	if (words[1] == NULL)
		return;
	if (arguments->wanted.follow && !arguments->has_seconds) {
		if (take_seconds(arguments, words[1]))
			return;
		if (take_seconds(arguments, words[0])) {
			arguments->wanted.target = words[1];
			return;
		}
	}
	arguments_error(state, "unexpected '%s'", words[1]);
}

static error_t take_watch(void *to, char *text, const struct argp_state *state)
{
	if (text != NULL && !take_seconds(to, text))
		arguments_error(state, "--watch takes %.1f to %.0f seconds, not '%s'",
		                WATCH_SECONDS_MIN, WATCH_SECONDS_MAX, text);
	return 0;
}

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct status_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "json", 0, NULL, "One flat JSON object, for programs",
		  .sets = &parsed->wanted.json },
		{ "watch", 0, "SECONDS",
		  "Show it again every SECONDS (default 2), with rates per second, until Ctrl-C",
		  .may_lack_value = true, .sets = &parsed->wanted.follow, .take = take_watch,
		  .to = parsed },
		REACH_OPTION(&parsed->wanted.reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE|MNT",
		.help = "Show what is wrong, what is in the store, and how it runs.\v"
			"A store that is not mounted is opened for this. If it was not closed "
			"cleanly, that recovers it. The numbers of --json are those of "
			"control/stats.",
		.options = options,
		.words = { &parsed->words[0], &parsed->words[1] },
		.least = 1,
		.missing = "STORE or MNT is missing",
		.check = take_words,
		.to = parsed,
	};

	return arguments_parse(&arguments, argc, argv);
}

int status_command(int argc, char **argv)
{
	struct status_arguments arguments = { .wanted.seconds = WATCH_SECONDS_DEFAULT };
	struct screen screen;
	int result;

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	screen_of_terminal(&screen);
	if (arguments.wanted.follow)
		result = status_follow(&arguments.wanted, &screen);
	else
		result = status_look(&arguments.wanted, &screen, NULL);
	return result == 0 ? STATUS_OK : STATUS_FAILED;
}
