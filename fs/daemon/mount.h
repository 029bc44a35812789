/*
 * mount.h - the entry point of the mount for tools/.
 */
#ifndef MOUNT_H
#define MOUNT_H

#include <stdbool.h>

/*
 * Mount the store on the mount point. `options` is a comma-separated list as after
 * -o, or NULL. Relative paths are fine.
 *
 * Without `foreground` it returns when the mount answers requests, which a daemon
 * goes on doing in the background; with it, it returns when the mount has ended.
 *
 * Exit status: 0, 1 for a failure, 2 for options that make no sense; the reason has
 * then been printed to stderr. Call it once, from a process with one thread: it
 * forks, and the store is opened behind the fork.
 */
int fs_mount(const char *store, const char *mount_point, const char *options, bool foreground);

#endif
