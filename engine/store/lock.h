/*
 * lock.h - the LOCK file: held with flock for as long as the store is open; its text
 * names the process and the mount.
 */
#ifndef QUIVER_LOCK_H
#define QUIVER_LOCK_H

#include "engine/disk/io.h"
#include "engine/quiver.h"

/* Take the lock of the store in folder `dir_fd` (`path` is for messages), waiting up
 * to wait_ms for a holder that is stopping, and write pid and mount point (may be
 * NULL) into it: lines "pid N" and "mount PATH". The descriptor, held until it is
 * closed, or -EBUSY (error names holder and mount), -errno. */
int lock_take(const struct quiver_io *io, int dir_fd, const char *path, const char *mount_point,
              uint32_t wait_ms, struct quiver_error *error);
/* Empty the text and close. */
int lock_drop(const struct quiver_io *io, int fd);

#endif
