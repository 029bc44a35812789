/*
 * read_file.c - the bytes of a file that is open.
 */
#include "tools/cli/read_file.h"

#include <errno.h>
#include <unistd.h>

ssize_t read_file(int fd, void *to, size_t length)
{
	size_t done = 0;

	while (done < length) {
		ssize_t got = read(fd, (char *)to + done, length - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}
