#include "unit.h"

#include "engine/index/attr_deltas.h"
#include "store_test.h"

#define SLOTS 300u
#define ROWS_MAX 1000000u
#define READERS 3u
#define ROUNDS 20000u

static struct attr_deltas deltas;

static int setup(void **state)
{
	(void)state;
	attr_deltas_init(&deltas);
	return attr_deltas_open(&deltas, ROWS_MAX);
}

static int teardown(void **state)
{
	(void)state;
	attr_deltas_destroy(&deltas);
	return 0;
}

static void put(uint64_t slot, uint64_t lsn)
{
	struct attr_delta row = { .slot = slot,
		                  .row = { .lsn = 1, .attr_lsn = lsn, .sum = slot ^ lsn } };

	assert_int_equal(attr_deltas_make_room(&deltas, 1, ROWS_MAX), 0);
	attr_deltas_put(&deltas, &row);
}

/* As a checkpoint does that has written what was set up to `lsn`. */
static void drop_up_to(uint64_t slot, uint64_t lsn)
{
	struct attr_delta row = { .slot = slot, .row = { .lsn = 1, .attr_lsn = lsn } };

	attr_deltas_drop_rows(&deltas, &row, 1);
}

static void test_no_attr_deltas_have_nothing(void **state)
{
	struct attr_delta *rows;
	struct meta_row row;
	size_t count;

	(void)state;
	assert_false(attr_deltas_get(&deltas, 1, &row));
	attr_deltas_drop(&deltas, 1);
	assert_int_equal(attr_deltas_copy(&deltas, &rows, &count), 0);
	assert_true(rows == NULL && count == 0);
}

static void test_a_row_newer_than_the_checkpoint_stays(void **state)
{
	struct meta_row row;

	(void)state;
	put(5, 10);
	put(5, 12);
	drop_up_to(5, 11);
	assert_true(attr_deltas_get(&deltas, 5, &row));
	assert_int_equal(row.sum, 5 ^ 12);
	drop_up_to(5, 12);
	assert_false(attr_deltas_get(&deltas, 5, &row));
}

/* Against an array: removing closes gaps in the probing, wherever it wraps. */
static void test_random_changes_agree_with_a_simple_model(void **state)
{
	uint64_t lsns[SLOTS] = { 0 };
	uint64_t random = test_seed();
	uint64_t lsn = 0;

	(void)state;
	for (int i = 0; i < 30000; i++) {
		uint64_t slot = test_below(&random, SLOTS);

		if (test_below(&random, 2)) {
			put(slot, ++lsn);
			lsns[slot] = lsn;
		} else {
			attr_deltas_drop(&deltas, slot);
			lsns[slot] = 0;
		}
		if (i % 500)
			continue;
		for (uint64_t s = 0; s < SLOTS; s++) {
			struct meta_row row;

			assert_int_equal(attr_deltas_get(&deltas, s, &row), lsns[s] != 0);
			if (lsns[s])
				assert_int_equal(row.sum, s ^ lsns[s]);
		}
	}
}

static void test_a_copy_holds_every_row(void **state)
{
	struct attr_delta *rows;
	bool seen[SLOTS] = { false };
	size_t count;

	(void)state;
	for (uint64_t s = 0; s < SLOTS; s++)
		put(s, s + 1);
	assert_int_equal(attr_deltas_copy(&deltas, &rows, &count), 0);
	assert_int_equal(count, SLOTS);
	for (size_t i = 0; i < count; i++) {
		assert_true(rows[i].row.attr_lsn == rows[i].slot + 1 && !seen[rows[i].slot]);
		seen[rows[i].slot] = true;
	}
	free(rows);
}

