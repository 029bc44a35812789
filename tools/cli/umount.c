/*
 * umount.c - quiverfs umount: mounts that are taken away.
 */
#include "engine/quiver.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"
#include "tools/cli/unmount.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Links one after another, as the kernel follows them. */
#define LINKS_MAX 40u

struct umount_arguments {
	char **points;
	size_t points_count;
};

/* What is mounted at a place, or that it lies in. */
struct place {
	char path[PATH_MAX]; /* absolute */
	char type[64]; /* "": nothing is mounted exactly here */
	char above[PATH_MAX]; /* the mount of quiverfs that it lies within, or "" */
	char from[PATH_MAX]; /* where the store `path` is mounted, or "" */
	struct unmount unmount;
};

static bool lies_within(const char *path, const char *point)
{
	size_t length = strlen(point);

	return strncmp(path, point, length) == 0 && path[length] == '/';
}

static void see(void *arg, const struct mount_seen *mount)
{
	bool is_ours = strcmp(mount->type, MOUNT_TYPE) == 0;
	struct place *place = arg;

	if (strcmp(mount->point, place->path) == 0) {
		(void)snprintf(place->type, sizeof(place->type), "%s", mount->type);
		(void)snprintf(place->unmount.point, PATH_MAX, "%s", mount->point);
		(void)snprintf(place->unmount.source, PATH_MAX, "%s", mount->source);
		(void)snprintf(place->unmount.device, sizeof(place->unmount.device), "%s",
		               mount->device);
		place->unmount.uid = mount->uid;
	} else if (is_ours && strcmp(mount->source, place->path) == 0) {
		(void)snprintf(place->from, PATH_MAX, "%s", mount->point);
	} else if (is_ours && lies_within(place->path, mount->point)) {
		(void)snprintf(place->above, PATH_MAX, "%s", mount->point);
	}
}

/* The absolute path of the folder above `given`, and the last name of that behind it. 0 or a negative
 * errno. */
static int find_above(const char *given, char path[PATH_MAX])
{
	char above[PATH_MAX], name[PATH_MAX];
	size_t length;

	if (snprintf(above, sizeof(above), "%s", given) >= (int)sizeof(above))
		return -ENAMETOOLONG;
	memcpy(name, above, sizeof(name));
	if (realpath(dirname(above), path) == NULL)
		return -errno;
	length = strcmp(path, "/") == 0 ? 0 : strlen(path);
	return snprintf(path + length, PATH_MAX - length, "/%s", basename(name)) <
	                       (int)(PATH_MAX - length)
	               ? 0
	               : -ENAMETOOLONG;
}

/* Where `given` is. The folder itself is asked nothing: its daemon may be gone or stuck, or let in
 * nobody but its user. 0 or a negative errno. */
static int find_path(const char *given, char path[PATH_MAX])
{
	char at[PATH_MAX], link[PATH_MAX];
	int result = 0;

	if (snprintf(at, sizeof(at), "%s", given) >= (int)sizeof(at))
		return -ENAMETOOLONG;
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		struct mount_found mount;
		ssize_t length;

		result = find_above(at, path);
		if (result < 0 || (mounts_find(path, &mount) == 0 && mount.found))
			return result;
		length = readlink(path, link, sizeof(link) - 1);
		if (length < 0)
			return realpath(at, path) != NULL ? 0 : -errno;
		link[length] = '\0';
		if (link[0] != '/')
			*strrchr(path, '/') = '\0';
		result = link[0] == '/' ? snprintf(at, sizeof(at), "%s", link)
		                        : snprintf(at, sizeof(at), "%s/%s", path, link);
		if (result >= (int)sizeof(at))
			return -ENAMETOOLONG;
	}
	return -ELOOP;
}

