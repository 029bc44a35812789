/*
 * busy.h - who uses a folder that is to be unmounted, as far as the kernel tells this user.
 */
#ifndef BUSY_H
#define BUSY_H

#include "tools/cli/mounts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Processes that are told of. */
#define BUSY_SHOWN_MAX 5u
#define BUSY_TEXT_BYTES 1024

struct busy {
	size_t processes; /* that use it */
	char text
		[BUSY_TEXT_BYTES]; /* of the first of them: "process 7 (python3) has matrix.npy open, ..." */
};

/*
 * Look for processes that have something of the folder `point` open or mapped, or are in it; the process
 * `except` (0: none) and this one do not count. Asks the kernel alone, so a daemon that is gone or stuck
 * keeps nobody. An ordinary user is told of processes of his own only; nothing is an error.
 */
void busy_look(const char *point, int64_t except, struct busy *busy);

/* Whether a mount is the one of quiverfs of this device ("MAJOR:MINOR") and source. The number of a
 * device alone is soon that of another filesystem. */
bool busy_is_mount(const struct mount_seen *mount, const char *device, const char *source);

/* A process other than `except` and this one that sees a mount that busy_is_mount; 0: none that this user
 * is told of. */
int64_t busy_find_mounted(const char *device, const char *source, int64_t except);

#endif
