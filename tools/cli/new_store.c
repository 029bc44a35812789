/*
 * new_store.c - a store that a command makes, and takes away again where nothing came into it.
 */
#include "tools/cli/new_store.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a store without vectors has beside its superblock, engine/FORMAT.md. */
static const char *const files[] = { "vectors.npy", "ids.npy", "meta.npy", "LOCK",
	                             "durable",     "index",   "regions" };

/* Say that the folder above is missing. */
static void say_no_parent(const char *store)
{
	say_error(store,
	          "cannot be made: the folder above it does not exist; make that first (mkdir -p)");
}

/* Say why there is no new store, and what to do. */
static void say_failed(const char *store, const char *text, int result)
{
	if (target_say_taken(store))
		return;
	if (quiver_is_folder(store) && result == -ENOENT)
		say_no_parent(store);
	else if (quiver_is_folder(store) && result == -ENOTDIR)
		say_error(store, "cannot be made: it is not a folder, or what is above it is not "
		                 "one; give the name of a new or empty folder");
	else
		say_engine(store, text, result);
}

int new_store_make(const char *store, const struct quiver_geometry *geometry,
                   const struct quiver_description *description,
                   const struct quiver_create_options *options)
{
	struct quiver_error error = { "" };
	int result = quiver_create_with(store, geometry, description, options, &error);

	if (result < 0)
		say_failed(store, error.text, result);
	return result;
}

/* Whether a folder is empty. */
static bool is_empty(const char *path)
{
	const struct dirent *entry;
	DIR *folder = opendir(path);
	bool empty = folder != NULL;

	while (empty && (entry = readdir(folder)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	if (folder != NULL)
		(void)closedir(folder); /* it was only read */
	return empty;
}

bool new_store_is_free(const char *store)
{
	struct mount_found mount;
	struct stat status;
	char path[PATH_MAX];
	size_t length;

	if (!quiver_is_folder(store) || quiver_is_snapshot(store, &length))
		return false;
	if (lstat(store, &status) < 0)
		return errno == ENOENT;
	return realpath(store, path) != NULL && mounts_find(path, &mount) == 0 && !mount.found &&
	       stat(path, &status) == 0 && S_ISDIR(status.st_mode) && is_empty(path);
}

/* Whether something is to be mounted here that is not now: a store beneath it would be none that anybody
 * looks for. Says so. */
static bool say_unmounted(const char *store)
{
	FILE *table = setmntent("/etc/fstab", "re");
	const struct mntent *entry;
	char path[PATH_MAX];
	bool said = false;

	if (table == NULL)
		return false;
	if (realpath(store, path) == NULL)
		path[0] = '\0';
	while (!said && (entry = getmntent(table)) != NULL) {
		said = strcmp(entry->mnt_dir, path) == 0;
		if (said)
			say_error(store,
			          "/etc/fstab mounts %s here, and it is not mounted: 'mount %s' "
			          "mounts it",
			          entry->mnt_fsname, path);
	}
	(void)endmntent(table); /* always 1 */
	return said;
}

bool new_store_say_unfit(const char *store)
{
	char copy[PATH_MAX];
	struct stat status;

	if (target_say_snapshot(store) || target_say_taken(store) || say_unmounted(store))
		return true;
	if (snprintf(copy, sizeof(copy), "%s", store) >= (int)sizeof(copy)) {
		say_errno(store, -ENAMETOOLONG);
		return true;
	}
	if (stat(dirname(copy), &status) == 0 || errno != ENOENT)
		return false;
	say_no_parent(store);
	return true;
}

/* Make it a store no more, while nobody else can have it open: false where it is not to be. */
static bool remove_superblock(const char *store, int folder_fd)
{
	struct quiver_options options = { .size = sizeof(options) };
	struct quiver_list *list;
	struct quiver *opened;
	bool removed = false;

	if (quiver_open(store, &options, &opened, NULL) < 0)
		return false;
	if (quiver_list_open(opened, 0, &list) == 0) {
		removed = quiver_list_count(opened, list) == 0;
		quiver_list_close(opened, list);
	}
	removed = removed && unlinkat(folder_fd, "superblock", 0) == 0;
	(void)quiver_close(opened); /* of what goes away nothing has to be written */
	return removed;
}

/* Remove what is in a folder of the store. */
static void empty_folder(int above_fd, const char *name)
{
	int fd = openat(above_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
		(void)unlinkat(fd, entry->d_name, 0); /* what stays keeps the folder */
	if (folder != NULL)
		(void)closedir(folder); /* it was only read */
	else if (fd >= 0)
		(void)close(fd); /* it was only looked into */
}

bool new_store_unmake(const char *store, bool with_folder)
{
	int fd = open(store, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool gone;

	if (fd < 0)
		return false;
	gone = remove_superblock(store, fd);
	if (gone) {
		/* What is not removed keeps the folder, and is no store. */
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			(void)unlinkat(fd, files[i], 0);
		empty_folder(fd, "wal");
		(void)unlinkat(fd, "wal", AT_REMOVEDIR);
	}
	(void)close(fd); /* it was only looked into */
	if (gone && with_folder)
		(void)rmdir(store);
	return gone;
}
