#include "engine/media/superblock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/description.h"
#include "engine/base/error.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_UUID = 16,
	AT_SEQUENCE = 32,
	AT_DIM = 40,
	AT_DTYPE = 44,
	AT_SLOTS_USED = 48,
	AT_COUNT = 56,
	AT_CHECKPOINT_LSN = 64,
	AT_LSN_CEILING = 72,
	AT_WAL_FIRST = 80,
	AT_DIR_MTIME = 88,
	AT_DIR_UID = 96,
	AT_DIR_GID = 100,
	AT_DIR_MODE = 104,
	AT_END_1 = 106, /* of version 1 */
	AT_METRIC = 106,
	AT_DIR_CTIME = 112,
	AT_CTIME_MAX = 120,
	AT_FEATURES_TO_OPEN = 128,
	AT_FEATURES_TO_CHANGE = 136,
	AT_FEATURES_TO_PASS = 144,
	AT_KEPT = 160,
	AT_LABEL_BYTES = 510,
	AT_LABEL = 512,
	AT_END = AT_LABEL + QUIVER_LABEL_BYTES_MAX,
	AT_SUM = 4088,
};

enum { FLAG_CLEAN = 1 };

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'S', 'B' };

static_assert(AT_KEPT + SUPERBLOCK_KEPT_BYTES <= AT_LABEL_BYTES && AT_LABEL_BYTES + 2 == AT_LABEL &&
                      AT_LABEL <= SUPERBLOCK_SECTOR_BYTES &&
                      AT_SUM >= SUPERBLOCK_COPY_BYTES - SUPERBLOCK_SECTOR_BYTES,
              "what changes lies in two sectors, but for the label");
static_assert(AT_END <= AT_SUM && AT_SUM + 8 == SUPERBLOCK_COPY_BYTES, "the sum ends the page");

/* In the kept fields: the first of the three. */
enum { KEPT_AT_GENERATION = 0, KEPT_AT_LSN = 8, KEPT_AT_BYTES = 16 };

struct versions_extent superblock_versions(const struct superblock *sb)
{
	return (struct versions_extent){ .generation = get_le64(sb->kept + KEPT_AT_GENERATION),
		                         .lsn = get_le64(sb->kept + KEPT_AT_LSN),
		                         .bytes = get_le64(sb->kept + KEPT_AT_BYTES) };
}

void superblock_set_versions(struct superblock *sb, struct versions_extent extent)
{
	put_le64(sb->kept + KEPT_AT_GENERATION, extent.generation);
	put_le64(sb->kept + KEPT_AT_LSN, extent.lsn);
	put_le64(sb->kept + KEPT_AT_BYTES, extent.bytes);
}

/* The second of the three; FORMAT.md, "index". */
enum {
	AT_INDEX = AT_KEPT + 32,
	AT_INDEX_GENERATION = AT_INDEX,
	AT_INDEX_LSN = AT_INDEX + 8,
	AT_INDEX_CEILING = AT_INDEX + 16,
	AT_INDEX_SALT = AT_INDEX + 24,
	AT_INDEX_END = AT_INDEX + 32,
};

uint64_t superblock_index_salt(const struct superblock *sb, uint64_t generation)
{
	uint8_t bytes[40];
	uint64_t salt;

	memcpy(bytes, sb->geometry.uuid, 16);
	put_le64(bytes + 16, generation);
	put_le64(bytes + 24, sb->checkpoint_lsn);
	put_le64(bytes + 32, (uint64_t)sb->ctime_max_ns);
	salt = XXH3_64bits(bytes, sizeof(bytes));
	return salt ? salt : 1;
}

static void encode_index(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES])
{
	memset(page + AT_INDEX, 0, AT_INDEX_END - AT_INDEX);
	if (sb->index_generation == 0)
		return;
	put_le64(page + AT_INDEX_GENERATION, sb->index_generation);
	put_le64(page + AT_INDEX_LSN, sb->checkpoint_lsn);
	put_le64(page + AT_INDEX_CEILING, sb->lsn_ceiling);
	put_le64(page + AT_INDEX_SALT, sb->index_salt);
}

/* An older program that has written to the store has left the field as it was, and raised the
 * ceiling. */
