#include "engine/rados/header.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/description.h"
#include "engine/base/xxh3.h"
#include "engine/media/bytes.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_UUID = 16,
	AT_TAG = 32,
	AT_DIM = 48,
	AT_DTYPE = 52,
	AT_VECTOR_BYTES = 56,
	AT_STRIDE = 60,
	AT_SLOTS = 64,
	AT_METRIC = 68,
	AT_DIR_MODE = 70,
	AT_DIR_UID = 72,
	AT_DIR_GID = 76,
	AT_DIR_MTIME = 80,
	AT_DIR_CTIME = 88,
	AT_FEATURES_TO_OPEN = 128,
	AT_FEATURES_TO_CHANGE = 136,
	AT_FEATURES_TO_PASS = 144,
	AT_KEPT = 160,
	AT_LABEL_BYTES = 510,
	AT_LABEL = 512,
	AT_END = AT_LABEL + QUIVER_LABEL_BYTES_MAX,
	AT_SUM = 4088,
};

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'R', 'C' };

static_assert(AT_TAG + TAG_BYTES == AT_DIM && AT_KEPT + COLLECTION_KEPT_BYTES <= AT_LABEL_BYTES &&
                      AT_END <= AT_SUM && AT_SUM + 8 == COLLECTION_HEADER_BYTES,
              "fields do not overlap");

void collection_header_encode(const struct collection_header *header,
                              uint8_t to[COLLECTION_HEADER_BYTES])
{
	size_t label_bytes = strlen(header->description.label);

	memset(to, 0, COLLECTION_HEADER_BYTES);
	memcpy(to + AT_MAGIC, magic, sizeof(magic));
	put_le32(to + AT_VERSION, COLLECTION_VERSION);
	memcpy(to + AT_UUID, header->geometry.uuid, sizeof(header->geometry.uuid));
	tag_encode(&header->tag, to + AT_TAG);
	put_le32(to + AT_DIM, header->geometry.dim);
	put_le32(to + AT_DTYPE, (uint32_t)header->geometry.dtype);
	put_le32(to + AT_VECTOR_BYTES, header->layout.vector_bytes);
	put_le32(to + AT_STRIDE, header->layout.stride);
	put_le32(to + AT_SLOTS, header->layout.slots);
	put_le16(to + AT_METRIC, (uint16_t)header->description.metric);
	/* With other bits, as stat(2) has them, nobody would believe it any more. */
	put_le16(to + AT_DIR_MODE, header->dir.mode & 07777);
	put_le32(to + AT_DIR_UID, header->dir.uid);
	put_le32(to + AT_DIR_GID, header->dir.gid);
	put_le64(to + AT_DIR_MTIME, (uint64_t)header->dir.mtime_ns);
	put_le64(to + AT_DIR_CTIME, (uint64_t)header->dir.ctime_ns);
	put_le64(to + AT_FEATURES_TO_CHANGE, header->features_to_change);
	put_le64(to + AT_FEATURES_TO_PASS, header->features_to_pass);
	memcpy(to + AT_KEPT, header->kept, sizeof(header->kept));
	put_le16(to + AT_LABEL_BYTES, (uint16_t)label_bytes);
	memcpy(to + AT_LABEL, header->description.label, label_bytes);
	put_le64(to + AT_SUM, XXH3_64bits(to, AT_SUM));
}

/* Geometry and layout. A header with a good sum can still hold what no program of this version
 * writes. 0 or -EUCLEAN. */
static int decode_shape(const uint8_t *from, struct collection_header *header)
{
	uint32_t dtype = get_le32(from + AT_DTYPE);

	if (dtype > QUIVER_B1)
		return -EUCLEAN;
	header->geometry = (struct quiver_geometry){ .dim = get_le32(from + AT_DIM),
		                                     .dtype = (enum quiver_dtype)dtype };
	memcpy(header->geometry.uuid, from + AT_UUID, sizeof(header->geometry.uuid));
	header->geometry.vector_bytes =
		quiver_vector_bytes(header->geometry.dim, header->geometry.dtype);
	header->layout = (struct layout){ get_le32(from + AT_VECTOR_BYTES),
		                          get_le32(from + AT_STRIDE), get_le32(from + AT_SLOTS) };
	if (header->geometry.vector_bytes == 0 ||
	    header->layout.vector_bytes != header->geometry.vector_bytes ||
	    !layout_is_valid(&header->layout))
		return -EUCLEAN;
	return 0;
}

/* 0 or -EUCLEAN. */
static int decode_words(const uint8_t *from, struct collection_header *header)
{
	uint16_t metric = get_le16(from + AT_METRIC);
	uint16_t label_bytes = get_le16(from + AT_LABEL_BYTES);

	if (!description_fits_metric(header->geometry.dtype, metric) ||
	    label_bytes > QUIVER_LABEL_BYTES_MAX ||
	    !description_label_is_valid((const char *)from + AT_LABEL, label_bytes))
		return -EUCLEAN;
	header->description.metric = (enum quiver_metric)metric;
	memcpy(header->description.label, from + AT_LABEL, label_bytes);
	return 0;
}

int collection_header_decode(const void *bytes, size_t length, struct collection_header *header)
{
	const uint8_t *from = bytes;
	int r;

	if (length < sizeof(magic) || memcmp(from + AT_MAGIC, magic, sizeof(magic)) != 0)
		return -EINVAL;
	if (length < COLLECTION_HEADER_BYTES ||
	    get_le64(from + AT_SUM) != XXH3_64bits(from, AT_SUM))
		return -EUCLEAN;
	if (get_le32(from + AT_VERSION) > COLLECTION_VERSION ||
	    get_le64(from + AT_FEATURES_TO_OPEN) != 0)
		return -ENOTSUP;
	*header = (struct collection_header){
		.tag = { get_le64(from + AT_TAG), get_le64(from + AT_TAG + 8) },
		.dir = { .mtime_ns = (int64_t)get_le64(from + AT_DIR_MTIME),
		         .ctime_ns = (int64_t)get_le64(from + AT_DIR_CTIME),
		         .uid = get_le32(from + AT_DIR_UID),
		         .gid = get_le32(from + AT_DIR_GID),
		         .mode = get_le16(from + AT_DIR_MODE) },
		.features_to_change = get_le64(from + AT_FEATURES_TO_CHANGE),
		.features_to_pass = get_le64(from + AT_FEATURES_TO_PASS),
	};
	memcpy(header->kept, from + AT_KEPT, sizeof(header->kept));
	r = decode_shape(from, header);
	if (r == 0)
		r = decode_words(from, header);
	if (r == 0 && (get_le32(from + AT_VERSION) < 1 || header->dir.mode > 07777))
		r = -EUCLEAN;
	return r;
}
