#include "engine/transfer/receive_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/error.h"
#include "engine/store/receiving.h"

/* Length of a path without the slashes at its end. */
static size_t bare_length(const char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		length--;
	return length;
}

int receive_place_look(const struct quiver_io *io, const char *path, enum receive_place *place)
{
	int fd = io->open(io, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	char *names = NULL;
	size_t count = 0;
	struct stat st;
	int c;
	int r;

	*place = RECEIVE_PLACE_OTHER;
	if (fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd == -ENOENT) {
		/* The name of a link that leads nowhere would be taken from it. */
		if (lstat(path, &st) != 0)
			*place = RECEIVE_PLACE_FREE;
		return 0;
	}
	if (fd < 0)
		return fd;
	r = io->list(io, fd, &names, &count);
	c = io->close(io, fd);
	free(names);
	*place = count > 0 ? RECEIVE_PLACE_FOLDER : RECEIVE_PLACE_FREE;
	return r ? r : c;
}

int receive_place_half(const char *path, char half[PATH_MAX])
{
	int length =
		snprintf(half, PATH_MAX, "%.*s" RECEIVING_SUFFIX, (int)bare_length(path), path);

	return length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The folder above `path`, and its name there, without what follows it. A descriptor or -errno. */
static int open_above(const struct quiver_io *io, const char *path, char name[NAME_MAX + 1])
{
	size_t length = bare_length(path), begin = length;
	char above[PATH_MAX];

	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	if (length - begin > NAME_MAX || begin >= sizeof(above))
		return -ENAMETOOLONG;
	memcpy(name, path + begin, length - begin);
	name[length - begin] = '\0';
	memcpy(above, path, begin);
	above[begin] = '\0';
	return io->open(io, AT_FDCWD, begin ? above : ".", O_RDONLY | O_DIRECTORY, 0);
}

int receive_place_end(const struct quiver_io *io, const char *path, const char *half)
{
	char name[NAME_MAX + 1], half_name[NAME_MAX + 1];
	int fd = open_above(io, path, name);
	int half_fd = fd < 0 ? -1 : open_above(io, half, half_name);
	int c;
	int r = fd < 0 ? fd : half_fd < 0 ? half_fd : 0;

	if (r == 0)
		r = io->rename(io, fd, half_name, name);
	if (r == 0)
		r = io_fsync(io, fd);
	if (half_fd >= 0) {
		c = io->close(io, half_fd);
		r = r ? r : c;
	}
	if (fd >= 0) {
		c = io->close(io, fd);
		r = r ? r : c;
	}
	return r;
}

int receive_place_look_half(const struct quiver_io *io, const char *half, enum receive_place *place,
                            struct quiver_error *error)
{
	struct stat st;

	if (lstat(half, &st) != 0) {
		*place = RECEIVE_PLACE_FREE;
		return errno == ENOENT ? 0 : -errno;
	}
	if (S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		return receive_place_look(io, half, place);
	error_set(error,
	          "%s: it exists, but is not a folder of yours, so it is not half of a stream; "
	          "give the store another name",
	          half);
	return -EEXIST;
}

int receive_place_is_begun(const struct quiver_io *io, const char *half)
{
	static const char *const made[] = { "vectors.npy", "ids.npy", "meta.npy",
		                            "wal",         "LOCK",    "superblock.new" };
	int fd = io->open(io, AT_FDCWD, half, O_RDONLY | O_DIRECTORY, 0);
	char *names = NULL;
	size_t count = 0, known = 0;
	int c;
	int r;

	if (fd < 0)
		return fd;
	r = io->list(io, fd, &names, &count);
	c = io->close(io, fd);
	r = r ? r : c;
	for (const char *name = names; r == 0 && known < count; known++) {
		size_t i = 0;

		while (i < sizeof(made) / sizeof(made[0]) && strcmp(name, made[i]) != 0)
			i++;
		if (i == sizeof(made) / sizeof(made[0]))
			break;
		name += strlen(name) + 1;
	}
	free(names);
	return r ? r : known == count;
}

static void keep_first(int *first, int r)
{
	if (*first == 0 && r && r != -ENOENT)
		*first = r;
}

/* A folder below, with the files in it. */
static void remove_folder(const struct quiver_io *io, int dir_fd, const char *folder, int *first)
{
	char *names = NULL;
	size_t count = 0;
	int fd = io->open(io, dir_fd, folder, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0) {
		keep_first(first, fd);
		return;
	}
	keep_first(first, io->list(io, fd, &names, &count));
	for (const char *name = names; count > 0; count--, name += strlen(name) + 1)
		keep_first(first, io->unlink(io, fd, name));
	free(names);
	keep_first(first, io->close(io, fd));
	if (unlinkat(dir_fd, folder, AT_REMOVEDIR) != 0)
		keep_first(first, -errno);
}

/* The superblock first: from then on it is no store. */
static int remove_contents(const struct quiver_io *io, int dir_fd)
{
	static const char *const files[] = { "superblock", "superblock.new", "vectors.npy",
		                             "ids.npy",    "meta.npy",       "index",
		                             "index.new",  "durable",        "versions",
		                             "regions",    "regions.new",    "versions.new",
		                             "LOCK",       "RECEIVING",      "RECEIVING.new" };
	static const char *const folders[] = { "wal", "snapshots", "lost+found" };
	int r = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		keep_first(&r, io->unlink(io, dir_fd, files[i]));
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		remove_folder(io, dir_fd, folders[i], &r);
	return r;
}

int receive_place_remove(const struct quiver_io *io, const char *half, struct quiver_error *error)
{
	char name[NAME_MAX + 1];
	int fd = io->open(io, AT_FDCWD, half, O_RDONLY | O_DIRECTORY, 0);
	int above_fd;
	int r;

	if (fd < 0)
		return fd;
	r = remove_contents(io, fd);
	keep_first(&r, io->close(io, fd));
	above_fd = open_above(io, half, name);
	keep_first(&r, above_fd < 0 ? above_fd : 0);
	if (above_fd >= 0) {
		if (r == 0 && unlinkat(above_fd, name, AT_REMOVEDIR) != 0)
			r = -errno;
		keep_first(&r, r ? 0 : io_fsync(io, above_fd));
		keep_first(&r, io->close(io, above_fd));
	}
	if (r)
		error_set(error, "%s: the rest of half a stream cannot be removed: %s", half,
		          quiver_strerror(r));
	return r;
}
