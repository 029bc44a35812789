#include "unit.h"

#include "engine/disk/columns.h"
#include "engine/index/index.h"
#include "engine/index/index_keep.h"
#include "engine/index/index_table.h"
#include "engine/media/bytes.h"
#include "store_test.h"

#define ROWS 40000u /* two pages of the live map, some of the table */
#define LIVE_WORDS (ROWS / 64 + 1)

/* What there is: slot s holds ids[s], or nothing. */
struct state {
	uint64_t live[LIVE_WORDS];
	uint64_t count;
};

/* A disk that stops amid of a write. */
struct dying_io {
	struct quiver_io table; /* first: `self` of the functions */
	long writes_left; /* -1: no end */
	uint64_t torn; /* sectors of the last write that get there */
};

struct shop {
	struct unit_dir dir;
	struct columns columns;
	struct dying_io io;
	uint64_t ids[ROWS];
	struct index index;
	struct index_pages live_pages;
	struct index_keep keep;
	struct state now;
	struct state kept; /* what the superblock would name */
	struct index_stamp stamp; /* the same */
	uint64_t sequence;
	uint64_t random;
};

static bool is_live(const struct state *state, uint64_t s)
{
	return state->live[s / 64] >> s % 64 & 1;
}

static void copy_live(const void *owner, uint64_t page, uint8_t *to)
{
	const struct state *now = owner;
	uint64_t first = page * INDEX_LIVE_WORDS;

	memset(to, 0, INDEX_PAGE_BYTES);
	for (uint64_t i = 0; i < INDEX_LIVE_WORDS && first + i < LIVE_WORDS; i++)
		put_le64(to + INDEX_LINE_BYTES + i * 8, now->live[first + i]);
}

static ssize_t dying_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	struct dying_io *io = (struct dying_io *)(uintptr_t)self;

	if (io->writes_left < 0)
		return quiver_io_posix()->pwritev(self, fd, parts, count, offset);
	if (io->writes_left > 0) {
		io->writes_left--;
		return quiver_io_posix()->pwritev(self, fd, parts, count, offset);
	}
	for (uint64_t sector = 0; sector * 512 < parts[0].iov_len; sector++)
		if (io->torn >> sector % 64 & 1)
			assert_int_equal(pwrite(fd, (uint8_t *)parts[0].iov_base + sector * 512,
			                        512, (off_t)(offset + sector * 512)),
			                 512);
	return -EIO;
}

static void begin_empty(struct shop *shop)
{
	assert_int_equal(index_init(&shop->index, &shop->columns, ROWS), 0);
	assert_int_equal(
		index_pages_init(&shop->live_pages, index_live_pages(ROWS), &shop->now, copy_live),
		0);
	index_keep_init(&shop->keep, &shop->io.table, shop->dir.fd, &shop->live_pages);
}

static void end(struct shop *shop)
{
	index_destroy(&shop->index);
	index_pages_destroy(&shop->live_pages);
}

static int setup(void **state)
{
	static const struct quiver_geometry geometry = { .dim = 1,
		                                         .dtype = QUIVER_U1,
		                                         .vector_bytes = 1 };
	static const struct meta_row row = { .lsn = 1 };
	struct shop *shop = calloc(1, sizeof(*shop));
	struct quiver_error error;

	assert_non_null(shop);
	shop->random = test_seed();
	shop->io.table = *quiver_io_posix();
	shop->io.table.pwritev = dying_pwritev;
	shop->io.writes_left = -1;
	unit_dir_make(&shop->dir);
	assert_int_equal(columns_create(quiver_io_posix(), shop->dir.fd, &geometry), 0);
	assert_int_equal(columns_open(&shop->columns, quiver_io_posix(), shop->dir.fd, &geometry,
	                              QUIVER_FORMAT_VERSION, 0, false, &error),
	                 0);
	assert_int_equal(columns_grow(&shop->columns, ROWS), 0);
	for (uint64_t s = 0; s < ROWS; s++) {
		shop->ids[s] = test_random(&shop->random) >> 1;
		assert_int_equal(columns_write_rows(&shop->columns, s, &shop->ids[s], &row, 1), 0);
	}
	begin_empty(shop);
	*state = shop;
	return 0;
}

