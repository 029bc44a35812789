/*
 * folder_write.c - one vector as a file of a folder, which appears whole.
 */
#include "tools/cli/folder_write.h"
#include "tools/cli/file_attr.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for ".ID.12345678" and "ID". */
#define NAME_BYTES 32
/* Of four billion names one is free. */
#define TRIES_MAX 100u

/* A new file that goes by no ID yet; its descriptor or a negative errno. */
static int make(int folder_fd, uint64_t id, char name[NAME_BYTES])
{
	uint32_t number = 0;
	int fd = -1;

	errno = EEXIST;
	for (unsigned i = 0; fd < 0 && errno == EEXIST && i < TRIES_MAX; i++) {
		if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
			break;
		(void)snprintf(name, NAME_BYTES, ".%" PRIu64 ".%08" PRIx32, id, number);
		fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		            0600);
	}
	return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const void *bytes, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t wrote = write(fd, (const char *)bytes + done, length - done);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote < 0)
			return -errno;
		done += (size_t)wrote;
	}
	return 0;
}

/* Give a whole file its name. Only another file is replaced. */
static int appear(int folder_fd, const char *temporary, const char *name)
{
	struct stat status;

	if (renameat2(folder_fd, temporary, folder_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	/* EINVAL: the filesystem does not know the flag */
	if (errno != EEXIST && errno != EINVAL)
		return -errno;
	if (fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode))
		return -EEXIST;
	return renameat(folder_fd, temporary, folder_fd, name) < 0 ? -errno : 0;
}

int folder_write(int folder_fd, uint64_t id, const void *bytes, size_t length,
                 const struct quiver_attr *attr, unsigned mask)
{
	char temporary[NAME_BYTES], name[NAME_BYTES];
	int fd = make(folder_fd, id, temporary);
	int result;

	if (fd < 0)
		return fd;
	result = write_all(fd, bytes, length);
	if (result == 0)
		result = file_attr_set(fd, attr, mask);
	if (close(fd) < 0 && result == 0)
		result = -errno;
	(void)snprintf(name, sizeof(name), "%" PRIu64, id);
	if (result == 0)
		result = appear(folder_fd, temporary, name);
	if (result < 0)
		(void)unlinkat(folder_fd, temporary, 0); /* the failure is told of */
	return result;
}
