#include "engine/media/version_record.h"

#include <errno.h>
#include <string.h>

#include "engine/media/meta_row_codec.h"

/* Where each field of a record lies; FORMAT.md. */
enum {
	AT_SLOT = 0,
	AT_ID = 8,
	AT_UNTIL = 16,
	AT_ROW = 24,
	AT_KIND = 80,
	AT_SUM = 88,
};

/* ... and of the header. */
enum {
	HEADER_AT_VERSION = 8,
	HEADER_AT_UUID = 16,
	HEADER_AT_GENERATION = 32,
	HEADER_AT_BORN = 40,
	HEADER_AT_SUM = 4088,
};

#define VERSIONS_VERSION 1u

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'V', 'S' };

static_assert(AT_ROW + META_ROW_BYTES == AT_KIND && AT_SUM + 8 == VERSION_RECORD_BYTES, "a record");

static uint64_t record_sum(const uint8_t *record, uint64_t generation, uint64_t offset)
{
	uint8_t bytes[AT_SUM + 16];

	memcpy(bytes, record, AT_SUM);
	put_le64(bytes + AT_SUM, generation);
	put_le64(bytes + AT_SUM + 8, offset);
	return XXH3_64bits(bytes, sizeof(bytes));
}

void version_record_encode(const struct version_record *record, uint64_t generation,
                           uint64_t offset, uint8_t to[VERSION_RECORD_BYTES])
{
	memset(to, 0, VERSION_RECORD_BYTES);
	put_le64(to + AT_SLOT, record->slot);
	put_le64(to + AT_ID, record->id);
	put_le64(to + AT_UNTIL, record->until);
	meta_encode(&record->row, record->id, record->slot, to + AT_ROW);
	put_le32(to + AT_KIND, (uint32_t)record->kind);
	put_le64(to + AT_SUM, record_sum(to, generation, offset));
}

/* What no store writes, though the sum fits. */
static bool is_possible(const struct version_record *record, uint32_t kind)
{
	return record->slot <= SLOT_MAX && record->id <= QUIVER_ID_MAX && record->row.lsn > 0 &&
	       version_from(&record->row) < record->until &&
	       (kind == VERSION_SUPERSEDED || kind == VERSION_ATTRIBUTES);
}

int version_record_decode(const uint8_t from[VERSION_RECORD_BYTES], uint64_t generation,
                          uint64_t offset, struct version_record *record)
{
	uint32_t kind = get_le32(from + AT_KIND);
	int r;

	if (get_le64(from + AT_SUM) != record_sum(from, generation, offset))
		return -EBADMSG;
	record->slot = get_le64(from + AT_SLOT);
	record->id = get_le64(from + AT_ID);
	record->until = get_le64(from + AT_UNTIL);
	r = meta_decode(from + AT_ROW, record->id, record->slot, &record->row);
	if (r)
		return r;
	if (!is_possible(record, kind))
		return -EBADMSG;
	record->kind = (enum version_kind)kind;
	return 0;
}

void versions_header_encode(const struct versions_header *header,
                            uint8_t page[VERSIONS_HEADER_BYTES])
{
	memset(page, 0, VERSIONS_HEADER_BYTES);
	memcpy(page, magic, sizeof(magic));
	put_le32(page + HEADER_AT_VERSION, VERSIONS_VERSION);
	memcpy(page + HEADER_AT_UUID, header->uuid, sizeof(header->uuid));
	put_le64(page + HEADER_AT_GENERATION, header->generation);
	put_le64(page + HEADER_AT_BORN, header->born_bytes);
	put_le64(page + HEADER_AT_SUM, XXH3_64bits(page, HEADER_AT_SUM));
}

int versions_header_decode(const uint8_t page[VERSIONS_HEADER_BYTES],
                           struct versions_header *header)
{
	if (memcmp(page, magic, sizeof(magic)) != 0)
		return -EINVAL;
	if (get_le64(page + HEADER_AT_SUM) != XXH3_64bits(page, HEADER_AT_SUM))
		return -EUCLEAN;
	if (get_le32(page + HEADER_AT_VERSION) > VERSIONS_VERSION)
		return -ENOTSUP;
	memcpy(header->uuid, page + HEADER_AT_UUID, sizeof(header->uuid));
	header->generation = get_le64(page + HEADER_AT_GENERATION);
	header->born_bytes = get_le64(page + HEADER_AT_BORN);
	return header->generation > 0 && header->born_bytes >= VERSIONS_HEADER_BYTES &&
	                       (header->born_bytes - VERSIONS_HEADER_BYTES) %
	                                       VERSION_RECORD_BYTES ==
	                               0
	               ? 0
	               : -EUCLEAN;
}
