#include "engine/rados/row.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/xxh3.h"
#include "engine/media/bytes.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 4,
	AT_MODE = 6,
	AT_ID = 8,
	AT_TAG = 16,
	AT_MTIME = 32,
	AT_CTIME = 40,
	AT_UID = 48,
	AT_GID = 52,
	AT_SUM = 56,
	AT_REVISION = 64,
	AT_CRC = 68,
	AT_COLLECTION = 72,
	AT_END = 80,
};

enum { ROW_VERSION = 1 };

static const char magic[4] = { 'Q', 'V', 'R', '1' };

static_assert(AT_END == ROW_BYTES && AT_TAG + TAG_BYTES == AT_MTIME, "a row");

uint64_t row_collection(const uint8_t uuid[16])
{
	return XXH3_64bits(uuid, 16);
}

void tag_encode(const struct tag *tag, uint8_t to[TAG_BYTES])
{
	put_le64(to, tag->client);
	put_le64(to + 8, tag->counter);
}

uint64_t tag_version(const struct tag *tag)
{
	uint8_t bytes[TAG_BYTES];
	uint64_t version;

	tag_encode(tag, bytes);
	version = XXH3_64bits(bytes, sizeof(bytes));
	return version ? version : 1;
}

static uint32_t crc_of(const uint8_t row[ROW_BYTES])
{
	uint8_t bytes[AT_CRC + 8];

	memcpy(bytes, row, AT_CRC);
	memcpy(bytes + AT_CRC, row + AT_COLLECTION, 8);
	return (uint32_t)XXH3_64bits(bytes, sizeof(bytes));
}

void row_encode(const struct row *row, uint64_t collection, uint8_t to[ROW_BYTES])
{
	memcpy(to + AT_MAGIC, magic, sizeof(magic));
	put_le16(to + AT_VERSION, ROW_VERSION);
	put_le16(to + AT_MODE, row->attr.mode);
	put_le64(to + AT_ID, row->id);
	tag_encode(&row->tag, to + AT_TAG);
	put_le64(to + AT_MTIME, (uint64_t)row->attr.mtime_ns);
	put_le64(to + AT_CTIME, (uint64_t)row->attr.ctime_ns);
	put_le32(to + AT_UID, row->attr.uid);
	put_le32(to + AT_GID, row->attr.gid);
	put_le64(to + AT_SUM, row->sum);
	put_le32(to + AT_REVISION, row->revision);
	put_le64(to + AT_COLLECTION, collection);
	put_le32(to + AT_CRC, crc_of(to));
}

int row_decode(const void *bytes, size_t length, uint64_t collection, uint64_t id, struct row *row)
{
	const uint8_t *from = bytes;

	if (length == 0)
		return -ENOENT;
	if (length != ROW_BYTES || memcmp(from + AT_MAGIC, magic, sizeof(magic)) != 0 ||
	    get_le32(from + AT_CRC) != crc_of(from))
		return -EUCLEAN;
	if (get_le64(from + AT_COLLECTION) != collection)
		return -ENOENT;
	*row = (struct row){
		.id = get_le64(from + AT_ID),
		.tag = { get_le64(from + AT_TAG), get_le64(from + AT_TAG + 8) },
		.attr = { .mtime_ns = (int64_t)get_le64(from + AT_MTIME),
		          .ctime_ns = (int64_t)get_le64(from + AT_CTIME),
		          .uid = get_le32(from + AT_UID),
		          .gid = get_le32(from + AT_GID),
		          .mode = get_le16(from + AT_MODE) },
		.sum = get_le64(from + AT_SUM),
		.revision = get_le32(from + AT_REVISION),
	};
	/* Its sum is good, so this is what another program wrote. */
	if (get_le16(from + AT_VERSION) != ROW_VERSION || row->id != id || id > QUIVER_ID_MAX ||
	    row->attr.mode > 07777)
		return -EUCLEAN;
	return 0;
}

uint64_t row_sum(uint64_t id, const struct tag *tag, const void *data, size_t length)
{
	uint8_t bytes[8 + TAG_BYTES + 8];

	put_le64(bytes, id);
	tag_encode(tag, bytes + 8);
	put_le64(bytes + 8 + TAG_BYTES, XXH3_64bits(data, length));
	return XXH3_64bits(bytes, sizeof(bytes));
}

bool row_fits(const struct row *row, const void *data, size_t length)
{
	return row_sum(row->id, &row->tag, data, length) == row->sum;
}
