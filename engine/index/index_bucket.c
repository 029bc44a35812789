#include "engine/index/index_bucket.h"

#include <string.h>

#include "engine/media/bytes.h"

void index_page_encode(const struct index_page *page, uint8_t bytes[INDEX_PAGE_BYTES])
{
	memset(bytes, 0, INDEX_LINE_BYTES);
	for (uint64_t i = 0; i < INDEX_PAGE_BUCKETS; i++) {
		const struct index_bucket *bucket = &page->buckets[i];
		uint8_t *line = bytes + (i + 1) * INDEX_LINE_BYTES;

		put_le64(line, atomic_load_explicit(&bucket->tags, memory_order_relaxed));
		put_le32(line + 8, atomic_load_explicit(&bucket->more_tags, memory_order_relaxed));
		put_le32(line + 12, atomic_load_explicit(&bucket->overflow, memory_order_relaxed));
		for (unsigned place = 0; place < INDEX_BUCKET_PLACES; place++)
			put_le32(line + 16 + place * 4,
			         atomic_load_explicit(&bucket->slots[place], memory_order_relaxed));
	}
}

void index_page_decode(struct index_page *page, const uint8_t bytes[INDEX_PAGE_BYTES])
{
	for (uint64_t i = 0; i < INDEX_PAGE_BUCKETS; i++) {
		const uint8_t *line = bytes + (i + 1) * INDEX_LINE_BYTES;
		struct index_bucket *bucket = &page->buckets[i];

		for (unsigned place = 0; place < INDEX_BUCKET_PLACES; place++)
			atomic_store_explicit(&bucket->slots[place],
			                      get_le32(line + 16 + place * 4),
			                      memory_order_relaxed);
		atomic_store_explicit(&bucket->overflow, get_le32(line + 12), memory_order_relaxed);
		atomic_store_explicit(&bucket->more_tags, get_le32(line + 8), memory_order_relaxed);
		atomic_store_explicit(&bucket->tags, get_le64(line), memory_order_relaxed);
	}
}
