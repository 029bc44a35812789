/*
 * The file `index` as what a table is read from, page by page as they are used. A page is read into
 * the table's own memory, so that what was checked once stays so, and what is changed stays changed.
 */
#include "engine/index/index_source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "engine/index/index_table.h"
#include "engine/media/bytes.h"

#define GROUP_BYTES (INDEX_GROUP_PAGES * (size_t)INDEX_PAGE_BYTES)

struct index_source {
	const struct quiver_io *io;
	int fd;
	bool is_new;
	unsigned header_place;
	uint64_t slots_used; /* of the store then: those of the header, or fewer */
	struct index_header header;
	pthread_mutex_t lock; /* below all others; held while a page is stored in the table */
	_Atomic int error; /* of the last page that could not be used */
	_Atomic uint64_t ready[]; /* a bit for each page of the table: it is in memory */
};

/* ---- the file ---- */

static bool fits(const struct index_header *header, const struct index_stamp *stamp)
{
	return memcmp(header->uuid, stamp->uuid, sizeof(stamp->uuid)) == 0 &&
	       header->generation == stamp->generation && header->salt == stamp->salt &&
	       header->lsn == stamp->lsn && header->count == stamp->count &&
	       header->ctime_max_ns == stamp->ctime_max_ns &&
	       header->slots_used >= stamp->slots_used;
}

/* The header of the generation that is wanted. */
static int read_header(const struct quiver_io *io, int fd, const struct index_stamp *stamp,
                       struct index_header *header, unsigned *place)
{
	uint8_t page[INDEX_PAGE_BYTES];
	int found = -EBADMSG;

	for (unsigned i = 0; i < 2; i++) {
		int r = io_read_all(io, fd, page, sizeof(page), i * (uint64_t)sizeof(page));

		if (r == 0)
			r = index_header_get(page, header);
		*place = i;
		if (r == 0 && fits(header, stamp))
			return 0;
		if (r == 0 || r == -ESTALE)
			found = -ESTALE; /* one of the two is always of another generation */
		else if (r != -ENODATA && r != -EBADMSG)
			return r;
	}
	return found;
}

/* What lies behind the end is not written yet. */
static int read_places(const struct quiver_io *io, int fd, uint8_t *to, uint64_t page,
                       uint64_t count, bool second)
{
	size_t bytes = count * INDEX_PAGE_BYTES;
	ssize_t got = io_read_most(io, fd, to, bytes, index_place_at(page, second));

	if (got < 0)
		return (int)got;
	memset(to + got, 0, bytes - (size_t)got);
	return 0;
}

/* Neighbouring pages of one group, both places. */
struct span {
	uint8_t *places[2]; /* room for them */
	uint64_t first;
	uint64_t count;
	bool both; /* places 1 are looked at */
};

/* So many pages from `first` on, or as many as the group has and there are before `end`. */
static int read_span(const struct quiver_io *io, int fd, const struct index_header *header,
                     uint64_t first, uint64_t end, struct span *span)
{
	uint64_t border = (first / INDEX_GROUP_PAGES + 1) * INDEX_GROUP_PAGES;
	int r;

	span->first = first;
	span->count = (end < border ? end : border) - first;
	span->both = header->whole != header->generation;
	r = read_places(io, fd, span->places[0], first, span->count, false);
	if (r == 0 && span->both)
		r = read_places(io, fd, span->places[1], first, span->count, true);
	return r;
}

/* Room for a group. 0 or -ENOMEM. */
static int span_make(struct span *span)
{
	span->places[0] = malloc(2 * GROUP_BYTES);
	span->places[1] = span->places[0] ? span->places[0] + GROUP_BYTES : NULL;
	return span->places[0] ? 0 : -ENOMEM;
}

/* The version of a page that counts. */
static int choose(const struct index_header *header, const struct span *span, uint64_t page,
                  const uint8_t **bytes, bool *second)
{
	size_t at = (page - span->first) * INDEX_PAGE_BYTES;
	int r = index_page_choose(header, page, span->places[0] + at,
	                          span->both ? span->places[1] + at : NULL, second);

	*bytes = r == 0 ? span->places[*second] + at : NULL;
	return r;
}

/* Words of a page of the live map, of which those at and above slot `slots_used` must be free; into
 * the map, as far as that goes. */
