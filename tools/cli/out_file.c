/*
 * out_file.c - an output that a user names: a file that appears whole or not at all, where that can
 * be.
 */
#include "tools/cli/out_file.h"
#include "tools/cli/out_keep.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Gather small vectors into writes of this size. */
#define BUFFER_BYTES (1u << 20)
/* The dots, a number and the NUL of a temporary name. */
#define SUFFIX_BYTES 12
/* Of four billion names one is free. */
#define TRIES_MAX 100u
/* Until it has the mode of what it replaces. */
#define MODE_PRIVATE 0600
#define MODE_NEW 0666

/* Say what went wrong with the file and return it. */
static int fail(const struct out_file *file, const char *what)
{
	int result = errno != 0 ? -errno : -EIO;

	say_error(file->path, "%s: %s", what, strerror(-result));
	return result;
}

/* A new file beside it; its descriptor, or a negative errno. */
static int make_temporary(struct out_file *file, mode_t mode)
{
	unsigned number = 0;
	int fd = -1;

	errno = EEXIST;
	for (unsigned i = 0; fd < 0 && errno == EEXIST && i < TRIES_MAX; i++) {
		if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
			break;
		(void)snprintf(file->temporary, sizeof(file->temporary), ".%.*s.%08x",
		               NAME_MAX - SUFFIX_BYTES, file->place.name, number);
		fd = openat(file->place.folder_fd, file->temporary,
		            O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	}
	if (fd >= 0)
		return fd;
	file->temporary[0] = '\0';
	return -errno;
}

/* Open what was found, and nothing else that has got its name since. */
static int open_found(struct out_file *file)
{
	const struct stat *found = &file->place.status;
	int fd = openat(file->place.folder_fd, file->place.name,
	                O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat opened;

	if (fd < 0 && errno == EACCES) /* it may be written, but not read */
		fd = openat(file->place.folder_fd, file->place.name,
		            O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return fail(file, "cannot be written");
	if (fstat(fd, &opened) == 0 && opened.st_dev == found->st_dev &&
	    opened.st_ino == found->st_ino)
		return fd;
	(void)close(fd); /* nothing was written to it */
	say_error(file->path, "another process has changed its folder");
	return -ESTALE;
}

/* Whether the file itself is mounted, as those that a container is given are: nothing can be renamed
 * to its name. Kernels before 5.8 do not tell. */
static bool is_mount_point(const struct out_place *place)
{
	struct statx status;

	return statx(place->folder_fd, place->name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) ==
	               0 &&
	       (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/* Whether a folder that takes no file is a reason to write in place. */
static bool is_refusal(int result)
{
	return result == -EACCES || result == -EPERM || result == -EROFS;
}

static void remove_temporary(struct out_file *file)
{
	if (unlinkat(file->place.folder_fd, file->temporary, 0) < 0 && errno != ENOENT)
		say_error(file->path, "the leftover %s beside it cannot be removed: %s",
		          file->temporary, strerror(errno));
	file->temporary[0] = '\0';
}

/* Choose to write a file in place; a descriptor. Says errors. */
static int open_in_place(struct out_file *file, unsigned flags, const char *why)
{
	file->in_place = why;
	if ((flags & OUT_FILE_WHOLE) == 0)
		return open_found(file);
	say_error(file->path, "%s, so it could not be replaced in one step", why);
	return -EPERM;
}

/* Make what is to replace a file, or choose to write that in place; a descriptor. Says errors. */
static int open_replacing(struct out_file *file, unsigned flags)
{
	const struct out_place *place = &file->place;
	int fd;

	if (is_mount_point(place))
		return open_in_place(file, flags, "it is a mount point");
	fd = make_temporary(file, MODE_PRIVATE);
	if (is_refusal(fd))
		return open_in_place(file, flags, "its folder takes no new file");
	if (fd < 0) {
		errno = -fd;
		return fail(file, "no file can be made in its folder");
	}
	if (out_keep(fd, place->folder_fd, place->name, &place->status) == 0)
		return fd;
	(void)close(fd); /* nothing was written to it */
	remove_temporary(file);
	return open_in_place(file, flags, "its owner, mode or attributes could not be kept");
}

/* A descriptor to write to. Says errors. */
static int open_place(struct out_file *file, unsigned flags)
{
	int fd;

	switch (file->place.kind) {
	case OUT_PLACE_THROUGH:
		fd = file->place.fd;
		file->place.fd = -1;
		return fd;
	case OUT_PLACE_NEW:
		fd = make_temporary(file, MODE_NEW);
		if (fd >= 0)
			return fd;
		errno = -fd;
		return fail(file, "no file can be made in its folder");
	default:
		return open_replacing(file, flags);
	}
}

/* Forget what is closed by now, or was never open. */
static void end(struct out_file *file)
{
	out_place_close(&file->place);
	file->path = NULL;
}

int out_file_open(const char *path, unsigned flags, struct apart *apart, struct out_file *file)
{
	int fd, result;

	memset(file, 0, sizeof(*file));
	result = out_place_find(path, &file->place);
	if (result < 0)
		return result;
	file->path = strcmp(path, "-") == 0 ? "standard output" : path;
	result = apart_write(apart, path, &file->place);
	fd = result == 0 ? open_place(file, flags) : result;
	if (fd < 0) {
		end(file);
		return fd;
	}
	(void)snprintf(file->opened, sizeof(file->opened), "/proc/self/fd/%d", fd);
	file->stream = fdopen(fd, "w");
	if (file->stream == NULL || setvbuf(file->stream, NULL, _IOFBF, BUFFER_BYTES) != 0) {
		result = fail(file, "cannot be written");
		if (file->stream == NULL)
			(void)close(fd); /* nothing was written to it */
		out_file_drop(file);
	}
	if (result == 0 && out_file_is_stdout(file))
		say_leave_stdout();
	return result;
}

int out_file_begin(struct out_file *file)
{
	if (file->in_place == NULL || file->begun)
		return 0;
	say_note(file->path,
	         "%s, so it is written in place: until that is done the file is incomplete",
	         file->in_place);
	if (ftruncate(fileno(file->stream), 0) < 0)
		return fail(file, "cannot be written");
	file->begun = true;
	return 0;
}

bool out_file_can_restart(const struct out_file *file)
{
	return file->place.kind != OUT_PLACE_THROUGH && file->pack == NULL;
}

bool out_file_is_whole(const struct out_file *file)
{
	return file->temporary[0] != '\0';
}

bool out_file_is_stdout(const struct out_file *file)
{
	struct stat status;

	return file->place.kind == OUT_PLACE_THROUGH && fstat(STDOUT_FILENO, &status) == 0 &&
	       status.st_dev == file->place.status.st_dev &&
	       status.st_ino == file->place.status.st_ino;
}

/* Append as it is. */
static int write_plain(void *arg, const void *bytes, size_t length)
{
	struct out_file *file = arg;

	errno = 0;
	if (fwrite(bytes, 1, length, file->stream) != length)
		return fail(file, "writing failed");
	return 0;
}

int out_file_pack(struct out_file *file, enum unpack_kind kind)
{
	file->pack = pack_begin(kind, write_plain, file);
	if (file->pack != NULL)
		return 0;
	say_errno(file->path, -ENOMEM);
	return -ENOMEM;
}

int out_file_write(struct out_file *file, const void *bytes, size_t length)
{
	int result = out_file_begin(file);

	if (result == 0)
		result = file->pack != NULL ? pack_write(file->pack, bytes, length)
		                            : write_plain(file, bytes, length);
	return result;
}

int out_file_write_start(struct out_file *file, const void *bytes, size_t length)
{
	errno = 0;
	if (fseeko(file->stream, 0, SEEK_SET) < 0)
		return fail(file, "writing failed");
	return out_file_write(file, bytes, length);
}

int out_file_flush(struct out_file *file)
{
	errno = 0;
	if (file->place.kind == OUT_PLACE_THROUGH && fflush(file->stream) != 0)
		return fail(file, "writing failed");
	return 0;
}

int out_file_sync(struct out_file *file)
{
	int result = out_file_begin(file); /* nothing may have been written */

	if (result == 0 && file->pack != NULL)
		result = pack_finish(file->pack);
	if (result < 0)
		return result;
	errno = 0;
	if (fflush(file->stream) != 0)
		return fail(file, "writing failed");
	/* What is behind a descriptor of the shell's is the shell's. */
	if (file->place.kind == OUT_PLACE_THROUGH && !S_ISBLK(file->place.status.st_mode))
		return 0;
	if (fsync(fileno(file->stream)) < 0)
		return fail(file, "bringing it to the disk failed");
	return 0;
}

/* Bring the folder of the file, and with it the rename, to stable storage. */
static int sync_folder(const struct out_file *file)
{
	int result = 0;
	int fd = openat(file->place.folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(file, "its folder cannot be opened");
	/* filesystems that cannot sync a folder say EINVAL */
	if (fsync(fd) < 0 && errno != EINVAL)
		result = fail(file, "bringing its folder to the disk failed");
	if (close(fd) < 0 && result == 0)
		result = fail(file, "closing its folder failed");
	return result;
}

/* Whether the temporary name still is that of the open file. */
static bool is_ours(const struct out_file *file)
{
	struct stat opened, named;

	return fstat(fileno(file->stream), &opened) == 0 &&
	       fstatat(file->place.folder_fd, file->temporary, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Close the file that was synced, and give it its name. Says errors. */
static int close_and_rename(struct out_file *file)
{
	int folder_fd = file->place.folder_fd;
	FILE *stream = file->stream;

	if (file->temporary[0] != '\0' && !is_ours(file)) {
		say_error(file->path, "another process has changed its folder");
		return -ESTALE;
	}
	file->stream = NULL;
	file->begun = false;
	errno = 0;
	if (fclose(stream) != 0)
		return fail(file, "closing it failed");
	if (file->temporary[0] == '\0')
		return 0;
	if (renameat(folder_fd, file->temporary, folder_fd, file->place.name) < 0)
		return fail(file, "cannot be replaced");
	file->temporary[0] = '\0';
	return sync_folder(file);
}

int out_file_end(struct out_file *file)
{
	int result = close_and_rename(file);

	out_file_drop(file);
	return result;
}

void out_file_drop(struct out_file *file)
{
	bool ours;

	if (file->path == NULL)
		return;
	ours = file->temporary[0] != '\0' && (file->stream == NULL || is_ours(file));
	if (file->stream != NULL)
		(void)fclose(file->stream); /* what it holds is thrown away */
	if (ours)
		remove_temporary(file);
	if (file->begun)
		say_error(file->path,
		          "it was written in place and is not complete; its old content is gone");
	pack_end(file->pack);
	file->pack = NULL;
	file->stream = NULL;
	end(file);
}
