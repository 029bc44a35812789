/*
 * What follows from a failed write or sync. The rule behind the table: what nobody has been
 * told of can be refused; what may leave the disk and the memory apart, so that an acknowledged
 * commit could be lost or a refused one come back, stops the store. A sync is never tried
 * again: the kernel tells of lost pages once.
 *
 * | what failed                        | disk full | no memory | any other errno |
 * | ---------------------------------- | --------- | --------- | --------------- |
 * | bytes of free slots                | refuse    | refuse    | refuse          |
 * | growth                             | retry     | refuse    | refuse          |
 * | growth ahead of need               | refuse    | ignore    | ignore          |
 * | blocks behind free slots           | refuse    | refuse    | refuse          |
 * | rows of a commit                   | retry     | refuse    | refuse          |
 * | noting where they will be          | retry     | refuse    | stop            |
 * | those rows, made free again        | stop      | stop      | stop            |
 * | a new log segment                  | retry     | refuse    | refuse          |
 * | one made ahead of need             | refuse    | ignore    | ignore          |
 * | the segment in use, begun anew     | stop      | stop      | stop            |
 * | log records (wiped then)           | retry     | refuse    | refuse          |
 * | wiping them                        | stop      | stop      | stop            |
 * | sync of the log                    | stop      | stop      | stop            |
 * | checkpoint: sync of slots and rows | stop      | stop      | stop            |
 * | checkpoint of mode none: its log   | refuse    | refuse    | stop            |
 * | checkpoint: rows of snapshots      | refuse    | refuse    | stop            |
 * | checkpoint: rows, and their sync   | stop      | stop      | stop            |
 * | the superblock                     | stop      | stop      | stop            |
 * | the checkpoint behind a commit     | stop      | stop      | stop            |
 * | lists of a failed checkpoint       | stop      | stop      | stop            |
 * | removing old segments              | ignore    | ignore    | ignore          |
 * | removing the rows of no snapshot   | ignore    | ignore    | ignore          |
 * | punching holes                     | ignore    | ignore    | ignore          |
 * | cutting the columns                | ignore    | ignore    | ignore          |
 * | rows for the index                 | stop      | stop      | stop            |
 * | the index's file, at a checkpoint  | ignore    | ignore    | ignore          |
 * | the index's file, at close         | ignore    | refuse    | refuse          |
 * | the holder's name in LOCK          | ignore    | refuse    | refuse          |
 *
 * Opening a store writes, too (superblock, recovery, the first segment): what fails there fails
 * the opening, so nothing follows and no row is needed. The same goes for what is left of a close
 * once its last checkpoint is done: its errno is the caller's, and the next opening recovers.
 */
#include "engine/base/health.h"

#include <errno.h>
#include <string.h>

struct rule {
	const char *what; /* as a line names it */
	enum health_verdict full; /* -ENOSPC, also of a quota */
	enum health_verdict memory; /* -ENOMEM */
	enum health_verdict other;
};

