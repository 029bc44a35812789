#include "unit.h"

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
		assert_true(store_said(store, "index: damaged; made anew"));
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

static void test_a_change_that_comes_first_finds_the_damage(void **state)
{
	struct quiver *store;

	damage_table(*state);
	store = open_with(*state, NULL);
	assert_int_equal(put_version(store, 7, 2, 0), 0);
	assert_true(store_said(store, "index: damaged; made anew"));
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
	assert_true(store_said(store, "index: damaged; made anew"));
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

struct reader {
	struct quiver *store;
	uint64_t seed;
	int wrong;
};

static void *read_all(void *arg)
{
	struct reader *reader = arg;

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
	struct reader readers[READERS];
	pthread_t threads[READERS];
	struct quiver *store = open_with(s, NULL);

	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .store = store, .seed = test_seed() + (uint64_t)i };
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_search_that_comes_to_a_damaged_page_finds_all_the_same),
		TEST(test_a_change_that_comes_first_finds_the_damage),
		TEST(test_damage_of_index_and_rows_loses_nothing_silently),
		TEST(test_an_index_that_is_cut_while_it_is_open_is_made_anew),
		TEST(test_a_life_that_commits_nothing_leaves_the_index_as_it_is),
		TEST(test_readers_beside_the_first_change),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