static int teardown(void **state)
{
	struct shop *shop = *state;

	end(shop);
	assert_int_equal(columns_close(&shop->columns), 0);
	unit_dir_remove(&shop->dir);
	free(shop);
	return 0;
}

/* Slot s comes or goes. */
static void turn(struct shop *shop, uint64_t s)
{
	assert_int_equal(index_ready(&shop->index, shop->ids[s], 1), 0);
	index_pages_touch(&shop->live_pages, s / INDEX_LIVE_SLOTS);
	if (is_live(&shop->now, s))
		index_remove(&shop->index, shop->ids[s], s);
	else
		index_insert(&shop->index, shop->ids[s], s);
	shop->now.count += is_live(&shop->now, s) ? UINT64_MAX : 1;
	shop->now.live[s / 64] ^= UINT64_C(1) << s % 64;
}

static void turn_some(struct shop *shop, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		turn(shop, test_below(&shop->random, ROWS));
}

static struct index_keep_as as_now(struct shop *shop)
{
	return (struct index_keep_as){ .uuid = { 7 },
		                       .generation = ++shop->sequence,
		                       .lsn = shop->sequence * 10,
		                       .slots_used = ROWS,
		                       .count = shop->now.count,
		                       .ctime_max_ns = (int64_t)shop->sequence };
}

/* What a superblock would say of what is being written. */
static void stamp_it(const struct shop *shop, const struct index_keep_as *as,
                     struct index_stamp *stamp)
{
	*stamp = (struct index_stamp){ .generation = as->generation,
		                       .salt = shop->keep.next.salt,
		                       .lsn = as->lsn,
		                       .slots_used = as->slots_used,
		                       .count = as->count,
		                       .ctime_max_ns = as->ctime_max_ns };
	memcpy(stamp->uuid, as->uuid, sizeof(stamp->uuid));
}

/* Write the index as it is now, and change some meanwhile. What index_keep_write says. */
static int keep(struct shop *shop, struct state *state, struct index_stamp *stamp)
{
	struct index_keep_as as = as_now(shop);
	int r;

	assert_int_equal(index_keep_begin(&shop->keep, &shop->index, &as), 0);
	*state = shop->now;
	turn_some(shop, test_below(&shop->random, 300));
	r = index_keep_write(&shop->keep, shop->columns.ids.fd);
	turn_some(shop, 10);
	stamp_it(shop, &as, stamp);
	return r;
}

/* ... and the superblock names it. */
static void keep_well(struct shop *shop)
{
	assert_int_equal(keep(shop, &shop->kept, &shop->stamp), 0);
	index_keep_end(&shop->keep, INDEX_NAMED);
	assert_int_equal(index_keep_name(&shop->keep), 0);
}

static int load(struct shop *shop, struct index *index, uint64_t live[LIVE_WORDS],
                struct index_pages *pages)
{
	memset(live, 0, LIVE_WORDS * 8);
	return index_load(index, &shop->columns, &shop->io.table, shop->dir.fd, &shop->stamp, live,
	                  pages);
}

/* The file says what was kept last. */
static void check_kept(struct shop *shop)
{
	uint64_t live[LIVE_WORDS];
	struct index index;

	assert_int_equal(load(shop, &index, live, NULL), 0);
	assert_memory_equal(live, shop->kept.live, sizeof(live));
	for (uint64_t s = 0; s < ROWS; s += 1 + test_below(&shop->random, 20))
		assert_true(index_find(&index, shop->ids[s]) ==
		            (is_live(&shop->kept, s) ? s : SLOT_NONE));
	assert_int_equal(index_damage(&index), 0);
	assert_int_equal(index_load_rest(&index, live, ROWS), 0);
	for (uint64_t s = 0; s < ROWS; s++)
		assert_true(index_find(&index, shop->ids[s]) ==
		            (is_live(&shop->kept, s) ? s : SLOT_NONE));
	index_destroy(&index);
}

/* The process dies, and another goes on with what the superblock names. */
static void begin_again(struct shop *shop, bool clean)
{
	end(shop);
	shop->io.writes_left = -1;
	shop->now = shop->kept;
	assert_int_equal(
		index_pages_init(&shop->live_pages, index_live_pages(ROWS), &shop->now, copy_live),
		0);
	index_keep_init(&shop->keep, &shop->io.table, shop->dir.fd, &shop->live_pages);
	assert_int_equal(load(shop, &shop->index, shop->now.live, &shop->live_pages), 0);
	index_keep_loaded(&shop->keep, &shop->index, clean);
}

