/* The snapshot of the index on disk; FORMAT.md, "index". */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bytes.h"
#include "index.h"
#include "index_table.h"

#define PAGE_BYTES 4096u
#define MAGIC "QUIVERIX"
#define ENTRIES_MAX (UINT64_C(1) << 33) /* 2^32 slots at the lowest load */
#define CHUNK_PAGES 256u /* read and written 1 MiB at a time */

struct layout {
	uint64_t entries;
	uint64_t table_pages;
	uint64_t live_pages;
	uint64_t table_at, live_at, sums_at; /* offsets */
};

static void lay_out(struct layout *layout, uint64_t entries, uint64_t slots_used)
{
	layout->entries = entries;
	layout->table_pages = (entries * 4 + PAGE_BYTES - 1) / PAGE_BYTES;
	layout->live_pages = ((slots_used + 63) / 64 * 8 + PAGE_BYTES - 1) / PAGE_BYTES;
	layout->table_at = PAGE_BYTES;
	layout->live_at = layout->table_at + layout->table_pages * PAGE_BYTES;
	layout->sums_at = layout->live_at + layout->live_pages * PAGE_BYTES;
}

static uint64_t page_sum(const uint8_t *page, uint64_t number)
{
	uint8_t tail[16];

	put_le64(tail, XXH3_64bits(page, PAGE_BYTES));
	put_le64(tail + 8, number);
	return XXH3_64bits(tail, sizeof(tail));
}

static void put_header(uint8_t *page, const struct layout *layout, const struct index_stamp *stamp,
                       uint64_t count, uint64_t sums_hash)
{
	memset(page, 0, PAGE_BYTES);
	memcpy(page, MAGIC, 8);
	put_le32(page + 8, QUIVER_FORMAT_VERSION);
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
	put_le64(page + PAGE_BYTES - 8, XXH3_64bits(page, PAGE_BYTES - 8));
}

/* Fill one page of the file's body: table pages first, then the live map. */
static void put_page(uint8_t *page, uint64_t number, const struct layout *layout,
                     const struct index_table *table, const uint64_t *live, uint64_t live_words)
{
	uint64_t at;

	memset(page, 0, PAGE_BYTES);
	if (number < layout->table_pages) {
		at = number * (PAGE_BYTES / 4);
		for (uint64_t i = 0; i < PAGE_BYTES / 4 && at + i < layout->entries; i++)
			put_le32(page + i * 4, atomic_load_explicit(&table->entries[at + i],
			                                            memory_order_relaxed));
		return;
	}
	at = (number - layout->table_pages) * (PAGE_BYTES / 8);
	for (uint64_t i = 0; i < PAGE_BYTES / 8 && at + i < live_words; i++)
		put_le64(page + i * 8, live[at + i]);
}

static int write_body(const struct quiver_io *io, int fd, const struct layout *layout,
                      const struct index_table *table, const uint64_t *live, uint64_t live_words,
                      uint8_t *sums)
{
	uint64_t pages = layout->table_pages + layout->live_pages;
	uint8_t *chunk = malloc((size_t)CHUNK_PAGES * PAGE_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t first = 0; r == 0 && first < pages; first += CHUNK_PAGES) {
		uint64_t n = pages - first < CHUNK_PAGES ? pages - first : CHUNK_PAGES;

		for (uint64_t i = 0; i < n; i++) {
			put_page(chunk + i * PAGE_BYTES, first + i, layout, table, live,
			         live_words);
			put_le64(sums + (first + i) * 8,
			         page_sum(chunk + i * PAGE_BYTES, first + i));
		}
		r = io_write_all(io, fd, chunk, n * PAGE_BYTES,
		                 layout->table_at + first * PAGE_BYTES);
	}
	free(chunk);
	return r;
}

