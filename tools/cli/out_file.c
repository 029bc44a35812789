/*
 * out_file.c - a file that appears whole or not at all.
 */
#include "tools/cli/out_file.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Gather small vectors into writes of this size. */
#define BUFFER_BYTES (1u << 20)

/* Say what went wrong with the file and return it. */
static int fail(const struct out_file *file, const char *what)
{
	int result = errno != 0 ? -errno : -EIO;

	say_error(file->path, "%s: %s", what, strerror(-result));
	return result;
}

/* Whatever is at `path` must be something a rename may replace. Says errors. */
static int check_replaceable(const char *path)
{
	struct stat status;

	if (stat(path, &status) < 0) {
		int result = -errno;

		if (result == -ENOENT)
			return 0;
		say_errno(path, result);
		return result;
	}
	if (S_ISREG(status.st_mode))
		return 0;
	say_error(path, "exists and is not a regular file; it is not replaced");
	return -EEXIST;
}

/* The folder of the file, for messages and for syncing, in `folder`. */
static const char *folder_of(const char *path, char folder[PATH_MAX])
{
	(void)snprintf(folder, PATH_MAX, "%s", path);
	return dirname(folder);
}

int out_file_open(const char *path, struct out_file *file)
{
	char folder[PATH_MAX], name[PATH_MAX];
	mode_t mask;
	int fd, result;

	memset(file, 0, sizeof(*file));
	result = check_replaceable(path);
	if (result < 0)
		return result;
	file->path = path;
	(void)snprintf(name, sizeof(name), "%s", path);
	if (snprintf(file->temporary, sizeof(file->temporary), "%s/.%s.XXXXXX",
	             folder_of(path, folder), basename(name)) >= (int)sizeof(file->temporary)) {
		errno = ENAMETOOLONG;
		result = fail(file, "cannot be written");
		file->path = NULL;
		return result;
	}
	fd = mkostemp(file->temporary, O_CLOEXEC);
	if (fd < 0) {
		result = fail(file, "no file can be made in its folder");
		file->path = NULL;
		return result;
	}
	mask = umask(0);
	(void)umask(mask);
	file->stream = fdopen(fd, "w");
	if (file->stream == NULL || fchmod(fd, 0666 & ~mask) < 0 ||
	    setvbuf(file->stream, NULL, _IOFBF, BUFFER_BYTES) != 0) {
		result = fail(file, "cannot be written");
		if (file->stream == NULL)
			(void)close(fd);
		out_file_drop(file);
	}
	return result;
}

int out_file_write(struct out_file *file, const void *bytes, size_t length)
{
	errno = 0;
	if (fwrite(bytes, 1, length, file->stream) != length)
		return fail(file, "writing failed");
	return 0;
}

int out_file_write_start(struct out_file *file, const void *bytes, size_t length)
{
	errno = 0;
	if (fseeko(file->stream, 0, SEEK_SET) < 0)
		return fail(file, "writing failed");
	return out_file_write(file, bytes, length);
}

int out_file_sync(struct out_file *file)
{
	errno = 0;
	if (fflush(file->stream) != 0)
		return fail(file, "writing failed");
	if (fsync(fileno(file->stream)) < 0)
		return fail(file, "bringing it to the disk failed");
	return 0;
}

/* Bring the folder of the file, and with it the rename, to stable storage. */
static int sync_folder(const struct out_file *file)
{
	char folder[PATH_MAX];
	int result = 0;
	int fd = open(folder_of(file->path, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(file, "its folder cannot be opened");
	/* filesystems that cannot sync a folder say EINVAL */
	if (fsync(fd) < 0 && errno != EINVAL)
		result = fail(file, "bringing its folder to the disk failed");
	if (close(fd) < 0 && result == 0)
		result = fail(file, "closing its folder failed");
	return result;
}

int out_file_rename(struct out_file *file)
{
	int result;
	FILE *stream = file->stream;

	file->stream = NULL;
	errno = 0;
	if (fclose(stream) != 0) {
		result = fail(file, "closing it failed");
		out_file_drop(file);
		return result;
	}
	if (rename(file->temporary, file->path) < 0) {
		result = fail(file, "cannot be replaced");
		out_file_drop(file);
		return result;
	}
	result = sync_folder(file);
	file->path = NULL;
	return result;
}

void out_file_drop(struct out_file *file)
{
	if (file->path == NULL)
		return;
	if (file->stream != NULL)
		(void)fclose(file->stream); /* what it holds is thrown away */
	if (unlink(file->temporary) < 0)
		say_error(file->temporary, "this leftover cannot be removed: %s", strerror(errno));
	file->stream = NULL;
	file->path = NULL;
}