/* ---- */

static void test_each_generation_is_what_was_there_when_it_began(void **state)
{
	struct shop *shop = *state;
	uint64_t inode = 0;

	for (int i = 0; i < 12; i++) {
		struct stat st;

		turn_some(shop, i == 0 ? ROWS / 2 : test_below(&shop->random, 100));
		keep_well(shop);
		check_kept(shop);
		assert_int_equal(fstatat(shop->dir.fd, "index", &st, 0), 0);
		assert_true(i == 0 || st.st_ino == inode);
		inode = st.st_ino;
		if (i % 4 == 3)
			begin_again(shop, i % 8 == 3);
	}
}

static void test_only_pages_that_have_changed_are_written(void **state)
{
	struct shop *shop = *state;
	struct index_keep_as as;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	begin_again(shop, true);
	as = as_now(shop);
	as.lsn = shop->stamp.lsn;
	assert_false(index_keep_is_saved(&shop->keep, &shop->index, &as));
	as.ctime_max_ns = shop->stamp.ctime_max_ns;
	assert_true(index_keep_is_saved(&shop->keep, &shop->index, &as));
	assert_int_equal(index_keep_bytes(&shop->keep, &shop->index, ROWS), 0);
	turn(shop, 5);
	assert_in_range(index_keep_bytes(&shop->keep, &shop->index, ROWS), 2 * 4096, 3 * 4096);
	assert_false(index_keep_is_saved(&shop->keep, &shop->index, &as));
	assert_false(index_keep_needs_all(&shop->keep, &shop->index));
	keep_well(shop);
	check_kept(shop);
	/* One that counts may be left out: the next has its pages, too. */
	turn_some(shop, 50);
	keep_well(shop);
	check_kept(shop);
}

/* Power cuts amid of each write, in the life of one and in the next ones. */
static void test_a_write_that_was_not_finished_changes_nothing(void **state)
{
	struct shop *shop = *state;
	struct index_stamp stamp;
	struct state then;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	for (int i = 0; i < 60; i++) {
		turn_some(shop, 1 + test_below(&shop->random, 100));
		shop->io.writes_left = (long)test_below(&shop->random, 12);
		shop->io.torn = test_random(&shop->random);
		(void)keep(shop, &then, &stamp); /* whole or not: nobody names it */
		shop->io.writes_left = -1;
		check_kept(shop);
		begin_again(shop, false);
		if (i % 3 == 0)
			continue;
		/* What was written then must not show when others are named. */
		turn_some(shop, 1 + test_below(&shop->random, 100));
		keep_well(shop);
		check_kept(shop);
		if (i % 2)
			begin_again(shop, i % 4 == 1);
	}
}

/* As after a power cut that took the log, too: there is nothing to recover, and the store is closed. */
static void test_after_a_crash_a_life_begins_though_nothing_has_changed(void **state)
{
	struct shop *shop = *state;
	struct index_keep_as as;
	struct index_stamp stamp;
	struct state then;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	for (int i = 0; i < 10; i++) {
		turn_some(shop, 50);
		assert_int_equal(keep(shop, &then, &stamp), 0); /* nobody names it */
		begin_again(shop, false);
		as = as_now(shop);
		as.lsn = shop->stamp.lsn;
		as.ctime_max_ns = shop->stamp.ctime_max_ns;
		if (!index_keep_is_saved(&shop->keep, &shop->index, &as))
			keep_well(shop);
		begin_again(shop, true);
		turn_some(shop, 50);
		keep_well(shop);
		check_kept(shop);
	}
}

static uint64_t file_number(const struct shop *shop)
{
	struct stat st;

	assert_int_equal(fstatat(shop->dir.fd, "index", &st, 0), 0);
	return st.st_ino;
}

