/*
 * unmount.c - taking our own mount away while it is being served.
 */
#include "fs/daemon/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUSERMOUNT "fusermount3"

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

/* Wait for the process `pid`. 0 where it succeeded, else -EBUSY: fusermount3 has
 * one exit status for all failures, and this is the one that matters. */
static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* Only fusermount3 may unmount for an ordinary user. */
static int run_fusermount(const char *mount_point, const char *flags)
{
	const char *argv[] = { FUSERMOUNT, "-q", flags, "--", mount_point, NULL };
	union {
		const char **from;
		char *const *to; /* posix_spawnp does not change them */
	} words = { .from = argv };
	pid_t pid;
	int err = posix_spawnp(&pid, FUSERMOUNT, NULL, NULL, words.to, environ);

	return err ? -err : wait_for(pid);
}

int unmount_try(const char *mount_point)
{
	if (umount2(mount_point, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return run_fusermount(mount_point, "-u");
}

int unmount_detach(const char *mount_point)
{
	if (umount2(mount_point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return run_fusermount(mount_point, "-uz");
}

int unmount_abort(uint32_t connection)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", connection);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "1", 1) < 0)
		err = -errno;
	close(fd);
	return err;
}
