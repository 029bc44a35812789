/*
 * target_look.c - what is mounted where, and whether it answers.
 */
#include "tools/cli/target_look.h"
#include "engine/quiver.h"
#include "tools/cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for what control/version says. */
#define VERSION_BYTES_MAX 64

bool target_mount_at(const char *point, struct mount_found *mount)
{
	return point[0] != '\0' && mounts_find(point, mount) == 0 && mount->found &&
	       strcmp(mount->type, MOUNT_TYPE) == 0;
}

bool target_is_mounted(const char *point)
{
	struct mount_found mount;

	return target_mount_at(point, &mount);
}

bool target_is_same_store(const char *one, const char *other)
{
	size_t length;
	struct stat a, b;

	if (!quiver_is_folder(one) || !quiver_is_folder(other) ||
	    quiver_is_snapshot(one, &length) || quiver_is_snapshot(other, &length))
		return strcmp(one, other) == 0;
	return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

bool target_lies_in_mount(char *path)
{
	char *slash;

	while ((slash = strrchr(path, '/')) != NULL && slash != path) {
		*slash = '\0';
		if (target_is_mounted(path))
			return true;
	}
	return false;
}

int target_ask_alive(const char *path)
{
	char version[VERSION_BYTES_MAX];
	int fd = live_open_mount(path, O_PATH);
	int result;

	if (fd < 0)
		return fd;
	result = live_read(fd, "version", version, sizeof(version));
	(void)close(fd); /* nothing was done with it */
	return result;
}

bool target_is_store(int asked)
{
	return asked == 0 || asked == -EBUSY;
}