/* Written well, but the checkpoint is refused, as on a full disk: the next has the same number. */
static void test_after_a_refused_checkpoint_the_file_is_gone_on_with(void **state)
{
	struct shop *shop = *state;
	struct index_stamp stamp;
	struct state then;
	uint64_t file;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	file = file_number(shop);
	for (int i = 0; i < 40; i++) {
		turn_some(shop, 50);
		assert_int_equal(keep(shop, &then, &stamp), 0);
		index_keep_end(&shop->keep, INDEX_UNNAMED);
		assert_int_equal(index_keep_name(&shop->keep), 0);
		shop->sequence--;
		check_kept(shop);
		if (i % 4 == 3) {
			begin_again(shop, i % 8 == 3);
			continue; /* with another, or with the state that it was closed in */
		}
		turn_some(shop, 5);
		if (i % 4 == 2)
			assert_int_equal(keep(shop, &then, &stamp), 0);
		else
			keep_well(shop);
		check_kept(shop);
		if (i % 4 == 2) { /* a crash amid the second time */
			shop->sequence--;
			begin_again(shop, false);
		}
		assert_int_equal(file_number(shop), file);
	}
	/* The superblock may have come to the disk all the same. */
	turn_some(shop, 50);
	assert_int_equal(keep(shop, &then, &stamp), 0);
	index_keep_end(&shop->keep, INDEX_MAYBE_NAMED);
	assert_true(index_keep_needs_all(&shop->keep, &shop->index) ||
	            index_keep_bytes(&shop->keep, &shop->index, ROWS) >
	                    ROWS / INDEX_PAGE_PLACES * INDEX_PAGE_BYTES);
}

static void test_a_new_file_that_no_superblock_names_is_removed(void **state)
{
	struct shop *shop = *state;
	struct index_stamp stamp;
	struct state then;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	index_keep_forget(&shop->keep);
	assert_int_equal(keep(shop, &then, &stamp), 0);
	assert_int_equal(faccessat(shop->dir.fd, "index.new", F_OK, 0), 0);
	index_keep_end(&shop->keep, INDEX_UNNAMED);
	assert_int_equal(index_keep_name(&shop->keep), 0);
	assert_int_equal(faccessat(shop->dir.fd, "index.new", F_OK, 0), -1);
	check_kept(shop);
	/* One that it may name stays. */
	assert_int_equal(keep(shop, &then, &stamp), 0);
	index_keep_end(&shop->keep, INDEX_MAYBE_NAMED);
	assert_int_equal(faccessat(shop->dir.fd, "index.new", F_OK, 0), 0);
	check_kept(shop);
}

/* The header that counts is as a program before would have written it. */
static void make_former(struct shop *shop)
{
	uint8_t page[INDEX_PAGE_BYTES];
	struct index_header header;
	int fd = openat(shop->dir.fd, "index", O_RDWR);
	off_t at = shop->keep.header_place * (off_t)sizeof(page);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, page, sizeof(page), at), sizeof(page));
	assert_int_equal(index_header_get(page, &header), 0);
	assert_int_equal(header.generation, shop->stamp.generation);
	header.version = INDEX_VERSION_FORMER;
	index_header_put(&header, page);
	assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
	assert_int_equal(close(fd), 0);
}

/* It went on with the life of one that crashed, and closed the store cleanly. */
static void test_a_file_of_the_former_version_is_gone_on_with_by_another_life(void **state)
{
	struct shop *shop = *state;
	struct index_keep_as as;
	struct index_stamp stamp;
	struct state then;
	uint64_t file;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	file = file_number(shop);
	for (int i = 0; i < 10; i++) {
		turn_some(shop, 50);
		make_former(shop);
		assert_int_equal(keep(shop, &then, &stamp), 0); /* nobody names it */
		begin_again(shop, true);
		as = as_now(shop);
		as.lsn = shop->stamp.lsn;
		as.ctime_max_ns = shop->stamp.ctime_max_ns;
		assert_true(index_keep_is_saved(&shop->keep, &shop->index, &as));
		turn_some(shop, 5);
		keep_well(shop);
		check_kept(shop);
		assert_int_equal(shop->keep.header.version, INDEX_VERSION);
		assert_int_equal(file_number(shop), file);
	}
}

