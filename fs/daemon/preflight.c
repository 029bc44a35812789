/*
 * preflight.c - what can be told to be wrong before anything is opened or mounted.
 */
#include "fs/daemon/preflight.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FUSE_DEVICE "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
/* More of fuse.conf than anybody has. */
#define FUSE_CONF_BYTES 65536

bool preflight_is_within(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	if (strcmp(folder, "/") == 0)
		return true;
	return strncmp(path, folder, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

/* Why the mount point cannot be looked at. */
static int mount_point_error(const char *mount_point, int err, struct quiver_error *error)
{
	switch (err) {
	/* The other two where a request was in a ring when that ended. */
	case ENOTCONN:
	case ECONNABORTED:
	case ECANCELED:
		snprintf(error->text, sizeof(error->text),
		         "%s: a store is still mounted here, but its daemon is gone; run: %s %s",
		         mount_point, geteuid() == 0 ? "umount" : "fusermount3 -u", mount_point);
		break;
	case ENOENT:
		snprintf(error->text, sizeof(error->text),
		         "%s: there is no such folder; make an empty folder first (mkdir %s)",
		         mount_point, mount_point);
		break;
	case ENOTDIR:
		snprintf(error->text, sizeof(error->text),
		         "%s: the mount point must be a folder, but this is not one", mount_point);
		break;
	case ENOTEMPTY:
		snprintf(error->text, sizeof(error->text),
		         "%s: the mount point must be an empty folder, but this one holds files",
		         mount_point);
		break;
	default:
		snprintf(error->text, sizeof(error->text), "%s: the mount point cannot be used: %s",
		         mount_point, strerror(err));
		break;
	}
	return -err;
}

/* 0, -ENOTEMPTY, or another negative errno. */
static int is_empty_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int err = 0;

	if (!folder)
		return -errno;
	for (;;) {
		errno = 0;
		entry = readdir(folder);
		if (!entry) {
			err = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			err = -ENOTEMPTY;
			break;
		}
	}
	closedir(folder);
	return err;
}

static int check_mount_point(const char *mount_point, char **mount_path, struct quiver_error *error)
{
	struct stat st;
	int err;

	*mount_path = realpath(mount_point, NULL);
	if (!*mount_path)
		return mount_point_error(mount_point, errno, error);
	if (stat(*mount_path, &st) < 0)
		return mount_point_error(*mount_path, errno, error);
	if (!S_ISDIR(st.st_mode))
		return mount_point_error(*mount_path, ENOTDIR, error);
	err = is_empty_folder(*mount_path);
	return err != 0 ? mount_point_error(*mount_path, -err, error) : 0;
}

/* Where the folder of the store is, and that the mount point, if there is one, is apart from it. */
static int check_folder(const char *store, const char *mount_point, char **store_path,
                        struct quiver_error *error)
{
	char *point;
	int err = 0;

	*store_path = realpath(store, NULL);
	if (!*store_path) {
		err = -errno;
		snprintf(error->text, sizeof(error->text), "%s: the store cannot be opened: %s%s",
		         store, strerror(-err),
		         err == -ENOENT ? " (quiverfs create makes a new one)" : "");
		return err;
	}
	/* Before the folder is found not to be empty, which says less. */
	point = realpath(mount_point, NULL);
	if (point &&
	    (preflight_is_within(point, *store_path) || preflight_is_within(*store_path, point))) {
		snprintf(error->text, sizeof(error->text),
		         "%s: the mount point and the store %s must be different folders, "
		         "neither inside the other",
		         point, *store_path);
		err = -EINVAL;
	}
	free(point);
	return err;
}

static int fail_memory(struct quiver_error *error)
{
	snprintf(error->text, sizeof(error->text), "no memory");
	return -ENOMEM;
}

/* The same of a snapshot of it, whose name follows so many bytes of its own. */
static int check_snapshot(const char *snapshot, size_t length, const char *mount_point,
                          char **store_path, struct quiver_error *error)
{
	char *folder = strndup(snapshot, length), *path = NULL;
	int err;

	if (!folder)
		return fail_memory(error);
	err = check_folder(folder, mount_point, &path, error);
	if (err == 0 && asprintf(store_path, "%s%s", path, snapshot + length) < 0) {
		*store_path = NULL;
		err = fail_memory(error);
	}
	free(folder);
	free(path);
	return err;
}

static int check_store(const char *store, const char *mount_point, char **store_path,
                       struct quiver_error *error)
{
	size_t length;

	if (quiver_is_snapshot(store, &length))
		return check_snapshot(store, length, mount_point, store_path, error);
	if (quiver_is_folder(store))
		return check_folder(store, mount_point, store_path, error);
	*store_path = strdup(store);
	return *store_path ? 0 : fail_memory(error);
}

int preflight_paths(const char *store, const char *mount_point, char **store_path,
                    char **mount_path, struct quiver_error *error)
{
	int err;

	*store_path = *mount_path = NULL;
	err = check_store(store, mount_point, store_path, error);
	return err != 0 ? err : check_mount_point(mount_point, mount_path, error);
}

bool preflight_allows_other(const char *fuse_conf)
{
	static const char word[] = "user_allow_other";

	for (const char *line = fuse_conf; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += strspn(line, " \t");
		if (strncmp(line, word, sizeof(word) - 1) == 0) {
			const char *behind = line + sizeof(word) - 1;

			behind += strspn(behind, " \t\r");
			if (*behind == '\0' || *behind == '\n' || *behind == '#')
				return true;
		}
	}
	return false;
}

/* Whether the administrator lets ordinary users use allow_other. */
static bool conf_allows_other(void)
{
	static char text[FUSE_CONF_BYTES];
	int fd = open(FUSE_CONF, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return false;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	return preflight_allows_other(text);
}

bool preflight_is_admin(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

int preflight_fuse(bool allow_other, struct quiver_error *error)
{
	int fd = open(FUSE_DEVICE, O_RDWR | O_CLOEXEC);
	int err;

	if (fd < 0) {
		const char *advice = "";

		err = errno;
		if (err == ENOENT || err == ENODEV || err == ENXIO)
			advice = "; the kernel's FUSE module is not loaded (modprobe fuse)";
		else if (err == EACCES || err == EPERM)
			advice = "; you need permission to read and write it (a container must be "
				 "given the device)";
		snprintf(error->text, sizeof(error->text), "%s: %s%s", FUSE_DEVICE, strerror(err),
		         advice);
		return -err;
	}
	close(fd);
	if (allow_other && geteuid() != 0 && !conf_allows_other()) {
		snprintf(error->text, sizeof(error->text),
		         "option allow_other: for users other than root, %s must have a line "
		         "'user_allow_other'; add it, as root",
		         FUSE_CONF);
		return -EPERM;
	}
	return 0;
}
