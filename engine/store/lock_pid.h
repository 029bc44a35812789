/*
 * lock_pid.h - which process holds a lock, as the kernel says.
 */
#ifndef QUIVER_LOCK_PID_H
#define QUIVER_LOCK_PID_H

#include <stdint.h>

/* The process that has locked the open file with flock(2), by its number here, or 0 where /proc/locks
 * does not tell: some filesystems go there by another device than in stat(2). Any thread. */
int64_t lock_pid(int fd);

#endif
