/*
 * lock.h - the LOCK file: held with flock for as long as the store is open; its text
 * names the process and the mount.
 */
#ifndef QUIVER_LOCK_H
#define QUIVER_LOCK_H

#include <stdbool.h>

#include "engine/disk/io.h"
#include "engine/quiver.h"

/* Take the lock of the store in folder `dir_fd` (`path` is for messages), waiting up
 * to wait_ms for a holder that is stopping, and write pid and mount point (may be
 * NULL) into it: lines "pid N" and "mount PATH". The descriptor, held until it is
 * closed, or -EBUSY (error names holder and mount), -errno. */
int lock_take(const struct quiver_io *io, int dir_fd, const char *path, const char *mount_point,
              uint32_t wait_ms, struct quiver_error *error);
/* The same to look only: where the file may not be written to, and where there is no mount point
 * to be found by, it is left as it is. *named: whether a text was written, to be wiped by lock_drop;
 * else closing the descriptor is all. */
int lock_take_to_look(const struct quiver_io *io, int dir_fd, const char *path,
                      const char *mount_point, uint32_t wait_ms, bool *named,
                      struct quiver_error *error);
/* Empty the text and close. */
int lock_drop(const struct quiver_io *io, int fd);

#endif
