#include "engine/media/version_stream.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/description.h"
#include "engine/base/xxh3.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_STORE_UUID = 16,
	AT_NEW_UUID = 32,
	AT_OLD_UUID = 48,
	AT_NEW_LSN = 64,
	AT_OLD_LSN = 72,
	AT_NEW_COUNT = 80,
	AT_OLD_COUNT = 88,
	AT_REMOVALS = 96,
	AT_ATTRIBUTES = 104,
	AT_VECTORS = 112,
	AT_POSITION = 120,
	AT_DIM = 128,
	AT_DTYPE = 132,
	AT_CREATED = 136,
	AT_DIR_MTIME = 144,
	AT_DIR_CTIME = 152,
	AT_DIR_UID = 160,
	AT_DIR_GID = 164,
	AT_DIR_MODE = 168,
	AT_METRIC = 170,
	AT_FEATURES = 176,
	AT_NEW_NAME = 192,
	AT_OLD_NAME = 256,
	AT_LABEL_BYTES = 510,
	AT_LABEL = 512,
	AT_SUM = 4088,

	FRAME_AT_TYPE = 0,
	FRAME_AT_ITEMS = 4,
	FRAME_AT_LENGTH = 8,
	FRAME_AT_SEQUENCE = 16,
	FRAME_AT_POSITION = 24,
	FRAME_AT_PAYLOAD_SUM = 32,
	FRAME_AT_SUM = 40,

	ROW_AT_ID = 0,
	ROW_AT_MTIME = 8,
	ROW_AT_UID = 16,
	ROW_AT_GID = 20,
	ROW_AT_MODE = 24,
	ROW_AT_END = 26,
};

enum { FLAG_HAS_OLD = 1 };

#define STREAM_VERSION 1u
#define MODE_BITS 07777u

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'S', 'T' };

static_assert(AT_OLD_NAME + QUIVER_SNAPSHOT_NAME_MAX <= AT_LABEL_BYTES &&
                      AT_NEW_NAME + QUIVER_SNAPSHOT_NAME_MAX == AT_OLD_NAME,
              "a name fills its field");
static_assert(STREAM_ROW_BYTES + QUIVER_VECTOR_BYTES_MAX <= STREAM_PAYLOAD_BYTES_MAX,
              "any vector fits into a frame");

static void encode_version(const struct stream_version *version, uint8_t *page, size_t at_uuid,
                           size_t at_lsn, size_t at_count, size_t at_name)
{
	memcpy(page + at_uuid, version->uuid, sizeof(version->uuid));
	put_le64(page + at_lsn, version->lsn);
	put_le64(page + at_count, version->count);
	memcpy(page + at_name, version->name, strlen(version->name));
}

void stream_header_encode(const struct stream_header *header, uint8_t page[STREAM_HEADER_BYTES])
{
	size_t label_bytes = strlen(header->description.label);

	memset(page, 0, STREAM_HEADER_BYTES);
	memcpy(page, magic, sizeof(magic));
	put_le32(page + AT_VERSION, STREAM_VERSION);
	put_le32(page + AT_FLAGS, header->has_old ? FLAG_HAS_OLD : 0);
	memcpy(page + AT_STORE_UUID, header->store_uuid, sizeof(header->store_uuid));
	encode_version(&header->new_one, page, AT_NEW_UUID, AT_NEW_LSN, AT_NEW_COUNT, AT_NEW_NAME);
	if (header->has_old)
		encode_version(&header->old_one, page, AT_OLD_UUID, AT_OLD_LSN, AT_OLD_COUNT,
		               AT_OLD_NAME);
	put_le64(page + AT_REMOVALS, header->removals);
	put_le64(page + AT_ATTRIBUTES, header->attributes);
	put_le64(page + AT_VECTORS, header->vectors);
	put_le64(page + AT_POSITION, header->position);
	put_le32(page + AT_DIM, header->geometry.dim);
	put_le32(page + AT_DTYPE, (uint32_t)header->geometry.dtype);
	put_le64(page + AT_CREATED, (uint64_t)header->created_ns);
	put_le64(page + AT_DIR_MTIME, (uint64_t)header->dir.mtime_ns);
	put_le64(page + AT_DIR_CTIME, (uint64_t)header->dir.ctime_ns);
	put_le32(page + AT_DIR_UID, header->dir.uid);
	put_le32(page + AT_DIR_GID, header->dir.gid);
	put_le16(page + AT_DIR_MODE, header->dir.mode);
	put_le16(page + AT_METRIC, (uint16_t)header->description.metric);
	put_le16(page + AT_LABEL_BYTES, (uint16_t)label_bytes);
	memcpy(page + AT_LABEL, header->description.label, label_bytes);
	put_le64(page + AT_SUM, XXH3_64bits(page, AT_SUM));
}

