#include "unit.h"

#include <xxhash.h>

#include "engine/media/bytes.h"
#include "engine/store/store.h"
#include "store_test.h"

#define VECTORS 4000u
#define READERS 3
#define PAGE_BITS (4096u * 8)

/* A store that was closed with VECTORS vectors in it, of version 1. */
static int setup_closed(void **state)
{
	struct quiver *store;

	if (setup_store(state) != 0)
		return -1;
	store = open_with(*state, NULL);
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	return 0;
}

/* Some bit of each page of the table. */
static void damage_table(struct store_dir *s)
{
	uint64_t random = test_seed();

	for (uint64_t page = 0; page < store_index_pages(s); page++)
		store_flip_index(s, page, test_below(&random, PAGE_BITS));
}

static void assert_all_there(struct quiver *store)
{
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_int_equal(version_of(store, id), 1);
	assert_int_equal(version_of(store, VECTORS), 0);
	assert_int_equal(quiver_count(store), VECTORS);
}

static void test_a_search_that_comes_to_a_damaged_page_finds_all_the_same(void **state)
{
	struct quiver_options read_only = { .size = sizeof(struct quiver_options),
		                            .read_only = true };

	damage_table(*state);
	for (int i = 0; i < 2; i++) {
		struct quiver *store = open_with(*state, i == 0 ? &read_only : NULL);

		assert_false(store_said(store, "index"));
		assert_all_there(store);
		assert_true(store_said(store, "index: damaged; rebuilt"));
		close_store(store);
	}
	/* Writing it anew has mended it. */
	{
		struct quiver *store = open_with(*state, NULL);

		assert_all_there(store);
		assert_int_equal(put_version(store, VECTORS, 1, 0), 0);
		assert_false(store_said(store, "index"));
		close_store(store);
	}
}

#define MANY 220000u /* so many that a batch of BATCH does not read all pages of the table */
#define BATCH 70u

/* New ones, those that are there, and again. */
static void put_batch(struct quiver *store, uint64_t first, uint64_t step, uint64_t count)
{
	static uint8_t bytes[1000][STORE_DIM];
	struct quiver_record records[1000];
	struct quiver_attr attr = attr_of(2);

	assert_true(count <= 1000);
	for (uint64_t i = 0; i < count; i++) {
		vector_fill(bytes[i], STORE_DIM, first + i * step, 2);
		records[i] = (struct quiver_record){ .id = first + i * step, .data = bytes[i] };
	}
	assert_int_equal(quiver_put_batch(store, records, count, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
}

static void test_a_batch_reads_what_it_changes(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_check_result result;

	for (uint64_t id = 0; id < MANY; id += 1000)
		put_batch(store, id, 1, 1000);
	close_store(store);
	store = open_with(s, NULL);
	assert_false(index_is_whole(&store->catalog.index));
	put_batch(store, MANY, 1, BATCH);
	put_batch(store, 7, 1000, BATCH);
	assert_false(index_is_whole(&store->catalog.index));
	assert_int_equal(quiver_count(store), MANY + BATCH);
	/* Where there are few pages that none of it needs, all are read. */
	put_batch(store, MANY + 500, 1, 500);
	assert_true(index_is_whole(&store->catalog.index));
	for (uint64_t id = 0; id < MANY + BATCH; id++)
		assert_int_equal(version_of(store, id), 2);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
	assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, NULL), 0);
	assert_int_equal(result.damage, 0);
}

static void test_a_change_that_comes_first_finds_the_damage(void **state)
{
	struct quiver *store;

	damage_table(*state);
	store = open_with(*state, NULL);
	assert_int_equal(put_version(store, 7, 2, 0), 0);
	assert_true(store_said(store, "index: damaged; rebuilt"));
	assert_int_equal(version_of(store, 7), 2);
	assert_int_equal(quiver_remove(store, VECTORS, 0, NULL), -ENOENT);
	assert_int_equal(quiver_remove(store, 8, 0, NULL), 0);
	assert_int_equal(quiver_count(store), VECTORS - 1);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
	store = open_with(*state, NULL);
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_int_equal(version_of(store, id), id == 7 ? 2 : id == 8 ? 0 : 1);
	assert_false(store_said(store, "index"));
	close_store(store);
}

