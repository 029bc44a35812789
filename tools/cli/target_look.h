/*
 * target_look.h - what is mounted where, and whether it answers; for target.c and target_new.c. Says
 * nothing.
 */
#ifndef TARGET_LOOK_H
#define TARGET_LOOK_H

#include "tools/cli/mounts.h"

#include <stdbool.h>

/* Whether a mount of quiverfs is at the absolute path `point`. */
bool target_mount_at(const char *point, struct mount_found *mount);
bool target_is_mounted(const char *point);

/* The mount of quiverfs that the absolute `path` lies within, cut to its mount point; false where it
 * lies in none. */
bool target_lies_in_mount(char *path);

/* Whether two names are of one store; what is no folder has but one. */
bool target_is_same_store(const char *one, const char *other);

/* Whether a mount answers: what the kernel has cached outlives a daemon, so a control file is read.
 * -ENOTCONN where its daemon is gone; other errors. */
int target_ask_alive(const char *path);

/* Whether quiver_holder has found a store. */
bool target_is_store(int asked);

#endif
