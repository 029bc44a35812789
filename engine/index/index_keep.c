#include "engine/index/index_keep.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/index/index_table.h"
#include "engine/media/superblock.h"

void index_keep_init(struct index_keep *keep, const struct quiver_io *io, int dir_fd,
                     struct index_pages *live)
{
	memset(keep, 0, sizeof(*keep));
	keep->io = io;
	keep->dir_fd = dir_fd;
	keep->live = live;
}

void index_keep_loaded(struct index_keep *keep, const struct index *index, bool clean)
{
	struct index_table *table = atomic_load(&index->table);
	const struct index_source *source = atomic_load(&table->source);

	keep->header = *index_source_header(source);
	table->changed->file = keep->header.salt;
	index_pages_all_read(table->changed, keep->header.table_pages);
	index_pages_all_read(keep->live, index_live_pages(keep->header.slots_used));
	keep->header_place = index_source_header_place(source);
	keep->is_new = index_source_is_new(source);
	keep->is_nobodys = !keep->is_new; /* maybe: a checkpoint that a crash has ended left one */
	keep->ends_life = !clean;
}

void index_keep_forget(struct index_keep *keep)
{
	memset(&keep->header, 0, sizeof(keep->header));
}

/* ---- what is to be written ---- */

/* Programs that wrote the former version may have left pages of this life that no superblock named. */
static bool begins_life(const struct index_keep *keep)
{
	return keep->ends_life || keep->header.version != INDEX_VERSION;
}

static bool has_to_be_whole(const struct index_keep *keep, const struct index_table *table)
{
	return keep->header.generation == 0 || table->changed->file != keep->header.salt ||
	       (begins_life(keep) && keep->header.life_count == INDEX_LIVES_MAX);
}

bool index_keep_needs_all(const struct index_keep *keep, const struct index *index)
{
	return has_to_be_whole(keep, atomic_load(&index->table)) && !index_is_whole(index);
}

uint64_t index_keep_bytes(const struct index_keep *keep, const struct index *index,
                          uint64_t slots_used)
{
	const struct index_table *table = atomic_load(&index->table);
	uint64_t live_pages = index_live_pages(slots_used);

	if (has_to_be_whole(keep, table))
		return (table->page_count + live_pages) * INDEX_PAGE_BYTES;
	return (index_pages_count(table->changed, table->page_count) +
	        index_pages_count(keep->live, live_pages)) *
	       INDEX_PAGE_BYTES;
}

bool index_keep_is_saved(const struct index_keep *keep, const struct index *index,
                         const struct index_keep_as *as)
{
	const struct index_header *header = &keep->header;

	/* What a life that has ended left there unfinished would count, were its number gone on with. */
	return header->generation > 0 && !keep->ends_life && header->lsn == as->lsn &&
	       header->count == as->count && header->ctime_max_ns == as->ctime_max_ns &&
	       header->slots_used >= as->slots_used &&
	       !has_to_be_whole(keep, atomic_load(&index->table)) &&
	       index_keep_bytes(keep, index, as->slots_used) == 0;
}

/* What tells pages of the file from those of any other, also of a copy of the store that went on by
 * itself, in a file of its own. In the same file the header tells them apart. */
static uint64_t salt_of(const struct index_keep_as *as)
{
	struct superblock sb = { .checkpoint_lsn = as->lsn, .ctime_max_ns = as->ctime_max_ns };

	memcpy(sb.geometry.uuid, as->uuid, sizeof(as->uuid));
	return superblock_index_salt(&sb, as->generation);
}

/* Another life, of all generations from `first` on. */
static int add_life(struct index_header *header, uint64_t first)
{
	struct index_life *life = &header->lives[header->life_count];

	life->first = first;
	if (getrandom(&life->number, sizeof(life->number), 0) != (ssize_t)sizeof(life->number))
		return -EIO;
	header->life_count++;
	return 0;
}

int index_keep_begin(struct index_keep *keep, const struct index *index,
                     const struct index_keep_as *as)
{
	struct index_table *table = atomic_load(&index->table);
	bool whole = has_to_be_whole(keep, table);
	struct index_header next = keep->header;
	int r = 0;

	assert(!keep->next_table);
	if (whole && !index_is_whole(index))
		return -EAGAIN;
	if (whole)
		next = (struct index_header){ .table_pages = table->page_count,
			                      .salt = salt_of(as),
			                      .whole = as->generation };
	next.version = INDEX_VERSION;
	memcpy(next.uuid, as->uuid, sizeof(next.uuid));
	next.generation = as->generation;
	next.lsn = as->lsn;
	next.slots_used = as->slots_used;
	next.count = as->count;
	next.ctime_max_ns = as->ctime_max_ns;
	if (whole || begins_life(keep))
		r = add_life(&next, whole ? next.whole : keep->header.generation + 1);
	if (r)
		return r;
	keep->next = next;
	keep->next_table = table;
	keep->whole = whole;
	keep->has_written = keep->is_written = keep->is_doubtful = false;
	keep->live_pages = index_live_pages(as->slots_used);
	keep->bytes = index_keep_bytes(keep, index, as->slots_used);
	index_pages_begin(table->changed, table->page_count, whole);
	index_pages_begin(keep->live, keep->live_pages, whole);
	return 0;
}

/* What was written does not count, and what counted does. Where that went well, or stopped between two
 * pages, the same places are written again, by another life. */
static void end_unnamed(struct index_keep *keep, enum index_keep_fate fate)
{
	if (keep->whole)
		keep->is_nobodys = keep->is_written && fate == INDEX_UNNAMED;
	else if (keep->is_doubtful || (keep->has_written && fate == INDEX_MAYBE_NAMED))
		index_keep_forget(keep);
	else if (keep->has_written)
		keep->ends_life = true;
}

