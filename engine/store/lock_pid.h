/*
 * lock_pid.h - which processes hold a lock, as the kernel says.
 */
#ifndef QUIVER_LOCK_PID_H
#define QUIVER_LOCK_PID_H

#include <stddef.h>
#include <stdint.h>

/* What a process is called: as long as the kernel keeps it, printable. */
struct lock_program {
	char name[16];
};

/*
 * The processes that have locked the open file with flock(2), by their numbers here, behind the
 * `count` that are in pids already; none is in it twice, nor are more than `max`. How many are in it
 * then. /proc/locks does not tell of processes of another pid namespace (a container) or machine, and
 * of files that some filesystems show there by another device than in stat(2). Any thread.
 */
size_t lock_pids(int fd, int64_t *pids, size_t count, size_t max);

/* What process `pid` is called, "" where there is none any more or it cannot be seen. */
void lock_program(int64_t pid, struct lock_program *program);

#endif