static void decode_index(const uint8_t page[SUPERBLOCK_COPY_BYTES], struct superblock *sb)
{
	memset(sb->kept + (AT_INDEX - AT_KEPT), 0, AT_INDEX_END - AT_INDEX);
	if (get_le64(page + AT_INDEX_LSN) != sb->checkpoint_lsn ||
	    get_le64(page + AT_INDEX_CEILING) != sb->lsn_ceiling ||
	    get_le64(page + AT_INDEX_SALT) == 0)
		return;
	sb->index_generation = get_le64(page + AT_INDEX_GENERATION);
	sb->index_salt = sb->index_generation ? get_le64(page + AT_INDEX_SALT) : 0;
}

static void encode_version_2(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES])
{
	size_t label_bytes = strlen(sb->description.label);

	put_le16(page + AT_METRIC, (uint16_t)sb->description.metric);
	put_le64(page + AT_DIR_CTIME, (uint64_t)sb->dir.ctime_ns);
	put_le64(page + AT_CTIME_MAX, (uint64_t)sb->ctime_max_ns);
	put_le64(page + AT_FEATURES_TO_OPEN, sb->features_to_open);
	put_le64(page + AT_FEATURES_TO_CHANGE, sb->features_to_change);
	put_le64(page + AT_FEATURES_TO_PASS, sb->features_to_pass);
	memcpy(page + AT_KEPT, sb->kept, sizeof(sb->kept));
	encode_index(sb, page);
	put_le16(page + AT_LABEL_BYTES, (uint16_t)label_bytes);
	memcpy(page + AT_LABEL, sb->description.label, label_bytes);
}

void superblock_encode(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES])
{
	memset(page, 0, SUPERBLOCK_COPY_BYTES);
	memcpy(page + AT_MAGIC, magic, sizeof(magic));
	put_le32(page + AT_VERSION, sb->version);
	put_le32(page + AT_FLAGS, sb->clean ? FLAG_CLEAN : 0);
	memcpy(page + AT_UUID, sb->geometry.uuid, sizeof(sb->geometry.uuid));
	put_le64(page + AT_SEQUENCE, sb->sequence);
	put_le32(page + AT_DIM, sb->geometry.dim);
	put_le32(page + AT_DTYPE, (uint32_t)sb->geometry.dtype);
	put_le64(page + AT_SLOTS_USED, sb->slots_used);
	put_le64(page + AT_COUNT, sb->count);
	put_le64(page + AT_CHECKPOINT_LSN, sb->checkpoint_lsn);
	put_le64(page + AT_LSN_CEILING, sb->lsn_ceiling);
	put_le64(page + AT_WAL_FIRST, sb->wal_first);
	put_le64(page + AT_DIR_MTIME, (uint64_t)sb->dir.mtime_ns);
	put_le32(page + AT_DIR_UID, sb->dir.uid);
	put_le32(page + AT_DIR_GID, sb->dir.gid);
	put_le16(page + AT_DIR_MODE, sb->dir.mode);
	if (sb->version > 1)
		encode_version_2(sb, page);
	put_le64(page + AT_SUM, XXH3_64bits(page, AT_SUM));
}

void superblock_upgrade(struct superblock *sb, int64_t ctime_max_ns)
{
	sb->version = QUIVER_FORMAT_VERSION;
	sb->dir.ctime_ns = sb->dir.mtime_ns;
	sb->ctime_max_ns = ctime_max_ns;
}

/* A page with a good sum can still hold what no store of this version writes. */
static bool plausible(const struct superblock *sb, uint32_t flags, uint32_t dtype)
{
	return sb->version >= SUPERBLOCK_VERSION_MIN && flags <= FLAG_CLEAN &&
	       dtype <= (sb->version == 1 ? QUIVER_U1 : QUIVER_B1) &&
	       sb->geometry.vector_bytes > 0 && sb->slots_used <= SLOT_MAX + 1 &&
	       sb->count <= sb->slots_used && sb->checkpoint_lsn <= sb->lsn_ceiling &&
	       sb->dir.mode <= 07777;
}

