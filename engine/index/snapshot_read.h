/*
 * snapshot_read.h - what was in an open store at the LSN of a snapshot: in the columns, or among the
 * versions. For as long as the snapshot is there (a user is enough) slots that are found are not used
 * again: they need no pin. Any thread.
 */
#ifndef QUIVER_SNAPSHOT_READ_H
#define QUIVER_SNAPSHOT_READ_H

#include "engine/index/catalog.h"

/* Vector `id`. 0; -ENOENT; -EIO damage (reported). */
int snapshot_find(struct catalog *catalog, uint64_t lsn, uint64_t id, uint64_t *slot,
                  struct meta_row *row);
/* Whose vector is in `slot`, which is below the slots that there has been room for since the store was
 * opened: 0; -ENOENT nobody's; -EBADMSG, -EIO a row that cannot be read, which may be one of it (not
 * reported; *id is what ids.npy says). */
int snapshot_id(struct catalog *catalog, uint64_t lsn, uint64_t slot, uint64_t *id);

#endif
