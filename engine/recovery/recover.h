/*
 * recover.h - from the columns and the log to the state of the last commit; FORMAT.md,
 * "Recovery". Used while opening, and by the check of a store that nobody has open. Applying
 * the log is in replay.h.
 */
#ifndef QUIVER_RECOVER_H
#define QUIVER_RECOVER_H

#include "engine/commit/deferred_frees.h"
#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"
#include "engine/log/wal_payload.h"
#include "engine/log/wal_read.h"
#include "engine/recovery/slot_refs.h"

struct bad_row {
	uint64_t slot;
	uint64_t id;
	bool settled; /* the log has mended or superseded it, or a crash has torn it */
};

struct recovery {
	struct catalog *catalog; /* columns open; index and slots are filled */
	struct superblock_file *superblock; /* open, and read; written at the end */
	int dir_fd; /* the store's folder */
	bool look_only; /* nothing may be written */
	/* With an index that the checkpoint has kept; kept.h. */
	bool kept; /* index and live map were loaded, and are those of the checkpoint */
	uint8_t *noted; /* owned; a bit for each region */
	uint64_t *named_rows,
		*named_slots; /* owned; a bit for each row that will be written, and for
	                                       each whose vector will be, too */
	struct deferred_free_list ended; /* live rows of the checkpoint that records supersede */
	uint64_t named_puts; /* records that may add to the index */
	uint64_t named_end; /* one above the highest slot that a record names for its vector */
	struct wal_scan scan;
	struct wal_kept log; /* what was read of it */
	uint64_t *doomed; /* a bit for each row: to be freed */
	uint64_t rows; /* bits in doomed */
	struct bad_row *bad; /* in the order of their slots */
	size_t bad_count, bad_capacity;
	struct deferred_free_list
		superseded; /* rows to be freed once their successors are synced */
	uint64_t base; /* vectors found at the checkpoint */
	uint64_t
		gone; /* superseded rows that an interrupted checkpoint has freed or torn already */
	/* The slots that PUTSLOTs name, while the log is read; then those of them that were
	 * durable and are damaged, in the order of their LSNs. */
	struct slot_ref_list slot_refs;
	size_t lost_next; /* in slot_refs, in replay */
	/* Of the PUTs up to looked_lsn those whose slots lack the bytes, in the order of their LSNs;
	 * the others need not be written. */
	struct slot_ref_list missing;
	size_t missing_next; /* in replay */
	uint64_t looked_lsn;
	struct wal_payloads payloads; /* of those */
	struct deferred_free_list unreadable; /* vectors that replay found no bytes for */
	uint64_t applied_lsn; /* of the last record that replay has begun to apply */
	struct quiver_attr dir;
	int64_t ctime_max_ns;
	bool names_slots; /* the log has PUTSLOTs */
	/* Replayed vectors of neighbouring slots and their rows, not written yet. */
	uint8_t *run;
	bool run_in_place; /* their bytes are in the slots already */
	uint64_t *run_ids;
	struct meta_row *run_rows;
	uint64_t run_slot;
	uint64_t run_count;
	/* Every fault found is one call. */
	void (*damage)(struct recovery *recovery, const char *line);
	void *damage_arg;
	uint64_t damage_count;
};

/* Before the log is read, where index and live map were loaded as an index of `generation` says, which
 * the superblock names: instead of recovery_base. 0; -EBADMSG the notes of regions are not there:
 * look at the rows; -ENOMEM. */
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
