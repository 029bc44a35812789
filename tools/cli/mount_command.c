/*
 * mount_command.c - quiverfs mount, and mount.quiverfs as mount(8) calls it.
 */
#include "fs/daemon/mount.h"
#include "fs/daemon/options.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/remount.h"
#include "tools/cli/target.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct mount_arguments {
	char *store;
	char *mount_point;
	char *options; /* all -o, joined by commas; malloc'd; NULL: none */
	bool foreground;
	bool fake; /* mount(8) -f */
	bool sloppy; /* mount(8) -s: leave out options nobody knows */
};

/* Append one -o to the others. -ENOMEM. */
static int add_options(struct mount_arguments *arguments, const char *text)
{
	char *joined;

	if (asprintf(&joined, "%s%s%s", arguments->options != NULL ? arguments->options : "",
	             arguments->options != NULL ? "," : "", text) < 0)
		return -ENOMEM;
	free(arguments->options);
	arguments->options = joined;
	return 0;
}

/* Whether the mount understands this one option. */
static bool is_known(const char *option)
{
	struct mount_options parsed;
	struct quiver_error error = { "" };
	int result = mount_options_parse(option, &parsed, &error);

	mount_options_free(&parsed);
	return result == 0;
}

/* The length of the option at `text`, up to its comma; a comma after a backslash
 * or between double quotes is part of it. */
static size_t option_length(const char *text)
{
	size_t length = 0;
	bool quoted = false;

	while (text[length] != '\0' && (quoted || text[length] != ',')) {
		if (text[length] == '\\' && text[length + 1] != '\0')
			length++;
		else if (text[length] == '"')
			quoted = !quoted;
		length++;
	}
	return length;
}

/* Take the options out of the list that the mount does not understand. -ENOMEM. */
static int drop_unknown(struct mount_arguments *arguments)
{
	char *all = arguments->options;
	int result = 0;

	arguments->options = NULL;
	for (const char *at = all; at != NULL && *at != '\0' && result == 0;) {
		size_t length = option_length(at);
		char *option = strndup(at, length);

		if (option == NULL)
			result = -ENOMEM;
		else if (is_known(option))
			result = add_options(arguments, option);
		free(option);
		at += length;
		at += *at == ',';
	}
	free(all);
	return result;
}

/* Whether the list holds this very option. */
static bool has_option(const char *list, const char *name)
{
	for (const char *at = list; at != NULL && *at != '\0';) {
		size_t length = option_length(at);

		if (length == strlen(name) && strncmp(at, name, length) == 0)
			return true;
		at += length;
		at += *at == ',';
	}
	return false;
}

/* Whether it is no fault that nothing is mounted: mount(8) promises with `nofail`
 * not to report a source that does not exist, and leaves that to its helpers. */
static bool may_be_missing(const struct mount_arguments *arguments)
{
	const char *store = arguments->store;
	char path[PATH_MAX];
	size_t length;
	int used;

	if (!quiver_is_folder(store) || !has_option(arguments->options, "nofail"))
		return false;
	if (quiver_is_snapshot(store, &length))
		used = snprintf(path, sizeof(path), "%.*s/snapshots/%s", (int)length, store,
		                store + length + 1);
	else
		used = snprintf(path, sizeof(path), "%s", store);
	return used < (int)sizeof(path) && access(path, F_OK) < 0 && errno == ENOENT;
}

static error_t take_options(void *to, char *text, const struct argp_state *state)
{
	(void)state;
	return -add_options(to, text);
}

static const char mount_help[] =
	"Mount a store on the folder MNT. STORE is a folder of this machine, or a collection in "
	"Ceph, rados:POOL[/NAMESPACE]/COLLECTION. STORE@NAME is a snapshot of it, read-only; it "
	"can be mounted while the store is mounted elsewhere. The command returns when the mount "
	"answers. A daemon then serves it until it is unmounted ('quiverfs umount MNT').\v"
	"Mount options:\n"
	"  ro                  nothing can be changed; reading is fastest\n"
	"  durability=MODE     when a commit is safe: always, fsync (default), flush, none\n"
	"  commit=SECONDS      sync the log at least this often (default 5; mode fsync)\n"
	"  autocompact=PERCENT compact when this share of the slots is free (0: never)\n"
	"  uid=, gid=, umask=  owner and permissions of new vectors\n"
	"  matrix_mode=OCTAL   who may read matrix.npy and ids.npy (default 0600)\n"
	"  allow_other         other users may use the mount\n"
	"  io_uring=WISH       auto (default), on (or fail), off\n"
	"  id=, conf=, keyring=, op_timeout=SECONDS\n"
	"                      how Ceph is reached, for a collection in it\n"
	"  nosuid, nodev, noexec, noatime, context= and the like go to the kernel.\n\n"
	"SIGTERM and SIGINT end the daemon cleanly.";

