#include "engine/store/lock_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/health.h"

/* "pid ", a number, a newline, "mount ", a path, a newline. */
#define TEXT_BYTES (sizeof(((struct quiver_holder *)0)->mount_point) + 64)

int lock_text_read(const struct quiver_io *io, int fd, struct quiver_holder *holder)
{
	char text[TEXT_BYTES];
	char *line, *end;
	ssize_t n = io->pread(io, fd, text, sizeof(text) - 1, 0);

	*holder = (struct quiver_holder){ 0 };
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	if (strncmp(text, "pid ", 4) != 0)
		return 0;
	errno = 0;
	holder->pid = strtoll(text + 4, &end, 10);
	if (errno != 0 || end == text + 4 || *end != '\n' || holder->pid < 1) {
		holder->pid = 0;
		return 0;
	}
	line = end + 1;
	if (strncmp(line, "mount ", 6) != 0)
		return 0;
	line += 6;
	end = strrchr(line, '\n'); /* the path itself may hold one */
	if (end && (size_t)(end - line) < sizeof(holder->mount_point)) {
		memcpy(holder->mount_point, line, (size_t)(end - line));
		holder->mount_point[end - line] = '\0';
	}
	return 0;
}

/* Whether the lock excludes as well without what could not be written. */
static bool can_do_without(int r)
{
	return r < 0 && health_verdict(HEALTH_LOCK_NAME, r) == HEALTH_IGNORE;
}

/* Not an empty file: its block will be needed again, and a full disk may have none. */
int lock_text_wipe(const struct quiver_io *io, int fd)
{
	int r = io_write_all(io, fd, "\n", 1, 0);

	if (can_do_without(r)) /* it is empty */
		return 0;
	return r < 0 ? r : io->truncate(io, fd, 1);
}

int lock_text_write(const struct quiver_io *io, int fd, const char *mount_point)
{
	char text[TEXT_BYTES];
	int length = snprintf(text, sizeof(text), "pid %ld\n%s%s%s", (long)getpid(),
	                      mount_point ? "mount " : "", mount_point ? mount_point : "",
	                      mount_point ? "\n" : "");
	int r;

	if (length < 0)
		return -EINVAL;
	if ((size_t)length >= sizeof(text))
		return -ENAMETOOLONG;
	/* First the old holder goes, so that nobody is told of a mixture. */
	r = lock_text_wipe(io, fd);
	if (r == 0)
		r = io_write_all(io, fd, text, (size_t)length, 0);
	return can_do_without(r) ? 0 : r;
}
