/* test_rados_hints.c - what is guessed of rows: all that a change compares, or nothing. */
#include "unit.h"

#include "engine/rados/hints.h"

static void fill(uint8_t byte, uint8_t row[ROW_BYTES])
{
	memset(row, byte, ROW_BYTES);
}

static int setup(void **state)
{
	struct collection *collection = calloc(1, sizeof(*collection));

	assert_non_null(collection);
	pthread_mutex_init(&collection->hints.lock, NULL);
	layout_make(3072, false, &collection->layout); /* 64 in an object */
	*state = collection;
	return 0;
}

static int teardown(void **state)
{
	struct collection *collection = *state;

	pthread_mutex_destroy(&collection->hints.lock);
	free(collection);
	return 0;
}

static void nothing_is_known_at_first(void **state)
{
	struct guess guess;

	assert_false(hints_find(*state, 0, &guess));
	assert_false(hints_find(*state, 7, &guess));
	hints_drop(*state, 7);
	assert_false(hints_find(*state, 7, &guess));
}

static void a_row_is_enough(void **state)
{
	uint8_t row[ROW_BYTES];
	struct guess guess;

	fill(5, row);
	hints_keep(*state, 7, row, ROW_BYTES);
	assert_true(hints_find(*state, 7, &guess));
	assert_int_equal(guess.row_bytes, ROW_BYTES);
	assert_memory_equal(guess.row, row, ROW_BYTES);
	fill(6, row);
	hints_keep(*state, 7, row, ROW_BYTES);
	assert_true(hints_find(*state, 7, &guess));
	assert_memory_equal(guess.row, row, ROW_BYTES);
	/* Of an ID with the same place nothing is known, and then nothing of the first. */
	assert_false(hints_find(*state, 7 + HINTS_MAX, &guess));
	hints_keep(*state, 7 + HINTS_MAX, row, ROW_BYTES);
	assert_false(hints_find(*state, 7, &guess));
	hints_drop(*state, 7);
	assert_true(hints_find(*state, 7 + HINTS_MAX, &guess));
	hints_drop(*state, 7 + HINTS_MAX);
	assert_false(hints_find(*state, 7 + HINTS_MAX, &guess));
}

static void that_there_is_none_takes_the_last_removal(void **state)
{
	uint8_t removed[TAG_BYTES] = { 1, 2, 3 };
	struct guess guess;

	hints_keep(*state, 7, NULL, 0);
	assert_false(hints_find(*state, 7, &guess));
	hints_keep_removed(*state, 63, NULL, 0); /* of the same object */
	assert_true(hints_find(*state, 7, &guess));
	assert_int_equal(guess.row_bytes, 0);
	assert_int_equal(guess.removed_bytes, 0);
	hints_keep_removed(*state, 8, removed, TAG_BYTES);
	assert_true(hints_find(*state, 7, &guess));
	assert_int_equal(guess.removed_bytes, TAG_BYTES);
	assert_memory_equal(guess.removed, removed, TAG_BYTES);
	/* Another object in its place. */
	hints_keep_removed(*state, UINT64_C(64) * OBJECT_HINTS_MAX, NULL, 0);
	hints_keep(*state, 1, NULL, 0);
	assert_false(hints_find(*state, 1, &guess));
	/* A change that has failed leaves neither. */
	hints_keep_removed(*state, 1, removed, TAG_BYTES);
	assert_true(hints_find(*state, 1, &guess));
	hints_drop(*state, 2);
	assert_false(hints_find(*state, 1, &guess));
}

static void what_a_stranger_has_written_is_not_kept(void **state)
{
	uint8_t row[ROW_BYTES + 1] = { 0 };
	struct guess guess;

	hints_keep(*state, 7, row, ROW_BYTES + 1);
	assert_false(hints_find(*state, 7, &guess));
	hints_keep(*state, 7, row, 1);
	assert_false(hints_find(*state, 7, &guess));
	hints_keep(*state, 7, NULL, 0);
	hints_keep_removed(*state, 7, row, TAG_BYTES + 1);
	assert_false(hints_find(*state, 7, &guess));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_known_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(a_row_is_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(that_there_is_none_takes_the_last_removal, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(what_a_stranger_has_written_is_not_kept, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
