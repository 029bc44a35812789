/*
 * out_keep.c - what a new file gets of the one that it is to replace.
 */
#include "tools/cli/out_keep.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_NAME "system.posix_acl_access"
#define MODE_KEPT 01777
#define PATH_BYTES (NAME_MAX + 32) /* /proc/self/fd/N/NAME */

/* Capabilities and what vouches for the content are lost by writing to a file, too. */
static bool is_kept(const char *name)
{
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "system.", 7) == 0 ||
	       strcmp(name, "security.selinux") == 0 || strcmp(name, "security.SMACK64") == 0;
}

static int keep_value(int fd, const char *path, const char *name, char *value, char *has)
{
	ssize_t length = lgetxattr(path, name, value, XATTR_SIZE_MAX);
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
	ssize_t length = llistxattr(path, list, XATTR_LIST_MAX);
	int result = 0;

	if (length < 0)
		return errno == ENOTSUP ? 0 : -errno;
	for (ssize_t at = 0; at < length && result == 0; at += (ssize_t)strlen(list + at) + 1) {
		if (is_kept(list + at))
			result = keep_value(fd, path, list + at, value, has);
	}
	return result;
}

static int keep_attributes(int fd, int folder_fd, const char *name)
{
	char *room = malloc(XATTR_LIST_MAX + (size_t)2 * XATTR_SIZE_MAX);
	char path[PATH_BYTES];
	int result;

	if (room == NULL)
		return -ENOMEM;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder_fd, name);
	result = keep_values(fd, path, room);
	free(room);
	return result;
}

int out_keep(int fd, int folder_fd, const char *name, const struct stat *old)
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
	if (fchmod(fd, old->st_mode & MODE_KEPT) < 0)
		return -errno;
	return keep_attributes(fd, folder_fd, name);
}
