/*
 * unmount.c - taking our own mount away while it is being served.
 */
#include "fs/daemon/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSERMOUNT "fusermount3"
#define UMOUNT "umount"
#define MTAB "/etc/mtab" /* a container may lack it */
#define CONTROL_MAGIC 0x65735543 /* FUSE_CTL_SUPER_MAGIC of the kernel, which no header has */

extern char **environ;

int unmount_connection(const char *mount_point, uint32_t *connection)
{
	struct statx stx;

	/* Asked for nothing and not to synchronize, the kernel answers by itself. */
	if (statx(AT_FDCWD, mount_point, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0)
		return -errno;
	/* Filesystems without a device have the major number 0. */
	if (!(stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) || stx.stx_dev_major != 0)
		return -ENODEV;
	*connection = stx.stx_dev_minor;
	return 0;
}

static bool is_octal(const char *text)
{
	for (unsigned i = 0; i < 3; i++) {
		if (text[i] < '0' || text[i] > '7')
			return false;
	}
	return true;
}

/* The kernel writes blanks and the like as \ooo. */
static int copy_path(char *to, size_t room, const char *from)
{
	size_t length = 0;

	while (*from != '\0') {
		bool coded = from[0] == '\\' && is_octal(from + 1);

		if (length + 1 >= room)
			return -ENAMETOOLONG;
		to[length++] = coded ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 |
		                              (from[3] - '0'))
		                     : *from;
		from += coded ? 4 : 1;
	}
	to[length] = '\0';
	return 0;
}

struct wanted {
	char device[16]; /* "" = any */
	const char *source;
	char found[PATH_MAX]; /* of a line that is of both */
};

/* Whether the line, which it takes apart, is of the device and of the source, at the root of the
 * filesystem: number, parent, major:minor, root, mount point, options, more words, "-", type, source,
 * ... (proc_pid_mountinfo(5)). -ENAMETOOLONG it is, but the path does not fit. */
static int is_wanted(char *line, struct wanted *wanted)
{
	char source[PATH_MAX];
	char *rest = strstr(line, " - ");
	const char *device, *root, *point, *type, *from;

	if (rest == NULL)
		return 0;
	*rest = '\0';
	rest += strlen(" - ");
	type = strsep(&rest, " ");
	from = strsep(&rest, " ");
	rest = line;
	(void)strsep(&rest, " ");
	(void)strsep(&rest, " ");
	device = strsep(&rest, " ");
	root = strsep(&rest, " ");
	point = strsep(&rest, " ");
	if (point == NULL || from == NULL ||
	    (wanted->device[0] != '\0' && strcmp(device, wanted->device) != 0) ||
	    strcmp(root, "/") != 0 || strcmp(type, "fuse.quiverfs") != 0 ||
	    copy_path(source, sizeof(source), from) < 0 || strcmp(source, wanted->source) != 0)
		return 0;
	return copy_path(wanted->found, sizeof(wanted->found), point) < 0 ? -ENAMETOOLONG : 1;
}

/* As unmount_find. */
static int find(struct wanted *wanted, const char *usual, char *path, size_t room)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t line_room = 0;
	int err = -ENOENT;

	if (mounts == NULL)
		return -errno;
	while (getline(&line, &line_room, mounts) >= 0) {
		int is = is_wanted(line, wanted);

		if (is == 0 || (err == 0 && strcmp(wanted->found, usual) != 0))
			continue;
		err = is < 0 ? is : 0;
		if (is > 0 && snprintf(path, room, "%s", wanted->found) >= (int)room)
			err = -ENAMETOOLONG;
	}
	free(line);
	(void)fclose(mounts); /* it was read only */
	return err;
}

int unmount_find(uint32_t connection, const char *source, const char *usual, char *path,
                 size_t room)
{
	struct wanted wanted = { .source = source };

	snprintf(wanted.device, sizeof(wanted.device), "0:%" PRIu32, connection);
	return find(&wanted, usual, path, room);
}

int unmount_find_any(const char *source, char *path, size_t room)
{
	struct wanted wanted = { .source = source };

	return find(&wanted, "", path, room);
}

/* Wait for the process `pid`. 0 where it succeeded, else -EBUSY: what unmounts for
 * us has one exit status for all failures, and this is the one that matters. */
static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

static int run(const char *words[])
{
	union {
		const char **from;
		char *const *to; /* posix_spawnp does not change them */
	} argv = { .from = words };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err;

	err = posix_spawn_file_actions_init(&actions);
	if (err != 0)
		return -err;
	/* It must not wait for who reads the log. What it says is our own errno. */
	err = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (err == 0)
		err = posix_spawnp(&pid, words[0], &actions, NULL, argv.to, environ);
	(void)posix_spawn_file_actions_destroy(&actions); /* always 0 */
	return err ? -err : wait_for(pid);
}

/* Only a program that is root's may unmount for an ordinary user: fusermount3, which
 * needs /etc/mtab, or umount(8), which knows whose a mount is from 2.35 on. */
static int unmount_for_user(const char *mount_point, bool lazy)
{
	const char *fusermount[] = {
		FUSERMOUNT, "-q", lazy ? "-uz" : "-u", "--", mount_point, NULL
	};
	const char *umount[] = { UMOUNT, lazy ? "-ql" : "-q", "--", mount_point, NULL };
	int err = run(fusermount);

	return err != 0 && access(MTAB, F_OK) < 0 ? run(umount) : err;
}

int unmount_try(const char *mount_point)
{
	if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? unmount_for_user(mount_point, false) : -errno;
}

int unmount_detach(const char *mount_point)
{
	if (umount2(mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? unmount_for_user(mount_point, true) : -errno;
}

/* The kernel's control filesystem where it is mounted nowhere: one of our own. */
static int own_control_folder(void)
{
	int config = fsopen("fusectl", FSOPEN_CLOEXEC), fd = -1, err = 0;

	if (config < 0)
		return errno == EPERM || errno == ENOSYS ? -ENOENT : -errno;
	if (fsconfig(config, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		err = -errno;
	if (err == 0)
		fd = fsmount(config, FSMOUNT_CLOEXEC,
		             MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (err == 0 && fd < 0)
		err = -errno;
	close(config); /* nothing was written */
	return err != 0 ? err : fd;
}

static int control_folder(void)
{
	int fd = open("/sys/fs/fuse/connections", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statfs what;

	if (fd >= 0 && fstatfs(fd, &what) == 0 && what.f_type == CONTROL_MAGIC)
		return fd;
	if (fd >= 0)
		close(fd); /* nothing was written */
	return own_control_folder();
}

int unmount_open_abort(uint32_t connection)
{
	int folder = control_folder(), fd, err;
	char path[64];

	if (folder < 0)
		return folder;
	snprintf(path, sizeof(path), "%" PRIu32 "/abort", connection);
	fd = openat(folder, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	err = fd < 0 ? -errno : 0;
	close(folder); /* nothing was written */
	return err != 0 ? err : fd;
}

int unmount_abort(uint32_t connection)
{
	int fd = unmount_open_abort(connection), err = 0;

	if (fd < 0)
		return fd;
	if (write(fd, "1", 1) < 0)
		err = -errno;
	close(fd); /* the write said it */
	return err;
}
