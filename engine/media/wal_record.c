#include "engine/media/wal_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"

#define SEGMENT_VERSION_MIN 1u
#define SEGMENT_MAGIC "QUIVERWL"
#define DURABLE_MAGIC "QUIVERDU"
#define FLAG_MORE 1u
#define FLAG_AHEAD 2u

/* Hash of the first 120 bytes and of where the record lies, so that a record copied or left
 * elsewhere is not one. */
static uint64_t header_sum(const uint8_t *header, uint64_t offset)
{
	uint8_t covered[WAL_RECORD_HEADER_BYTES];

	memcpy(covered, header, WAL_RECORD_HEADER_BYTES - 8);
	put_le64(covered + WAL_RECORD_HEADER_BYTES - 8, offset);
	return XXH3_64bits(covered, sizeof(covered));
}

void wal_record_encode(const struct wal_record *record, uint64_t offset, uint8_t *to)
{
	put_le32(to, record->length_bytes);
	put_le16(to + 4, record->type);
	put_le16(to + 6, (record->more ? FLAG_MORE : 0) | (record->ahead ? FLAG_AHEAD : 0));
	put_le64(to + WAL_RECORD_SALT_AT, record->salt);
	put_le64(to + 16, record->lsn);
	put_le64(to + 24, record->prev_lsn);
	put_le64(to + 32, record->id);
	put_le64(to + 40, record->slot);
	put_le64(to + 48, record->old_slot);
	put_le64(to + 56, record->aux);
	put_le64(to + 64, record->src_slot);
	put_le64(to + 72, (uint64_t)record->attr.mtime_ns);
	put_le64(to + 80, (uint64_t)record->attr.ctime_ns);
	put_le32(to + 88, record->attr.uid);
	put_le32(to + 92, record->attr.gid);
	put_le16(to + 96, record->attr.mode);
	put_le16(to + 98, 0);
	put_le32(to + 100, record->payload_bytes);
	put_le64(to + 104, record->sum);
	put_le64(to + 112, record->durable_lsn);
	put_le64(to + 120, header_sum(to, offset));
}

bool wal_record_decode(struct wal_record *record, const uint8_t *from, uint64_t available,
                       uint64_t offset, uint64_t salt)
{
	if (available < WAL_RECORD_HEADER_BYTES || get_le64(from + WAL_RECORD_SALT_AT) != salt ||
	    get_le64(from + 120) != header_sum(from, offset))
		return false;
	record->length_bytes = get_le32(from);
	record->type = get_le16(from + 4);
	record->more = (get_le16(from + 6) & FLAG_MORE) != 0;
	record->ahead = (get_le16(from + 6) & FLAG_AHEAD) != 0;
	record->salt = salt;
	record->lsn = get_le64(from + 16);
	record->prev_lsn = get_le64(from + 24);
	record->id = get_le64(from + 32);
	record->slot = get_le64(from + 40);
	record->old_slot = get_le64(from + 48);
	record->aux = get_le64(from + 56);
	record->src_slot = get_le64(from + 64);
	record->attr.mtime_ns = (int64_t)get_le64(from + 72);
	record->attr.ctime_ns = (int64_t)get_le64(from + 80);
	record->attr.uid = get_le32(from + 88);
	record->attr.gid = get_le32(from + 92);
	record->attr.mode = get_le16(from + 96);
	record->payload_bytes = get_le32(from + 100);
	record->sum = get_le64(from + 104);
	record->durable_lsn = get_le64(from + 112);
	return record->length_bytes >= WAL_RECORD_HEADER_BYTES &&
	       record->length_bytes <= available && record->length_bytes % 8 == 0 &&
	       record->payload_bytes <= record->length_bytes - WAL_RECORD_HEADER_BYTES;
}

void wal_segment_encode(const struct wal_segment_header *header, uint8_t *to)
{
	memset(to, 0, WAL_HEADER_BYTES);
	memcpy(to, SEGMENT_MAGIC, 8);
	put_le32(to + 8, QUIVER_FORMAT_VERSION);
	memcpy(to + 16, header->uuid, 16);
	put_le64(to + 32, header->number);
	put_le64(to + 40, header->salt);
	put_le64(to + 48, header->size_bytes);
	put_le64(to + WAL_HEADER_BYTES - 8, XXH3_64bits(to, WAL_HEADER_BYTES - 8));
}

bool wal_segment_decode(struct wal_segment_header *header, const uint8_t *from)
{
	/* The records of all versions look the same. */
	if (memcmp(from, SEGMENT_MAGIC, 8) != 0 || get_le32(from + 8) < SEGMENT_VERSION_MIN ||
	    get_le32(from + 8) > QUIVER_FORMAT_VERSION ||
	    get_le64(from + WAL_HEADER_BYTES - 8) != XXH3_64bits(from, WAL_HEADER_BYTES - 8))
		return false;
	memcpy(header->uuid, from + 16, 16);
	header->number = get_le64(from + 32);
	header->salt = get_le64(from + 40);
	header->size_bytes = get_le64(from + 48);
	return true;
}

void wal_segment_name(uint64_t number, char *name)
{
	(void)snprintf(name, 32, "%016" PRIx64 ".wal", number);
}

bool wal_segment_parse(const char *name, uint64_t *number)
{
	char want[32];

	if (sscanf(name, "%16" SCNx64, number) != 1)
		return false;
	wal_segment_name(*number, want);
	return strcmp(name, want) == 0;
}

void durable_encode(uint64_t lsn, const uint8_t uuid[16], uint8_t *to)
{
	memset(to, 0, WAL_HEADER_BYTES);
	memcpy(to, DURABLE_MAGIC, 8);
	put_le32(to + 8, QUIVER_FORMAT_VERSION);
	memcpy(to + 16, uuid, 16);
	put_le64(to + 32, lsn);
	put_le64(to + WAL_HEADER_BYTES - 8, XXH3_64bits(to, WAL_HEADER_BYTES - 8));
}

uint64_t durable_decode(const uint8_t *from, const uint8_t uuid[16])
{
	if (memcmp(from, DURABLE_MAGIC, 8) != 0 || memcmp(from + 16, uuid, 16) != 0 ||
	    get_le64(from + WAL_HEADER_BYTES - 8) != XXH3_64bits(from, WAL_HEADER_BYTES - 8))
		return 0;
	return get_le64(from + 32);
}

static uint64_t note_sum(uint64_t lsn, unsigned note, const uint8_t uuid[16])
{
	uint8_t bytes[32];

	put_le64(bytes, lsn);
	put_le64(bytes + 8, note);
	memcpy(bytes + 16, uuid, 16);
	return XXH3_64bits(bytes, sizeof(bytes));
}

void durable_note_encode(uint64_t lsn, unsigned note, const uint8_t uuid[16],
                         uint8_t to[DURABLE_NOTE_BYTES])
{
	put_le64(to, lsn);
	put_le64(to + 8, note_sum(lsn, note, uuid));
}

uint64_t durable_note_decode(const uint8_t from[DURABLE_NOTE_BYTES], unsigned note,
                             const uint8_t uuid[16])
{
	uint64_t lsn = get_le64(from);

	return get_le64(from + 8) == note_sum(lsn, note, uuid) ? lsn : 0;
}
