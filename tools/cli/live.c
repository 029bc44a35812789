/*
 * live.c - the control files of a live mount.
 */
#include "tools/cli/live.h"
#include "tools/cli/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NAME_BYTES_MAX 64

/* A request that was under way when the daemon ended is aborted; one in a ring of io_uring
 * that is taken down is cancelled, or interrupted. */
bool live_is_gone(int result)
{
	return result == -ENOTCONN || result == -ECONNABORTED || result == -ECANCELED;
}

/* A daemon that is killed while it takes a request from the kernel leaves EIO or, where its ring
 * is what cannot be had any more, EFAULT; EAGAIN where it was about to be had. */
static bool may_be_dying(int error)
{
	return error == EIO || error == EFAULT || error == EAGAIN;
}

bool live_asks_again(int result, unsigned *asked)
{
	return result == -EINTR || (may_be_dying(-result) && ++*asked < LIVE_QUESTIONS_MAX);
}

/* Either may as well be an answer: the next request tells, which asks the daemon whatever the kernel
 * remembers, and not for what a daemon may have to ask a cluster for, as statfs(2) would. */
static bool is_cut_off(int fd)
{
	struct statx status;

	for (unsigned i = 0; i < LIVE_QUESTIONS_MAX; i++) {
		if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS,
		          &status) == 0)
			return false;
		if (live_is_gone(-errno))
			return true;
		if (!may_be_dying(errno) && errno != EINTR)
			return false;
	}
	return false;
}

int live_error(int fd, int error)
{
	if (live_is_gone(-error) || (may_be_dying(error) && is_cut_off(fd)))
		return -ENOTCONN;
	return -error;
}

/* openat(2), asked again where that may help. */
static int open_again(int dir_fd, const char *path, int flags)
{
	unsigned asked = 0;
	int fd;

	do {
		fd = openat(dir_fd, path, flags | O_CLOEXEC);
		if (fd < 0 && errno == EIO && dir_fd != AT_FDCWD && !is_cut_off(dir_fd))
			return -EIO; /* of a daemon that answers */
	} while (fd < 0 && live_asks_again(-errno, &asked));
	if (fd >= 0)
		return fd;
	return live_is_gone(-errno) ? -ENOTCONN : -errno;
}

int live_open_mount(const char *path, int flags)
{
	int fd = open_again(AT_FDCWD, path, flags | O_DIRECTORY);
	char point[PATH_MAX];
	struct stat status;
	int result = 0;

	if (fd < 0)
		return fd;
	/* Another filesystem may have come to be there since it was looked for. */
	if (fstat(fd, &status) < 0)
		result = live_error(fd, errno);
	if (result == 0)
		result = mounts_find_device(status.st_dev, point);
	if (result == 0 && point[0] == '\0')
		result = -EMEDIUMTYPE;
	if (result == 0)
		return fd;
	(void)close(fd); /* nothing was done with it */
	return result;
}

/* Open one name in a folder of the mount. What is not the file or folder that is asked for, but a
 * link, a FIFO, a device, or of another filesystem, is none that a daemon of quiverfs has there. */
static int open_in(int dir_fd, const char *name, int flags)
{
	struct stat in, status;
	int result = 0;
	int fd = open_again(dir_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return fd;
	if (fstat(dir_fd, &in) < 0 || fstat(fd, &status) < 0)
		result = live_error(dir_fd, errno);
	else if (in.st_dev != status.st_dev)
		result = -EXDEV;
	else if (flags & O_DIRECTORY ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
		result = -EMEDIUMTYPE;
	if (result == 0)
		return fd;
	(void)close(fd); /* nothing was done with it */
	return result;
}

int live_open(int dir_fd, const char *path, int flags)
{
	const char *slash = strchr(path, '/');
	char folder[NAME_BYTES_MAX];
	int folder_fd, fd;

	if (slash == NULL)
		return open_in(dir_fd, path, flags);
	if ((size_t)(slash - path) >= sizeof(folder))
		return -ENAMETOOLONG;
	(void)snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	folder_fd = open_in(dir_fd, folder, O_PATH | O_DIRECTORY);
	if (folder_fd < 0)
		return folder_fd;
	fd = open_in(folder_fd, slash + 1, flags);
	(void)close(folder_fd); /* it was only passed through */
	return fd;
}

/* Open control/NAME; the descriptor or a negative errno. */
static int open_control(int mount_fd, const char *name, int flags)
{
	char path[NAME_BYTES_MAX];

	if (snprintf(path, sizeof(path), "control/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return live_open(mount_fd, path, flags);
}

int live_read(int mount_fd, const char *name, char *text, size_t size)
{
	size_t length = 0;
	int result = 0;
	int fd = open_control(mount_fd, name, O_RDONLY);

	if (fd < 0)
		return fd;
	while (length < size) {
		ssize_t got = read(fd, text + length, size - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			result = live_error(mount_fd, errno);
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	if (result == 0 && length == size)
		result = -EFBIG;
	if (close(fd) < 0 && errno != EINTR && result == 0)
		result = live_error(mount_fd, errno);
	if (result < 0)
		return result;
	if (length > 0 && text[length - 1] == '\n')
		length--;
	text[length] = '\0';
	return 0;
}

int live_write(int mount_fd, const char *name, const char *value)
{
	size_t length = strlen(value);
	ssize_t written;
	int result = 0;
	int fd = open_control(mount_fd, name, O_WRONLY);

	if (fd < 0)
		return fd;
	do {
		written = write(fd, value, length);
	} while (written < 0 && errno == EINTR);
	if (written < 0)
		result = live_error(mount_fd, errno);
	else if ((size_t)written != length)
		result = -EIO;
	if (close(fd) < 0 && errno != EINTR && result == 0)
		result = live_error(mount_fd, errno);
	return result;
}

const char *live_strerror(int result)
{
	if (live_is_gone(result))
		return "its daemon is gone";
	if (result == -ELOOP || result == -EXDEV || result == -EMEDIUMTYPE || result == -ENXIO)
		return "expected a file of a mount of quiverfs, found a link, a FIFO, a device or "
		       "a file of another filesystem; this is not a mount of quiverfs";
	if (result == -EUCLEAN)
		return "the file of this snapshot is damaged; 'quiverfs snapshot remove' removes "
		       "it; or unmount the store and run 'quiverfs check --repair', which moves it "
		       "aside";
	return strerror(-result);
}
