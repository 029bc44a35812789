/* Writing the snapshot of the index; FORMAT.md, "index". */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/index/index.h"
#include "engine/index/index_table.h"
#include "engine/media/bytes.h"
#include "engine/media/index_layout.h"

/* Fill one page of the file's body: table pages first, then the live map. */
static void put_page(uint8_t *page, uint64_t number, const struct index_layout *layout,
                     const struct index_table *table, const uint64_t *live, uint64_t live_words)
{
	uint64_t at;

	if (number < layout->table_pages) {
		index_page_encode(&table->pages[number], page);
		return;
	}
	memset(page, 0, INDEX_PAGE_BYTES);
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
	const struct index_table *table = atomic_load(&index->table);
	struct index_layout layout;
	uint8_t header[INDEX_PAGE_BYTES];
	uint8_t *sums;
	uint64_t pages;
	int fd;
	int r;

	index_lay_out(&layout, table->page_count, stamp->slots_used);
	pages = layout.table_pages + layout.live_pages;
	sums = malloc(pages * 8);
	if (!sums)
		return -ENOMEM;
	fd = io_open_new(io, dir_fd, "index.new");
	r = fd < 0 ? fd : 0;
	if (r == 0 && io->own_as)
		r = io->own_as(io, fd, index->columns->ids.fd);
	if (r == 0)
		r = write_body(io, fd, &layout, table, live, (stamp->slots_used + 63) / 64, sums);
	if (r == 0)
		r = io_write_all(io, fd, sums, pages * 8, layout.sums_at);
	if (r == 0) {
		index_header_encode(header, &layout, stamp, atomic_load(&index->count),
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
