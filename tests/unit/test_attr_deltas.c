#include "unit.h"

#include "engine/index/attr_deltas.h"
#include "store_test.h"

#define SLOTS 300u

static struct attr_deltas deltas;

static int setup(void **state)
{
	(void)state;
	attr_deltas_init(&deltas);
	return 0;
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

	assert_int_equal(attr_deltas_make_room(&deltas, 1), 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_no_attr_deltas_have_nothing),
		TEST(test_a_row_newer_than_the_checkpoint_stays),
		TEST(test_random_changes_agree_with_a_simple_model),
		TEST(test_a_copy_holds_every_row),
		TEST(test_memory_of_a_burst_is_given_back),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
