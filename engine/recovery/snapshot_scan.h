/*
 * snapshot_scan.h - the rows of a snapshot from the files of its store alone, whoever has that open and
 * writes to it: no lock of the store is taken, but the snapshot is kept from being removed.
 *
 * A row is looked for in the columns first, then in `versions`, to which whoever takes it from the
 * columns has written it before. So nothing is missed, and nothing has to be looked at twice.
 */
#ifndef QUIVER_SNAPSHOT_SCAN_H
#define QUIVER_SNAPSHOT_SCAN_H

#include <stddef.h>

#include "engine/disk/io.h"
#include "engine/media/meta_row.h"
#include "engine/media/snapshot_page.h"

struct snapshot_row {
	uint64_t slot;
	uint64_t id;
	struct meta_row row;
};

/* One thread at a time. */
struct snapshot_scan;

/*
 * Hold snapshot `name` of the store in the folder `path`. `io` NULL: the real one. *out is given
 * back with snapshot_scan_close. 0; -ENOENT no such folder or snapshot; -EINVAL no store, or a name
 * that cannot be; -EBUSY it is just being removed; -EUCLEAN its file or the superblock is damaged;
 * -ENOTSUP of a newer version; -ENOMEM; -errno. `error` says which file.
 */
int snapshot_scan_open(const char *path, const char *name, const struct quiver_io *io,
                       struct snapshot_scan **out, struct quiver_error *error);
/* `scan` may be NULL. */
void snapshot_scan_close(struct snapshot_scan *scan);

/* Fixed, and the scan's. */
const struct snapshot_page *snapshot_scan_page(const struct snapshot_scan *scan);
const struct quiver_geometry *snapshot_scan_geometry(const struct snapshot_scan *scan);
/* The folder of the store, until the scan is closed. */
int snapshot_scan_folder(const struct snapshot_scan *scan);
/* The descriptor that keeps the snapshot from being removed, until the caller closes it. */
int snapshot_scan_take_hold(struct snapshot_scan *scan);

/*
 * Rows of slots from *next on, ascending, at most `max` (above 0); *next is then the slot to go on
 * with. How many; 0 there are no more; -ENOMEM, -errno of a read (`error` says which file).
 * A row that is damaged is not among them: snapshot_scan_whole tells.
 */
int64_t snapshot_scan_read(struct snapshot_scan *scan, uint64_t *next, struct snapshot_row *rows,
                           size_t max, struct quiver_error *error);
/* After all were read, and were `found` in number: 0, or -EUCLEAN where the snapshot has another
 * number. */
int snapshot_scan_whole(const struct snapshot_scan *scan, uint64_t found,
                        struct quiver_error *error);
/* The N bytes of a row that was found, compared with its checksum. 0, -EUCLEAN they do not match,
 * -errno. */
int snapshot_scan_vector(struct snapshot_scan *scan, const struct snapshot_row *row, void *to,
                         struct quiver_error *error);

#endif
