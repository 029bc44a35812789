/*
 * mounts.h - what is mounted where, as a process sees it.
 */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* The type under which the kernel lists the mounts of quiverfs. */
#define MOUNT_TYPE "fuse.quiverfs"

struct mount_found {
	bool found;
	char type[64];
	char source[PATH_MAX]; /* for quiverfs the store's folder */
};

/*
 * Look for a mount exactly at the absolute path `point`, as this process sees it; of
 * several the topmost counts. Asks the kernel, never the filesystem, so it does not hang with it.
 * 0 (see found), or the errors of reading /proc.
 */
int mounts_find(const char *point, struct mount_found *mount);

/* The same as process `pid` sees it, which may live in another namespace. -ENOENT or
 * -ESRCH: there is no such process; -EACCES: it is somebody else's. */
int mounts_find_of(int64_t pid, const char *point, struct mount_found *mount);

#endif