/* Where the rows are damaged as well, a vector may hide: nothing is said to be missing. */
static void test_damage_of_index_and_rows_loses_nothing_silently(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;
	int found = 0;

	damage_table(s);
	store_flip(s, "ids.npy", (4096 + 50 * 8 + 3) * 8);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < VECTORS; id++) {
		uint64_t version = version_of(store, id);

		assert_true(version == 1 || version == UINT64_MAX);
		found += version == 1;
	}
	assert_int_equal(found, VECTORS - 1);
	assert_int_equal(version_of(store, VECTORS), UINT64_MAX);
	assert_true(store_said(store, "index: 1 rows"));
	assert_int_equal(put_version(store, 1, 2, 0), -EROFS);
	assert_int_not_equal(quiver_close(store), 0);
}

/* The file is not read again once it was checked, and a file that got shorter is damage. */
static void test_an_index_that_is_cut_while_it_is_open_is_made_anew(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	char path[128];

	assert_int_equal(version_of(store, 5), 1);
	store_file("index", path, sizeof(path));
	unit_truncate(&s->dir, path, 100);
	assert_int_equal(version_of(store, 5), 1);
	assert_all_there(store);
	assert_true(store_said(store, "index: damaged; rebuilt"));
	close_store(store);
	store = open_with(s, NULL);
	assert_all_there(store);
	assert_false(store_said(store, "index"));
	close_store(store);
}

/* Both headers. */
static void index_headers(struct store_dir *s, uint8_t headers[8192])
{
	char path[128];

	store_file("index", path, sizeof(path));
	unit_read(&s->dir, path, headers, 8192, 0);
}

static void test_a_life_that_commits_nothing_leaves_the_index_as_it_is(void **state)
{
	uint8_t before[8192];
	uint8_t after[8192];
	struct quiver *store;

	index_headers(*state, before);
	store = open_with(*state, NULL);
	assert_all_there(store);
	assert_int_equal(quiver_checkpoint(store), 0);
	close_store(store);
	index_headers(*state, after);
	assert_memory_equal(before, after, sizeof(before));
	store = open_with(*state, NULL);
	assert_int_equal(quiver_remove(store, 3, 0, NULL), 0);
	close_store(store);
	index_headers(*state, after);
	assert_memory_not_equal(before, after, sizeof(before));
	store = open_with(*state, NULL);
	assert_int_equal(version_of(store, 3), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

struct beside {
	struct quiver *store;
	uint64_t seed;
	int wrong;
};

static void *read_all(void *arg)
{
	struct beside *reader = arg;

	for (uint64_t i = 0; i < VECTORS; i++) {
		uint64_t id = test_below(&reader->seed, VECTORS);
		uint64_t version = version_of(reader->store, id);

		reader->wrong += version != 1 && !(id % 10 == 0 && version == 2);
	}
	return NULL;
}

/* First uses of pages, damage, and first changes, all at once. */
static void read_beside_a_writer(struct store_dir *s, bool damaged)
{
	struct beside readers[READERS];
	pthread_t threads[READERS];
	struct quiver *store = open_with(s, NULL);

	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct beside){ .store = store, .seed = test_seed() + (uint64_t)i };
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, &readers[i]), 0);
	}
	for (uint64_t id = 0; id < VECTORS; id += 10)
		assert_int_equal(put_version(store, id, 2, 0), 0);
	for (int i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(readers[i].wrong, 0);
	}
	assert_true(store_said(store, "index") == damaged);
	assert_int_equal(quiver_count(store), VECTORS);
	close_store(store);
}

static void test_readers_beside_the_first_change(void **state)
{
	read_beside_a_writer(*state, false);
	damage_table(*state);
	read_beside_a_writer(*state, true);
}

/* ---- as a program before has left it ---- */

/* The file that it wrote at a clean close; FORMAT.md, version 2 of the index. `slots` vectors, each
 * with the ID of its slot. */
static void write_old_index(struct store_dir *s, const uint8_t superblock[4096], uint64_t slots)
{
	enum { ENTRIES = 8192, TABLE = ENTRIES / 1024, PAGES = TABLE + 1 };
	static uint8_t file[(1 + PAGES) * 4096 + PAGES * 8];
	uint8_t *sums = file + sizeof(file) - PAGES * 8;
	char path[128];

	memset(file, 0, sizeof(file));
	for (uint64_t slot = 0; slot < slots; slot++) {
		uint8_t key[8];
		uint64_t at;

		put_le64(key, slot);
		at = XXH3_64bits(key, 8) / (UINT64_MAX / ENTRIES + 1);
		while (get_le32(file + 4096 + at * 4))
			at = (at + 1) % ENTRIES;
		put_le32(file + 4096 + at * 4, (uint32_t)slot + 2);
		file[(1 + TABLE) * 4096 + slot / 8] |= (uint8_t)(1 << slot % 8);
	}
	for (uint64_t page = 0; page < PAGES; page++) {
		uint8_t tail[16];

		put_le64(tail, XXH3_64bits(file + (1 + page) * 4096, 4096));
		put_le64(tail + 8, page);
		put_le64(sums + page * 8, XXH3_64bits(tail, 16));
	}
	memcpy(file, "QUIVERIX", 8);
	put_le32(file + 8, 2);
	memcpy(file + 16, superblock + 16, 16);
	memcpy(file + 32, superblock + 64, 8);
	memcpy(file + 40, superblock + 48, 16);
	put_le64(file + 56, ENTRIES);
	put_le64(file + 96, XXH3_64bits(sums, PAGES * 8));
	put_le64(file + 4088, XXH3_64bits(file, 4088));
	store_file("index", path, sizeof(path));
	unit_truncate(&s->dir, path, 0);
	unit_write(&s->dir, path, file, sizeof(file), 0);
}