static void test_an_error_has_all_written_anew(void **state)
{
	struct shop *shop = *state;
	struct index_stamp stamp;
	struct state then;

	turn_some(shop, ROWS / 2);
	for (int i = 0; i < 10; i++) {
		keep_well(shop);
		turn_some(shop, 100);
		shop->io.writes_left = (long)test_below(&shop->random, 3);
		assert_int_equal(keep(shop, &then, &stamp), -EIO);
		shop->io.writes_left = -1;
		index_keep_end(&shop->keep, INDEX_UNNAMED);
		check_kept(shop); /* until the superblock says that there is none */
		assert_true(index_keep_bytes(&shop->keep, &shop->index, ROWS) >
		            ROWS / INDEX_PAGE_PLACES * INDEX_PAGE_BYTES);
	}
	keep_well(shop);
	check_kept(shop);
	/* A new file, too: and nothing is left of it. */
	index_keep_forget(&shop->keep);
	shop->io.writes_left = 1;
	assert_int_equal(keep(shop, &then, &stamp), -EIO);
	index_keep_end(&shop->keep, INDEX_UNNAMED);
	assert_int_equal(faccessat(shop->dir.fd, "index.new", F_OK, 0), -1);
	shop->io.writes_left = -1;
	check_kept(shop);
}

static void test_a_new_file_counts_by_either_name(void **state)
{
	struct shop *shop = *state;

	turn_some(shop, ROWS / 2);
	for (int i = 0; i < 4; i++) {
		index_keep_forget(&shop->keep);
		assert_int_equal(index_load_rest(&shop->index, shop->now.live, ROWS), 0);
		assert_int_equal(keep(shop, &shop->kept, &shop->stamp), 0);
		index_keep_end(&shop->keep, INDEX_NAMED);
		/* Not renamed. */
		check_kept(shop);
		begin_again(shop, i % 2);
		check_kept(shop);
		turn_some(shop, 20);
		if (i > 1)
			continue;
		keep_well(shop); /* that renames it first */
		assert_int_equal(faccessat(shop->dir.fd, "index.new", F_OK, 0), -1);
		check_kept(shop);
		begin_again(shop, true);
	}
}

/* Each crash begins another life; the header has room for so many. */
static void test_more_crashes_than_a_header_has_room_for(void **state)
{
	struct shop *shop = *state;
	struct index_stamp stamp;
	struct state then;
	bool needed_all = false;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	for (int i = 0; i < 300; i++) {
		turn_some(shop, 1);
		shop->io.writes_left = (long)test_below(&shop->random, 2);
		shop->io.torn = test_random(&shop->random);
		if (!index_keep_needs_all(&shop->keep, &shop->index))
			(void)keep(shop, &then, &stamp);
		begin_again(shop, false);
		if (index_keep_needs_all(&shop->keep, &shop->index)) {
			struct index_keep_as as = as_now(shop);

			needed_all = true;
			assert_int_equal(index_keep_begin(&shop->keep, &shop->index, &as), -EAGAIN);
			assert_int_equal(index_load_rest(&shop->index, shop->now.live, ROWS), 0);
		}
		keep_well(shop);
		assert_in_range(shop->keep.header.life_count, 1, INDEX_LIVES_MAX);
	}
	assert_true(needed_all);
	check_kept(shop);
}

/* ---- each kind of change by itself ---- */

#define FULL (ROWS - 2000) /* so many that many searches go past full buckets */
#define NEW 400u

enum change { INSERT, REPLACE, REMOVE, RENAME, RENAME_OVER, CHANGES };

/* What is in the table, whatever the rows say: nobody looks at them here. */
struct entries {
	uint64_t ids[ROWS];
	uint64_t slots[ROWS]; /* a permutation; those of the first `count` are taken */
	uint64_t count;
};

/* The entry at `at` is the last, and not there any more. */
static void remove_entry(struct entries *entries, uint64_t at)
{
	uint64_t slot = entries->slots[at];
	uint64_t last = --entries->count;

	entries->ids[at] = entries->ids[last];
	entries->slots[at] = entries->slots[last];
	entries->slots[last] = slot;
}

/* An ID whose search begins in the last bucket of a page, and goes on in the next page where that is
 * full. */
static uint64_t id_at_end(struct shop *shop)
{
	const struct index_table *table = atomic_load(&shop->index.table);
	uint64_t id;

	do
		id = test_random(&shop->random) >> 1;
	while (index_home(table, index_hash(id)) % INDEX_PAGE_LINES != INDEX_PAGE_LINES - 1);
	return id;
}

