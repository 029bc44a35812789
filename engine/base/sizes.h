/*
 * sizes.h - the steps in which files grow, shrink and follow each other. Nothing on disk
 * depends on them, so a build with QUIVER_SMALL_SIZES has steps so small that a short test
 * meets all of them.
 */
#ifndef QUIVER_SIZES_H
#define QUIVER_SIZES_H

#include <stdint.h>

#ifdef QUIVER_SMALL_SIZES
#define WAL_SEGMENT_MIN_BYTES (UINT64_C(8) << 10)
#define WAL_SEGMENT_MAX_BYTES (UINT64_C(16) << 10)
#define WAL_READ_BYTES (UINT64_C(4) << 10)
#define WAL_KEPT_PART_BYTES 512u
#define WAL_KEPT_PARTS_MAX 3u
#define GROW_MIN_BYTES UINT64_C(64)
#define GROW_MAX_BYTES (UINT64_C(64) << 10)
#define CHUNK_BYTES (UINT64_C(4) << 10)
#define PUTSLOT_MIN_BYTES UINT64_C(2500)
#define BACKLOG_SLOW_BYTES (UINT64_C(512) << 10)
#define BACKLOG_MAX_BYTES (UINT64_C(1) << 20)
#define ZERO_CHUNK_BYTES (4u << 10)
#define WRITE_WINDOW_BYTES (UINT64_C(4) << 10)
#define UPGRADE_ROWS UINT64_C(64)
#define REGIONS_IN_FLIGHT_SLOTS UINT64_C(4)
#define INDEX_EARLY_SPARE_BYTES (UINT64_C(64) << 10)
#define SLOTS_SEGMENT 64u
#define NEAREST_INDEX_LEAST 20u
#define NEAREST_INDEX_HELPS 0.0 /* always: no run depends on how fast the machine is */
#else
/* Segments double from the first to the largest, so that a small store stays small. */
#define WAL_SEGMENT_MIN_BYTES (UINT64_C(1) << 20)
#define WAL_SEGMENT_MAX_BYTES (UINT64_C(32) << 20)
/* Of the log at once: a request of the largest size that most devices take. */
#define WAL_READ_BYTES (UINT64_C(4) << 20)
/* Kept in memory of a log that is recovered, 128 MiB at most: some four million records, more than a
 * checkpoint leaves of the smallest vectors. Of a longer log the rest is read once more. A part is a
 * huge page, where there are any. */
#define WAL_KEPT_PART_BYTES (2u << 20)
#define WAL_KEPT_PARTS_MAX 64u
#define GROW_MIN_BYTES (UINT64_C(16) << 20) /* DESIGN section 3 */
#define GROW_MAX_BYTES (UINT64_C(1) << 30)
#define CHUNK_BYTES (UINT64_C(64) << 10) /* smaller holes are not worth a call */
/* One write makes one folio of the page cache, and each later write into a large folio walks
 * the heads of all its blocks: with 1 MiB an append took twice as long. */
#define ZERO_CHUNK_BYTES (64u << 10)
/* What is put after so many bytes since the last sync that a client asked for is logged without
 * its bytes. The next sync then writes the slots as well, which takes longer than a few vectors
 * in the log would. */
#define PUTSLOT_MIN_BYTES (UINT64_C(64) << 10)
/* Log that no checkpoint has covered, of which four to eight times as much as makes one begin: with
 * the bytes in slots that it names. From the first on writers wait a little, at the second for a
 * checkpoint. */
#define BACKLOG_SLOW_BYTES (UINT64_C(1) << 30)
#define BACKLOG_MAX_BYTES (UINT64_C(2) << 30)
/* Written in two milliseconds by who is fast; of pages made dirty in vain there are no more. */
#define WRITE_WINDOW_BYTES (UINT64_C(2) << 20)
/* Rows that an upgrade encodes and writes at a time: 0.9 MB. */
#define UPGRADE_ROWS (UINT64_C(16) << 10)
/* Slots that may have been taken shortly before a checkpoint begins, to be committed after it. */
#define REGIONS_IN_FLIGHT_SLOTS UINT64_C(32768)
/* What a checkpoint leaves of the disk when it writes the index before all else: more than the log that
 * others write meanwhile, and a step by which the columns grow. */
#define INDEX_EARLY_SPARE_BYTES (UINT64_C(4) << 30)
/* Slots that are filled one after the other before others are (slot_segments.h). */
#define SLOTS_SEGMENT 16384u
/* Fewer vectors are compared in no time. */
#define NEAREST_INDEX_LEAST 10000u
/* An index is used where a question takes so many times less than comparing all. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define NEAREST_INDEX_HELPS 0.0 /* only a part of the code takes as long as it does otherwise */
#else
#define NEAREST_INDEX_HELPS 2.0
#endif
#endif

#define HEADROOM_MAX_BYTES (UINT64_C(64) << 20) /* some hundred ms of writing */

#endif