static void test_memory_of_a_burst_is_given_back(void **state)
{
	enum { BURST = 100000 };
	struct meta_row row;

	(void)state;
	for (uint64_t s = 0; s < BURST; s++)
		put(s, s + 1);
	assert_true(deltas.places >= BURST);
	for (uint64_t s = 0; s < BURST; s++)
		if (s % 1000)
			attr_deltas_drop(&deltas, s);
	put(BURST, 1);
	for (uint64_t s = 0; s <= BURST; s++)
		assert_int_equal(attr_deltas_get(&deltas, s, &row), s % 1000 == 0);
	for (int i = 0; i < 10; i++)
		put(BURST, 1); /* not all at once */
	assert_true(deltas.places <= 2048);
}

/* A bit a slot: neighbours in one word, and slots that are far apart. */
static void test_only_slots_that_have_one_are_marked(void **state)
{
	static const uint64_t far[] = { 0, 1, 63, 64, 65, 4095, 32768, ROWS_MAX - 1 };
	struct meta_row row;

	(void)state;
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i += 2)
		put(far[i], i + 1);
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		assert_int_equal(attr_deltas_marks(&deltas, far[i]), i % 2 == 0);
		assert_int_equal(attr_deltas_get(&deltas, far[i], &row), i % 2 == 0);
	}
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i += 2)
		drop_up_to(far[i], i + 1);
	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
		assert_false(attr_deltas_marks(&deltas, far[i]));
	put(64, 99); /* the marks of a store that had none left */
	assert_true(attr_deltas_marks(&deltas, 64) && !attr_deltas_marks(&deltas, 65));
}

/* What the rows on disk would have: LSNs, as a checkpoint has stored them. */
static _Atomic uint64_t stored_lsns[SLOTS];
static _Atomic uint64_t told_lsns[SLOTS]; /* of attributes whose setting has returned */
static _Atomic bool ended;

/* Whoever looks finds what was set last before he began, here or, once it is not here any more, in
 * the rows. */
static void *look_without_a_lock(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg;
	uintptr_t wrong = 0;

	while (!atomic_load(&ended)) {
		uint64_t slot = test_below(&random, SLOTS);
		uint64_t least = atomic_load(&told_lsns[slot]);
		struct meta_row row;
		bool here = attr_deltas_get(&deltas, slot, &row);
		uint64_t lsn =
			here ? row.attr_lsn
			     : atomic_load_explicit(&stored_lsns[slot], memory_order_relaxed);

		wrong += lsn < least || (here && row.sum != (slot ^ lsn));
	}
	return (void *)wrong; /* NOLINT(performance-no-int-to-ptr): the result of a thread */
}

static void checkpoint_rows(void)
{
	struct attr_delta *rows;
	size_t count;

	assert_int_equal(attr_deltas_copy(&deltas, &rows, &count), 0);
	for (size_t i = 0; i < count; i++)
		atomic_store_explicit(&stored_lsns[rows[i].slot], rows[i].row.attr_lsn,
		                      memory_order_relaxed);
	attr_deltas_drop_rows(&deltas, rows, count);
	free(rows);
}

static void test_who_takes_no_lock_misses_nothing(void **state)
{
	uint64_t random = test_seed();
	pthread_t readers[READERS];

	(void)state;
	atomic_store(&ended, false);
	for (uintptr_t i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, look_without_a_lock,
		                                (void *)(random + i)), /* NOLINT */
		                 0);
	for (uint64_t lsn = 1; lsn <= ROUNDS; lsn++) {
		uint64_t slot = test_below(&random, SLOTS);

		put(slot, lsn);
		atomic_store(&told_lsns[slot], lsn);
		if (test_below(&random, 50) == 0)
			checkpoint_rows();
	}
	atomic_store(&ended, true);
	for (size_t i = 0; i < READERS; i++) {
		void *wrong;

		assert_int_equal(pthread_join(readers[i], &wrong), 0);
		assert_null(wrong);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_no_attr_deltas_have_nothing),
		TEST(test_a_row_newer_than_the_checkpoint_stays),
		TEST(test_random_changes_agree_with_a_simple_model),
		TEST(test_a_copy_holds_every_row),
		TEST(test_memory_of_a_burst_is_given_back),
		TEST(test_only_slots_that_have_one_are_marked),
		TEST(test_who_takes_no_lock_misses_nothing),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