static void make_change(struct shop *shop, struct entries *entries, enum change change)
{
	struct index *index = &shop->index;
	/* One of those that have come last. */
	uint64_t at = entries->count - 2 - test_below(&shop->random, NEW);
	uint64_t over = entries->count - 1;
	uint64_t *slot = &entries->slots[at];
	uint64_t *free = &entries->slots[entries->count];
	uint64_t id = id_at_end(shop);
	uint64_t was = *slot;

	switch (change) {
	case INSERT:
		index_insert(index, id, *free);
		entries->ids[entries->count++] = id;
		return;
	case REMOVE:
		index_remove(index, entries->ids[at], *slot);
		remove_entry(entries, at);
		return;
	case REPLACE:
		index_replace(index, entries->ids[at], *slot, *free);
		break;
	case RENAME:
		index_rename(index, entries->ids[at], *slot, id, SLOT_NONE, *free);
		entries->ids[at] = id;
		break;
	default:
		index_rename(index, entries->ids[at], *slot, entries->ids[over],
		             entries->slots[over], *free);
		entries->ids[at] = entries->ids[over];
	}
	*slot = *free;
	*free = was;
	if (change == RENAME_OVER)
		remove_entry(entries, over);
}

/* The live map says the same. */
static void set_live(struct shop *shop, const struct entries *entries)
{
	for (uint64_t page = 0; page < index_live_pages(ROWS); page++)
		index_pages_touch(&shop->live_pages, page);
	memset(&shop->now, 0, sizeof(shop->now));
	for (uint64_t i = 0; i < entries->count; i++)
		shop->now.live[entries->slots[i] / 64] |= UINT64_C(1) << entries->slots[i] % 64;
	shop->now.count = entries->count;
}

/* The file has the pages that are in memory. */
static void check_pages(struct shop *shop)
{
	const struct index_table *ours = atomic_load(&shop->index.table);
	const struct index_table *read;
	uint8_t a[INDEX_PAGE_BYTES], b[INDEX_PAGE_BYTES];
	uint64_t live[LIVE_WORDS];
	struct index index;

	assert_int_equal(load(shop, &index, live, NULL), 0);
	read = atomic_load(&index.table);
	assert_int_equal(read->page_count, ours->page_count);
	assert_int_equal(index_load_rest(&index, live, ROWS), 0);
	for (uint64_t page = 0; page < ours->page_count; page++) {
		index_page_encode(&ours->pages[page], a);
		index_page_encode(&read->pages[page], b);
		assert_memory_equal(a, b, sizeof(a));
	}
	index_destroy(&index);
}

/* One page that a change forgets to tell of stays in the file as it was. */
static void test_each_kind_of_change_is_written(void **state)
{
	struct shop *shop = *state;
	struct entries *entries = calloc(1, sizeof(*entries));

	assert_non_null(entries);
	for (uint64_t s = 0; s < ROWS; s++)
		entries->slots[s] = s;
	for (; entries->count < FULL; entries->count++) {
		entries->ids[entries->count] = entries->count;
		index_insert(&shop->index, entries->count, entries->count);
	}
	for (uint64_t i = 0; i < NEW; i++)
		make_change(shop, entries, INSERT);
	for (int i = 0; i < 250; i++) {
		struct index_keep_as as;

		set_live(shop, entries);
		as = as_now(shop);
		assert_int_equal(index_keep_begin(&shop->keep, &shop->index, &as), 0);
		assert_int_equal(index_keep_write(&shop->keep, shop->columns.ids.fd), 0);
		stamp_it(shop, &as, &shop->stamp);
		index_keep_end(&shop->keep, INDEX_NAMED);
		assert_int_equal(index_keep_name(&shop->keep), 0);
		check_pages(shop);
		for (int k = 0; k < 12; k++)
			make_change(shop, entries, (enum change)(i % CHANGES));
	}
	free(entries);
}

/* ---- damage ---- */