int index_save(struct index *index, const struct quiver_io *io, int dir_fd,
               const struct index_stamp *stamp, const uint64_t *live)
{
	struct index_table *table;
	struct layout layout;
	uint8_t header[PAGE_BYTES];
	uint8_t *sums;
	uint64_t pages;
	int fd = -1;
	int r = index_drop_tombs(index); /* readers of a snapshot know none */

	if (r)
		return r;
	table = atomic_load(&index->table);
	lay_out(&layout, table->mask + 1, stamp->slots_used);
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
		r = io_write_all(io, fd, header, PAGE_BYTES, 0);
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

/* 0, -EBADMSG, -ESTALE; *count and *layout from the header, every field checked. */
static int check_header(const uint8_t *page, const struct index_stamp *stamp, uint64_t *count,
                        struct layout *layout, uint64_t *sums_hash)
{
	struct layout want;

	if (memcmp(page, MAGIC, 8) != 0 || get_le32(page + 8) != QUIVER_FORMAT_VERSION ||
	    get_le64(page + PAGE_BYTES - 8) != XXH3_64bits(page, PAGE_BYTES - 8))
		return -EBADMSG;
	if (memcmp(page + 16, stamp->uuid, 16) != 0 || get_le64(page + 32) != stamp->lsn ||
	    get_le64(page + 40) != stamp->slots_used)
		return -ESTALE;
	*count = get_le64(page + 48);
	layout->entries = get_le64(page + 56);
	if (layout->entries == 0 || layout->entries > ENTRIES_MAX ||
	    (layout->entries & (layout->entries - 1)) != 0 || *count > stamp->slots_used ||
	    *count >= layout->entries)
		return -EBADMSG;
	lay_out(&want, layout->entries, stamp->slots_used);
	if (get_le64(page + 64) != want.table_at || get_le64(page + 72) != want.live_at ||
	    get_le64(page + 80) != want.sums_at ||
	    get_le64(page + 88) != want.table_pages + want.live_pages)
		return -EBADMSG;
	*layout = want;
	*sums_hash = get_le64(page + 96);
	return 0;
}

/* One body page into table or live map; -EBADMSG where an entry is out of range. */
static int take_page(const uint8_t *page, uint64_t number, const struct layout *layout,
                     struct index_table *table, uint64_t *live, uint64_t slots_used)
{
	uint64_t at;

	if (number < layout->table_pages) {
		at = number * (PAGE_BYTES / 4);
		for (uint64_t i = 0; i < PAGE_BYTES / 4 && at + i < layout->entries; i++) {
			uint32_t entry = get_le32(page + i * 4);

			if (entry == INDEX_TOMB || (entry && entry - INDEX_SLOT0 >= slots_used))
				return -EBADMSG;
			atomic_store_explicit(&table->entries[at + i], entry, memory_order_relaxed);
		}
		return 0;
	}
	at = (number - layout->table_pages) * (PAGE_BYTES / 8);
	for (uint64_t i = 0; i < PAGE_BYTES / 8 && at + i < (slots_used + 63) / 64; i++)
		live[at + i] = get_le64(page + i * 8);
	return 0;
}

static int read_body(const struct quiver_io *io, int fd, const struct layout *layout,
                     const uint8_t *sums, struct index_table *table, uint64_t *live,
                     uint64_t slots_used)
{
	uint64_t pages = layout->table_pages + layout->live_pages;
	uint8_t *chunk = malloc((size_t)CHUNK_PAGES * PAGE_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t first = 0; r == 0 && first < pages; first += CHUNK_PAGES) {
		uint64_t n = pages - first < CHUNK_PAGES ? pages - first : CHUNK_PAGES;

		r = io_read_all(io, fd, chunk, n * PAGE_BYTES,
		                layout->table_at + first * PAGE_BYTES);
		for (uint64_t i = 0; r == 0 && i < n; i++) {
			const uint8_t *page = chunk + i * PAGE_BYTES;

			if (page_sum(page, first + i) != get_le64(sums + (first + i) * 8))
				r = -EBADMSG;
			else
				r = take_page(page, first + i, layout, table, live, slots_used);
		}
	}
	free(chunk);
	return r;
}

/* Header and page checksums; *sums is malloc'd. */
static int read_frame(const struct quiver_io *io, int fd, const struct index_stamp *stamp,
                      uint64_t *count, struct layout *layout, uint8_t **sums)
{
	uint8_t header[PAGE_BYTES];
	uint64_t sums_hash;
	uint64_t bytes;
	struct stat st;
	int r = io_read_all(io, fd, header, PAGE_BYTES, 0);

	if (r == 0)
		r = check_header(header, stamp, count, layout, &sums_hash);
	if (r == 0)
		r = io->stat(io, fd, &st);
	if (r)
		return r;
	bytes = (layout->table_pages + layout->live_pages) * 8;
	/* A damaged length is not believed before the file has it. */
	if ((uint64_t)st.st_size != layout->sums_at + bytes)
		return -EBADMSG;
	*sums = malloc(bytes);
	if (!*sums)
		return -ENOMEM;
	r = io_read_all(io, fd, *sums, bytes, layout->sums_at);
	if (r == 0 && XXH3_64bits(*sums, bytes) != sums_hash)
		r = -EBADMSG;
	return r;
}

int index_load(struct index *index, const struct columns *columns, const struct quiver_io *io,
               int dir_fd, const struct index_stamp *stamp, uint64_t **live)
{
	struct layout layout;
	struct index_table *table = NULL;
	uint8_t *sums = NULL;
	uint64_t count = 0;
	int fd = io->open(io, dir_fd, "index", O_RDONLY, 0);
	int r = fd < 0 ? fd : 0;

	*live = NULL;
	if (r == 0)
		r = read_frame(io, fd, stamp, &count, &layout, &sums);
	if (r == 0) {
		table = index_table_new(layout.entries);
		*live = calloc(layout.live_pages * (PAGE_BYTES / 8) + 1, 8);
		r = table && *live ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = read_body(io, fd, &layout, sums, table, *live, stamp->slots_used);
	if (fd >= 0) {
		int c = io->close(io, fd);

		r = r ? r : c;
	}
	free(sums);
	if (r) {
		index_table_free(table);
		free(*live);
		*live = NULL;
		return r == -ENODATA ? -EBADMSG : r;
	}
	index->columns = columns;
	index->tombs = 0;
	atomic_init(&index->count, count);
	atomic_init(&index->table, table);
	return 0;
}
