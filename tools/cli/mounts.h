/*
 * mounts.h - what is mounted where, as a process sees it.
 */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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

/*
 * Look for a mount of quiverfs whose source is the folder `source`, made by user `uid`, as this
 * process sees it; its mount point, of PATH_MAX bytes, to `point`; "" where there is none. Who may
 * use FUSE may name any source, so of others' it proves nothing. 0, or the errors of reading /proc.
 */
int mounts_find_from(const char *source, uid_t uid, char point[PATH_MAX]);

/*
 * Look for a mount of quiverfs whose files are of the device `device` (st_dev), whatever part of it
 * is mounted where; where that is, of PATH_MAX bytes, to `point`; "" where there is none. 0, or the
 * errors of reading /proc.
 */
int mounts_find_device(dev_t device, char point[PATH_MAX]);

/* A mount of any type. The texts are there during the call that gets it. */
struct mount_seen {
	const char *point, *type;
	const char *source; /* for quiverfs the store's folder */
	const char *device; /* "MAJOR:MINOR", the same for all mounts of one filesystem */
	uid_t uid; /* who has mounted it, where it is of FUSE */
};

/* Call `see` with each mount that process `pid` (0: this one) sees; of several at one place the topmost
 * is the last. 0, or the errors of reading /proc: as mounts_find_of. */
int mounts_see(int64_t pid, void (*see)(void *arg, const struct mount_seen *mount), void *arg);

/* The same as mounts_find as process `pid` sees it, which may live in another namespace. -ENOENT or
 * -ESRCH: there is no such process; -EACCES: it is somebody else's. */
int mounts_find_of(int64_t pid, const char *point, struct mount_found *mount);

#endif
