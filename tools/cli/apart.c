/*
 * apart.c - the files of one command: what it reads it does not write, it writes nothing twice, and
 * nothing into a store.
 */
#include "tools/cli/apart.h"
#include "engine/quiver.h"
#include "tools/cli/mounts.h"
#include "tools/cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum role { ROLE_READ, ROLE_STORE, ROLE_WRITTEN };

struct apart_file {
	enum role role;
	const char *path; /* as the user has called it; of a store's files, the store */
	dev_t device;
	ino_t inode; /* of a new file, that of its folder */
	char name[NAME_MAX + 1]; /* of a new file, else "" */
};

static int add(struct apart *apart, enum role role, const char *path, const struct stat *status,
               const char *name)
{
	struct apart_file *file;

	if (apart->count == apart->room) {
		size_t room = apart->room > 0 ? apart->room * 2 : 16;
		struct apart_file *files = realloc(apart->files, room * sizeof(*files));

		if (files == NULL) {
			say_errno(path, -ENOMEM);
			return -ENOMEM;
		}
		apart->files = files;
		apart->room = room;
	}
	file = &apart->files[apart->count++];
	file->role = role;
	file->path = path;
	file->device = status->st_dev;
	file->inode = status->st_ino;
	(void)snprintf(file->name, sizeof(file->name), "%s", name);
	return 0;
}

/* What is at a path, or at standard input. */
static bool look(const char *path, struct stat *status)
{
	return (strcmp(path, "-") == 0 ? fstat(STDIN_FILENO, status) : stat(path, status)) == 0;
}

/* How messages call what is read. */
static const char *name_of(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

int apart_read(struct apart *apart, const char *path)
{
	struct stat status;

	return look(path, &status) ? add(apart, ROLE_READ, path, &status, "") : 0;
}

/* Add what is in the folder of a store, and in the folders there, of which each is added itself, since
 * it can be mounted elsewhere without the store around it. */
static int add_folder(struct apart *apart, const char *path, int folder_fd, bool within)
{
	DIR *folder = fdopendir(folder_fd);
	struct dirent *entry;
	struct stat status;
	int result = 0;

	if (folder == NULL) {
		(void)close(folder_fd); /* it was only looked into */
		return 0;
	}
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		int fd = -1;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		result = add(apart, ROLE_STORE, path, &status, "");
		if (result == 0 && !within && S_ISDIR(status.st_mode))
			fd = openat(dirfd(folder), entry->d_name,
			            O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			result = add_folder(apart, path, fd, true);
	}
	(void)closedir(folder); /* it was only looked into */
	return result;
}

int apart_store(struct apart *apart, const char *path)
{
	const char *folder = path;
	struct mount_found mount;
	struct stat status;
	int fd;

	if (mounts_find(path, &mount) == 0 && mount.found && strcmp(mount.type, MOUNT_TYPE) == 0) {
		folder = mount.source;
		apart->mounted = stat(path, &status) == 0;
		apart->device = apart->mounted ? status.st_dev : 0;
	}
	if (!quiver_is_folder(folder))
		return 0; /* no file here is one of it */
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? 0 : add_folder(apart, path, fd, false);
}

/* The file that this one is, or NULL. */
static const struct apart_file *find(const struct apart *apart, const struct stat *status,
                                     const char *name)
{
	for (size_t i = 0; i < apart->count; i++) {
		const struct apart_file *file = &apart->files[i];

		if (file->device == status->st_dev && file->inode == status->st_ino &&
		    strcmp(file->name, name) == 0)
			return file;
	}
	return NULL;
}

int apart_check_source(const struct apart *apart, const char *path)
{
	const struct apart_file *file;
	struct stat status;

	if (!look(path, &status))
		return 0;
	file = find(apart, &status, "");
	if ((file == NULL || file->role != ROLE_STORE) &&
	    !(apart->mounted && apart->device == status.st_dev))
		return 0;
	say_error(name_of(path), "this file is a part of the store itself, which changes during "
	                         "the import; export the store first, and import that file");
	return -EINVAL;
}

/* Refuse to write what is another file of the command. */
static int refuse(const char *path, const struct apart_file *other)
{
	if (other->role == ROLE_STORE)
		say_error(path,
		          "this is a part of the store %s, or lies in one; give a name outside of "
		          "the store",
		          other->path);
	else if (other->role == ROLE_READ)
		say_error(path,
		          "this is the same file as %s, which is the input; give another name for "
		          "the output",
		          name_of(other->path));
	else
		say_error(path,
		          "this is the same file as %s, which is also an output; give two "
		          "different names",
		          strcmp(other->path, "-") == 0 ? "standard output" : other->path);
	return -EINVAL;
}

/* Whether the folder has files of a store: also of one that has lost some. */
static bool is_store(int folder_fd)
{
	static const char *const others[] = { "vectors.npy", "ids.npy", "meta.npy", "wal" };
	struct stat status;

	if (fstatat(folder_fd, "superblock", &status, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (fstatat(folder_fd, others[i], &status, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	}
	return false;
}

int apart_check_folder(const char *path, int folder_fd)
{
	struct stat status = { 0 }, below;
	char point[PATH_MAX];
	int fd = openat(folder_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = 0;

	if (fstat(folder_fd, &status) == 0 && mounts_find_device(status.st_dev, point) == 0 &&
	    point[0] != '\0') {
		say_error(path,
		          "it lies in the mount at %s; a mount keeps only vectors, no other files; "
		          "give a name outside of it",
		          point);
		result = -EINVAL;
	}
	/* Up to the root, whose parent it is itself; or as far as this user may go. */
	while (result == 0 && fd >= 0 && fstat(fd, &status) == 0) {
		int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (is_store(fd)) {
			say_error(path, "it lies in the folder of a store; only the store itself "
			                "makes files there; give a name outside of it");
			result = -EINVAL;
		}
		below = status;
		(void)close(fd); /* it was only looked into */
		fd = above;
		if (fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == below.st_dev &&
		    status.st_ino == below.st_ino)
			break;
	}
	if (fd >= 0)
		(void)close(fd); /* it was only looked into */
	return result;
}

/* Whether what is to be written may be at its place. Says errors. */
static int check(const struct apart *apart, const char *path, const struct out_place *place,
                 const struct stat *folder, const struct stat *status, const char *name)
{
	const struct apart_file *other = place->folder_fd >= 0 ? find(apart, folder, "") : NULL;

	if (other == NULL)
		other = find(apart, status, name);
	if (other != NULL)
		return refuse(path, other);
	return place->folder_fd >= 0 ? apart_check_folder(path, place->folder_fd) : 0;
}

int apart_write(struct apart *apart, const char *path, const struct out_place *place)
{
	bool is_new = place->kind == OUT_PLACE_NEW;
	const struct stat *status = &place->status;
	const char *name = is_new ? place->name : "";
	struct stat folder = { 0 };
	int result;

	/* A terminal or /dev/null is nobody's file, and a socket has two directions. */
	if (place->kind == OUT_PLACE_THROUGH &&
	    (S_ISCHR(status->st_mode) || S_ISSOCK(status->st_mode)))
		return 0;
	if (place->folder_fd >= 0 && fstat(place->folder_fd, &folder) < 0) {
		result = -errno;
		say_errno(path, result);
		return result;
	}
	if (is_new)
		status = &folder;
	result = check(apart, path, place, &folder, status, name);
	return result < 0 ? result : add(apart, ROLE_WRITTEN, path, status, name);
}

void apart_free(struct apart *apart)
{
	free(apart->files);
	memset(apart, 0, sizeof(*apart));
}
