/*
 * preflight.h - what can be told to be wrong before anything is opened or mounted.
 */
#ifndef PREFLIGHT_H
#define PREFLIGHT_H

#include <stdbool.h>

#include "engine/quiver.h"

/*
 * Resolve both paths to absolute ones without links, in *store_path and
 * *mount_path (to be freed by the caller, also on failure; NULL where not
 * reached), and look whether one can be mounted on the other: the mount point is
 * a folder, empty, apart from the store, and not left over from a daemon that is
 * gone. The name of a store elsewhere (quiver_is_folder) is taken as it is, and so is that of a
 * snapshot (quiver_is_snapshot) behind its store: whether it is there shows when it is opened. 0, or a negative errno with the reason in `error`.
 */
int preflight_paths(const char *store, const char *mount_point, char **store_path,
                    char **mount_path, struct quiver_error *error);

/* Whether the FUSE device can be used by us, and for an ordinary user whether
 * allow_other is permitted. 0, or a negative errno with the reason in `error`. */
int preflight_fuse(bool allow_other, struct quiver_error *error);

/* Whether we may do what only CAP_SYS_ADMIN may. */
bool preflight_is_admin(void);

/* The line that makes a user's allow_other permitted, in the text of fuse.conf. */
bool preflight_allows_other(const char *fuse_conf);

/* Whether `path` is `folder` or lies within it; both absolute, without links. */
bool preflight_is_within(const char *path, const char *folder);

#endif