/* Say why there is nothing to unmount at a place, and what is there. */
static void say_no_mount(const char *given, const struct place *place)
{
	struct quiver_holder holder;
	int asked;

	if (place->type[0] != '\0') {
		say_error(given,
		          "this is not a mount of quiverfs: a filesystem of the type %s is mounted "
		          "here; 'umount %s' unmounts it",
		          place->type, given);
		return;
	}
	if (place->from[0] != '\0') {
		say_error(given,
		          "this is a store, not a mount; it is mounted at %s; 'quiverfs umount %s' "
		          "unmounts it",
		          place->from, place->from);
		return;
	}
	if (place->above[0] != '\0') {
		say_error(given, "lies within the mount at %s; 'quiverfs umount %s' unmounts it",
		          place->above, place->above);
		return;
	}
	asked = quiver_holder(place->path, &holder);
	if (asked == 0 || asked == -EBUSY)
		say_error(given, "this is a store, not a mount; it is not mounted here");
	else
		say_error(given, "nothing is mounted here");
}

static void say_unmounted(const struct unmount *unmount, enum unmounted how)
{
	struct mount_found mount;

	if (how == UNMOUNTED_CLOSED)
		say_result("%s: unmounted; the daemon has closed %s", unmount->point,
		           unmount->source);
	else if (how == UNMOUNTED_STALE)
		say_result("%s: unmounted; its daemon was gone, so the next command that opens %s "
		           "recovers it",
		           unmount->point, unmount->source);
	else
		say_result("%s: unmounted", unmount->point);
	if (mounts_find(unmount->point, &mount) == 0 && mount.found)
		say_note(unmount->point, "%s was mounted below it, and still is", mount.source);
}

/* Unmount what is mounted at one place. Says errors. */
static int umount_one(const char *given)
{
	struct place place = { 0 };
	enum unmounted how;
	int result = 0;

	if (!quiver_is_folder(given)) {
		say_error(given, "this is a collection in Ceph, not a mount; give the folder that "
		                 "it is mounted on");
		return -EINVAL;
	}
	result = find_path(given, place.path);
	if (result == 0)
		result = mounts_see(0, see, &place);
	if (result == -ENOENT)
		say_error(given, "there is no such folder; 'findmnt -t " MOUNT_TYPE
		                 "' lists what is mounted");
	else if (result < 0)
		say_errno(given, result);
	if (result < 0)
		return result;
	if (strcmp(place.type, MOUNT_TYPE) != 0) {
		say_no_mount(given, &place);
		return -EINVAL;
	}
	result = unmount_run(&place.unmount, &how);
	if (result == 0)
		say_unmounted(&place.unmount, how);
	return result;
}

static const char umount_help[] =
	"Unmount the stores that are mounted on the folders MNT, as their user or as root.\v"
	"The command returns when the daemon has written everything and closed the store. Then the "
	"store is free for the next command. If a mount is in use it stays, and the message names "
	"the processes that use it, as far as the system shows them. A mount whose daemon was "
	"killed ('Transport endpoint is not connected') is removed, too; the next command that "
	"opens its store recovers it. Ctrl-C ends only the waiting.";

/* Read the arguments. A negative errno. */
static int parse(int argc, char **argv, struct umount_arguments *parsed)
{
	const struct arguments arguments = {
		.usage = "MNT...",
		.help = umount_help,
		.rest = &parsed->points,
		.rest_count = &parsed->points_count,
		.least = 1,
		.missing = "MNT is missing: the folder that a store is mounted on",
	};

	return arguments_parse(&arguments, argc, argv);
}

int umount_command(int argc, char **argv)
{
	struct umount_arguments arguments = { 0 };
	int status = STATUS_OK;
	int result;

	if (parse(argc, argv, &arguments) < 0)
		return STATUS_USAGE;
	result = interrupt_catch();
	if (result == 0 && setenv("LC_ALL", "C", 1) < 0) /* what programs say is read */
		result = -errno;
	if (result < 0) {
		say_errno("quiverfs umount", result);
		return STATUS_FAILED;
	}
	for (size_t i = 0; i < arguments.points_count && !interrupted(); i++) {
		if (umount_one(arguments.points[i]) < 0)
			status = STATUS_FAILED;
	}
	return interrupted() ? STATUS_FAILED : status;
}
