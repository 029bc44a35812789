/*
 * wal_read.h - reading the log of a store that is being opened or checked; FORMAT.md, "The
 * end of the log".
 */
#ifndef QUIVER_WAL_READ_H
#define QUIVER_WAL_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
#include "engine/log/wal_kept.h"
#include "engine/media/wal_record.h"

struct wal_scan {
	/* what to read */
	const struct quiver_io *io;
	int dir_fd; /* of the store */
	uint8_t uuid[16];
	uint32_t vector_bytes;
	uint64_t first_segment; /* segments with lower numbers are not needed */
	uint64_t checkpoint_lsn; /* records up to it are not handed to `each` */
	/* A PUTSLOT whose slot does not hold what its sum says: the log ends before the commit
	 * that has this LSN. 0: none is known; a scan looks at no slot. */
	uint64_t bad_slot_lsn;
	/* Called for each record of a whole commit, in order; NULL: only find the end. `payload`
	 * is valid during the call; in wal_scan_again it is NULL of records that were kept. A negative
	 * return ends the scan with it. */
	int (*each)(void *arg, const struct wal_record *record, const void *payload);
	/* In wal_scan_again: this record is handed over soon, so what that takes may be fetched. Or
	 * NULL. */
	void (*soon)(void *arg, const struct wal_record *record);
	void *arg;
	/* What is read is kept there (wal_kept.h), for wal_scan_again and wal_settle; the caller clears
	 * it. NULL: nothing is kept. */
	struct wal_kept *kept;
	uint64_t segment; /* where the record stands that `each` has got */
	uint64_t offset;

	/* what was found */
	uint64_t records; /* above the checkpoint LSN */
	uint64_t last_lsn; /* of the last whole commit, at least checkpoint_lsn */
	uint64_t durable_lsn; /* highest known durable that was found anywhere */
	uint64_t last_segment; /* highest number there is, 0 where there is none */
	bool torn; /* something that is no whole commit lies behind the end */
	bool oversized; /* a segment is larger than any that is written, and was not read */
	uint64_t torn_segment; /* where the log ends */
	uint64_t torn_offset;
};

/* Whether it lacks commits that were durable, or may lack some. */
bool wal_scan_corrupt(const struct wal_scan *scan);

/* 0 also where the log is torn or corrupt; -ENOMEM; -errno of reading;
 * what `each` returned. */
int wal_scan(struct wal_scan *scan);
/* Hand over all records once more, as they were found: from what was kept, and where that is not all,
 * from the log. 0, -ENOMEM, -errno of reading, -EIO it is not what it was, what `each` returned. */
int wal_scan_again(struct wal_scan *scan);
/* Make durable what was read, where it is above an LSN: a sync that failed in an earlier life may
 * have left it in the kernel's memory alone, for clean. What the disk did not have is written to its
 * place once more; then the segments are synced. What they name by slot is on disk. As
 * wal_scan_again, and -errno of writing. */
int wal_settle(struct wal_scan *scan, uint64_t above_lsn);

#endif
