/*
 * live.c - the control files of a live mount.
 */
#include "tools/cli/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/vfs.h>
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

/* Either may as well be an answer: the next request tells. statfs(2) always asks the daemon. */
static bool is_cut_off(int fd)
{
	struct statfs status;

	for (unsigned i = 0; i < LIVE_QUESTIONS_MAX; i++) {
		if (fstatfs(fd, &status) == 0)
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

int live_open(int dir_fd, const char *path, int flags)
{
	unsigned asked = 0;
	int fd;

	do {
		fd = openat(dir_fd, path, flags | O_CLOEXEC);
	} while (fd < 0 && live_asks_again(-errno, &asked));
	if (fd >= 0)
		return fd;
	return live_is_gone(-errno) ? -ENOTCONN : -errno;
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
	return live_is_gone(result) ? "its daemon is gone" : strerror(-result);
}
