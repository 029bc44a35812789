/*
 * busy.h - who uses a folder that is to be unmounted, as far as the kernel tells this user.
 */
#ifndef BUSY_H
#define BUSY_H

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

/* A process other than `except` and this one that sees a mount of the device `device` ("MAJOR:MINOR");
 * 0: none that this user is told of. */
int64_t busy_find_mounted(const char *device, int64_t except);

#endif