/* What stands behind the fields of version 1. 0 or -EUCLEAN. */
static int decode_version_2(const uint8_t page[SUPERBLOCK_COPY_BYTES], struct superblock *sb)
{
	uint16_t metric = get_le16(page + AT_METRIC);
	uint16_t label_bytes = get_le16(page + AT_LABEL_BYTES);

	if (!description_fits_metric(sb->geometry.dtype, metric) ||
	    label_bytes > QUIVER_LABEL_BYTES_MAX ||
	    !description_label_is_valid((const char *)page + AT_LABEL, label_bytes))
		return -EUCLEAN;
	sb->dir.ctime_ns = (int64_t)get_le64(page + AT_DIR_CTIME);
	sb->ctime_max_ns = (int64_t)get_le64(page + AT_CTIME_MAX);
	sb->features_to_open = get_le64(page + AT_FEATURES_TO_OPEN);
	sb->features_to_change = get_le64(page + AT_FEATURES_TO_CHANGE);
	sb->features_to_pass = get_le64(page + AT_FEATURES_TO_PASS);
	memcpy(sb->kept, page + AT_KEPT, sizeof(sb->kept));
	decode_index(page, sb);
	sb->description.metric = (enum quiver_metric)metric;
	memcpy(sb->description.label, page + AT_LABEL, label_bytes);
	return 0;
}

int superblock_decode(const uint8_t page[SUPERBLOCK_COPY_BYTES], unsigned copy,
                      struct superblock *sb)
{
	uint32_t flags = get_le32(page + AT_FLAGS);
	uint32_t dtype = get_le32(page + AT_DTYPE);

	if (memcmp(page + AT_MAGIC, magic, sizeof(magic)) != 0)
		return -EINVAL;
	if (get_le64(page + AT_SUM) != XXH3_64bits(page, AT_SUM))
		return -EUCLEAN;
	if (get_le32(page + AT_VERSION) > QUIVER_FORMAT_VERSION ||
	    (get_le32(page + AT_VERSION) > 1 &&
	     get_le64(page + AT_FEATURES_TO_OPEN) & ~SUPERBLOCK_RECEIVING))
		return -ENOTSUP;
	*sb = (struct superblock){
		.version = get_le32(page + AT_VERSION),
		.geometry = { .dim = get_le32(page + AT_DIM), .dtype = (enum quiver_dtype)dtype },
		.clean = (flags & FLAG_CLEAN) != 0,
		.sequence = get_le64(page + AT_SEQUENCE),
		.slots_used = get_le64(page + AT_SLOTS_USED),
		.count = get_le64(page + AT_COUNT),
		.checkpoint_lsn = get_le64(page + AT_CHECKPOINT_LSN),
		.lsn_ceiling = get_le64(page + AT_LSN_CEILING),
		.wal_first = get_le64(page + AT_WAL_FIRST),
		.dir = { .mtime_ns = (int64_t)get_le64(page + AT_DIR_MTIME),
		         .uid = get_le32(page + AT_DIR_UID),
		         .gid = get_le32(page + AT_DIR_GID),
		         .ctime_ns = (int64_t)get_le64(page + AT_DIR_MTIME),
		         .mode = get_le16(page + AT_DIR_MODE) },
	};
	memcpy(sb->geometry.uuid, page + AT_UUID, sizeof(sb->geometry.uuid));
	sb->geometry.vector_bytes = quiver_vector_bytes(sb->geometry.dim, sb->geometry.dtype);
	if (sb->sequence % 2 != copy || !plausible(sb, flags, dtype))
		return -EUCLEAN;
	return sb->version == 1 ? 0 : decode_version_2(page, sb);
}

static bool same_store(const struct quiver_geometry *a, const struct quiver_geometry *b)
{
	return a->dim == b->dim && a->dtype == b->dtype &&
	       memcmp(a->uuid, b->uuid, sizeof(a->uuid)) == 0;
}

int superblock_choose(const struct superblock copies[2], const int results[2],
                      struct quiver_error *error)
{
	if (results[0] == -EINVAL && results[1] == -EINVAL) {
		error_set(error, "superblock: not that of a quiverfs store");
		return -EINVAL;
	}
	if (results[0] != 0 && results[1] != 0) {
		error_set(error, "superblock: both copies are damaged");
		return -EUCLEAN;
	}
	if (results[0] != 0 || results[1] != 0)
		return results[0] != 0;
	if (!same_store(&copies[0].geometry, &copies[1].geometry)) {
		error_set(error, "superblock: the two copies belong to different stores");
		return -EUCLEAN;
	}
	return copies[1].sequence > copies[0].sequence;
}