/* Where the version of a page that counts lies. */
static uint64_t page_at(const struct shop *shop, uint64_t page)
{
	const struct index_header *header = &shop->keep.header;
	uint8_t bytes[2][INDEX_PAGE_BYTES] = { { 0 } };
	bool second;
	int fd = openat(shop->dir.fd, "index", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++)
		assert_true(pread(fd, bytes[i], INDEX_PAGE_BYTES, (off_t)index_place_at(page, i)) >=
		            0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(index_page_choose(header, page, bytes[0], bytes[1], &second), 0);
	return index_place_at(page, second);
}

/* No search may come to what the other place says. */
static void check_damaged(struct shop *shop)
{
	uint64_t live[LIVE_WORDS];
	uint64_t stopped = 0;
	struct index index;
	int r = load(shop, &index, live, NULL);

	assert_true(r == 0 || r == -EBADMSG);
	if (r)
		return; /* the live map */
	for (uint64_t s = 0; s < ROWS; s++) {
		struct index_found found = index_look_up(&index, shop->ids[s], false);

		assert_true(found.stopped ||
		            found.slot == (is_live(&shop->kept, s) ? s : SLOT_NONE));
		stopped += found.stopped;
	}
	assert_true(stopped > 0);
	assert_int_equal(index_damage(&index), -EBADMSG);
	assert_int_equal(index_load_rest(&index, live, ROWS), -EBADMSG);
	index_destroy(&index);
}

static void test_a_damaged_page_is_not_taken_for_the_one_before(void **state)
{
	struct shop *shop = *state;
	uint64_t pages;

	turn_some(shop, ROWS / 2);
	for (int i = 0; i < 4; i++) {
		keep_well(shop);
		turn_some(shop, 2000);
	}
	keep_well(shop);
	pages = shop->keep.header.table_pages + index_live_pages(ROWS);
	for (uint64_t page = 0; page < pages; page++) {
		uint64_t at = page_at(shop, page) * 8;
		uint64_t bits[] = { test_below(&shop->random, 64 * 8),
			            test_below(&shop->random, INDEX_PAGE_BYTES * 8) };

		for (int i = 0; i < 2; i++) {
			unit_flip(&shop->dir, "index", at + bits[i]);
			check_damaged(shop);
			unit_flip(&shop->dir, "index", at + bits[i]);
		}
	}
	check_kept(shop);
}

static void test_a_file_that_is_cut_or_of_another_time_does_not_fit(void **state)
{
	struct shop *shop = *state;
	uint64_t live[LIVE_WORDS];
	struct index_stamp older;
	struct index_stamp newer;
	struct index index;
	int r;

	turn_some(shop, ROWS / 2);
	keep_well(shop);
	older = shop->stamp;
	keep_well(shop);
	newer = shop->stamp;
	keep_well(shop);
	/* What was named two generations before is gone. */
	shop->stamp = older;
	assert_int_equal(load(shop, &index, live, NULL), -ESTALE);
	shop->stamp = newer;
	shop->stamp.generation++;
	shop->stamp.lsn += 10;
	for (uint64_t bytes = unit_size(&shop->dir, "index"); bytes > 4096; bytes /= 2) {
		unit_truncate(&shop->dir, "index", (off_t)bytes - 1);
		r = load(shop, &index, live, NULL);
		if (r == 0) {
			assert_int_equal(index_load_rest(&index, live, ROWS), -EBADMSG);
			index_destroy(&index);
		} else {
			assert_true(r == -EBADMSG || r == -ESTALE);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_each_generation_is_what_was_there_when_it_began),
		TEST(test_only_pages_that_have_changed_are_written),
		TEST(test_a_write_that_was_not_finished_changes_nothing),
		TEST(test_after_a_crash_a_life_begins_though_nothing_has_changed),
		TEST(test_after_a_refused_checkpoint_the_file_is_gone_on_with),
		TEST(test_a_new_file_that_no_superblock_names_is_removed),
		TEST(test_a_file_of_the_former_version_is_gone_on_with_by_another_life),
		TEST(test_an_error_has_all_written_anew),
		TEST(test_a_new_file_counts_by_either_name),
		TEST(test_more_crashes_than_a_header_has_room_for),
		TEST(test_each_kind_of_change_is_written),
		TEST(test_a_damaged_page_is_not_taken_for_the_one_before),
		TEST(test_a_file_that_is_cut_or_of_another_time_does_not_fit),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