static const char helper_help[] =
	"Mount the store SPEC on the folder DIR; mount(8) runs this for the type quiverfs.\v"
	"In /etc/fstab: /path/to/store /mnt/vectors quiverfs defaults 0 0\n"
	"A collection in Ceph: rados:POOL/COLLECTION /mnt/vectors quiverfs _netdev,id=NAME 0 0\n"
	"A snapshot: /path/to/store@NAME /mnt/old quiverfs ro 0 0\n"
	"With the option nofail it is not an error if the store does not exist.\n"
	"'quiverfs mount --help' lists the mount options.";

/* Read the arguments by one of the tables below. A negative errno. */
static int parse(const char *usage, const char *help, const struct argument_option *options,
                 int status_usage, int argc, char **argv, struct mount_arguments *parsed)
{
	const struct arguments arguments = {
		.usage = usage,
		.help = help,
		.options = options,
		.words = { &parsed->store, &parsed->mount_point },
		.least = 2,
		.missing = "the STORE and the folder to mount it on are needed",
		.status_usage = status_usage,
	};

	return arguments_parse(&arguments, argc, argv);
}

/* Mount, where nothing is mounted yet. The exit status of quiverfs mount. */
static int mount_store(const struct mount_arguments *arguments, bool foreground)
{
	if (target_check_mount(arguments->store, arguments->mount_point) < 0)
		return STATUS_FAILED;
	return fs_mount(arguments->store, arguments->mount_point, arguments->options, foreground);
}

int mount_command(int argc, char **argv)
{
	struct mount_arguments parsed = { 0 };
	const struct argument_option options[] = {
		{ NULL, 'f', NULL, "Stay in the foreground", .sets = &parsed.foreground },
		{ NULL, 'o', "OPT,...", "Mount options", .take = take_options, .to = &parsed },
		{ 0 },
	};
	int status = STATUS_USAGE;

	if (parse("STORE MNT", mount_help, options, STATUS_USAGE, argc, argv, &parsed) == 0)
		status = mount_store(&parsed, parsed.foreground);
	free(parsed.options);
	return status;
}

/* Mount, or change what is mounted. The exit status. */
static int help_mount(struct mount_arguments *arguments)
{
	bool again = has_option(arguments->options, "remount");
	int result;

	if (!again && arguments->sloppy && drop_unknown(arguments) < 0)
		return MOUNT_FAILED;
	if (arguments->fake || may_be_missing(arguments))
		return MOUNT_OK;
	if (again)
		result = remount_change(arguments->mount_point, arguments->options);
	else
		result = mount_store(arguments, false);
	return result == 0 ? MOUNT_OK : MOUNT_FAILED;
}

int mount_helper_command(int argc, char **argv)
{
	struct mount_arguments parsed = { 0 };
	const struct argument_option options[] = {
		{ NULL, 's', NULL, "Ignore mount options that are not known",
		  .sets = &parsed.sloppy },
		{ NULL, 'f', NULL, "Fake: mount nothing", .sets = &parsed.fake },
		{ NULL, 'n', NULL, "No entry in /etc/mtab (there is none anyway)" },
		{ NULL, 'v', NULL, "Verbose (there is nothing more to say)" },
		{ NULL, 'o', "OPT,...", "Mount options", .take = take_options, .to = &parsed },
		{ NULL, 't', "TYPE", "The type that mount(8) was given (it changes nothing)" },
		{ 0 },
	};
	int status = MOUNT_USAGE;

	if (parse("SPEC DIR", helper_help, options, MOUNT_USAGE, argc, argv, &parsed) == 0)
		status = help_mount(&parsed);
	free(parsed.options);
	return status;
}
