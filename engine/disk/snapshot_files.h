/*
 * snapshot_files.h - the folder `snapshots`: a file for each, made whole, read, removed; FORMAT.md,
 * Snapshots.
 */
#ifndef QUIVER_SNAPSHOT_FILES_H
#define QUIVER_SNAPSHOT_FILES_H

#include "engine/disk/io.h"
#include "engine/media/snapshot_page.h"

/* Each name that is one of a snapshot, in no order: NUL-terminated one after the other in *names
 * (malloc'd, the caller frees), *count of them; none where there is no folder. With `clear` what an
 * interrupted making has left is removed, and what the folder says is on stable storage. 0 or
 * -errno. */
int snapshot_files_list(const struct quiver_io *io, int dir_fd, bool clear, char **names,
                        size_t *count);
/* Read one. -ENOENT, -EUCLEAN damage or of another store, -ENOTSUP, -errno of the read. */
int snapshot_files_read(const struct quiver_io *io, int dir_fd, const char *name,
                        const uint8_t store_uuid[16], struct snapshot_page *page);
/* The same; *copies_bad: how many of its two copies are not whole. */
int snapshot_files_read_both(const struct quiver_io *io, int dir_fd, const char *name,
                             const uint8_t store_uuid[16], struct snapshot_page *page,
                             unsigned *copies_bad);
/* Make one, in place of one of the same name that nobody has open (else -EBUSY), and the folder
 * where it is missing: on return it is on stable storage. On failure it is as it was, but after
 * -EIO, when it may be there. 0 or -errno. */
int snapshot_files_write(const struct quiver_io *io, int dir_fd, const char *name,
                         const struct snapshot_page *page);
/* Remove one, durably. -EBUSY another process has it open (snapshot_files_hold); -ENOENT, and that is
 * durable, too; -errno; after -EIO it may be gone. */
int snapshot_files_remove(const struct quiver_io *io, int dir_fd, const char *name);
/* The folder on stable storage. -ENOENT there is none; -errno. */
int snapshot_files_sync(const struct quiver_io *io, int dir_fd);
/* Keep others from opening it as a snapshot, until the descriptor that is returned is closed. -EBUSY
 * somebody has it open; -ENOENT; -errno. */
int snapshot_files_lock(const struct quiver_io *io, int dir_fd, const char *name);
/* Keep others from removing it, until the descriptor that is returned is closed. -ENOENT, also
 * where it was removed meanwhile; -EBUSY it is just being removed; -errno. */
int snapshot_files_hold(const struct quiver_io *io, int dir_fd, const char *name);

#endif
