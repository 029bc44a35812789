#include "unit.h"

#include "engine/index/slots.h"
#include "store_test.h"

#define ROWS 1000u

static struct slots slots;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(slots_init(&slots, 4096), 0);
	assert_int_equal(slots_set_rows(&slots, ROWS), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	slots_destroy(&slots);
	return 0;
}

static struct slots_counts counts(void)
{
	struct slots_counts c;

	slots_counts(&slots, &c);
	return c;
}

static void test_the_lowest_free_slots_are_taken_all_or_none(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 100, got), 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(got[i], i);
	slots_give(&slots, 70);
	slots_give(&slots, 3);
	assert_int_equal(slots_take(&slots, 3, got), 0);
	assert_true(got[0] == 3 && got[1] == 70 && got[2] == 100);
	assert_int_equal(slots_take(&slots, ROWS, got), -ENOSPC);
	assert_int_equal(counts().used, 101);
	assert_int_equal(slots_take(&slots, ROWS - 101, got), 0);
	assert_int_equal(slots_take(&slots, 1, got), -ENOSPC);
	assert_int_equal(slots_set_rows(&slots, ROWS + 1), 0);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], ROWS);
}

static void test_taking_below_a_slot_takes_holes_only(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 200, got), 0);
	for (uint64_t s = 10; s < 200; s += 50)
		slots_give(&slots, s);
	assert_int_equal(slots_take_below(&slots, 100, 10, got), 2);
	assert_true(got[0] == 10 && got[1] == 60);
	assert_int_equal(slots_take_below(&slots, 100, 10, got), 0);
	assert_int_equal(slots_take_below(&slots, ROWS, 10, got), 2);
	assert_int_equal(slots_take_below(&slots, ROWS, 10, got), 0); /* nothing behind used */
	assert_int_equal(counts().used, 200);
}

static void test_looking_ahead_tells_what_is_taken_next(void **state)
{
	uint64_t took[200];
	uint64_t ahead[8];
	uint64_t end;

	(void)state;
	assert_int_equal(slots_peek(&slots, 1000, 8, ahead, &end), 0);
	assert_int_equal(end, 0);
	assert_int_equal(slots_take(&slots, 200, took), 0);
	assert_int_equal(slots_peek(&slots, 1000, 8, ahead, &end), 0);
	assert_int_equal(end, 200);
	for (uint64_t slot = 70; slot < 80; slot++)
		slots_give(&slots, slot);
	slots_give(&slots, 150);
	assert_int_equal(slots_peek(&slots, 1000, 8, ahead, &end), 8);
	assert_int_equal(end, 78);
	assert_int_equal(slots_take(&slots, 8, took), 0);
	assert_memory_equal(took, ahead, sizeof(ahead));
	/* Not further than it may look: the next may be behind. */
	assert_int_equal(slots_take(&slots, 2, took), 0);
	assert_int_equal(slots_peek(&slots, 70, 8, ahead, &end), 0);
	assert_int_equal(end, 150);
	assert_int_equal(slots_peek(&slots, 71, 8, ahead, &end), 1);
	assert_int_equal(ahead[0], 150);
	assert_int_equal(counts().free_below, 1);
}

static void test_trimming_and_cutting_stop_at_the_last_taken_slot(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 500, got), 0);
	for (uint64_t s = 130; s < 500; s++)
		slots_give(&slots, s);
	assert_int_equal(slots_trim(&slots), 130);
	assert_int_equal(counts().free_below, 0);
	assert_false(slots_cut(&slots, 129));
	assert_int_equal(counts().rows, ROWS);
	assert_true(slots_cut(&slots, 130));
	assert_int_equal(slots_take(&slots, 1, got), -ENOSPC);
	for (uint64_t s = 0; s < 130; s++)
		slots_give(&slots, s);
	assert_int_equal(slots_trim(&slots), 0);
	assert_true(slots_cut(&slots, 0));
}

static void test_runs_are_taken_whole_and_at_most_as_long_as_asked(void **state)
{
	uint64_t got[ROWS];
	uint64_t from = 0;

	(void)state;
	assert_int_equal(slots_take(&slots, 300, got), 0);
	for (uint64_t s = 5; s < 9; s++)
		slots_give(&slots, s);
	for (uint64_t s = 100; s < 250; s++)
		slots_give(&slots, s);
	assert_int_equal(slots_take_run(&slots, &from, 10, 100), 100);
	assert_int_equal(from, 100);
	from += 100;
	assert_int_equal(slots_take_run(&slots, &from, 10, 100), 50);
	assert_int_equal(from, 200);
	from += 50;
	assert_int_equal(slots_take_run(&slots, &from, 10, 100), 0);
	from = 0;
	assert_int_equal(slots_take_run(&slots, &from, 4, 4), 4);
	assert_int_equal(from, 5);
	assert_int_equal(counts().free_below, 0);
}