static const struct rule rules[HEALTH_SUBJECTS] = {
	[HEALTH_SLOTS] = { "writing a vector", HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_REFUSE },
	[HEALTH_GROWTH] = { "growing the data files", HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	[HEALTH_GROWTH_AHEAD] = { "growing the data files", HEALTH_REFUSE, HEALTH_IGNORE,
	                          HEALTH_IGNORE },
	[HEALTH_BLOCKS] = { "filling holes of vectors.npy", HEALTH_REFUSE, HEALTH_REFUSE,
	                    HEALTH_REFUSE },
	[HEALTH_COMMIT_ROWS] = { "writing the rows of a commit", HEALTH_RETRY, HEALTH_REFUSE,
	                         HEALTH_REFUSE },
	[HEALTH_NOTES] = { "regions: noting where rows will be", HEALTH_RETRY, HEALTH_REFUSE,
	                   HEALTH_STOP },
	[HEALTH_UNDO_ROWS] = { "undoing the rows of a failed commit", HEALTH_STOP, HEALTH_STOP,
	                       HEALTH_STOP },
	[HEALTH_LOG_SEGMENT] = { "making a log segment", HEALTH_RETRY, HEALTH_REFUSE,
	                         HEALTH_REFUSE },
	[HEALTH_LOG_SEGMENT_AHEAD] = { "making a log segment", HEALTH_REFUSE, HEALTH_IGNORE,
	                               HEALTH_IGNORE },
	[HEALTH_LOG_START_OVER] = { "starting a new log", HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	[HEALTH_LOG_RECORD] = { "writing the log", HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	[HEALTH_LOG_WIPE] = { "wiping a failed write of the log", HEALTH_STOP, HEALTH_STOP,
	                      HEALTH_STOP },
	[HEALTH_LOG_SYNC] = { "a sync of the log", HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	[HEALTH_CHECKPOINT_SLOTS] = { "syncing the data files at a checkpoint", HEALTH_STOP,
	                              HEALTH_STOP, HEALTH_STOP },
	[HEALTH_CHECKPOINT_LOG] = { "logging a checkpoint", HEALTH_REFUSE, HEALTH_REFUSE,
	                            HEALTH_STOP },
	[HEALTH_CHECKPOINT_VERSIONS] = { "versions: keeping rows that snapshots have",
	                                 HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_STOP },
	[HEALTH_CHECKPOINT_ROWS] = { "writing rows at a checkpoint", HEALTH_STOP, HEALTH_STOP,
	                             HEALTH_STOP },
	[HEALTH_CHECKPOINT_ROWS_SYNC] = { "syncing the rows at a checkpoint", HEALTH_STOP,
	                                  HEALTH_STOP, HEALTH_STOP },
	[HEALTH_SUPERBLOCK] = { "writing the superblock", HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	[HEALTH_CHECKPOINT_AFTER] = { "a checkpoint", HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	[HEALTH_CHECKPOINT_LISTS] = { "keeping what a failed checkpoint was to free", HEALTH_STOP,
	                              HEALTH_STOP, HEALTH_STOP },
	[HEALTH_LOG_CUT] = { "wal: removing old segments", HEALTH_IGNORE, HEALTH_IGNORE,
	                     HEALTH_IGNORE },
	[HEALTH_VERSIONS_CUT] = { "versions: removing it, as there are no snapshots", HEALTH_IGNORE,
	                          HEALTH_IGNORE, HEALTH_IGNORE },
	[HEALTH_PUNCH] = { "vectors.npy: giving free space back", HEALTH_IGNORE, HEALTH_IGNORE,
	                   HEALTH_IGNORE },
	[HEALTH_CUT] = { "cutting the data files", HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	[HEALTH_INDEX] = { "rebuilding the index", HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	[HEALTH_INDEX_KEEP] = { "index: not written at a checkpoint, so the store takes longer to "
	                        "open after a crash",
	                        HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	[HEALTH_INDEX_SAVE] = { "index: not saved, so the next open takes longer", HEALTH_IGNORE,
	                        HEALTH_REFUSE, HEALTH_REFUSE },
	[HEALTH_LOCK_NAME] = { "LOCK: writing who holds it", HEALTH_IGNORE, HEALTH_REFUSE,
	                       HEALTH_REFUSE },
};

int health_init(struct health *health, bool read_only, void (*sink)(void *arg, const char *line),
                void *sink_arg)
{
	memset(&health->counters, 0, sizeof(health->counters));
	health->read_only = read_only;
	atomic_init(&health->failed, 0);
	return report_init(&health->report, sink, sink_arg);
}

void health_destroy(struct health *health)
{
	report_destroy(&health->report);
}

enum health_verdict health_verdict(enum health_subject subject, int error)
{
	const struct rule *rule = &rules[subject];

	if (error == -ENOMEM)
		return rule->memory;
	return error == -ENOSPC ? rule->full : rule->other;
}

static void stop(struct health *health, const char *what, int error)
{
	int expected = 0;

	atomic_fetch_add(&health->counters.io_errors, 1);
	if (atomic_compare_exchange_strong(&health->failed, &expected, -error))
		report_add(&health->report,
		           "%s failed: %s; the store is read-only now; repair the disk, then "
		           "unmount and mount again",
		           what, quiver_strerror(error));
}

int health_judge(struct health *health, enum health_subject subject, int error)
{
	if (error == 0)
		return 0;
	switch (health_verdict(subject, error)) {
	case HEALTH_IGNORE:
		report_add(&health->report, "%s: %s", rules[subject].what, quiver_strerror(error));
		return 0;
	case HEALTH_STOP:
		stop(health, rules[subject].what, error);
		return -EIO;
	default:
		return error;
	}
}

int health_writable(const struct health *health)
{
	return health->read_only || health_failed(health) ? -EROFS : 0;
}

bool health_failed(const struct health *health)
{
	return atomic_load(&health->failed) != 0;
}
