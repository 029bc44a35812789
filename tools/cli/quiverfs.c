/*
 * quiverfs.c - the program: which subcommand runs.
 *
 * The name it was called by comes first (mkfs.quiverfs, mount.quiverfs or
 * mount.fuse.quiverfs, fsck.quiverfs), else the first argument names the
 * subcommand.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/next.h"
#include "tools/cli/say.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

/* Room for what --help calls a subcommand. */
#define CALLED_BYTES 64

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "create", create_command },     { "mount", mount_command },
	{ "umount", umount_command },     { "import", import_command },
	{ "export", export_command },     { "search", search_command },
	{ "index", index_command },       { "status", status_command },
	{ "flush", flush_command },       { "compact", compact_command },
	{ "verify", verify_command },     { "check", check_command },
	{ "snapshot", snapshot_command }, { "send", send_command },
	{ "receive", receive_command },   { "list", list_command },
	{ "remove", remove_command },     { "map", map_command },
};

static const struct command called_names[] = {
	{ "mkfs.quiverfs", create_command },
	{ "mount.quiverfs", mount_helper_command },
	/* What /proc/mounts calls us; without it mount(8) would run mount.fuse. */
	{ "mount.fuse.quiverfs", mount_helper_command },
	{ "fsck.quiverfs", fsck_command },
};

static const struct command *find_command(const struct command *list, size_t count,
                                          const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	return NULL;
}

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	(void)fprintf(stream, "quiverfs %s\nlibfuse %s\nstore format %d\n", QUIVERFS_VERSION,
	              fuse_pkgversion(), QUIVER_FORMAT_VERSION);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	int *first = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (find_command(commands, sizeof(commands) / sizeof(commands[0]), text) == NULL)
			arguments_error(state, "there is no command '%s'", text);
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		next_say();
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	NULL,
	parse,
	"COMMAND ...",
	"A filesystem: each file is a vector of a crash-safe store.\v"
	"Commands:\n"
	"  create   make an empty store\n"
	"  mount    mount a store\n"
	"  umount   unmount it, and wait until everything is written\n"
	"  import   put the rows of files into it: .npy, .fvecs, .hdf5, .jsonl ...\n"
	"  export   write all vectors to a file of one of these formats\n"
	"  search   find the vectors that are nearest to others\n"
	"  map      draw a picture of the vectors\n"
	"  index    build an index that makes searches faster\n"
	"  status   show what is wrong, what is in the store, how it runs\n"
	"  flush    bring every commit to stable storage\n"
	"  compact  give the space of removed vectors back\n"
	"  verify   compare every checksum\n"
	"  check    check a store that is not mounted, and repair it\n"
	"  snapshot keep the store as it is now, under a name\n"
	"  send     write a snapshot, or the changes since one, to standard output\n"
	"  receive  read that into a store, here or on another machine\n"
	"  list     list the collections in a pool of Ceph\n"
	"  remove   remove a collection in Ceph\n\n"
	"'quiverfs COMMAND --help' tells more.",
	NULL,
	NULL,
	NULL,
};

/* Run the subcommand that the arguments name. */
static int run_subcommand(int argc, char **argv)
{
	char called[CALLED_BYTES];
	const struct command *command;
	int first = 0;

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first) != 0 || first == 0)
		return STATUS_USAGE;
	command = find_command(commands, sizeof(commands) / sizeof(commands[0]), argv[first]);
	if (command == NULL)
		return STATUS_USAGE;
	(void)snprintf(called, sizeof(called), "quiverfs %s", command->name);
	argv[first] = called;
	return command->run(argc - first, argv + first);
}

/* What was printed must have arrived: a full disk behind a redirection is an
 * error of the command. */
static int check_output(int status)
{
	int failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) == 0 && !failed)
		return status;
	say_error("standard output", "%s", errno != 0 ? strerror(errno) : "writing failed");
	return status == STATUS_OK ? STATUS_FAILED : status;
}

/* A standard descriptor that is closed would be that of the first file that is opened, of a store as
 * likely as not, and what is printed would go there. It becomes one that can be neither read nor
 * written, which is an error for who does. */
static void keep_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char **argv)
{
	const struct command *command;
	const char *name;
	char none[] = "quiverfs";
	char *no_arguments[] = { none, NULL };

	if (argc < 1) {
		argc = 1;
		argv = no_arguments;
	}
	keep_standard();
	/* A file beyond the limit of file sizes is an error that says so, not the end. */
	(void)signal(SIGXFSZ, SIG_IGN); /* fails for wrong numbers only */
	argp_program_version_hook = print_version;
	argp_err_exit_status = STATUS_USAGE;
	if (!arguments_are_printable(argc, argv))
		return STATUS_USAGE;
	name = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
	command = find_command(called_names, sizeof(called_names) / sizeof(called_names[0]), name);
	/* mount.fuse(8) runs the program that a type fuse.PROGRAM names with what is to be mounted
	 * first; no command has a slash in it. */
	if (command == NULL && argc > 1 && strchr(argv[1], '/') != NULL)
		return check_output(mount_helper_command(argc, argv));
	if (command != NULL)
		return check_output(command->run(argc, argv));
	return check_output(run_subcommand(argc, argv));
}
