/*
 * wal_kept.h - what a scan of the log keeps of it in memory, so that nobody has to read it again:
 * its records without their payloads, and of each segment where it ends. For one thread.
 *
 * A record takes some 30 bytes: what is as in the one before, or follows from it, is left out.
 */
#ifndef QUIVER_WAL_KEPT_H
#define QUIVER_WAL_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/media/wal_record.h"

/* A record, with what recovery wants to know of it. */
struct wal_kept_record {
	struct wal_record record; /* but for what belongs to its place in the log */
	size_t segment; /* where it lies: in the list of segments */
	uint64_t offset;
};

/* Where a scan is between two commits. */
struct wal_place {
	uint64_t segment; /* its number */
	uint64_t offset;
	uint64_t prev_lsn; /* of the record before */
	bool chained; /* there was one */
};

/* A segment that was read. */
struct wal_kept_segment {
	uint64_t number;
	uint64_t end; /* behind its last whole commit */
	uint64_t last_lsn; /* of that; 0: it has none */
	/* From the first commit on that came through the kernel's cache the disk may lack it; offset
	 * 0: there is none. */
	struct wal_place cached;
};

/* A place in what is kept. */
struct wal_kept_at {
	size_t part;
	size_t byte; /* in the part */
	size_t count; /* of records before it */
	struct wal_kept_record before; /* the one before; all zero at the beginning */
};

struct wal_kept_part;

struct wal_kept {
	struct wal_kept_part **parts; /* owned */
	size_t part_count;
	struct wal_kept_at end;
	/* There are more records than are kept: commits from here on. */
	bool more;
	struct wal_place rest;
	struct wal_kept_segment *segments; /* owned */
	size_t segment_count, segment_capacity;
};

/* Keep a record that lies at `offset` of the segment that comes next in the list. False: there is
 * no room, or there are too many. */
bool wal_kept_add(struct wal_kept *kept, const struct wal_record *record, uint64_t offset);
/* The record at a place, which begins as all zero and moves to the next: false at the end. */
bool wal_kept_next(const struct wal_kept *kept, struct wal_kept_at *at);
/* 0 or -ENOMEM. */
int wal_kept_add_segment(struct wal_kept *kept, const struct wal_kept_segment *segment);
/* Nothing is kept any more; what it has is freed. */
void wal_kept_clear(struct wal_kept *kept);

#endif
