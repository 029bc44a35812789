/*
 * check.c - quiverfs check, and fsck.quiverfs with the exit codes of fsck(8).
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/mounts.h"
#include "tools/cli/reach.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two numbers and some words. */
#define FAULTS_BYTES 80
#define CLOSED_BYTES 120

struct check_arguments {
	char *store;
	struct reach reach;
	bool automatic; /* fsck(8) asks at boot */
	bool repair;
};

/* Each fault and each repair goes to stdout: they are the result of the check. */
static void print_line(void *arg, const char *line)
{
	const char *store = arg;

	say_result("%s: %s", store, line);
}

/* The last line: how much was checked, and what came of it. */
static void print_found(const struct check_arguments *arguments,
                        const struct quiver_check_result *checked)
{
	char faults[FAULTS_BYTES] = "no faults";
	char closed[CLOSED_BYTES] = "";
	char kept[FAULTS_BYTES] = "";

	if (checked->damage != 0)
		(void)snprintf(faults, sizeof(faults), "%" PRIu64 " faults, %" PRIu64 " put right",
		               checked->damage, checked->repaired);
	/* A store just made has not been closed either, but there is nothing to tell of it. */
	if (!checked->clean && (checked->vectors > 0 || checked->log_records > 0))
		(void)snprintf(closed, sizeof(closed),
		               "; it was not closed cleanly (%" PRIu64 " log records %s)",
		               checked->log_records,
		               arguments->repair ? "replayed" : "wait for the next open");
	if (checked->snapshots > 0 || checked->kept_vectors > 0)
		(void)snprintf(kept, sizeof(kept),
		               " and %" PRIu64 " more that %" PRIu64 " snapshot%s kept",
		               checked->kept_vectors, checked->snapshots,
		               checked->snapshots == 1 ? " has" : "s have");
	say_result("%s: %" PRIu64 " vectors%s checked, %s%s", arguments->store, checked->vectors,
	           kept, faults, closed);
}

/* Say of a snapshot that it is not checked by itself. */
static int say_snapshot(const char *given, size_t length)
{
	say_error(given,
	          "a snapshot is checked together with its store: 'quiverfs check %.*s'; if the "
	          "store is mounted, 'quiverfs verify' compares the checksums of both",
	          (int)length, given);
	return -EINVAL;
}

/* Say of a live mount that it cannot be checked. A collection in a cluster can, by its own name. */
static int say_mounted(const char *store, const struct target *target)
{
	struct mount_found mount;

	if (mounts_find(target->path, &mount) == 0 && mount.found &&
	    !quiver_is_folder(mount.source)) {
		say_error(store,
		          "this is a mount of %s; check the collection itself, mounted or not: "
		          "'quiverfs check %s'",
		          mount.source, mount.source);
		return -EBUSY;
	}
	say_error(store,
	          "mounted at %s; unmount it first; or run 'quiverfs verify %s', which compares "
	          "its checksums while it is in use",
	          target->path, target->path);
	return -EBUSY;
}

/* Check the store and print what was found. 0 (see *checked), or a negative errno
 * after having said why the check could not run. */
static int check_store(const struct check_arguments *arguments, struct quiver_check_result *checked)
{
	struct quiver_error error = { "" };
	const enum target_wish wish = arguments->repair ? TARGET_CHANGE : TARGET_READ;
	struct target target = { .live = false };
	size_t length;
	int result;

	memset(checked, 0, sizeof(*checked));
	result = reach_check(&arguments->reach, arguments->store);
	if (result < 0)
		return result;
	if (quiver_is_snapshot(arguments->store, &length))
		return say_snapshot(arguments->store, length);
	do {
		result = target_resolve(arguments->store, wish, &target);
		if (result < 0)
			return result;
		if (target.live)
			return say_mounted(arguments->store, &target);
		result = quiver_check_with(target.path, reach_access(&arguments->reach),
		                           arguments->repair, print_line, arguments->store, checked,
		                           &error);
	} while (result == -EBUSY && wish != TARGET_CHANGE && target_wait(&target));
	if (result < 0) {
		(void)fflush(stdout); /* main looks at its errors */
		say_engine(target.path, error.text, result);
		return result;
	}
	print_found(arguments, checked);
	if (checked->damage > checked->repaired && !arguments->repair) {
		(void)fflush(stdout);
		say_error(arguments->store,
		          "damaged; 'quiverfs check --repair' repairs what it can, and moves the "
		          "rest aside%s",
		          target.elsewhere ? "" : " into the store's lost+found");
	}
	return 0;
}

