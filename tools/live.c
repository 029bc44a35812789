/*
 * live.c - the control files of a live mount.
 */
#include "live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define NAME_BYTES_MAX 64

/* A request that was under way when the daemon ended is aborted; one in a ring of io_uring
 * that is taken down is cancelled. */
bool live_is_gone(int result)
{
	return result == -ENOTCONN || result == -ECONNABORTED || result == -ECANCELED;
}

static int live_error(void)
{
	return live_is_gone(-errno) ? -ENOTCONN : -errno;
}

/* Open control/NAME; the descriptor or a negative errno. A ring that is taken down
 * interrupts, too. */
static int open_control(int mount_fd, const char *name, int flags)
{
	char path[NAME_BYTES_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "control/%s", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	do {
		fd = openat(mount_fd, path, flags | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return fd < 0 ? live_error() : fd;
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
			result = live_error();
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	if (result == 0 && length == size)
		result = -EFBIG;
	if (close(fd) < 0 && errno != EINTR && result == 0)
		result = live_error();
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
		result = live_error();
	else if ((size_t)written != length)
		result = -EIO;
	if (close(fd) < 0 && errno != EINTR && result == 0)
		result = live_error();
	return result;
}

const char *live_strerror(int result)
{
	return live_is_gone(result) ? "its daemon is gone" : strerror(-result);
}