static int take_live(const uint8_t *page, uint64_t number, uint64_t slots_used, uint64_t *live,
                     uint64_t *count)
{
	uint64_t first = number * INDEX_LIVE_WORDS;

	for (uint64_t i = 0; i < INDEX_LIVE_WORDS; i++) {
		uint64_t word = get_le64(page + INDEX_LINE_BYTES + i * 8);
		uint64_t slot = (first + i) * 64;

		if (slot + 64 > slots_used && word >> (slot >= slots_used ? 0 : slots_used - slot))
			return -EBADMSG;
		if (slot < slots_used)
			live[first + i] = word;
		*count += (uint64_t)__builtin_popcountll(word);
	}
	return 0;
}

/* The live map, which must have as many bits as there are IDs, all of them of slots in use. */
static int read_live(const struct quiver_io *io, int fd, const struct index_header *header,
                     uint64_t slots_used, uint64_t *live, struct index_pages *pages)
{
	uint64_t end = header->table_pages + index_live_pages(header->slots_used);
	struct span span;
	uint64_t count = 0;
	int r = span_make(&span);

	for (uint64_t page = header->table_pages; r == 0 && page < end;) {
		r = read_span(io, fd, header, page, end, &span);
		for (; r == 0 && page < span.first + span.count; page++) {
			const uint8_t *bytes;
			bool second;

			r = choose(header, &span, page, &bytes, &second);
			if (r == 0 && pages)
				index_pages_read(pages, page - header->table_pages, second);
			if (r == 0)
				r = take_live(bytes, page - header->table_pages, slots_used, live,
				              &count);
		}
	}
	free(span.places[0]);
	return r == 0 && count != header->count ? -EBADMSG : r;
}

/* A damaged length is not believed before the file has it. */
static int check_size(const struct quiver_io *io, int fd, const struct index_header *header)
{
	uint64_t last = header->table_pages + index_live_pages(header->slots_used) - 1;
	struct stat st;
	int r = io->stat(io, fd, &st);

	if (r)
		return r;
	return (uint64_t)st.st_size < index_place_at(last, false) + INDEX_PAGE_BYTES ? -EBADMSG : 0;
}

static int open_one(struct index_source *source, int dir_fd, const char *name,
                    const struct index_stamp *stamp)
{
	const struct quiver_io *io = source->io;
	int r;

	source->fd = io->open(io, dir_fd, name, O_RDONLY, 0);
	if (source->fd < 0)
		return source->fd;
	r = read_header(io, source->fd, stamp, &source->header, &source->header_place);
	if (r == 0)
		r = check_size(io, source->fd, &source->header);
	if (r)
		(void)io->close(io, source->fd); /* what failed first is the reason */
	return r;
}

int index_source_open(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                      uint64_t *live, struct index_pages *pages, struct index_source **source)
{
	struct index_source found = { .io = io, .slots_used = stamp->slots_used };
	struct index_source *made;
	int r = open_one(&found, dir_fd, "index", stamp);

	if (r == -ENOENT || r == -ESTALE || r == -EBADMSG) {
		found.is_new = open_one(&found, dir_fd, "index.new", stamp) == 0;
		r = found.is_new ? 0 : r;
	}
	if (r)
		return r;
	made = calloc(1, sizeof(*made) + (found.header.table_pages / 64 + 1) * 8);
	r = made ? read_live(io, found.fd, &found.header, stamp->slots_used, live, pages) : -ENOMEM;
	if (r) {
		(void)io->close(io, found.fd); /* what failed first is the reason */
		free(made);
		return r;
	}
	made->io = io;
	made->fd = found.fd;
	made->is_new = found.is_new;
	made->header_place = found.header_place;
	made->slots_used = found.slots_used;
	made->header = found.header;
	(void)pthread_mutex_init(&made->lock, NULL); /* cannot fail with defaults */
	*source = made;
	return 0;
}

void index_source_close(struct index_source *source)
{
	if (!source)
		return;
	(void)source->io->close(source->io, source->fd); /* it was only read */
	(void)pthread_mutex_destroy(&source->lock);
	free(source);
}

const struct index_header *index_source_header(const struct index_source *source)
{
	return &source->header;
}

