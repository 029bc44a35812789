/*
 * wal_segment.h - making, recycling and removing the files of the log; wal.c only.
 */
#ifndef QUIVER_WAL_SEGMENT_H
#define QUIVER_WAL_SEGMENT_H

#include <stdint.h>

#include "engine/log/wal_state.h"

/* Make the next segment, with room for at least `bytes` of records, and put it into
 * wal->ready unless one that large is there. Waits for the disk. 0 or -errno. */
int wal_segment_prepare(struct wal *wal, uint64_t bytes);
/* Begin a segment anew, in the same file under the next number and with a new salt; nothing in
 * it may be needed. Waits for the disk. 0; -errno: it is as full as it was, or the new header may
 * or may not be on disk, and then the store has been stopped, since nothing may be appended under
 * either salt. Both prepare_lock and sync_lock held. */
int wal_segment_again(struct wal *wal, struct wal_segment *segment);
/* Close and unlink. 0 or -errno. */
int wal_segment_remove(struct wal *wal, struct wal_segment *segment);

#endif
