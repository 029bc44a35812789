/*
 * target_new.c - where a store is to be made, or what is to be mounted where.
 */
#include "engine/quiver.h"
#include "tools/cli/say.h"
#include "tools/cli/target.h"
#include "tools/cli/target_look.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether `path`, which is that of `given`, lies within a mount of quiverfs; says so, and what is
 * wanted. */
static bool say_within(const char *given, const char *path, const char *wanted)
{
	char above[PATH_MAX];

	(void)snprintf(above, sizeof(above), "%s", path);
	if (!target_lies_in_mount(above))
		return false;
	say_error(given, "lies within the mount at %s; expected %s", above, wanted);
	return true;
}

/* The absolute path of what is to be made in a folder that is there. */
static bool find_new(const char *given, char path[PATH_MAX])
{
	char copy[PATH_MAX], name[PATH_MAX];
	size_t length;

	if (realpath(given, path) != NULL)
		return true;
	if (errno != ENOENT || snprintf(copy, sizeof(copy), "%s", given) >= (int)sizeof(copy))
		return false;
	memcpy(name, copy, sizeof(name));
	if (realpath(dirname(copy), path) == NULL)
		return false;
	length = strlen(path);
	return snprintf(path + length, PATH_MAX - length, "/%s", basename(name)) <
	       (int)(PATH_MAX - length);
}

bool target_say_snapshot(const char *given)
{
	struct quiver_holder holder;
	char store[PATH_MAX];
	size_t length;

	if (!quiver_is_snapshot(given, &length) ||
	    snprintf(store, sizeof(store), "%.*s", (int)length, given) >= (int)sizeof(store) ||
	    !target_is_store(quiver_holder(store, &holder)))
		return false;
	say_error(given,
	          "this is the form of a name of a snapshot, of the store %s; give another name",
	          store);
	return true;
}

bool target_say_taken(const char *given)
{
	struct quiver_holder holder;
	struct mount_found mount;
	char path[PATH_MAX];

	if (!quiver_is_folder(given) || !find_new(given, path))
		return false;
	if (target_mount_at(path, &mount)) {
		say_error(given, "the store %s is mounted here; give a folder that is new or empty",
		          mount.source);
		return true;
	}
	if (say_within(given, path, "a folder outside of it, new or empty"))
		return true;
	if (target_is_store(quiver_holder(path, &holder))) {
		say_error(given,
		          "there is a store here already ('quiverfs status %s' shows it); give a "
		          "folder that is new or empty",
		          given);
		return true;
	}
	return false;
}

/* The absolute path of the store that is to be mounted, be it whole or a snapshot of it. */
static bool find_source(const char *store, char path[PATH_MAX])
{
	char folder[PATH_MAX];
	size_t length;

	if (!quiver_is_snapshot(store, &length))
		return quiver_is_folder(store) && realpath(store, path) != NULL;
	return snprintf(folder, sizeof(folder), "%.*s", (int)length, store) < (int)sizeof(folder) &&
	       realpath(folder, path) != NULL;
}

/* Whether `store` is a mount or in one; says so. */
static bool is_mount_for_store(const char *store)
{
	struct mount_found mount;
	char path[PATH_MAX];
	size_t length, none;

	if (!find_source(store, path))
		return false; /* mounting says why */
	if (!target_mount_at(path, &mount))
		return say_within(store, path, "the folder of a store");
	if (quiver_is_snapshot(store, &length) && !quiver_is_snapshot(mount.source, &none))
		say_error(store,
		          "%.*s is a mount, of the store %s; to mount its snapshot give %s%s",
		          (int)length, store, mount.source, mount.source, store + length);
	else
		say_error(store,
		          "a mount of the store %s; give the folder of a store first, then the "
		          "folder to mount it on",
		          mount.source);
	return true;
}

int target_check_mount(const char *store, const char *point)
{
	struct mount_found mount;
	char path[PATH_MAX];
	int alive;

	if (is_mount_for_store(store))
		return -EINVAL;
	if (realpath(point, path) == NULL || !target_mount_at(path, &mount))
		return 0;
	alive = target_ask_alive(path);
	if (alive < 0 && alive != -EACCES)
		return 0; /* mounting says what to do with it */
	if (target_is_same_store(mount.source, store))
		say_error(store, "already mounted here: %s", path);
	else
		say_error(point,
		          "the store %s is mounted here already; unmount it first (quiverfs umount "
		          "%s), or give another folder",
		          mount.source, path);
	return -EBUSY;
}
