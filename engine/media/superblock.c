#include "engine/media/superblock.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

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
	AT_END = 106,
	AT_SUM = 4088,
};

enum { FLAG_CLEAN = 1 };

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'S', 'B' };

static_assert(AT_END <= SUPERBLOCK_SECTOR_BYTES &&
                      AT_SUM >= SUPERBLOCK_COPY_BYTES - SUPERBLOCK_SECTOR_BYTES,
              "what changes lies in two sectors");
static_assert(AT_END <= AT_SUM && AT_SUM + 8 == SUPERBLOCK_COPY_BYTES, "the sum ends the page");

void superblock_encode(const struct superblock *sb, uint8_t page[SUPERBLOCK_COPY_BYTES])
{
	memset(page, 0, SUPERBLOCK_COPY_BYTES);
	memcpy(page + AT_MAGIC, magic, sizeof(magic));
	put_le32(page + AT_VERSION, QUIVER_FORMAT_VERSION);
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
	put_le64(page + AT_SUM, XXH3_64bits(page, AT_SUM));
}

/* A page with a good sum can still hold what no store of this version writes. */
static bool plausible(const struct superblock *sb, uint32_t flags, uint32_t dtype)
{
	return flags <= FLAG_CLEAN && dtype <= QUIVER_U1 && sb->geometry.dim >= 1 &&
	       sb->geometry.dim <= QUIVER_DIM_MAX && sb->slots_used <= SLOT_MAX + 1 &&
	       sb->count <= sb->slots_used && sb->checkpoint_lsn <= sb->lsn_ceiling &&
	       sb->dir.mode <= 07777;
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
	if (get_le32(page + AT_VERSION) > QUIVER_FORMAT_VERSION)
		return -ENOTSUP;
	*sb = (struct superblock){
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
		         .mode = get_le16(page + AT_DIR_MODE) },
	};
	memcpy(sb->geometry.uuid, page + AT_UUID, sizeof(sb->geometry.uuid));
	if (get_le32(page + AT_VERSION) != QUIVER_FORMAT_VERSION || sb->sequence % 2 != copy ||
	    !plausible(sb, flags, dtype))
		return -EUCLEAN;
	sb->geometry.vector_bytes = sb->geometry.dim * quiver_dtype_bytes(sb->geometry.dtype);
	return 0;
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
