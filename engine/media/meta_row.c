#include "engine/media/meta_row.h"

#include "engine/media/meta_row_codec.h"

/* Where each field of a row of version 1 lies; FORMAT.md. */
enum {
	AT_LSN = 0,
	AT_SUM = 8,
	AT_MTIME = 16,
	AT_UID = 24,
	AT_GID = 28,
	AT_MODE = 32,
	AT_FLAGS = 34,
	AT_CRC = 36,
};

static_assert(AT_CRC + 4 == META_ROW_1_BYTES && META_ROW_1_BYTES % 8 == 0,
              "a row is stored by the word");

uint64_t vector_sum(uint64_t id, uint64_t lsn, uint64_t bytes_hash)
{
	uint8_t bytes[24];

	put_le64(bytes, id);
	put_le64(bytes + 8, lsn);
	put_le64(bytes + 16, bytes_hash);
	return XXH3_64bits(bytes, sizeof(bytes));
}

static uint32_t crc_1(const uint8_t row[META_ROW_1_BYTES], uint64_t id, uint64_t slot)
{
	uint8_t bytes[AT_CRC + 16];

	memcpy(bytes, row, AT_CRC);
	put_le64(bytes + AT_CRC, id);
	put_le64(bytes + AT_CRC + 8, slot);
	return (uint32_t)XXH3_64bits(bytes, sizeof(bytes));
}

void meta_encode_1(const struct meta_row *row, uint64_t id, uint64_t slot,
                   uint8_t to[META_ROW_1_BYTES])
{
	memset(to, 0, META_ROW_1_BYTES);
	if (row->lsn == 0)
		return;
	put_le64(to + AT_LSN, row->lsn);
	put_le64(to + AT_SUM, row->sum);
	put_le64(to + AT_MTIME, (uint64_t)row->attr.mtime_ns);
	put_le32(to + AT_UID, row->attr.uid);
	put_le32(to + AT_GID, row->attr.gid);
	put_le16(to + AT_MODE, row->attr.mode);
	put_le16(to + AT_FLAGS, META_FLAG_LIVE);
	put_le32(to + AT_CRC, crc_1(to, id, slot));
}

static void read_fields(const uint8_t from[META_ROW_1_BYTES], struct meta_row *row)
{
	row->lsn = get_le64(from + AT_LSN);
	row->sum = get_le64(from + AT_SUM);
	row->attr = (struct quiver_attr){ .mtime_ns = (int64_t)get_le64(from + AT_MTIME),
		                          .ctime_ns = (int64_t)get_le64(from + AT_MTIME),
		                          .uid = get_le32(from + AT_UID),
		                          .gid = get_le32(from + AT_GID),
		                          .mode = get_le16(from + AT_MODE) };
	row->attr_lsn = row->lsn;
}

int meta_decode_1(const uint8_t from[META_ROW_1_BYTES], uint64_t id, uint64_t slot,
                  struct meta_row *row)
{
	*row = (struct meta_row){ 0 };
	if (meta_all_zero(from, META_ROW_1_BYTES))
		return 0;
	if (get_le64(from + AT_LSN) == 0 || get_le16(from + AT_FLAGS) != META_FLAG_LIVE ||
	    get_le32(from + AT_CRC) != crc_1(from, id, slot))
		return -EBADMSG;
	read_fields(from, row);
	return 0;
}

void meta_encode_bad(const uint8_t from[META_ROW_1_BYTES], uint64_t id, uint64_t slot,
                     uint8_t to[META_ROW_BYTES])
{
	struct meta_row row;

	read_fields(from, &row);
	if (row.lsn == 0)
		row.lsn = row.attr_lsn = UINT64_MAX; /* else it would be a free row */
	meta_encode(&row, id, slot, to);
	put_le32(to + META_AT_CRC, ~get_le32(to + META_AT_CRC));
}