void index_keep_end(struct index_keep *keep, enum index_keep_fate fate)
{
	bool counts = fate == INDEX_NAMED;

	if (!keep->next_table)
		return;
	index_pages_end(keep->next_table->changed, counts, keep->whole);
	index_pages_end(keep->live, counts, keep->whole);
	if (counts) {
		keep->header = keep->next;
		keep->header_place = keep->whole ? 0 : !keep->header_place;
		keep->next_table->changed->file = keep->next.salt;
		keep->is_new = keep->whole || keep->is_new;
		keep->ends_life = false;
	} else {
		end_unnamed(keep, fate);
	}
	keep->next_table = NULL;
}

/* ---- writing ---- */

/* Pages for places that lie together, on the way to the file. */
struct run {
	const struct index_keep *keep;
	int fd;
	uint8_t *bytes; /* INDEX_GROUP_PAGES */
	uint64_t count;
	uint64_t at; /* of the first, in the file */
	bool has_failed; /* a write or a sync */
};

static int write_run(struct run *run)
{
	uint64_t count = run->count;
	int r;

	if (count == 0)
		return 0;
	run->count = 0;
	r = io_write_all(run->keep->io, run->fd, run->bytes, count * INDEX_PAGE_BYTES, run->at);
	run->has_failed = r != 0;
	return r;
}

/* All that is to be written of `pages`, which are those from `first` on in the file. */
static int write_pages(struct run *run, struct index_pages *pages, uint64_t first)
{
	uint64_t page = 0;
	bool second;
	int r = 0;

	for (; r == 0; page++) {
		uint8_t *to = run->bytes + run->count * INDEX_PAGE_BYTES;
		uint64_t at;

		if (!index_pages_take(pages, &page, to, &second))
			break;
		index_page_seal(&run->keep->next, first + page, to);
		at = index_place_at(first + page, !run->keep->whole && !second);
		if (run->count > 0 && at != run->at + run->count * INDEX_PAGE_BYTES) {
			uint8_t *from = to;

			r = write_run(run);
			memmove(run->bytes, from, INDEX_PAGE_BYTES);
		}
		if (run->count == 0)
			run->at = at;
		run->count++;
		if (r == 0 && run->count == INDEX_GROUP_PAGES)
			r = write_run(run);
	}
	return r ? r : index_pages_error(pages);
}

static int write_header(const struct index_keep *keep, int fd)
{
	uint8_t page[INDEX_PAGE_BYTES];
	unsigned place = keep->whole ? 0 : !keep->header_place;

	index_header_put(&keep->next, page);
	return io_write_all(keep->io, fd, page, sizeof(page), place * (uint64_t)sizeof(page));
}

static int open_file(struct index_keep *keep, int like_fd)
{
	int fd;
	/* A new file would take the place of the one that counts. */
	int r = index_keep_name(keep);

	if (r)
		return r;
	if (!keep->whole)
		return keep->io->open(keep->io, keep->dir_fd, "index", O_RDWR, 0);
	fd = io_open_new(keep->io, keep->dir_fd, "index.new");
	r = fd >= 0 && keep->io->own_as ? keep->io->own_as(keep->io, fd, like_fd) : 0;
	if (r) {
		(void)keep->io->close(keep->io, fd); /* what failed first is the reason */
		(void)keep->io->unlink(keep->io, keep->dir_fd, "index.new");
		return r;
	}
	return fd;
}

/* All pages, then the header. `fd` is synced. */
static int write_all(struct index_keep *keep, int fd)
{
	struct run run = { .keep = keep, .fd = fd };
	int r;

	run.bytes = malloc((size_t)INDEX_GROUP_PAGES * INDEX_PAGE_BYTES);
	r = run.bytes ? write_pages(&run, keep->next_table->changed, 0) : -ENOMEM;
	if (r == 0)
		r = write_pages(&run, keep->live, keep->next_table->page_count);
	if (r == 0)
		r = write_run(&run);
	if (r == 0) {
		r = write_header(keep, fd);
		r = r ? r : io_fsync(keep->io, fd);
		run.has_failed = r != 0;
	}
	free(run.bytes);
	keep->is_doubtful = run.has_failed;
	return r;
}

int index_keep_write(struct index_keep *keep, int like_fd)
{
	int fd = open_file(keep, like_fd);
	int r;
	int c;

	if (fd < 0)
		return fd;
	keep->has_written = true;
	r = write_all(keep, fd);
	c = keep->io->close(keep->io, fd);
	keep->is_doubtful = keep->is_doubtful || c;
	r = r ? r : c;
	/* The superblock must not name a file whose name a crash may take. */
	if (r == 0 && keep->whole)
		r = io_fsync(keep->io, keep->dir_fd);
	if (r && keep->whole)
		(void)keep->io->unlink(keep->io, keep->dir_fd, "index.new"); /* it is nobody's */
	keep->is_written = r == 0;
	return r;
}

int index_keep_name(struct index_keep *keep)
{
	int r;

	if (keep->is_nobodys) {
		r = keep->io->unlink(keep->io, keep->dir_fd, "index.new");
		if (r && r != -ENOENT)
			return r;
		keep->is_nobodys = false;
	}
	if (!keep->is_new)
		return 0;
	r = keep->io->rename(keep->io, keep->dir_fd, "index.new", "index");
	keep->is_new = r != 0;
	return r ? r : io_fsync(keep->io, keep->dir_fd);
}