static int decode_version(struct stream_version *version, const uint8_t *page, size_t at_uuid,
                          size_t at_lsn, size_t at_count, size_t at_name)
{
	memcpy(version->uuid, page + at_uuid, sizeof(version->uuid));
	version->lsn = get_le64(page + at_lsn);
	version->count = get_le64(page + at_count);
	memcpy(version->name, page + at_name, QUIVER_SNAPSHOT_NAME_MAX);
	return version->count <= SLOT_MAX + 1 && quiver_snapshot_name_is_valid(version->name)
	               ? 0
	               : -EUCLEAN;
}

/* Whether one can be made of the other by so many items. None of the numbers is so large that a sum
 * of them goes over. */
static bool adds_up(const struct stream_header *header)
{
	uint64_t count = header->new_one.count, stay;

	if (header->vectors > count || header->removals > header->old_one.count ||
	    header->attributes > header->old_one.count)
		return false;
	if (!header->has_old)
		return header->vectors == count;
	stay = header->old_one.count - header->removals;
	return header->old_one.lsn <= header->new_one.lsn && stay <= count &&
	       count <= stay + header->vectors && header->attributes <= stay;
}

static bool plausible(const struct stream_header *header, uint32_t dtype)
{
	return dtype <= QUIVER_B1 && header->geometry.vector_bytes > 0 && adds_up(header) &&
	       header->position <= stream_items(header) && header->dir.mode <= MODE_BITS &&
	       description_fits_metric(header->geometry.dtype,
	                               (uint32_t)header->description.metric);
}

/* Whether what is not named is zero. */
static bool is_canonical(const struct stream_header *header,
                         const uint8_t page[STREAM_HEADER_BYTES])
{
	uint8_t again[STREAM_HEADER_BYTES];

	stream_header_encode(header, again);
	return memcmp(page, again, sizeof(again)) == 0;
}

int stream_header_decode(const uint8_t page[STREAM_HEADER_BYTES], struct stream_header *header)
{
	uint32_t dtype = get_le32(page + AT_DTYPE);
	uint16_t label_bytes = get_le16(page + AT_LABEL_BYTES);
	int r;

	memset(header, 0, sizeof(*header));
	if (memcmp(page, magic, sizeof(magic)) != 0)
		return -EINVAL;
	if (get_le64(page + AT_SUM) != XXH3_64bits(page, AT_SUM))
		return -EUCLEAN;
	if (get_le32(page + AT_VERSION) > STREAM_VERSION || get_le64(page + AT_FEATURES) != 0)
		return -ENOTSUP;
	if (get_le32(page + AT_FLAGS) > FLAG_HAS_OLD || label_bytes > QUIVER_LABEL_BYTES_MAX ||
	    !description_label_is_valid((const char *)page + AT_LABEL, label_bytes))
		return -EUCLEAN;
	memcpy(header->store_uuid, page + AT_STORE_UUID, sizeof(header->store_uuid));
	header->has_old = get_le32(page + AT_FLAGS) == FLAG_HAS_OLD;
	header->removals = get_le64(page + AT_REMOVALS);
	header->attributes = get_le64(page + AT_ATTRIBUTES);
	header->vectors = get_le64(page + AT_VECTORS);
	header->position = get_le64(page + AT_POSITION);
	header->geometry.dim = get_le32(page + AT_DIM);
	header->geometry.dtype = (enum quiver_dtype)dtype;
	header->geometry.vector_bytes =
		quiver_vector_bytes(header->geometry.dim, header->geometry.dtype);
	header->created_ns = (int64_t)get_le64(page + AT_CREATED);
	header->dir.mtime_ns = (int64_t)get_le64(page + AT_DIR_MTIME);
	header->dir.ctime_ns = (int64_t)get_le64(page + AT_DIR_CTIME);
	header->dir.uid = get_le32(page + AT_DIR_UID);
	header->dir.gid = get_le32(page + AT_DIR_GID);
	header->dir.mode = get_le16(page + AT_DIR_MODE);
	header->description.metric = (enum quiver_metric)get_le16(page + AT_METRIC);
	memcpy(header->description.label, page + AT_LABEL, label_bytes);
	r = decode_version(&header->new_one, page, AT_NEW_UUID, AT_NEW_LSN, AT_NEW_COUNT,
	                   AT_NEW_NAME);
	if (r == 0 && header->has_old)
		r = decode_version(&header->old_one, page, AT_OLD_UUID, AT_OLD_LSN, AT_OLD_COUNT,
		                   AT_OLD_NAME);
	return r == 0 && plausible(header, dtype) && is_canonical(header, page) ? 0 : -EUCLEAN;
}

uint64_t stream_tag(const struct stream_header *header)
{
	struct stream_header whole = *header;
	uint8_t page[STREAM_HEADER_BYTES];

	whole.position = 0;
	stream_header_encode(&whole, page);
	return XXH3_64bits(page, AT_SUM);
}

uint64_t stream_payload_bytes(uint32_t type, uint64_t items, uint32_t vector_bytes)
{
	switch (type) {
	case STREAM_REMOVALS:
		return items * 8;
	case STREAM_ATTRIBUTES:
		return items * STREAM_ROW_BYTES;
	case STREAM_VECTORS:
		return items * (STREAM_ROW_BYTES + (uint64_t)vector_bytes);
	case STREAM_END:
		return STREAM_END_BYTES;
	default:
		return UINT64_MAX;
	}
}

