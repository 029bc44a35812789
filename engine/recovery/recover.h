/*
 * recover.h - from the columns and the log to the state of the last commit; FORMAT.md,
 * "Recovery". Used while opening, and by the check of a store that nobody has open. Applying
 * the log is in replay.h.
 */
#ifndef QUIVER_RECOVER_H
#define QUIVER_RECOVER_H

#include "engine/recovery/recovery.h"

/* Before the log is read, where index and live map were loaded as an index of `generation` says, which
 * the superblock names: instead of recovery_base. 0; -EBADMSG the notes of regions are not there, or
 * of an earlier time: look at the rows; -ENOMEM. */
int recovery_keep(struct recovery *recovery, uint64_t generation);
/* Find the end of the log. Reports corruption as damage, with what to do. 0 or -errno. */
int recovery_read_log(struct recovery *recovery);
/* Fill index and slots from the rows up to the checkpoint, as `clean` or not. 0 or -errno. */
int recovery_base(struct recovery *recovery, bool clean);
/* Instead of recovery_replay, where nothing may be written: settle the bad rows that it
 * would, and count those that are gone. 0 or -errno. */
int recovery_foresee(struct recovery *recovery);
/* After either: where the vectors of the checkpoint are all accounted for without the bad rows that
 * are not settled, those were free then, and what is in them the crash has left of commits that the
 * log lacks. Settle them, to be freed. */
void recovery_settle_torn(struct recovery *recovery);
/* The same, and report the bad rows that are left. */
void recovery_judge_rows(struct recovery *recovery);
/* The same, and a count that does not fit. */
void recovery_judge(struct recovery *recovery, bool clean);
/* Sync, free what is superseded or doomed, sync, write a superblock with the new checkpoint
 * LSN, and put the old segments away. 0 or -errno. */
int recovery_finish(struct recovery *recovery);

/* Free row `slot` in recovery_finish. 0, or -ENOMEM. */
int recovery_doom(struct recovery *recovery, uint64_t slot);
void recovery_say(struct recovery *recovery, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Of files that are open. 0 or -ENOMEM; recovery_free in either case. */
int recovery_init(struct recovery *recovery, struct catalog *catalog,
                  struct superblock_file *superblock, int dir_fd);
void recovery_free(struct recovery *recovery);

/* For replay.c: */

/* Whether `slot` holds the vector of a record: 1, 0 or -errno. */
int recovery_holds(const struct recovery *recovery, uint64_t slot, const struct wal_record *record);
/* Add a record's slot, ID and LSN. 0 or -ENOMEM. */
int recovery_note(struct deferred_free_list *list, const struct wal_record *record);
/* Whether row `slot` is to be freed in recovery_finish; nothing where there was no such row. */
void recovery_set_doomed(struct recovery *recovery, uint64_t slot, bool on);
/* True where the row was bad and is settled now. */
bool recovery_settle(struct recovery *recovery, uint64_t slot);
/* A live row that nobody knew yet: into index and map. 0 or -ENOMEM. */
int recovery_adopt(struct recovery *recovery, uint64_t id, uint64_t slot);

#endif
