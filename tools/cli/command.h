/*
 * command.h - the subcommands of quiverfs.
 *
 * Each takes the arguments behind its name, argv[0] being what --help calls the
 * command ("quiverfs import", "mkfs.quiverfs"), says its own errors on stderr
 * and returns the exit status. They run in the main thread, one in a process.
 */
#ifndef COMMAND_H
#define COMMAND_H

/* Exit statuses of quiverfs. */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
};

/* Exit statuses that fsck(8) and mount(8) understand. */
enum {
	FSCK_CLEAN = 0,
	FSCK_CORRECTED = 1,
	FSCK_UNCORRECTED = 4,
	FSCK_OPERATIONAL = 8,
	FSCK_USAGE = 16,

	MOUNT_OK = 0,
	MOUNT_USAGE = 1,
	MOUNT_FAILED = 32,
};

int create_command(int argc, char **argv);
int mount_command(int argc, char **argv);
int mount_helper_command(int argc, char **argv); /* mount.quiverfs */
int umount_command(int argc, char **argv);
int import_command(int argc, char **argv);
int export_command(int argc, char **argv);
int status_command(int argc, char **argv);
int flush_command(int argc, char **argv);
int compact_command(int argc, char **argv);
int verify_command(int argc, char **argv);
int check_command(int argc, char **argv);
int list_command(int argc, char **argv);
int remove_command(int argc, char **argv);
int index_command(int argc, char **argv);
int search_command(int argc, char **argv);
int map_command(int argc, char **argv);
int snapshot_command(int argc, char **argv);
int send_command(int argc, char **argv);
int receive_command(int argc, char **argv);
int fsck_command(int argc, char **argv); /* fsck.quiverfs */

#endif
