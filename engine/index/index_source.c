/*
 * The snapshot of the index as what a table is read from, page by page as they are used. A
 * page is read into the table's own memory, so that what was checked once stays so.
 */
#include "engine/index/index_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/index/index_table.h"
#include "engine/media/bytes.h"

struct index_source {
	const struct quiver_io *io;
	int fd;
	uint64_t slots_used;
	struct index_layout layout;
	uint8_t *sums; /* of all pages */
	_Atomic int error; /* of the last page that could not be used */
	_Atomic uint64_t ready[]; /* a bit for each page of the table: it is in memory */
};

/* Header and page checksums; *sums is malloc'd. */
static int read_frame(const struct quiver_io *io, int fd, const struct index_stamp *stamp,
                      uint64_t *count, struct index_layout *layout, uint8_t **sums)
{
	uint8_t header[INDEX_PAGE_BYTES];
	uint64_t sums_hash;
	uint64_t bytes;
	struct stat st;
	int r = io_read_all(io, fd, header, INDEX_PAGE_BYTES, 0);

	if (r == 0)
		r = index_header_decode(header, stamp, count, layout, &sums_hash);
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

static bool sum_fits(const uint8_t *sums, const uint8_t *page, uint64_t number)
{
	return index_page_sum(page, number) == get_le64(sums + number * 8);
}

/* The live map, which must have `count` bits, all of them of slots in use. */
static int read_live(const struct quiver_io *io, int fd, const struct index_layout *layout,
                     const uint8_t *sums, uint64_t slots_used, uint64_t count, uint64_t *live)
{
	uint64_t pages = layout->live_pages;
	uint64_t bits = 0;
	int r = io_read_all(io, fd, live, pages * INDEX_PAGE_BYTES, layout->live_at);

	for (uint64_t i = 0; r == 0 && i < pages; i++) {
		const uint8_t *page = (const uint8_t *)live + i * INDEX_PAGE_BYTES;

		if (!sum_fits(sums, page, layout->table_pages + i))
			r = -EBADMSG;
	}
	for (uint64_t i = 0; r == 0 && i < pages * (INDEX_PAGE_BYTES / 8); i++) {
		live[i] = le64toh(live[i]);
		bits += (uint64_t)__builtin_popcountll(live[i]);
		if (i >= slots_used / 64 && live[i] >> (i > slots_used / 64 ? 0 : slots_used % 64))
			r = -EBADMSG;
	}
	return r == 0 && bits != count ? -EBADMSG : r;
}

int index_source_open(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                      struct index_source **source, uint64_t *pages, uint64_t *count,
                      uint64_t *live)
{
	struct index_source *made = NULL;
	struct index_layout layout;
	uint8_t *sums = NULL;
	int fd = io->open(io, dir_fd, "index", O_RDONLY, 0);
	int r = fd < 0 ? fd : 0;

	if (r == 0)
		r = read_frame(io, fd, stamp, count, &layout, &sums);
	if (r == 0) {
		made = calloc(1, sizeof(*made) + (layout.table_pages / 64 + 1) * 8);
		r = made ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = read_live(io, fd, &layout, sums, stamp->slots_used, *count, live);
	if (r == 0) {
		made->io = io;
		made->fd = fd;
		made->slots_used = stamp->slots_used;
		made->layout = layout;
		made->sums = sums;
		*source = made;
		*pages = layout.table_pages;
		return 0;
	}
	if (fd >= 0)
		(void)io->close(io, fd); /* what failed first is the reason */
	free(sums);
	free(made);
	return r == -ENODATA ? -EBADMSG : r;
}

void index_source_close(struct index_source *source)
{
	if (!source)
		return;
	(void)source->io->close(source->io, source->fd); /* it was only read */
	free(source->sums);
	free(source);
}

static inline bool is_ready(const struct index_source *source, uint64_t page)
{
	return atomic_load_explicit(&source->ready[page / 64], memory_order_acquire) >>
	               (page % 64) &
	       1;
}

bool index_source_has(struct index_source *source, uint64_t page)
{
	return is_ready(source, page);
}

/* The slots that a page names, as bits. -EBADMSG: one that there is not. */
static int note_slots(const struct index_page *page, uint64_t slots_used, uint64_t *seen,
                      uint64_t *found)
{
	for (uint64_t i = 0; i < INDEX_PAGE_BUCKETS; i++) {
		const struct index_bucket *bucket = &page->buckets[i];

		for (unsigned place = 0; place < INDEX_BUCKET_PLACES; place++) {
			uint64_t slot = index_slot(bucket, place);

			if (index_place_tag(bucket, place) == 0)
				continue;
			if (slot >= slots_used)
				return -EBADMSG;
			if (seen)
				seen[slot / 64] |= UINT64_C(1) << slot % 64;
			++*found;
		}
	}
	return 0;
}

/* A page that was read, into the table. Two threads may do so at a time: what they store is the
 * same, and nobody changes a table before all of its pages are there and those threads gone. */
static int take_page(struct index_source *source, struct index_page *pages, const uint8_t *bytes,
                     uint64_t number)
{
	uint64_t found = 0;

	if (!sum_fits(source->sums, bytes, number))
		return -EBADMSG;
	index_page_decode(&pages[number], bytes);
	if (note_slots(&pages[number], source->slots_used, NULL, &found) != 0)
		return -EBADMSG;
	atomic_fetch_or_explicit(&source->ready[number / 64], UINT64_C(1) << (number % 64),
	                         memory_order_release);
	return 0;
}

static int failed(struct index_source *source, int r)
{
	r = r == -ENODATA ? -EBADMSG : r;
	if (r)
		atomic_store(&source->error, r);
	return r;
}

int index_source_use(struct index_source *source, struct index_page *pages, uint64_t page)
{
	uint8_t bytes[INDEX_PAGE_BYTES];
	int r;

	if (is_ready(source, page))
		return 0;
	r = io_read_all(source->io, source->fd, bytes, sizeof(bytes),
	                source->layout.table_at + page * INDEX_PAGE_BYTES);
	if (r == 0)
		r = take_page(source, pages, bytes, page);
	return failed(source, r);
}

/* Whether a table that is all there names each slot of the live map once, and no other: one whose
 * pages match their checksums and that lies all the same would name slots that are given to others,
 * or cut off. 0, -EBADMSG, -ENOMEM. */
static int compare_live(const struct index_source *source, const struct index_page *pages,
                        const uint64_t *live)
{
	uint64_t words = (source->slots_used + 63) / 64;
	uint64_t *seen = calloc(words + 1, 8);
	uint64_t found = 0;
	int r = seen ? 0 : -ENOMEM;

	for (uint64_t i = 0; r == 0 && i < source->layout.table_pages; i++)
		r = note_slots(&pages[i], source->slots_used, seen, &found);
	for (uint64_t i = 0; r == 0 && i < words; i++) {
		r = seen[i] == live[i] ? 0 : -EBADMSG;
		found -= (uint64_t)__builtin_popcountll(live[i]);
	}
	free(seen);
	return r == 0 && found != 0 ? -EBADMSG : r;
}

int index_source_use_all(struct index_source *source, struct index_page *pages,
                         const uint64_t *live)
{
	uint64_t count = source->layout.table_pages;
	uint8_t *chunk = malloc((size_t)INDEX_CHUNK_PAGES * INDEX_PAGE_BYTES);
	int r = 0;

	if (!chunk)
		return -ENOMEM;
	for (uint64_t first = 0; r == 0 && first < count; first += INDEX_CHUNK_PAGES) {
		uint64_t n = count - first < INDEX_CHUNK_PAGES ? count - first : INDEX_CHUNK_PAGES;

		r = io_read_all(source->io, source->fd, chunk, n * INDEX_PAGE_BYTES,
		                source->layout.table_at + first * INDEX_PAGE_BYTES);
		for (uint64_t i = 0; r == 0 && i < n; i++)
			if (!is_ready(source, first + i))
				r = take_page(source, pages, chunk + i * INDEX_PAGE_BYTES,
				              first + i);
	}
	free(chunk);
	if (r == 0)
		r = compare_live(source, pages, live);
	return r == -ENOMEM ? r : failed(source, r);
}

int index_source_error(const struct index_source *source)
{
	return atomic_load(&source->error);
}
