#include "engine/media/snapshot_page.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/description.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* Where each field lies; FORMAT.md. */
enum {
	AT_VERSION = 8,
	AT_FLAGS = 12,
	AT_STORE_UUID = 16,
	AT_UUID = 32,
	AT_LSN = 48,
	AT_COUNT = 56,
	AT_SLOTS_USED = 64,
	AT_CREATED = 72,
	AT_DIR_MTIME = 80,
	AT_DIR_CTIME = 88,
	AT_DIR_UID = 96,
	AT_DIR_GID = 100,
	AT_DIR_MODE = 104,
	AT_METRIC = 106,
	AT_COPY = 108,
	AT_LABEL_BYTES = 510,
	AT_LABEL = 512,
	AT_SUM = 4088,
};

enum { FLAG_INCOMPLETE = 1 };

#define PAGE_VERSION 1u
#define MODE_BITS 07777u

static const char magic[8] = { 'Q', 'U', 'I', 'V', 'E', 'R', 'S', 'S' };

static void encode(const struct snapshot_page *page, uint32_t copy, uint8_t to[SNAPSHOT_COPY_BYTES])
{
	size_t label_bytes = strlen(page->description.label);

	memset(to, 0, SNAPSHOT_COPY_BYTES);
	memcpy(to, magic, sizeof(magic));
	put_le32(to + AT_VERSION, PAGE_VERSION);
	put_le32(to + AT_FLAGS, page->incomplete ? FLAG_INCOMPLETE : 0);
	memcpy(to + AT_STORE_UUID, page->store_uuid, sizeof(page->store_uuid));
	memcpy(to + AT_UUID, page->uuid, sizeof(page->uuid));
	put_le64(to + AT_LSN, page->lsn);
	put_le64(to + AT_COUNT, page->count);
	put_le64(to + AT_SLOTS_USED, page->slots_used);
	put_le64(to + AT_CREATED, (uint64_t)page->created_ns);
	put_le64(to + AT_DIR_MTIME, (uint64_t)page->dir.mtime_ns);
	put_le64(to + AT_DIR_CTIME, (uint64_t)page->dir.ctime_ns);
	put_le32(to + AT_DIR_UID, page->dir.uid);
	put_le32(to + AT_DIR_GID, page->dir.gid);
	put_le16(to + AT_DIR_MODE, page->dir.mode);
	put_le16(to + AT_METRIC, (uint16_t)page->description.metric);
	put_le32(to + AT_COPY, copy);
	put_le16(to + AT_LABEL_BYTES, (uint16_t)label_bytes);
	memcpy(to + AT_LABEL, page->description.label, label_bytes);
	put_le64(to + AT_SUM, XXH3_64bits(to, AT_SUM));
}

void snapshot_page_encode(const struct snapshot_page *page, uint8_t file[SNAPSHOT_FILE_BYTES])
{
	encode(page, 0, file);
	encode(page, 1, file + SNAPSHOT_COPY_BYTES);
}

/* 0, -ENOTSUP, -EUCLEAN. */
static int decode(const uint8_t from[SNAPSHOT_COPY_BYTES], uint32_t copy,
                  const uint8_t store_uuid[16], struct snapshot_page *page)
{
	size_t label_bytes = get_le16(from + AT_LABEL_BYTES);

	if (memcmp(from, magic, sizeof(magic)) != 0 ||
	    get_le64(from + AT_SUM) != XXH3_64bits(from, AT_SUM))
		return -EUCLEAN;
	if (get_le32(from + AT_VERSION) > PAGE_VERSION)
		return -ENOTSUP;
	if (get_le32(from + AT_COPY) != copy || label_bytes > QUIVER_LABEL_BYTES_MAX ||
	    memcmp(from + AT_STORE_UUID, store_uuid, 16) != 0)
		return -EUCLEAN;
	memset(page, 0, sizeof(*page));
	memcpy(page->store_uuid, from + AT_STORE_UUID, sizeof(page->store_uuid));
	memcpy(page->uuid, from + AT_UUID, sizeof(page->uuid));
	page->incomplete = get_le32(from + AT_FLAGS) & FLAG_INCOMPLETE;
	page->lsn = get_le64(from + AT_LSN);
	page->count = get_le64(from + AT_COUNT);
	page->slots_used = get_le64(from + AT_SLOTS_USED);
	page->created_ns = (int64_t)get_le64(from + AT_CREATED);
	page->dir.mtime_ns = (int64_t)get_le64(from + AT_DIR_MTIME);
	page->dir.ctime_ns = (int64_t)get_le64(from + AT_DIR_CTIME);
	page->dir.uid = get_le32(from + AT_DIR_UID);
	page->dir.gid = get_le32(from + AT_DIR_GID);
	page->dir.mode = get_le16(from + AT_DIR_MODE);
	page->description.metric = (enum quiver_metric)get_le16(from + AT_METRIC);
	memcpy(page->description.label, from + AT_LABEL, label_bytes);
	if (page->slots_used > SLOT_MAX + 1 || page->count > page->slots_used ||
	    page->dir.mode > MODE_BITS || page->description.metric > QUIVER_HAMMING ||
	    !description_label_is_valid(page->description.label, label_bytes))
		return -EUCLEAN;
	return 0;
}

int snapshot_page_decode(const uint8_t file[SNAPSHOT_FILE_BYTES], const uint8_t store_uuid[16],
                         struct snapshot_page *page, unsigned *copies_bad)
{
	struct snapshot_page second;
	int r = decode(file, 0, store_uuid, page);
	int s = decode(file + SNAPSHOT_COPY_BYTES, 1, store_uuid, &second);

	*copies_bad = (r != 0) + (s != 0);
	if (r == -ENOTSUP || s == -ENOTSUP)
		return -ENOTSUP;
	if (r && s == 0)
		*page = second;
	return r && s ? -EUCLEAN : 0;
}
