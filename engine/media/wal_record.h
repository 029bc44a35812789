/*
 * wal_record.h - one record of the log, in memory and as bytes; FORMAT.md.
 */
#ifndef QUIVER_WAL_RECORD_H
#define QUIVER_WAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define WAL_HEADER_BYTES 4096u /* of a segment */
#define WAL_RECORD_HEADER_BYTES 128u
/* No segment is larger: who reads it has it in memory at once. Nothing that goes into one is. */
#define WAL_FILE_BYTES_MAX (UINT64_C(1) << 30)
#define WAL_RECORD_SALT_AT 8u /* what does not have the salt of its segment there is no record */

enum wal_type {
	WAL_PUT = 1,
	WAL_REMOVE,
	WAL_RENAME,
	WAL_MOVE,
	WAL_SETATTR,
	WAL_DIRATTR,
	WAL_PUTREF,
	WAL_FREE,
	WAL_PUTSLOT,
};

struct wal_record {
	uint32_t length_bytes;
	uint16_t type;
	bool more;
	bool ahead; /* RENAME: its ctime is above the clock */
	uint64_t salt;
	uint64_t lsn;
	uint64_t prev_lsn;
	uint64_t id;
	uint64_t slot;
	uint64_t old_slot; /* superseded, or SLOT_NONE */
	uint64_t aux; /* RENAME: ID it was; SETATTR: LSN of the row; MOVE, PUTREF: its attr_lsn */
	uint64_t src_slot; /* RENAME, MOVE */
	struct quiver_attr attr; /* ctime_ns also of a REMOVE: its time */
	uint32_t payload_bytes;
	uint64_t sum;
	uint64_t durable_lsn;
};

/* Write the 128 header bytes for a record that will lie at `offset` of its file. */
void wal_record_encode(const struct wal_record *record, uint64_t offset, uint8_t *to);
/* Read them; `available` bytes are there from the record's start to the end of the segment.
 * False where they are no record of this salt at this offset. */
bool wal_record_decode(struct wal_record *record, const uint8_t *from, uint64_t available,
                       uint64_t offset, uint64_t salt);

struct wal_segment_header {
	uint8_t uuid[16];
	uint64_t number;
	uint64_t salt;
	uint64_t size_bytes;
};
void wal_segment_encode(const struct wal_segment_header *header, uint8_t *to);
/* False where these 4096 bytes are no segment header (or of a newer format). */
bool wal_segment_decode(struct wal_segment_header *header, const uint8_t *from);

/* "%016llx.wal"; the buffer holds 32 bytes. */
void wal_segment_name(uint64_t number, char *name);
/* The number in a segment's name; false for another name. */
bool wal_segment_parse(const char *name, uint64_t *number);

/* The page `durable`, 4096 bytes. */
void durable_encode(uint64_t lsn, const uint8_t uuid[16], uint8_t *to);
/* The LSN in it; 0 where the page is not valid. */
uint64_t durable_decode(const uint8_t *from, const uint8_t uuid[16]);

/* The notes behind it. */
#define DURABLE_BYTES (2 * WAL_HEADER_BYTES) /* of the file */
#define DURABLE_NOTES 4u
#define DURABLE_NOTE_BYTES 16u

/* Where in the file a note stands. */
static inline uint64_t durable_note_at(unsigned note)
{
	return WAL_HEADER_BYTES + 512 * (uint64_t)note;
}

void durable_note_encode(uint64_t lsn, unsigned note, const uint8_t uuid[16],
                         uint8_t to[DURABLE_NOTE_BYTES]);
/* The LSN in it; 0 where it is not valid. */
uint64_t durable_note_decode(const uint8_t from[DURABLE_NOTE_BYTES], unsigned note,
                             const uint8_t uuid[16]);

#endif
