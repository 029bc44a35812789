#include "engine/media/index_layout.h"

#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"

#define TABLE_PAGES_MAX (UINT64_C(1) << 24) /* 2^32 slots at a third of the load */

void index_lay_out(struct index_layout *layout, uint64_t table_pages, uint64_t slots_used)
{
	layout->table_pages = table_pages;
	layout->live_pages = ((slots_used + 63) / 64 * 8 + INDEX_PAGE_BYTES - 1) / INDEX_PAGE_BYTES;
	layout->table_at = INDEX_PAGE_BYTES;
	layout->live_at = layout->table_at + layout->table_pages * INDEX_PAGE_BYTES;
	layout->sums_at = layout->live_at + layout->live_pages * INDEX_PAGE_BYTES;
}

uint64_t index_live_bytes(uint64_t slots_used)
{
	struct index_layout layout;

	index_lay_out(&layout, 0, slots_used);
	return layout.live_pages * INDEX_PAGE_BYTES;
}

uint64_t index_page_sum(const uint8_t *page, uint64_t number)
{
	uint8_t tail[16];

	put_le64(tail, XXH3_64bits(page, INDEX_PAGE_BYTES));
	put_le64(tail + 8, number);
	return XXH3_64bits(tail, sizeof(tail));
}

void index_header_encode(uint8_t page[INDEX_PAGE_BYTES], const struct index_layout *layout,
                         const struct index_stamp *stamp, uint64_t count, uint64_t sums_hash)
{
	memset(page, 0, INDEX_PAGE_BYTES);
	memcpy(page, INDEX_MAGIC, 8);
	put_le32(page + 8, INDEX_VERSION);
	memcpy(page + 16, stamp->uuid, 16);
	put_le64(page + 32, stamp->lsn);
	put_le64(page + 40, stamp->slots_used);
	put_le64(page + 48, count);
	put_le64(page + 56, layout->table_pages);
	put_le64(page + 64, layout->table_at);
	put_le64(page + 72, layout->live_at);
	put_le64(page + 80, layout->sums_at);
	put_le64(page + 88, layout->table_pages + layout->live_pages);
	put_le64(page + 96, sums_hash);
	put_le64(page + INDEX_PAGE_BYTES - 8, XXH3_64bits(page, INDEX_PAGE_BYTES - 8));
}

int index_header_decode(const uint8_t page[INDEX_PAGE_BYTES], const struct index_stamp *stamp,
                        uint64_t *count, struct index_layout *layout, uint64_t *sums_hash)
{
	struct index_layout want;

	if (memcmp(page, INDEX_MAGIC, 8) != 0 ||
	    get_le64(page + INDEX_PAGE_BYTES - 8) != XXH3_64bits(page, INDEX_PAGE_BYTES - 8))
		return -EBADMSG;
	if (get_le32(page + 8) != INDEX_VERSION || memcmp(page + 16, stamp->uuid, 16) != 0 ||
	    get_le64(page + 32) != stamp->lsn || get_le64(page + 40) != stamp->slots_used)
		return -ESTALE;
	*count = get_le64(page + 48);
	layout->table_pages = get_le64(page + 56);
	if (layout->table_pages == 0 || layout->table_pages > TABLE_PAGES_MAX ||
	    *count > stamp->slots_used || *count >= layout->table_pages * INDEX_PAGE_PLACES)
		return -EBADMSG;
	index_lay_out(&want, layout->table_pages, stamp->slots_used);
	if (get_le64(page + 64) != want.table_at || get_le64(page + 72) != want.live_at ||
	    get_le64(page + 80) != want.sums_at ||
	    get_le64(page + 88) != want.table_pages + want.live_pages)
		return -EBADMSG;
	*layout = want;
	*sums_hash = get_le64(page + 96);
	return 0;
}
