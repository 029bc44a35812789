/*
 * wal_read.h - reading the log of a store that is being opened or checked; FORMAT.md, "The
 * end of the log".
 */
#ifndef QUIVER_WAL_READ_H
#define QUIVER_WAL_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/disk/io.h"
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
	/* The payloads up to this LSN have been compared with their sums: a second scan of the
	 * same log need not do it again. 0 at first. */
	uint64_t checked_lsn;
	/* Called for each record of a whole commit, in order; NULL: only find the end. `payload`
	 * is valid during the call. A negative return ends the scan with it. */
	int (*each)(void *arg, const struct wal_record *record, const void *payload);
	void *arg;
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
/* Scan again, without `each`, and write the records above an LSN to their places once more and
 * sync them: a sync that failed in an earlier life may have left them in the kernel's memory,
 * for clean. What they name by slot is on disk. As wal_scan, and -errno of the writes. */
int wal_settle(struct wal_scan *scan, uint64_t above_lsn);

#endif
