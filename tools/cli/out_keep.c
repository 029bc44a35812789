/*
 * out_keep.c - what a new file gets of the one that it is to replace.
 */
#include "tools/cli/out_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_NAME "system.posix_acl_access"
#define MODE_KEPT 01777
#define PATH_BYTES 32 /* /proc/self/fd/N */

/* Capabilities and what vouches for the content are lost by writing to a file, too. */
static bool is_kept(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "system.", 7) == 0 ||
	       strcmp(name, "security.selinux") == 0 || strcmp(name, "security.SMACK64") == 0;
}

static int keep_value(int fd, const char *path, const char *name, char *value, char *has)
{
	ssize_t length = getxattr(path, name, value, XATTR_SIZE_MAX);
	ssize_t had;

	if (length < 0)
		return errno == ENODATA ? 0 : -errno;
	had = fgetxattr(fd, name, has, XATTR_SIZE_MAX);
	if (had == length && memcmp(value, has, (size_t)length) == 0)
		return 0;
	return fsetxattr(fd, name, value, (size_t)length, 0) < 0 ? -errno : 0;
}

/* Copy the attributes; `room` is for the list of names and two values. */
static int keep_values(int fd, const char *path, char *room)
{
	char *list = room, *value = list + XATTR_LIST_MAX, *has = value + XATTR_SIZE_MAX;
	ssize_t length = listxattr(path, list, XATTR_LIST_MAX);
	int result = 0;

	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (ssize_t at = 0; at < length && result == 0; at += (ssize_t)strlen(list + at) + 1) {
		if (is_kept(list + at))
			result = keep_value(fd, path, list + at, value, has);
	}
	return result;
}

/* The file `name`, if it still is the one with this status; a descriptor with O_PATH. */
static int pin(int folder_fd, const char *name, const struct stat *old)
{
	int fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) == 0 && status.st_dev == old->st_dev && status.st_ino == old->st_ino)
		return fd;
	(void)close(fd); /* it was only looked at */
	return -ESTALE;
}

static int keep_attributes(int fd, int old_fd)
{
	char *room = malloc(XATTR_LIST_MAX + (size_t)2 * XATTR_SIZE_MAX);
	char path[PATH_BYTES];
	int result;

	if (room == NULL)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", old_fd);
	result = keep_values(fd, path, room);
	free(room);
	return result;
}

/* Keep what stat tells. */
static int keep_status(int fd, const struct stat *old)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if ((status.st_uid != old->st_uid || status.st_gid != old->st_gid) &&
	    fchown(fd, old->st_uid, old->st_gid) < 0)
		return -errno;
	/* What the folder gives to new files. */
	if (fgetxattr(fd, ACL_NAME, NULL, 0) >= 0 && fremovexattr(fd, ACL_NAME) < 0)
		return -errno;
	return fchmod(fd, old->st_mode & MODE_KEPT) < 0 ? -errno : 0;
}

int out_keep(int fd, int folder_fd, const char *name, const struct stat *old)
{
	int old_fd = pin(folder_fd, name, old);
	int result = old_fd < 0 ? old_fd : keep_status(fd, old);

	if (result == 0)
		result = keep_attributes(fd, old_fd);
	if (old_fd >= 0)
		(void)close(old_fd); /* it was only looked at */
	return result;
}
