/*
 * meta_row_codec.h - a row of meta.npy to and from its bytes. Inline, since each get decodes one,
 * but for those of version 1.
 */
#ifndef QUIVER_META_ROW_CODEC_H
#define QUIVER_META_ROW_CODEC_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
/* Of a few bytes: a call would take longer than the hash. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Where each field of a meta row lies; FORMAT.md. */
enum {
	META_AT_LSN = 0,
	META_AT_SUM = 8,
	META_AT_MTIME = 16,
	META_AT_CTIME = 24,
	META_AT_ATTR_LSN = 32,
	META_AT_UID = 40,
	META_AT_GID = 44,
	META_AT_MODE = 48,
	META_AT_FLAGS = 50,
	META_AT_CRC = 52,
	META_AT_END = 56,
};

enum { META_FLAG_LIVE = 1 };

static_assert(META_AT_END == META_ROW_BYTES, "a row");
static_assert(META_AT_GID == META_AT_UID + 4 && META_AT_FLAGS == META_AT_MODE + 2 &&
                      META_AT_CRC == META_AT_MODE + 4 && META_AT_MODE % 8 == 0,
              "fields that share a word");
static_assert(META_AT_CRC + 4 == META_AT_END && SLOT_MAX <= UINT32_MAX,
              "the crc is hashed as the slot");
static_assert(COLUMN_HEADER_BYTES % 8 == 0 && META_ROW_BYTES % 8 == 0,
              "a row is stored by the word");

/* A row as words. */
struct meta_words {
	uint64_t lsn, sum, mtime, ctime, attr_lsn, owner, last;
};

static inline struct meta_words meta_words(const uint8_t row[META_ROW_BYTES])
{
	return (struct meta_words){ .lsn = get_le64(row + META_AT_LSN),
		                    .sum = get_le64(row + META_AT_SUM),
		                    .mtime = get_le64(row + META_AT_MTIME),
		                    .ctime = get_le64(row + META_AT_CTIME),
		                    .attr_lsn = get_le64(row + META_AT_ATTR_LSN),
		                    .owner = get_le64(row + META_AT_UID),
		                    .last = get_le64(row + META_AT_MODE) };
}

/* Where the crc is the slot is hashed. */
static inline uint32_t meta_words_crc(const struct meta_words *words, uint64_t id, uint64_t slot)
{
	uint8_t bytes[META_ROW_BYTES];

	put_le64(bytes + META_AT_LSN, words->lsn);
	put_le64(bytes + META_AT_SUM, words->sum);
	put_le64(bytes + META_AT_MTIME, words->mtime);
	put_le64(bytes + META_AT_CTIME, words->ctime);
	put_le64(bytes + META_AT_ATTR_LSN, words->attr_lsn);
	put_le64(bytes + META_AT_UID, words->owner);
	put_le64(bytes + META_AT_MODE, (words->last & UINT32_MAX) | slot << 32);
	return (uint32_t)XXH3_64bits_withSeed(bytes, sizeof(bytes), id);
}

static inline uint32_t meta_crc(const uint8_t row[META_ROW_BYTES], uint64_t id, uint64_t slot)
{
	const struct meta_words words = meta_words(row);

	return meta_words_crc(&words, id, slot);
}

static inline bool meta_all_zero(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/* A row as it is in the file; free where lsn is 0. */
static inline void meta_encode(const struct meta_row *row, uint64_t id, uint64_t slot,
                               uint8_t to[META_ROW_BYTES])
{
	memset(to, 0, META_ROW_BYTES);
	if (row->lsn == 0)
		return;
	put_le64(to + META_AT_LSN, row->lsn);
	put_le64(to + META_AT_SUM, row->sum);
	put_le64(to + META_AT_MTIME, (uint64_t)row->attr.mtime_ns);
	put_le64(to + META_AT_CTIME, (uint64_t)row->attr.ctime_ns);
	put_le64(to + META_AT_ATTR_LSN, row->attr_lsn);
	put_le32(to + META_AT_UID, row->attr.uid);
	put_le32(to + META_AT_GID, row->attr.gid);
	put_le16(to + META_AT_MODE, row->attr.mode);
	put_le16(to + META_AT_FLAGS, META_FLAG_LIVE);
	put_le32(to + META_AT_CRC, meta_crc(to, id, slot));
}

/* 0 (also for a free row: lsn 0), -EBADMSG it does not match its crc. */
static inline int meta_decode(const uint8_t from[META_ROW_BYTES], uint64_t id, uint64_t slot,
                              struct meta_row *row)
{
	const struct meta_words words = meta_words(from);

	if (words.lsn == 0 || (words.last >> 16 & UINT16_MAX) != META_FLAG_LIVE ||
	    words.last >> 32 != meta_words_crc(&words, id, slot)) {
		*row = (struct meta_row){ .lsn = 0 };
		return words.lsn == 0 && meta_all_zero(from, META_ROW_BYTES) ? 0 : -EBADMSG;
	}
	row->lsn = words.lsn;
	row->sum = words.sum;
	row->attr.mtime_ns = (int64_t)words.mtime;
	row->attr.ctime_ns = (int64_t)words.ctime;
	row->attr_lsn = words.attr_lsn;
	row->attr.uid = (uint32_t)words.owner;
	row->attr.gid = (uint32_t)(words.owner >> 32);
	row->attr.mode = (uint16_t)words.last;
	return 0;
}

/* The same of a store of version 1: what such a row cannot hold is not in it, and is read as FORMAT.md
 * says. Any thread. */
void meta_encode_1(const struct meta_row *row, uint64_t id, uint64_t slot,
                   uint8_t to[META_ROW_1_BYTES]);
int meta_decode_1(const uint8_t from[META_ROW_1_BYTES], uint64_t id, uint64_t slot,
                  struct meta_row *row);
/* What a row of version 1 that does not match its crc says, in one that does not match either. Any
 * thread. */
void meta_encode_bad(const uint8_t from[META_ROW_1_BYTES], uint64_t id, uint64_t slot,
                     uint8_t to[META_ROW_BYTES]);

#endif
