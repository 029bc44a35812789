/*
 * folder_place.c - where a folder of vectors lies.
 */
#include "tools/cli/folder_place.h"
#include "engine/quiver.h"
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_same(const struct stat *one, const struct stat *other)
{
	return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* Whether an open folder is another, or lies in it. */
static bool is_within(int folder_fd, const struct stat *outer)
{
	struct stat here = { 0 }, above;
	int fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
	bool found = false;

	while (fd >= 0 && !found && fstat(fd, &above) == 0 && !is_same(&here, &above)) {
		int parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		here = above;
		found = is_same(&here, outer);
		(void)close(fd); /* it was only looked at */
		fd = parent;
	}
	if (fd >= 0)
		(void)close(fd); /* it was only looked at */
	return found;
}

/* The folder of the session's store; false where it is none of this machine. */
static bool find_store(const struct session *session, struct stat *status)
{
	struct mount_found mount;

	if (session->target.elsewhere)
		return false;
	if (!session->target.live)
		return stat(session->target.path, status) == 0;
	return mounts_find(session->target.path, &mount) == 0 && mount.found &&
	       quiver_is_folder(mount.source) && stat(mount.source, status) == 0;
}

/* The vectors cannot come from, or go to, the place where they are. Says it. */
static int refuse_own(const char *path, int fd, const struct session *session)
{
	struct stat here, there;
	int asked;

	if (session->target.live && fstat(fd, &here) == 0 &&
	    fstat(session->mount_fd, &there) == 0 && here.st_dev == there.st_dev) {
		say_error(path, "lies in the mount at %s; give a folder outside of it",
		          session->target.path);
		return -EINVAL;
	}
	if (find_store(session, &there) && is_within(fd, &there)) {
		say_error(path, "lies in the folder of the store; give a folder outside of it");
		return -EINVAL;
	}
	asked = quiver_holder(path, &(struct quiver_holder){ 0 });
	if (asked != 0 && asked != -EBUSY)
		return 0;
	say_error(path, "is a store, not a folder of files; mount it, and give the folder vectors/ "
	                "of the mount");
	return -EINVAL;
}

/* Whether a mount of quiverfs is at the path. */
static bool is_mount(const char *path)
{
	struct mount_found mount;
	char *full = realpath(path, NULL);
	bool is = full != NULL && mounts_find(full, &mount) == 0 && mount.found &&
	          strcmp(mount.type, MOUNT_TYPE) == 0;

	free(full);
	return is;
}

int folder_place_open(const char *path, struct session *session, int *fd)
{
	int opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	*fd = -1;
	if (opened < 0) {
		result = -errno;
		say_errno(path, result);
		return result;
	}
	result = refuse_own(path, opened, session);
	if (result == 0 && is_mount(path)) {
		int vectors = live_open(opened, "vectors", O_RDONLY | O_DIRECTORY);

		(void)close(opened); /* it was only looked at */
		if (vectors < 0)
			say_error(path, "vectors/ cannot be opened: %s", live_strerror(vectors));
		*fd = vectors < 0 ? -1 : vectors;
		return vectors < 0 ? vectors : 0;
	}
	if (result < 0)
		(void)close(opened); /* it was only looked at */
	else
		*fd = opened;
	return result;
}
