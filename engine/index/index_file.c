/* Writing the snapshot of the index; FORMAT.md, "index". */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/index/index.h"
#include "engine/index/index_table.h"
#include "engine/media/bytes.h"

void index_lay_out(struct index_layout *layout, uint64_t entries, uint64_t slots_used)
{
	layout->entries = entries;
	layout->table_pages = entries / INDEX_PAGE_ENTRIES;
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

static void put_header(uint8_t *page, const struct index_layout *layout,
                       const struct index_stamp *stamp, uint64_t count, uint64_t sums_hash)
{
	memset(page, 0, INDEX_PAGE_BYTES);
	memcpy(page, INDEX_MAGIC, 8);
	put_le32(page + 8, INDEX_VERSION);
	memcpy(page + 16, stamp->uuid, 16);
	put_le64(page + 32, stamp->lsn);
	put_le64(page + 40, stamp->slots_used);
	put_le64(page + 48, count);
	put_le64(page + 56, layout->entries);
	put_le64(page + 64, layout->table_at);
	put_le64(page + 72, layout->live_at);
	put_le64(page + 80, layout->sums_at);
	put_le64(page + 88, layout->table_pages + layout->live_pages);
	put_le64(page + 96, sums_hash);
	put_le64(page + INDEX_PAGE_BYTES - 8, XXH3_64bits(page, INDEX_PAGE_BYTES - 8));
}

/* Fill one page of the file's body: table pages first, then the live map. */
static void put_page(uint8_t *page, uint64_t number, const struct index_layout *layout,
                     const struct index_table *table, const uint64_t *live, uint64_t live_words)
{
	uint64_t at;

	memset(page, 0, INDEX_PAGE_BYTES);
	if (number < layout->table_pages) {
		at = number * INDEX_PAGE_ENTRIES;
		for (uint64_t i = 0; i < INDEX_PAGE_ENTRIES && at + i < layout->entries; i++)
			put_le32(page + i * 4, atomic_load_explicit(&table->entries[at + i],
			                                            memory_order_relaxed));
		return;
	}
	at = (number - layout->table_pages) * (INDEX_PAGE_BYTES / 8);
	for (uint64_t i = 0; i < INDEX_PAGE_BYTES / 8 && at + i < live_words; i++)
		put_le64(page + i * 8, live[at + i]);
}

static int write_body(const struct quiver_io *io, int fd, const struct index_layout *layout,
                      const struct index_table *table, const uint64_t *live, uint64_t live_words,
                      uint8_t *sums)
{
	uint64_t pages = layout->table_pages + layout->live_pages;
	uint8_t *chunk = malloc((size_t)INDEX_CHUNK_PAGES * INDEX_PAGE_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t first = 0; r == 0 && first < pages; first += INDEX_CHUNK_PAGES) {
		uint64_t n = pages - first < INDEX_CHUNK_PAGES ? pages - first : INDEX_CHUNK_PAGES;

		for (uint64_t i = 0; i < n; i++) {
			put_page(chunk + i * INDEX_PAGE_BYTES, first + i, layout, table, live,
			         live_words);
			put_le64(sums + (first + i) * 8,
			         index_page_sum(chunk + i * INDEX_PAGE_BYTES, first + i));
		}
		r = io_write_all(io, fd, chunk, n * INDEX_PAGE_BYTES,
		                 layout->table_at + first * INDEX_PAGE_BYTES);
	}
	free(chunk);
	return r;
}

int index_save(struct index *index, const struct quiver_io *io, int dir_fd,
               const struct index_stamp *stamp, const uint64_t *live)
{
	struct index_table *table;
	struct index_layout layout;
	uint8_t header[INDEX_PAGE_BYTES];
	uint8_t *sums;
	uint64_t pages;
	int fd = -1;
	int r = index_drop_tombs(index); /* readers of a snapshot know none */

	if (r)
		return r;
	table = atomic_load(&index->table);
	index_lay_out(&layout, table->size, stamp->slots_used);
	pages = layout.table_pages + layout.live_pages;
	sums = malloc(pages * 8);
	if (!sums)
		return -ENOMEM;
	fd = io->open(io, dir_fd, "index.new", O_RDWR | O_CREAT | O_TRUNC, 0600);
	r = fd < 0 ? fd : 0;
	if (r == 0)
		r = write_body(io, fd, &layout, table, live, (stamp->slots_used + 63) / 64, sums);
	if (r == 0)
		r = io_write_all(io, fd, sums, pages * 8, layout.sums_at);
	if (r == 0) {
		put_header(header, &layout, stamp, atomic_load(&index->count),
		           XXH3_64bits(sums, pages * 8));
		r = io_write_all(io, fd, header, INDEX_PAGE_BYTES, 0);
	}
	if (r == 0)
		r = io_fsync(io, fd);
	free(sums);
	if (fd >= 0) {
		int c = io->close(io, fd);

		r = r ? r : c;
	}
	if (r == 0)
		r = io->rename(io, dir_fd, "index.new", "index");
	else if (fd >= 0)
		(void)io->unlink(io, dir_fd, "index.new"); /* what failed first is the reason */
	if (r == 0)
		r = io_fsync(io, dir_fd);
	return r;
}
