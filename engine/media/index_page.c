#include "engine/media/index_page.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/media/meta_row.h"

/* 2^32 slots at a third of the load. */
#define TABLE_PAGES_MAX (UINT64_C(1) << 24)

/* Of the header; FORMAT.md. */
enum {
	AT_VERSION = 8,
	AT_LIFE_COUNT = 12,
	AT_UUID = 16,
	AT_LSN = 32,
	AT_SLOTS_USED = 40,
	AT_COUNT = 48,
	AT_TABLE_PAGES = 56,
	AT_SALT = 64,
	AT_GENERATION = 72,
	AT_WHOLE = 80,
	AT_CTIME_MAX = 88,
	AT_LIVES = 256,
	AT_SUM = 4088,
};

/* Of a page. */
enum { AT_PAGE_GENERATION = 0, AT_PAGE_LIFE = 8, AT_HEAD_SUM = 16, AT_PAGE_SUM = 24 };

static_assert(AT_LIVES + INDEX_LIVES_MAX * 16 <= AT_SUM && AT_SUM + 8 == INDEX_PAGE_BYTES,
              "the lives fit into the header");

uint64_t index_live_bytes(uint64_t slots_used)
{
	return (slots_used + 63) / 64 * 8;
}

uint64_t index_live_pages(uint64_t slots_used)
{
	return (slots_used + INDEX_LIVE_SLOTS - 1) / INDEX_LIVE_SLOTS;
}

uint64_t index_place_at(uint64_t page, bool second)
{
	uint64_t group = page / INDEX_GROUP_PAGES * 2 + second;

	return INDEX_HEADERS_BYTES +
	       (group * INDEX_GROUP_PAGES + page % INDEX_GROUP_PAGES) * INDEX_PAGE_BYTES;
}

void index_header_put(const struct index_header *header, uint8_t page[INDEX_PAGE_BYTES])
{
	memset(page, 0, INDEX_PAGE_BYTES);
	memcpy(page, INDEX_MAGIC, 8);
	put_le32(page + AT_VERSION, header->version);
	put_le32(page + AT_LIFE_COUNT, header->life_count);
	memcpy(page + AT_UUID, header->uuid, 16);
	put_le64(page + AT_LSN, header->lsn);
	put_le64(page + AT_SLOTS_USED, header->slots_used);
	put_le64(page + AT_COUNT, header->count);
	put_le64(page + AT_TABLE_PAGES, header->table_pages);
	put_le64(page + AT_SALT, header->salt);
	put_le64(page + AT_GENERATION, header->generation);
	put_le64(page + AT_WHOLE, header->whole);
	put_le64(page + AT_CTIME_MAX, (uint64_t)header->ctime_max_ns);
	for (uint32_t i = 0; i < header->life_count; i++) {
		put_le64(page + AT_LIVES + i * 16, header->lives[i].first);
		put_le64(page + AT_LIVES + i * 16 + 8, header->lives[i].number);
	}
	put_le64(page + AT_SUM, XXH3_64bits(page, AT_SUM));
}

static int get_lives(const uint8_t page[INDEX_PAGE_BYTES], struct index_header *header)
{
	uint64_t above = 0;

	for (uint32_t i = 0; i < header->life_count; i++) {
		header->lives[i].first = get_le64(page + AT_LIVES + i * 16);
		header->lives[i].number = get_le64(page + AT_LIVES + i * 16 + 8);
		if (header->lives[i].first < above || header->lives[i].first > header->generation)
			return -EBADMSG;
		above = header->lives[i].first + 1;
	}
	return header->lives[0].first <= header->whole ? 0 : -EBADMSG;
}

