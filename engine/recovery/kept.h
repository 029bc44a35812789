/*
 * kept.h - recovery with an index that the last checkpoint has kept: which rows have to be looked at
 * all the same; FORMAT.md, "With a kept index". Used by recover.c.
 */
#ifndef QUIVER_KEPT_H
#define QUIVER_KEPT_H

#include "engine/recovery/recovery.h"

/* Read what is noted of an index of `generation`; index and live map are loaded. Before the log is
 * read. 0; -EBADMSG the notes are not there, or of an earlier time, so all rows have to be looked at;
 * -ENOMEM. */
int kept_begin(struct recovery *recovery, uint64_t generation);
/* A record above the checkpoint, while the log is read. 0 or -ENOMEM. */
int kept_name(struct recovery *recovery, const struct wal_record *record);
/* The log was read: doom the rows that are free at the checkpoint and may not be free on disk, and
 * have the disk's bytes of all rows that will be written. Nothing was read of the columns. 0 or
 * -errno. */
int kept_look(struct recovery *recovery);
/* Before replay, with the log durable: rows that an interrupted checkpoint has freed already get their
 * IDs back, by which the index finds them until the log supersedes them. 0 or -errno. */
int kept_restore(struct recovery *recovery);
/* Have in memory what a record changes of the index, while the log is applied. 0; -EBADMSG it
 * cannot be had; -ENOMEM. */
int kept_ready(struct recovery *recovery, const struct wal_record *record);
void kept_free(struct recovery *recovery);

#endif
