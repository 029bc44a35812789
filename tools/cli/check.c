/*
 * check.c - quiverfs check, and fsck.quiverfs with the exit codes of fsck(8).
 */
#include "engine/quiver.h"
#include "tools/cli/command.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_REPAIR = 256 };

struct check_arguments {
	char *store;
	bool repair;
};

/* Each fault and each repair goes to stdout: they are the result of the check. */
static void print_line(void *arg, const char *line)
{
	const char *store = arg;

	(void)printf("%s: %s\n", store, line);
}

/* Check the store and print what was found. 0 (see *checked), or a negative errno
 * after having said why the check could not run. */
static int check_store(const struct check_arguments *arguments, struct quiver_check_result *checked)
{
	struct quiver_error error = { "" };
	struct target target;
	int result;

	memset(checked, 0, sizeof(*checked));
	result = target_resolve(arguments->store, &target);
	if (result < 0)
		return result;
	if (target.live) {
		say_error(arguments->store,
		          "mounted at %s; unmount it first, or let 'quiverfs verify %s' "
		          "compare its checksums while it is in use",
		          target.path, target.path);
		return -EBUSY;
	}
	result = quiver_check(target.path, arguments->repair, print_line, arguments->store, checked,
	                      &error);
	if (result < 0) {
		(void)fflush(stdout); /* main looks at its errors */
		say_engine(target.path, error.text, result);
		return result;
	}
	(void)printf("%s: %" PRIu64 " vectors checked, ", arguments->store, checked->vectors);
	if (checked->damage == 0)
		(void)printf("no faults");
	else
		(void)printf("%" PRIu64 " faults, %" PRIu64 " put right", checked->damage,
		             checked->repaired);
	/* A store just made has not been closed either, but there is nothing to tell of it. */
	if (checked->clean || (checked->vectors == 0 && checked->log_records == 0))
		(void)printf("\n");
	else
		(void)printf("; it was not closed cleanly (%" PRIu64 " log records %s)\n",
		             checked->log_records,
		             arguments->repair ? "replayed" : "wait for the next open");
	if (checked->damage > checked->repaired && !arguments->repair) {
		(void)fflush(stdout);
		say_error(arguments->store,
		          "damaged; 'quiverfs check --repair' puts right what can be, "
		          "and moves the rest aside into the store's lost+found");
	}
	return 0;
}

static const struct argp_option check_options[] = {
	{ "repair", KEY_REPAIR, NULL, 0,
	  "Put right what can be; what must be taken out is moved into the store's lost+found", 0 },
	{ 0 },
};

/* The options that fsck(8) hands on. */
static const struct argp_option fsck_options[] = {
	{ NULL, 'a', NULL, 0, "Repair without asking", 0 },
	{ NULL, 'p', NULL, OPTION_ALIAS, NULL, 0 },
	{ NULL, 'y', NULL, OPTION_ALIAS, NULL, 0 },
	{ NULL, 'n', NULL, 0, "Change nothing (the default)", 0 },
	{ NULL, 'r', NULL, 0, "Ask before a repair: there is nobody to ask, so the same as -n", 0 },
	{ NULL, 'f', NULL, 0, "Check also a store that was closed cleanly (always so)", 0 },
	{ NULL, 'v', NULL, 0, "Verbose (there is nothing more to say)", 0 },
	{ NULL, 'C', "FD", OPTION_ARG_OPTIONAL, "Show progress (there is none to show)", 0 },
	{ NULL, 'T', NULL, 0, "No title (there is none anyway)", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct check_arguments *arguments = state->input;

	switch (key) {
	case KEY_REPAIR:
	case 'a':
	case 'p':
	case 'y':
		arguments->repair = true;
		return 0;
	case 'n':
	case 'r':
		arguments->repair = false;
		return 0;
	case 'f':
	case 'v':
	case 'C':
	case 'T':
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->store != NULL)
			argp_error(state, "unexpected '%s'", text);
		arguments->store = text;
		return 0;
	case ARGP_KEY_END:
		if (arguments->store == NULL)
			argp_error(state, "the STORE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp check_argp = {
	check_options,
	parse,
	"STORE",
	"Check every structure and every checksum of a store that is not mounted.\v"
	"Each fault is a line on standard output. The exit status is 0 where there are none, 1 "
	"where there are (also where all were put right: check again to be sure) and where the "
	"check "
	"could not run. Without --repair nothing is changed.",
	NULL,
	NULL,
	NULL,
};

static const struct argp fsck_argp = {
	fsck_options,
	parse,
	"STORE",
	"Check a store of quiverfs that is not mounted; fsck(8) runs this.\v"
	"Exit status: 0 no faults, 1 faults put right, 4 faults left, 8 the check could not run, "
	"16 "
	"wrong usage.",
	NULL,
	NULL,
	NULL,
};

int check_command(int argc, char **argv)
{
	struct check_arguments arguments = { 0 };
	struct quiver_check_result checked;

	if (argp_parse(&check_argp, argc, argv, 0, NULL, &arguments) != 0)
		return STATUS_USAGE;
	if (check_store(&arguments, &checked) < 0)
		return STATUS_FAILED;
	return checked.damage == 0 ? STATUS_OK : STATUS_FAILED;
}

int fsck_command(int argc, char **argv)
{
	struct check_arguments arguments = { 0 };
	struct quiver_check_result checked;
	int result;

	argp_err_exit_status = FSCK_USAGE;
	if (argp_parse(&fsck_argp, argc, argv, 0, NULL, &arguments) != 0)
		return FSCK_USAGE;
	result = check_store(&arguments, &checked);
	if (result < 0)
		return result == -EUCLEAN ? FSCK_UNCORRECTED : FSCK_OPERATIONAL;
	if (checked.damage == 0)
		return FSCK_CLEAN;
	return checked.damage > checked.repaired ? FSCK_UNCORRECTED : FSCK_CORRECTED;
}