int index_header_get(const uint8_t page[INDEX_PAGE_BYTES], struct index_header *header)
{
	if (memcmp(page, INDEX_MAGIC, 8) != 0 ||
	    get_le64(page + AT_SUM) != XXH3_64bits(page, AT_SUM))
		return -EBADMSG;
	memset(header, 0, sizeof(*header));
	header->version = get_le32(page + AT_VERSION);
	if (header->version != INDEX_VERSION && header->version != INDEX_VERSION_FORMER)
		return -ESTALE;
	memcpy(header->uuid, page + AT_UUID, 16);
	header->lsn = get_le64(page + AT_LSN);
	header->slots_used = get_le64(page + AT_SLOTS_USED);
	header->count = get_le64(page + AT_COUNT);
	header->table_pages = get_le64(page + AT_TABLE_PAGES);
	header->salt = get_le64(page + AT_SALT);
	header->generation = get_le64(page + AT_GENERATION);
	header->whole = get_le64(page + AT_WHOLE);
	header->ctime_max_ns = (int64_t)get_le64(page + AT_CTIME_MAX);
	header->life_count = get_le32(page + AT_LIFE_COUNT);
	if (header->slots_used > SLOT_MAX + 1 || header->count > header->slots_used ||
	    header->table_pages == 0 || header->table_pages > TABLE_PAGES_MAX ||
	    header->count >= header->table_pages * INDEX_PAGE_PLACES || header->salt == 0 ||
	    header->generation == 0 || header->whole == 0 || header->whole > header->generation ||
	    header->life_count == 0 || header->life_count > INDEX_LIVES_MAX)
		return -EBADMSG;
	return get_lives(page, header);
}

/* The life of a generation that is one of the file's; 0 of one before. */
static uint64_t life_of(const struct index_header *header, uint64_t generation)
{
	uint64_t number = 0;

	for (uint32_t i = 0; i < header->life_count && header->lives[i].first <= generation; i++)
		number = header->lives[i].number;
	return number;
}

static uint64_t head_sum(const uint8_t *page, uint64_t number, uint64_t salt)
{
	uint8_t head[AT_HEAD_SUM + 16];

	memcpy(head, page, AT_HEAD_SUM);
	put_le64(head + AT_HEAD_SUM, number);
	put_le64(head + AT_HEAD_SUM + 8, salt);
	return XXH3_64bits(head, sizeof(head));
}

static uint64_t page_sum(const uint8_t *page)
{
	return XXH3_64bits_withSeed(page + INDEX_LINE_BYTES, INDEX_PAGE_BYTES - INDEX_LINE_BYTES,
	                            get_le64(page + AT_HEAD_SUM));
}

void index_page_seal(const struct index_header *header, uint64_t number,
                     uint8_t page[INDEX_PAGE_BYTES])
{
	memset(page, 0, INDEX_LINE_BYTES);
	put_le64(page + AT_PAGE_GENERATION, header->generation);
	put_le64(page + AT_PAGE_LIFE, life_of(header, header->generation));
	put_le64(page + AT_HEAD_SUM, head_sum(page, number, header->salt));
	put_le64(page + AT_PAGE_SUM, page_sum(page));
}

/* What the head of a place says: its generation, where it counts. -ENOENT nobody has written it, or
 * a generation that was not finished; -EBADMSG damaged. */
static int generation_of(const struct index_header *header, uint64_t number, const uint8_t *page,
                         uint64_t *generation)
{
	static const uint8_t none[INDEX_LINE_BYTES];

	if (memcmp(page, none, sizeof(none)) == 0)
		return -ENOENT;
	if (get_le64(page + AT_HEAD_SUM) != head_sum(page, number, header->salt))
		return -EBADMSG;
	*generation = get_le64(page + AT_PAGE_GENERATION);
	return *generation <= header->generation &&
	                       get_le64(page + AT_PAGE_LIFE) == life_of(header, *generation)
	               ? 0
	               : -ENOENT;
}

/* Whether the content is that of the head. */
static bool is_whole(const uint8_t *page)
{
	static const uint8_t none[INDEX_LINE_BYTES];

	return get_le64(page + AT_PAGE_SUM) == page_sum(page) &&
	       memcmp(page + AT_PAGE_SUM + 8, none, INDEX_LINE_BYTES - AT_PAGE_SUM - 8) == 0;
}

int index_page_choose(const struct index_header *header, uint64_t number, const uint8_t *first,
                      const uint8_t *second, bool *is_second)
{
	uint64_t generations[2] = { 0 };
	int results[2] = { generation_of(header, number, first, &generations[0]),
		           second ? generation_of(header, number, second, &generations[1])
		                  : -ENOENT };

	if (results[0] == -EBADMSG || results[1] == -EBADMSG)
		return -EBADMSG;
	if (results[0] && results[1])
		return -EBADMSG;
	if (results[0] == results[1] && generations[0] == generations[1])
		return -EBADMSG;
	*is_second = results[1] == 0 && (results[0] != 0 || generations[1] > generations[0]);
	return is_whole(*is_second ? second : first) ? 0 : -EBADMSG;
}