/* Taken and given in runs of any length, at any place, beside single ones. */
static void test_runs_are_taken_and_given_as_their_slots_are(void **state)
{
	bool free[ROWS];
	uint64_t got[ROWS];
	uint64_t random = test_seed();

	(void)state;
	assert_int_equal(slots_take(&slots, ROWS, got), 0);
	for (int round = 0; round < 200; round++) {
		uint64_t first = test_below(&random, ROWS);
		uint64_t count = 1 + test_below(&random, ROWS - first);
		uint64_t from = 0;

		slots_give_run(&slots, first, count);
		assert_int_equal(counts().free_below, count);
		for (uint64_t s = 0; s < ROWS; s++) {
			free[s] = s >= first && s < first + count;
			assert_int_equal(slots_is_taken(&slots, s), !free[s]);
		}
		assert_int_equal(slots_take_below(&slots, ROWS, 1, got), 1);
		assert_int_equal(got[0], first); /* the hint has gone down */
		if (count > 1) {
			assert_int_equal(slots_take_run(&slots, &from, 1, ROWS), count - 1);
			assert_int_equal(from, first + 1);
		}
		for (uint64_t s = 0; s < ROWS; s++)
			assert_true(slots_is_taken(&slots, s));
		assert_int_equal(counts().free_below, 0);
	}
}

static void test_live_slots_are_found_from_above(void **state)
{
	(void)state;
	slots_load_live(&slots, 3);
	slots_load_live(&slots, 64);
	slots_load_live(&slots, 700);
	assert_int_equal(counts().used, 701);
	assert_int_equal(counts().free_below, 698);
	assert_int_equal(slots_highest_live(&slots, 701), 700);
	assert_int_equal(slots_highest_live(&slots, 700), 64);
	assert_int_equal(slots_highest_live(&slots, 64), 3);
	assert_true(slots_highest_live(&slots, 3) == SLOT_NONE);
	slots_clear_live(&slots, 64);
	assert_false(slots_is_live(&slots, 64));
	assert_int_equal(slots_highest_live(&slots, 700), 3);
}

static void test_pins_count(void **state)
{
	(void)state;
	assert_false(slots_pinned(&slots, 7));
	slots_pin(&slots, 7);
	slots_pin(&slots, 7);
	slots_unpin(&slots, 7);
	assert_true(slots_pinned(&slots, 7));
	assert_false(slots_pinned(&slots, 8));
	slots_unpin(&slots, 7);
	assert_false(slots_pinned(&slots, 7));
}

/* Against an array of flags. */
static void test_random_taking_and_giving_agrees_with_a_simple_model(void **state)
{
	bool taken[ROWS] = { false };
	uint64_t random = test_seed();

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t got[8];
		size_t n = 1 + test_below(&random, 8);
		uint64_t slot = test_below(&random, ROWS);
		uint64_t lowest = 0;

		if (test_below(&random, 2) && taken[slot]) {
			slots_give(&slots, slot);
			taken[slot] = false;
		} else if (slots_take(&slots, n, got) == 0) {
			for (size_t k = 0; k < n; k++) {
				while (taken[lowest])
					lowest++;
				assert_int_equal(got[k], lowest);
				taken[lowest] = true;
			}
		}
		if (i % 100 == 0) {
			uint64_t used = slots_trim(&slots);

			assert_true(used == 0 || taken[used - 1]);
			for (uint64_t s = used; s < ROWS; s++)
				assert_false(taken[s]);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_lowest_free_slots_are_taken_all_or_none),
		TEST(test_taking_below_a_slot_takes_holes_only),
		TEST(test_looking_ahead_tells_what_is_taken_next),
		TEST(test_trimming_and_cutting_stop_at_the_last_taken_slot),
		TEST(test_runs_are_taken_whole_and_at_most_as_long_as_asked),
		TEST(test_runs_are_taken_and_given_as_their_slots_are),
		TEST(test_live_slots_are_found_from_above),
		TEST(test_pins_count),
		TEST(test_random_taking_and_giving_agrees_with_a_simple_model),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
