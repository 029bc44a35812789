/*
 * health.h - how the store is doing: its lines for people, its counters, and whether it
 * accepts changes. What follows from a failed write or sync is decided here and nowhere else,
 * by what was written (the table in health.c).
 */
#ifndef QUIVER_HEALTH_H
#define QUIVER_HEALTH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/base/counters.h"
#include "engine/base/report.h"

/* What was written, synced or given back when it failed. */
enum health_subject {
	HEALTH_SLOTS, /* bytes of free slots, before their commit */
	HEALTH_GROWTH, /* longer columns */
	HEALTH_GROWTH_AHEAD, /* the same, before anybody needs them */
	HEALTH_BLOCKS, /* blocks behind free slots that lie in holes */
	HEALTH_COMMIT_ROWS, /* rows of a commit that is not logged yet */
	HEALTH_NOTES, /* where rows are about to be stored, in `regions` */
	HEALTH_UNDO_ROWS, /* those rows made free again, and their sync */
	HEALTH_LOG_SEGMENT, /* a new segment: its file, header and name */
	HEALTH_LOG_SEGMENT_AHEAD, /* the same, before anybody needs it */
	HEALTH_LOG_START_OVER, /* the header of the segment in use, written anew */
	HEALTH_LOG_RECORD, /* records, which are wiped then */
	HEALTH_LOG_WIPE, /* that wiping, and its sync */
	HEALTH_LOG_SYNC, /* of records, with the note in `durable` of how far it came */
	HEALTH_CHECKPOINT_SLOTS, /* sync of what a checkpoint covers */
	HEALTH_CHECKPOINT_LOG, /* records of a checkpoint in mode none */
	HEALTH_CHECKPOINT_VERSIONS, /* rows that snapshots have, kept before they are freed */
	HEALTH_CHECKPOINT_ROWS, /* rows freed and attributes written at a checkpoint */
	HEALTH_CHECKPOINT_ROWS_SYNC,
	HEALTH_SUPERBLOCK,
	HEALTH_CHECKPOINT_AFTER, /* the checkpoint behind a commit that mode none has logged */
	HEALTH_CHECKPOINT_LISTS, /* memory for what a failed checkpoint was to free */
	HEALTH_LOG_CUT, /* old segments removed */
	HEALTH_VERSIONS_CUT, /* the file of those rows removed, where no snapshot is left */
	HEALTH_PUNCH, /* free runs given back to the filesystem */
	HEALTH_CUT, /* the columns made shorter */
	HEALTH_INDEX, /* rows that the index cannot be made anew from */
	HEALTH_INDEX_KEEP, /* its file, at a checkpoint */
	HEALTH_INDEX_SAVE, /* the same, at close */
	HEALTH_LOCK_NAME, /* who holds the lock, in the file LOCK */
	HEALTH_SUBJECTS
};

enum health_verdict {
	HEALTH_REFUSE, /* the call, if anybody made one, fails with its errno; nothing has changed */
	HEALTH_RETRY, /* the same, but a checkpoint may free what is missing: once more then */
	HEALTH_IGNORE, /* a line for people; nothing is lost, and it is tried again later */
	HEALTH_STOP, /* a line, and no changes are accepted until the store is opened again */
};

struct health {
	struct report report;
	struct counters counters;
	bool read_only; /* opened so; fixed at open */
	_Atomic int failed; /* 0, or the errno (positive) that made the store read-only */
};

/* `sink` is called for each line, as in report_init. 0 or -ENOMEM. */
int health_init(struct health *health, bool read_only, void (*sink)(void *arg, const char *line),
                void *sink_arg);
void health_destroy(struct health *health);

/* What follows from `error` (a negative errno) of that. Any thread. */
enum health_verdict health_verdict(enum health_subject subject, int error);
/* The same, and it takes effect: the line is added, the store stopped. Returns what the caller
 * passes on: `error`; 0 where it is to be ignored; -EIO where the store stops, since -ENOSPC
 * would say that nothing has changed. 0 for `error` 0. Any thread, with any lock. */
int health_judge(struct health *health, enum health_subject subject, int error);

/* 0; -EROFS the store is read-only or has failed. Any thread. */
int health_writable(const struct health *health);
/* Whether it has failed. Any thread. */
bool health_failed(const struct health *health);

#endif