/* What it did not know of in the superblock says nothing, or, where it has found that there and changed
 * nothing, what it said (`knows`); and the file is of its version. */
static void leave_as(struct store_dir *s, bool knows)
{
	uint8_t page[4096];
	uint64_t newest = 0;
	char path[128];

	store_file("superblock", path, sizeof(path));
	for (uint64_t copy = 0; copy < 2; copy++) {
		unit_read(&s->dir, path, page, sizeof(page), copy * 4096);
		if (!knows)
			memset(page + 192, 0, 32);
		put_le64(page + 4088, XXH3_64bits(page, 4088));
		unit_write(&s->dir, path, page, sizeof(page), copy * 4096);
		if (get_le64(page + 32) > newest) {
			newest = get_le64(page + 32);
			write_old_index(s, page, VECTORS);
		}
	}
}

static void leave_as_before(struct store_dir *s)
{
	leave_as(s, false);
}

static void open_as_before(struct store_dir *s, bool knows)
{
	struct quiver_options read_only = { .size = sizeof(struct quiver_options),
		                            .read_only = true };
	struct quiver_check_result result;
	struct quiver_error error;
	struct quiver *store;

	leave_as(s, knows);
	assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.damage, 0);
	for (int i = 0; i < 3; i++) {
		store = open_with(s, i == 0 ? &read_only : NULL);
		assert_false(store_said(store, "index"));
		assert_all_there(store);
		if (i == 1)
			assert_int_equal(put_version(store, 7, 1, 0), 0);
		close_store(store);
	}
}

static void test_the_file_of_a_program_before_is_read(void **state)
{
	open_as_before(*state, false);
}

static void test_it_is_read_where_the_superblock_names_another(void **state)
{
	open_as_before(*state, true);
}

/* Its row is damaged, but the file says whose it is: all others are served, and it is not lost. */
static void test_a_bad_row_beside_the_file_of_a_program_before(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	leave_as_before(s);
	store_flip(s, "meta.npy", (4096 + 50 * 56 + 3) * 8);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_true(version_of(store, id) == (id == 50 ? UINT64_MAX : 1));
	assert_int_equal(version_of(store, VECTORS), 0);
	assert_int_equal(put_version(store, VECTORS, 1, 0), 0);
	close_store(store);
}

static void test_a_damaged_file_of_a_program_before_is_made_anew(void **state)
{
	struct store_dir *s = *state;
	uint64_t random = test_seed();
	uint64_t bits;

	for (int i = 0; i < 8; i++) {
		struct quiver *store;

		leave_as_before(s);
		bits = store_size(s, "index") * 8;
		store_flip(s, "index",
		           i < 4 ? test_below(&random, 104 * 8) : test_below(&random, bits));
		store = open_with(s, NULL);
		assert_true(store_said(store, "index: "));
		assert_all_there(store);
		close_store(store);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_search_that_comes_to_a_damaged_page_finds_all_the_same),
		TEST(test_a_change_that_comes_first_finds_the_damage),
		TEST(test_a_batch_reads_what_it_changes),
		TEST(test_damage_of_index_and_rows_loses_nothing_silently),
		TEST(test_an_index_that_is_cut_while_it_is_open_is_made_anew),
		TEST(test_a_life_that_commits_nothing_leaves_the_index_as_it_is),
		TEST(test_readers_beside_the_first_change),
		TEST(test_the_file_of_a_program_before_is_read),
		TEST(test_it_is_read_where_the_superblock_names_another),
		TEST(test_a_bad_row_beside_the_file_of_a_program_before),
		TEST(test_a_damaged_file_of_a_program_before_is_made_anew),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