/* Read the arguments of quiverfs check. A negative errno. */
static int parse_check(int argc, char **argv, struct check_arguments *parsed)
{
	const struct argument_option options[] = {
		{ "repair", 0, NULL,
		  "Repair what can be repaired, and move the rest aside (of a store in a folder: "
		  "into its lost+found)",
		  .sets = &parsed->repair },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE",
		.help = "Check every structure and every checksum of a store that is not mounted, "
			"or of a collection in Ceph, mounted or not.\v"
			"Each fault is a line on standard output. The exit status is 0 if there "
			"are no faults. It is 1 if there are faults, even if all were repaired: "
			"check again to be sure. It is also 1 if the check could not run. Without "
			"--repair nothing is changed.",
		.options = options,
		.words = { &parsed->store },
		.least = 1,
		.missing = "the STORE is missing",
	};

	return arguments_parse(&arguments, argc, argv);
}

static error_t take_automatic(void *to, char *text, const struct argp_state *state)
{
	bool *automatic = to;

	(void)text;
	(void)state;
	*automatic = true;
	return 0;
}

/* Read those of fsck.quiverfs, with the options that fsck(8) hands on. A negative errno. */
static int parse_fsck(int argc, char **argv, struct check_arguments *parsed)
{
	const struct argument_option options[] = {
		{ NULL, 'a', NULL,
		  "Repair without asking, as at boot; a collection in Ceph is skipped",
		  .sets = &parsed->repair, .take = take_automatic, .to = &parsed->automatic },
		{ NULL, 'p', NULL, NULL, .sets = &parsed->repair, .take = take_automatic,
		  .to = &parsed->automatic },
		{ NULL, 'y', NULL, NULL, .sets = &parsed->repair },
		{ NULL, 'n', NULL, "Change nothing (the default)", .clears = &parsed->repair },
		{ NULL, 'r', NULL,
		  "Ask before a repair; nobody can be asked, so this is the same as -n",
		  .clears = &parsed->repair },
		{ NULL, 'f', NULL, "Check also a store that was closed cleanly (always so)" },
		{ NULL, 'v', NULL, "Verbose (there is nothing more to say)" },
		{ NULL, 'C', "FD", "Show progress (there is none to show)",
		  .may_lack_value = true },
		{ NULL, 'T', NULL, "No title (there is none anyway)" },
		REACH_OPTION(&parsed->reach),
		{ 0 },
	};
	const struct arguments arguments = {
		.usage = "STORE",
		.help = "Check a store of quiverfs that is not mounted; fsck(8) runs this.\v"
			"Exit status: 0 no faults, 1 faults put right, 4 faults left, 8 the check "
			"could not run, 16 wrong usage.",
		.options = options,
		.words = { &parsed->store },
		.least = 1,
		.missing = "the STORE is missing",
		.status_usage = FSCK_USAGE,
	};

	return arguments_parse(&arguments, argc, argv);
}

int check_command(int argc, char **argv)
{
	struct check_arguments arguments = { 0 };
	struct quiver_check_result checked;

	if (parse_check(argc, argv, &arguments) < 0)
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

	if (parse_fsck(argc, argv, &arguments) < 0)
		return FSCK_USAGE;
	/* There is no network yet, and no machine is the one that has to look after it. */
	if (arguments.automatic && !quiver_is_folder(arguments.store)) {
		say_result("%s: a collection in Ceph is not checked at boot; 'quiverfs check %s' "
		           "checks it at any time",
		           arguments.store, arguments.store);
		return FSCK_CLEAN;
	}
	result = check_store(&arguments, &checked);
	if (result < 0)
		return result == -EUCLEAN ? FSCK_UNCORRECTED : FSCK_OPERATIONAL;
	if (checked.damage == 0)
		return FSCK_CLEAN;
	return checked.damage > checked.repaired ? FSCK_UNCORRECTED : FSCK_CORRECTED;
}
