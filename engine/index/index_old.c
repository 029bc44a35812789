#include "engine/index/index_old.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "engine/media/bytes.h"

#define OLD_VERSION 2u
#define PAGE_ENTRIES (INDEX_PAGE_BYTES / 4)
#define SLOT0 2u /* an entry is the slot and this */
#define ENTRIES_MAX (UINT64_C(1) << 33) /* 2^32 slots at half load */
#define CHUNK_PAGES 256u

__extension__ typedef unsigned __int128 old_wide;

/* Where everything is in the file. */
struct layout {
	uint64_t entries, table_pages, live_pages, sums_at;
};

static int read_header(const struct quiver_io *io, int fd, const struct index_stamp *stamp,
                       struct layout *layout, uint64_t *sums_hash)
{
	uint8_t page[INDEX_PAGE_BYTES];
	uint64_t live_bytes = index_live_bytes(stamp->slots_used);
	struct stat st;
	int r = io_read_all(io, fd, page, sizeof(page), 0);

	if (r == 0)
		r = io->stat(io, fd, &st);
	if (r)
		return r;
	if (memcmp(page, INDEX_MAGIC, 8) != 0)
		return -EBADMSG;
	/* Of this program's version one of the two headers may be torn. */
	if (get_le32(page + 8) != OLD_VERSION)
		return -ESTALE;
	if (get_le64(page + INDEX_PAGE_BYTES - 8) != XXH3_64bits(page, INDEX_PAGE_BYTES - 8))
		return -EBADMSG;
	if (memcmp(page + 16, stamp->uuid, 16) != 0 || get_le64(page + 32) != stamp->lsn ||
	    get_le64(page + 40) != stamp->slots_used)
		return -ESTALE;
	layout->entries = get_le64(page + 56);
	if (layout->entries == 0 || layout->entries > ENTRIES_MAX ||
	    layout->entries % PAGE_ENTRIES != 0 || get_le64(page + 48) != stamp->count ||
	    stamp->count >= layout->entries)
		return -EBADMSG;
	layout->table_pages = layout->entries / PAGE_ENTRIES;
	layout->live_pages = (live_bytes + INDEX_PAGE_BYTES - 1) / INDEX_PAGE_BYTES;
	layout->sums_at = (1 + layout->table_pages + layout->live_pages) * INDEX_PAGE_BYTES;
	*sums_hash = get_le64(page + 96);
	/* A damaged length is not believed before the file has it. */
	return (uint64_t)st.st_size ==
	                       layout->sums_at + (layout->table_pages + layout->live_pages) * 8
	               ? 0
	               : -EBADMSG;
}

static bool sum_fits(const uint8_t *sums, const uint8_t *page, uint64_t number)
{
	uint8_t tail[16];

	put_le64(tail, XXH3_64bits(page, INDEX_PAGE_BYTES));
	put_le64(tail + 8, number);
	return XXH3_64bits(tail, sizeof(tail)) == get_le64(sums + number * 8);
}

/* A page of the table, and then of the live map. */
static int take_page(struct index_old *old, const struct layout *layout, uint64_t number,
                     const uint8_t *page, const struct index_stamp *stamp)
{
	uint64_t first = (number - layout->table_pages) * (INDEX_PAGE_BYTES / 8);
	uint64_t words = index_live_bytes(stamp->slots_used) / 8;

	if (number >= layout->table_pages) {
		for (uint64_t i = 0; i < INDEX_PAGE_BYTES / 8 && first + i < words; i++)
			old->live[first + i] = get_le64(page + i * 8);
		return 0;
	}
	for (uint64_t i = 0; i < PAGE_ENTRIES; i++) {
		uint32_t entry = get_le32(page + i * 4);

		if (entry && (entry < SLOT0 || entry - SLOT0 >= stamp->slots_used))
			return -EBADMSG;
		old->entries[number * PAGE_ENTRIES + i] = entry;
	}
	return 0;
}

static int read_pages(const struct quiver_io *io, int fd, const struct layout *layout,
                      const uint8_t *sums, const struct index_stamp *stamp, struct index_old *old)
{
	uint64_t pages = layout->table_pages + layout->live_pages;
	uint8_t *chunk = malloc((size_t)CHUNK_PAGES * INDEX_PAGE_BYTES);
	int r = chunk ? 0 : -ENOMEM;

	for (uint64_t first = 0; r == 0 && first < pages; first += CHUNK_PAGES) {
		uint64_t n = pages - first < CHUNK_PAGES ? pages - first : CHUNK_PAGES;

		r = io_read_all(io, fd, chunk, n * INDEX_PAGE_BYTES,
		                (1 + first) * INDEX_PAGE_BYTES);
		for (uint64_t i = 0; r == 0 && i < n; i++)
			r = sum_fits(sums, chunk + i * INDEX_PAGE_BYTES, first + i)
			            ? take_page(old, layout, first + i,
			                        chunk + i * INDEX_PAGE_BYTES, stamp)
			            : -EBADMSG;
	}
	free(chunk);
	return r;
}

/* As many bits as there are IDs, all of slots in use. */
static int check_live(const struct index_old *old, const struct index_stamp *stamp)
{
	uint64_t words = index_live_bytes(stamp->slots_used) / 8;
	uint64_t count = 0;

	for (uint64_t i = 0; i < words; i++)
		count += (uint64_t)__builtin_popcountll(old->live[i]);
	if (stamp->slots_used % 64 && old->live[words - 1] >> stamp->slots_used % 64)
		return -EBADMSG;
	return count == stamp->count ? 0 : -EBADMSG;
}

int index_old_read(const struct quiver_io *io, int dir_fd, const struct index_stamp *stamp,
                   struct index_old *old)
{
	struct layout layout;
	uint8_t *sums = NULL;
	uint64_t sums_hash;
	uint64_t sums_bytes;
	int fd = io->open(io, dir_fd, "index", O_RDONLY, 0);
	int r;

	memset(old, 0, sizeof(*old));
	if (fd < 0)
		return fd;
	r = read_header(io, fd, stamp, &layout, &sums_hash);
	if (r)
		goto out;
	sums_bytes = (layout.table_pages + layout.live_pages) * 8;
	sums = malloc(sums_bytes);
	old->size = layout.entries;
	old->entries = calloc(layout.entries, sizeof(*old->entries));
	old->live = calloc(1, index_live_bytes(stamp->slots_used) + 8);
	r = sums && old->entries && old->live ? 0 : -ENOMEM;
	if (r == 0)
		r = io_read_all(io, fd, sums, sums_bytes, layout.sums_at);
	if (r == 0 && XXH3_64bits(sums, sums_bytes) != sums_hash)
		r = -EBADMSG;
	if (r == 0)
		r = read_pages(io, fd, &layout, sums, stamp, old);
	if (r == 0)
		r = check_live(old, stamp);
out:
	free(sums);
	(void)io->close(io, fd); /* it was only read */
	if (r)
		index_old_free(old);
	return r == -ENODATA ? -EBADMSG : r;
}

void index_old_free(struct index_old *old)
{
	free(old->entries);
	free(old->live);
	memset(old, 0, sizeof(*old));
}

bool index_old_names(const struct index_old *old, uint64_t id, uint64_t slot)
{
	uint8_t key[8];
	uint64_t at;

	put_le64(key, id);
	at = (uint64_t)((old_wide)XXH3_64bits(key, sizeof(key)) * old->size >> 64);
	for (uint64_t step = 0; step < old->size && old->entries[at]; step++) {
		if (old->entries[at] == slot + SLOT0)
			return true;
		at = at + 1 < old->size ? at + 1 : 0;
	}
	return false;
}
