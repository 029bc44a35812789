/* downgrade.c - a store as the first version of the format had it. FORMAT.md, "Version 1". */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/disk/column_kinds.h"
#include "engine/media/bytes.h"
#include "engine/media/meta_row_codec.h"
#include "engine/media/npy_header.h"
#include "engine/media/superblock.h"
#include "fuzz.h"

#define PAGE 4096u
#define AT_VERSION 8 /* of a superblock, a log segment, and the page `durable` */

/* Each copy that is valid. */
static bool superblock_to_1(const struct memdisk_file *file, struct quiver_geometry *geometry)
{
	bool known = false;

	for (unsigned copy = 0; (copy + 1) * SUPERBLOCK_COPY_BYTES <= file->kept; copy++) {
		uint8_t *page = file->bytes + copy * SUPERBLOCK_COPY_BYTES;
		struct superblock sb;

		if (superblock_decode(page, copy, &sb) != 0)
			continue;
		known = true;
		*geometry = sb.geometry;
		sb.version = 1;
		memset(&sb.description, 0, sizeof(sb.description));
		superblock_encode(&sb, page);
	}
	return known;
}

static void page_to_1(uint8_t *page)
{
	if (get_le32(page + AT_VERSION) != QUIVER_FORMAT_VERSION)
		return;
	put_le32(page + AT_VERSION, 1);
	put_le64(page + PAGE - 8, XXH3_64bits(page, PAGE - 8));
}

/* The rows of `meta`, of which the IDs are in `ids`. Only what is not zero is kept of either. */
static void rows_to_1(const struct quiver_geometry *geometry, const struct memdisk_file *ids,
                      struct memdisk_file *meta)
{
	uint64_t rows = (meta->size - PAGE) / META_ROW_BYTES;
	uint64_t size = PAGE + rows * META_ROW_1_BYTES;
	uint8_t *bytes = calloc(1, size);
	struct column_kind kinds[COLUMNS];

	FUZZ_CHECK(bytes && meta->size >= PAGE && ids->kept >= PAGE);
	column_kinds(geometry, 1, kinds);
	npy_header_encode(bytes, kinds[2].descr, kinds[2].row_items, rows);
	for (uint64_t slot = 0; slot < rows; slot++) {
		uint64_t at = PAGE + slot * META_ROW_BYTES;
		uint64_t id_at = PAGE + slot * 8;
		uint64_t id = id_at + 8 <= ids->kept ? get_le64(ids->bytes + id_at) : 0;
		struct meta_row row;

		if (at + META_ROW_BYTES > meta->kept)
			break;
		FUZZ_CHECK(meta_decode(meta->bytes + at, id, slot, &row) == 0);
		meta_encode_1(&row, id, slot, bytes + PAGE + slot * META_ROW_1_BYTES);
	}
	free(meta->bytes);
	meta->bytes = bytes;
	meta->size = meta->kept = size;
}

void fuzz_downgrade(struct memdisk_image *image)
{
	struct memdisk_file *superblock = memdisk_find(image, "superblock");
	struct quiver_geometry geometry;

	FUZZ_CHECK(superblock && superblock_to_1(superblock, &geometry));
	rows_to_1(&geometry, memdisk_find(image, "ids.npy"), memdisk_find(image, "meta.npy"));
	for (size_t i = 0; i < image->count; i++)
		if ((strncmp(image->files[i].name, "wal/", 4) == 0 ||
		     strcmp(image->files[i].name, "durable") == 0) &&
		    image->files[i].kept >= PAGE)
			page_to_1(image->files[i].bytes);
}