uint32_t stream_items_max(enum stream_frame_type type, uint32_t vector_bytes)
{
	return (uint32_t)(STREAM_PAYLOAD_BYTES_MAX / stream_payload_bytes(type, 1, vector_bytes));
}

static uint64_t frame_sum(const uint8_t frame[STREAM_FRAME_BYTES], uint64_t tag)
{
	uint8_t bytes[STREAM_FRAME_BYTES];

	memcpy(bytes, frame, FRAME_AT_SUM);
	put_le64(bytes + FRAME_AT_SUM, tag);
	return XXH3_64bits(bytes, sizeof(bytes));
}

void stream_frame_encode(struct stream_frame *frame, uint64_t tag, uint8_t to[STREAM_FRAME_BYTES])
{
	put_le32(to + FRAME_AT_TYPE, (uint32_t)frame->type);
	put_le32(to + FRAME_AT_ITEMS, frame->items);
	put_le64(to + FRAME_AT_LENGTH, frame->payload_bytes);
	put_le64(to + FRAME_AT_SEQUENCE, frame->sequence);
	put_le64(to + FRAME_AT_POSITION, frame->position);
	put_le64(to + FRAME_AT_PAYLOAD_SUM, frame->payload_sum);
	frame->sum = frame_sum(to, tag);
	put_le64(to + FRAME_AT_SUM, frame->sum);
}

int stream_frame_decode(const uint8_t from[STREAM_FRAME_BYTES], uint64_t tag, uint32_t vector_bytes,
                        struct stream_frame *frame)
{
	uint32_t type = get_le32(from + FRAME_AT_TYPE);
	uint32_t items = get_le32(from + FRAME_AT_ITEMS);
	uint64_t length = get_le64(from + FRAME_AT_LENGTH);

	if (get_le64(from + FRAME_AT_SUM) != frame_sum(from, tag) ||
	    length > STREAM_PAYLOAD_BYTES_MAX ||
	    length != stream_payload_bytes(type, items, vector_bytes) ||
	    (type == STREAM_END) != (items == 0))
		return -EUCLEAN;
	*frame = (struct stream_frame){
		.type = (enum stream_frame_type)type,
		.items = items,
		.payload_bytes = (uint32_t)length,
		.sequence = get_le64(from + FRAME_AT_SEQUENCE),
		.position = get_le64(from + FRAME_AT_POSITION),
		.payload_sum = get_le64(from + FRAME_AT_PAYLOAD_SUM),
		.sum = get_le64(from + FRAME_AT_SUM),
	};
	return 0;
}

uint64_t stream_chain(uint64_t chain, uint64_t frame_sum)
{
	uint8_t bytes[16];

	put_le64(bytes, chain);
	put_le64(bytes + 8, frame_sum);
	return XXH3_64bits(bytes, sizeof(bytes));
}

uint64_t stream_sum(const void *bytes, uint64_t length)
{
	return XXH3_64bits(bytes, length);
}

void stream_row_encode(const struct stream_row *row, uint8_t to[STREAM_ROW_BYTES])
{
	memset(to, 0, STREAM_ROW_BYTES);
	put_le64(to + ROW_AT_ID, row->id);
	put_le64(to + ROW_AT_MTIME, (uint64_t)row->attr.mtime_ns);
	put_le32(to + ROW_AT_UID, row->attr.uid);
	put_le32(to + ROW_AT_GID, row->attr.gid);
	put_le16(to + ROW_AT_MODE, row->attr.mode);
}

int stream_row_decode(const uint8_t from[STREAM_ROW_BYTES], struct stream_row *row)
{
	*row = (struct stream_row){
		.id = get_le64(from + ROW_AT_ID),
		.attr = { .mtime_ns = (int64_t)get_le64(from + ROW_AT_MTIME),
		          .uid = get_le32(from + ROW_AT_UID),
		          .gid = get_le32(from + ROW_AT_GID),
		          .mode = get_le16(from + ROW_AT_MODE) },
	};
	for (size_t i = ROW_AT_END; i < STREAM_ROW_BYTES; i++)
		if (from[i] != 0)
			return -EUCLEAN;
	return row->id <= QUIVER_ID_MAX && row->attr.mode <= MODE_BITS ? 0 : -EUCLEAN;
}

void stream_removal_encode(uint64_t id, uint8_t to[8])
{
	put_le64(to, id);
}

int stream_removal_decode(const uint8_t from[8], uint64_t *id)
{
	*id = get_le64(from);
	return *id <= QUIVER_ID_MAX ? 0 : -EUCLEAN;
}

void stream_end_encode(uint64_t bytes, uint64_t chain, uint8_t to[STREAM_END_BYTES])
{
	put_le64(to, bytes);
	put_le64(to + 8, chain);
}

int stream_end_check(const uint8_t from[STREAM_END_BYTES], uint64_t bytes, uint64_t chain)
{
	return get_le64(from) == bytes && get_le64(from + 8) == chain ? 0 : -EUCLEAN;
}
