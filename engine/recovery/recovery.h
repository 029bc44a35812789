/*
 * recovery.h - what recovery has found so far, and has still to do; its parts share it: recover.h,
 * kept.h, replay.h, keep_replay.h.
 */
#ifndef QUIVER_RECOVERY_H
#define QUIVER_RECOVERY_H

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

#endif
