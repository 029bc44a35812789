/*
 * wal_reader.h - reading the log commit by commit: what wal_read.c and wal_again.c share, and nobody
 * else.
 */
#ifndef QUIVER_WAL_READER_H
#define QUIVER_WAL_READER_H

#include "engine/log/wal_read.h"
#include "engine/log/wal_source.h"

struct wal_reader {
	struct wal_scan *scan;
	struct wal_source source; /* of the segment being read */
	uint64_t *numbers; /* of the segments, ascending; owned */
	size_t count;
	uint64_t salt;
	bool chained; /* a record has been read, so the next must follow it */
	uint64_t tail_lsn; /* of the last record read */
	/* Of the commit that was found last: its first record, and the LSN of its last. */
	struct wal_record first;
	uint64_t found_lsn;
	struct wal_kept_segment now; /* what will be kept of this segment */
	bool again; /* only hand over what an earlier scan has found */
};

/* 0 or -errno: then there is nothing to close. */
int wal_reader_open(struct wal_reader *reader, struct wal_scan *scan);
/* 0 or -errno of closing. */
int wal_reader_close(struct wal_reader *reader);
/* As wal_source_get. What the disk does not give the kernel may have. */
int wal_reader_get(struct wal_reader *reader, uint64_t keep, uint64_t at, uint64_t length,
                   const uint8_t **bytes);
/* Open a segment and look at its header; its source is to be closed whatever is returned. 0;
 * -EBADMSG it has no valid one, so no records; -EFBIG it is larger than one can be, which a valid
 * header says; -errno. */
int wal_reader_segment(struct wal_reader *reader, uint64_t number);
/* Where the commit that begins at `at` ends: *end, or `at` where it is not whole. The bytes from
 * `keep` on stay in memory with it. 0 or -errno. */
int wal_reader_commit(struct wal_reader *reader, uint64_t keep, uint64_t at, uint64_t *end);
/* Hand over all commits from *at on, which moves behind them. 0, -errno, or what `each` returned. */
int wal_reader_commits(struct wal_reader *reader, uint64_t *at);

#endif
