#include "log_input.h"

#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"
#include "engine/media/wal_record.h"

enum {
	FIX_SUM = 1,
	FIX_SALT = 2,
	FIX_LENGTH = 4,
	FIX_CHAIN = 8,
	FIX_PAYLOAD = 16,
};

static void put_header(const struct log_input *log, uint8_t *to, size_t size)
{
	struct wal_segment_header header = { .number = log->number,
		                             .salt = log->salt,
		                             .size_bytes = size };

	memcpy(header.uuid, log->uuid, sizeof(header.uuid));
	wal_segment_encode(&header, to);
	put_le32(to + 8, log->version);
	put_le64(to + WAL_HEADER_BYTES - 8, XXH3_64bits(to, WAL_HEADER_BYTES - 8));
}

static void put_sum(uint8_t *record, uint64_t offset)
{
	uint8_t covered[WAL_RECORD_HEADER_BYTES];

	memcpy(covered, record, sizeof(covered));
	put_le64(covered + 120, offset);
	put_le64(record + 120, XXH3_64bits(covered, sizeof(covered)));
}

static uint32_t fix_record(const struct log_input *log, uint8_t *record, uint64_t offset,
                           size_t left, uint64_t fix, uint64_t *lsn)
{
	uint32_t n = log->vector_bytes;
	uint32_t length = get_le32(record);

	if (fix & FIX_LENGTH) {
		bool put = get_le16(record + 4) == WAL_PUT && left >= WAL_RECORD_HEADER_BYTES + n;

		length = WAL_RECORD_HEADER_BYTES + (put ? (n + 7) / 8 * 8 : 0);
		put_le32(record, length);
		put_le32(record + 100, put ? n : 0);
	}
	if (fix & FIX_SALT)
		put_le64(record + 8, log->salt);
	if (fix & FIX_CHAIN) {
		put_le64(record + 24, *lsn);
		put_le64(record + 16, *lsn + 1 + record[16] % 3);
		*lsn = get_le64(record + 16);
	}
	if ((fix & FIX_PAYLOAD) && left >= WAL_RECORD_HEADER_BYTES + n)
		put_le64(record + 104,
		         vector_sum(get_le64(record + 32), get_le64(record + 16),
		                    XXH3_64bits(record + WAL_RECORD_HEADER_BYTES, n)));
	if (fix & FIX_SUM)
		put_sum(record, offset);
	return length;
}

size_t log_input_raw(const struct log_input *log, struct fuzz_input *input, uint8_t *to,
                     size_t room)
{
	uint64_t fix = fuzz_take(input, 1);
	uint64_t lsn = log->lsn;
	size_t size = WAL_HEADER_BYTES;

	while (size < room && input->size > 0)
		to[size++] = (uint8_t)fuzz_take(input, 1);
	put_header(log, to, size);
	for (size_t at = WAL_HEADER_BYTES; at + WAL_RECORD_HEADER_BYTES <= size;) {
		uint64_t length = fix_record(log, to + at, at, size - at, fix, &lsn);

		at += length >= 8 ? (length + 7) / 8 * 8 : 8;
	}
	return size;
}

static uint64_t slot_of(uint64_t value)
{
	return value == 0xffff ? SLOT_NONE : value;
}

size_t log_input_records(const struct log_input *log, struct fuzz_input *input, uint8_t *to,
                         size_t room)
{
	uint64_t lsn = log->lsn;
	size_t at = WAL_HEADER_BYTES;

	memset(to, 0, room);
	put_header(log, to, room);
	while (input->size > 0) {
		uint64_t how = fuzz_take(input, 1);
		struct wal_record record = {
			.type = (uint16_t)(fuzz_take(input, 1) % 9 + (how & 64 ? 1 : 0)),
			.more = (how & 1) != 0,
			.salt = log->salt,
			.prev_lsn = lsn,
			.lsn = lsn + 1 + (how >> 1 & 1),
			.id = fuzz_take(input, 1),
			.slot = slot_of(fuzz_take(input, 2)),
			.old_slot = slot_of(fuzz_take(input, 2)),
			.aux = fuzz_take(input, 1),
			.src_slot = slot_of(fuzz_take(input, 2)),
		};
		uint32_t n = record.type == WAL_PUT ? log->vector_bytes : 0;

		record.length_bytes = WAL_RECORD_HEADER_BYTES + n;
		record.payload_bytes = n;
		if (at + record.length_bytes > room)
			break;
		/* The bytes that such a vector of the world has, so that copies match, too. */
		world_bytes((uint32_t)(how & 4 ? record.aux : record.id), 1, n,
		            to + at + WAL_RECORD_HEADER_BYTES);
		record.sum = vector_sum(record.id, record.lsn,
		                        XXH3_64bits(to + at + WAL_RECORD_HEADER_BYTES, n));
		if (record.type == WAL_RENAME || record.type == WAL_MOVE) {
			uint8_t bytes[FUZZ_BYTES];

			world_bytes((uint32_t)(record.type == WAL_MOVE ? record.id : record.aux), 1,
			            log->vector_bytes, bytes);
			record.sum = vector_sum(record.id, record.lsn,
			                        XXH3_64bits(bytes, log->vector_bytes));
		}
		wal_record_encode(&record, at, to + at);
		lsn = record.lsn;
		at += record.length_bytes;
	}
	return room;
}

static void add_bytes(struct log_records *records, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		records->to[records->used++] = (uint8_t)(value >> (8 * i));
}

static void add_record(struct log_records *records, const struct wal_record *record, uint64_t lsn)
{
	uint64_t how = (record->more ? 1u : 0u) | (record->lsn > lsn + 1 ? 2u : 0u);

	if (records->room - records->used < 10)
		return;
	add_bytes(records, how, 1);
	add_bytes(records, record->type, 1);
	add_bytes(records, record->id, 1);
	add_bytes(records, record->slot, 2); /* SLOT_NONE is 0xffff so, too */
	add_bytes(records, record->old_slot, 2);
	add_bytes(records, record->aux, 1);
	add_bytes(records, record->src_slot, 2);
}

void log_records_add(struct log_records *records, const uint8_t *segment, uint64_t kept,
                     uint64_t *lsn)
{
	struct wal_segment_header header;
	struct wal_record record;

	if (kept < WAL_HEADER_BYTES || !wal_segment_decode(&header, segment))
		return;
	for (uint64_t at = WAL_HEADER_BYTES; at < kept; at += record.length_bytes) {
		/* Zeros behind what is kept are left out of it. */
		if (!wal_record_decode(&record, segment + at,
		                       kept - at < WAL_RECORD_HEADER_BYTES ? 0 : UINT32_MAX, at,
		                       header.salt))
			return;
		if (record.lsn > *lsn) {
			add_record(records, &record, *lsn);
			*lsn = record.lsn;
		}
	}
}