unsigned index_source_header_place(const struct index_source *source)
{
	return source->header_place;
}

bool index_source_is_new(const struct index_source *source)
{
	return source->is_new;
}

/* ---- pages of the table ---- */

bool index_source_has(const struct index_source *source, uint64_t page)
{
	return index_has_bit(source->ready, page);
}

const _Atomic uint64_t *index_source_ready(const struct index_source *source)
{
	return source->ready;
}

/* The slots that a page names, as bits where `seen` is not NULL. -EBADMSG: one that there is not. */
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

/* Whether all slots are in use that a page as bytes names. */
static bool names_slots(const struct index_source *source, const uint8_t *bytes)
{
	for (uint64_t i = 1; i <= INDEX_PAGE_BUCKETS; i++) {
		const uint8_t *line = bytes + i * INDEX_LINE_BYTES;

		for (unsigned place = 0; place < INDEX_BUCKET_PLACES; place++)
			if (line[place] && get_le32(line + 16 + place * 4) >= source->slots_used)
				return false;
	}
	return true;
}

/* The version that counts of a page, into the table, unless it is there: it may have been changed
 * since. */
static int take_page(struct index_source *source, const struct index_table *table,
                     const struct span *span, uint64_t page)
{
	const uint8_t *bytes;
	bool second;
	int r = choose(&source->header, span, page, &bytes, &second);

	if (r == 0 && !names_slots(source, bytes))
		r = -EBADMSG;
	if (r)
		return r;
	pthread_mutex_lock(&source->lock);
	if (!index_source_has(source, page)) {
		index_page_decode(&table->pages[page], bytes);
		index_pages_read(table->changed, page, second);
		atomic_fetch_or_explicit(&source->ready[page / 64], UINT64_C(1) << (page % 64),
		                         memory_order_release);
	}
	pthread_mutex_unlock(&source->lock);
	return 0;
}

static int failed(struct index_source *source, int r)
{
	if (r)
		atomic_store(&source->error, r);
	return r;
}

int index_source_use(struct index_source *source, const struct index_table *table, uint64_t page)
{
	uint8_t bytes[2][INDEX_PAGE_BYTES];
	struct span span = { .places = { bytes[0], bytes[1] } };
	int r;

	if (index_source_has(source, page))
		return 0;
	r = read_span(source->io, source->fd, &source->header, page, page + 1, &span);
	if (r == 0)
		r = take_page(source, table, &span, page);
	return failed(source, r);
}

/* Whether a table that is all there names each slot of the live map once, and no other: one whose
 * pages match their checksums and that lies all the same would name slots that are given to others,
 * or cut off. 0, -EBADMSG, -ENOMEM. */
static int compare_live(const struct index_table *table, const uint64_t *live, uint64_t slots_used)
{
	uint64_t words = (slots_used + 63) / 64;
	uint64_t *seen = calloc(words + 1, 8);
	uint64_t found = 0;
	int r = seen ? 0 : -ENOMEM;

	for (uint64_t i = 0; r == 0 && i < table->page_count; i++)
		r = note_slots(&table->pages[i], slots_used, seen, &found);
	for (uint64_t i = 0; r == 0 && i < words; i++) {
		r = seen[i] == live[i] ? 0 : -EBADMSG;
		found -= (uint64_t)__builtin_popcountll(live[i]);
	}
	free(seen);
	return r == 0 && found != 0 ? -EBADMSG : r;
}

int index_source_use_all(struct index_source *source, const struct index_table *table,
                         const uint64_t *live, uint64_t slots_used)
{
	uint64_t end = table->page_count;
	struct span span;
	int r = span_make(&span);

	for (uint64_t page = 0; r == 0 && page < end;) {
		while (page < end && index_source_has(source, page))
			page++;
		if (page == end)
			break;
		r = read_span(source->io, source->fd, &source->header, page, end, &span);
		for (; r == 0 && page < span.first + span.count; page++)
			if (!index_source_has(source, page))
				r = take_page(source, table, &span, page);
	}
	free(span.places[0]);
	if (r == 0)
		r = compare_live(table, live, slots_used);
	return r == -ENOMEM ? r : failed(source, r);
}

int index_source_error(const struct index_source *source)
{
	return atomic_load(&source->error);
}
