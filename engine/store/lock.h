/*
 * lock.h - the locks of a store, held with flock for as long as it is open: of the file LOCK and of
 * the store's folder, exclusive for who may write, shared for who only reads.
 *
 * Either alone would do, but for these: LOCK may be missing from a copy, or be removed by somebody
 * who takes it for a stale one; the lock of a folder may not be had on some filesystems, and does
 * not reach from one machine to another.
 */
#ifndef QUIVER_LOCK_H
#define QUIVER_LOCK_H

#include "engine/disk/io.h"
#include "engine/quiver.h"

#define LOCK_NAME "LOCK"

/* Take the locks of the store in folder `dir_fd` (`path` is for messages) to write to it, waiting up
 * to wait_ms for holders that are stopping, and write pid and mount point (may be NULL) into LOCK.
 * The descriptor of that, to be given to lock_drop; the folder's lock ends with the last descriptor
 * of its open file. -EBUSY error names who has it, and the mount; -errno. */
int lock_take(const struct quiver_io *io, int dir_fd, const char *path, const char *mount_point,
              uint32_t wait_ms, struct quiver_error *error);
/* The same to read only, along with others who do. Nothing is written: *fd is a descriptor of LOCK for
 * reading, to be closed, or -1 where there is none or it may not be read. 0, -EBUSY or -errno; then
 * *fd is -1. */
int lock_share(const struct quiver_io *io, int dir_fd, const char *path, uint32_t wait_ms, int *fd,
               struct quiver_error *error);
/* Empty the text and close. */
int lock_drop(const struct quiver_io *io, int fd);

#endif
