#include "unit.h"

#include "engine/index/slots.h"
#include "engine/media/index_layout.h"
#include "store_test.h"

#define ROWS 1000u

static struct slots slots;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(slots_init(&slots, 1 << 20), 0);
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

static void test_slots_are_taken_all_or_none(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 100, got), 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(got[i], i);
	slots_give(&slots, 70);
	slots_give(&slots, 3);
	assert_int_equal(slots_take(&slots, ROWS, got), -ENOSPC);
	assert_int_equal(counts().used, 100);
	/* More than there are new ones. */
	assert_int_equal(slots_take(&slots, ROWS - 99, got), 0);
	assert_true(got[0] == 3 && got[1] == 70 && got[2] == 100 && got[ROWS - 100] == ROWS - 2);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], ROWS - 1);
	assert_int_equal(slots_take(&slots, 1, got), -ENOSPC);
	assert_int_equal(slots_set_rows(&slots, ROWS + 1), 0);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], ROWS);
}

/* One in eight is many: fewer wait until there are more, or no others. */
static void test_a_few_holes_are_left_while_there_is_room(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 800, got), 0);
	for (uint64_t s = 0; s < 99; s++)
		slots_give(&slots, s * 8);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], 800);
	slots_give(&slots, 99 * 8);
	assert_int_equal(slots_take(&slots, 2, got), 0);
	assert_true(got[0] == 0 && got[1] == 8);
	assert_int_equal(slots_take(&slots, 199, got), 0);
	assert_true(got[0] == 801 && got[198] == 999);
	assert_int_equal(slots_take(&slots, 98, got), 0);
	assert_true(got[0] == 16 && got[97] == 99 * 8);
	assert_int_equal(slots_take(&slots, 1, got), -ENOSPC);
}

static void test_who_empties_the_end_has_the_lowest_given_out(void **state)
{
	uint64_t got[ROWS];

	(void)state;
	assert_int_equal(slots_take(&slots, 400, got), 0);
	slots_give(&slots, 70);
	slots_give(&slots, 3);
	slots_give_run(&slots, 300, 100);
	slots_pack(&slots, true);
	assert_int_equal(slots_take(&slots, 3, got), 0);
	assert_true(got[0] == 3 && got[1] == 70 && got[2] == 300);
	slots_give(&slots, 70);
	assert_int_equal(slots_take(&slots, 100, got), 0);
	assert_true(got[0] == 70 && got[1] == 301 && got[99] == 399);
	slots_pack(&slots, false);
}

#define SEGMENT SLOTS_SEGMENT
#define SEGMENTS 4u
#define MANY (SEGMENTS * SEGMENT)

/* All of several segments. */
static void take_many(void)
{
	uint64_t *got = calloc(MANY, sizeof(*got));

	assert_non_null(got);
	assert_int_equal(slots_set_rows(&slots, MANY), 0);
	assert_int_equal(slots_take(&slots, MANY, got), 0);
	free(got);
}

static void test_one_segment_after_the_other_is_used_up(void **state)
{
	uint64_t segments[8];
	uint64_t got[2 * ROWS];

	(void)state;
	take_many();
	slots_give(&slots, 5);
	slots_give(&slots, SEGMENT - 1);
	for (uint64_t s = 0; s < 600; s++)
		slots_give(&slots, 2 * SEGMENT + 7 * s);
	slots_give_run(&slots, SEGMENT, 50);
	assert_int_equal(slots_next_segments(&slots, segments, 8), 3);
	assert_true(segments[0] == 2 && segments[1] == 1 && segments[2] == 0);
	assert_int_equal(slots_next_segments(&slots, segments, 2), 2);
	assert_int_equal(slots_take(&slots, 300, got), 0);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(got[i], 2 * SEGMENT + 7 * i);
	/* It goes on, whichever has most now, and what is given behind it is left. */
	slots_give_run(&slots, 3 * SEGMENT, 1000);
	slots_give(&slots, got[0]);
	assert_int_equal(slots_next_segments(&slots, segments, 8), 4);
	assert_true(segments[0] == 2 && segments[1] == 3);
	assert_int_equal(slots_take(&slots, 301, got), 0);
	for (uint64_t i = 0; i < 300; i++)
		assert_int_equal(got[i], 2 * SEGMENT + 7 * (300 + i));
	assert_int_equal(got[300], 3 * SEGMENT);
	assert_int_equal(slots_take(&slots, 999 + 50 + 2, got), 0);
	assert_true(got[998] == 3 * SEGMENT + 999 && got[999] == SEGMENT && got[1049] == 5);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], 2 * SEGMENT);
	assert_int_equal(slots_take(&slots, 1, got), -ENOSPC);
	assert_int_equal(slots_next_segments(&slots, segments, 8), 0);
}

/* Of those with about as many the lowest. */
static void test_the_best_segment_is_the_lowest_of_its_class(void **state)
{
	uint64_t got[4];
	uint64_t segments[8];

	(void)state;
	take_many();
	assert_int_equal(slots_set_rows(&slots, MANY + 3 * SEGMENT), 0);
	slots_give_run(&slots, 0, 4096);
	slots_give_run(&slots, SEGMENT, 5000);
	slots_give_run(&slots, 2 * SEGMENT, 5119);
	slots_give_run(&slots, 3 * SEGMENT, 4095);
	assert_int_equal(slots_next_segments(&slots, segments, 8), 7);
	for (uint64_t i = 0; i < 7; i++)
		assert_int_equal(segments[i], i);
	slots_give(&slots, 2 * SEGMENT + 5119); /* the next class */
	assert_int_equal(slots_next_segments(&slots, segments, 1), 1);
	assert_int_equal(segments[0], 2);
	assert_int_equal(slots_take(&slots, 1, got), 0);
	assert_int_equal(got[0], 2 * SEGMENT);
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
	struct slots_ahead ahead;
	uint64_t took[ROWS];
	uint64_t next[8];

	(void)state;
	assert_int_equal(slots_peek(&slots, 8, next, &ahead), 0);
	assert_true(ahead.given == 0 && ahead.tail == 0);
	assert_int_equal(slots_take(&slots, 200, took), 0);
	assert_int_equal(slots_peek(&slots, 8, next, &ahead), 0);
	assert_true(ahead.given == 200 && ahead.tail == ROWS - 200);
	slots_give_run(&slots, 70, 10);
	slots_give(&slots, 150);
	assert_int_equal(slots_peek(&slots, 8, next, &ahead), 8);
	assert_int_equal(ahead.tail, ROWS - 200);
	assert_int_equal(slots_take(&slots, ROWS - 200, took), 0);
	assert_int_equal(took[0], 200);
	assert_int_equal(slots_peek(&slots, 8, next, &ahead), 8);
	assert_true(ahead.given == ROWS && ahead.tail == 0);
	assert_int_equal(slots_take(&slots, 8, took), 0);
	assert_memory_equal(took, next, sizeof(next));
	assert_int_equal(slots_peek(&slots, 8, next, &ahead), 3);
	assert_int_equal(counts().free_below, 3);
	assert_int_equal(slots_take(&slots, 3, took), 0);
	assert_memory_equal(took, next, 3 * sizeof(*next));
	assert_int_equal(slots_given(&slots), ROWS + 11);
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
struct model {
	bool taken[MANY];
	uint64_t used, free_below;
};

/* What slots_take has to have done: any free slots, the holes as they were foretold. */
static void check_taken(struct model *m, const uint64_t *got, size_t count,
                        const struct slots_ahead *ahead, const uint64_t *next, size_t foretold)
{
	size_t hole = 0;

	for (size_t i = 0; i < count; i++) {
		assert_true(got[i] < MANY && !m->taken[got[i]]);
		m->taken[got[i]] = true;
		if (got[i] >= m->used) {
			assert_int_equal(got[i], m->used);
			m->used++;
		} else {
			assert_true(hole >= foretold || got[i] == next[hole]);
			hole++;
			m->free_below--;
		}
	}
	/* New ones come first, or last. */
	assert_true(hole == 0 || ahead->tail < count);
}

static void check_segments(const struct model *m)
{
	uint64_t segments[2 * SEGMENTS];
	size_t n = slots_next_segments(&slots, segments, 2 * SEGMENTS);
	bool told[SEGMENTS] = { false };

	for (size_t i = 0; i < n; i++)
		told[segments[i]] = true;
	for (uint64_t segment = 0; segment < SEGMENTS; segment++) {
		uint64_t free = 0;

		for (uint64_t s = segment * SEGMENT; s < (segment + 1) * SEGMENT; s++)
			free += s < m->used && !m->taken[s];
		assert_int_equal(slot_segments_free(&slots.segments, segment), free);
		assert_int_equal(told[segment],
		                 free > 0 || (m->used < MANY && m->used / SEGMENT <= segment));
	}
}

static void trim(struct model *m)
{
	uint64_t used = slots_trim(&slots);

	assert_true(used == 0 || m->taken[used - 1]);
	for (uint64_t s = used; s < m->used; s++, m->free_below--)
		assert_false(m->taken[s]);
	m->used = used;
}

static void give_some(struct model *m, uint64_t *random)
{
	uint64_t first = test_below(random, MANY);
	uint64_t most = 1 + test_below(random, test_below(random, 20) ? 4 : SEGMENT);
	uint64_t count = 0;

	while (first + count < MANY && count < most && m->taken[first + count])
		m->taken[first + count++] = false;
	m->free_below += count;
	if (count == 1)
		slots_give(&slots, first);
	else if (count > 1)
		slots_give_run(&slots, first, count);
}

static void take_some(struct model *m, uint64_t *random)
{
	static uint64_t got[SEGMENT];
	static uint64_t next[SEGMENT];
	size_t n = 1 + test_below(random, test_below(random, 20) ? 8 : SEGMENT);
	struct slots_ahead ahead;
	size_t foretold = slots_peek(&slots, n, next, &ahead);

	assert_int_equal(foretold, n < m->free_below ? n : m->free_below);
	if (slots_take(&slots, n, got) == 0)
		check_taken(m, got, n, &ahead, next, foretold);
	else
		assert_true(m->free_below + (MANY - m->used) < n);
}

static void take_some_below(struct model *m, uint64_t *random)
{
	uint64_t below = test_below(random, MANY);
	uint64_t got[8];
	size_t n = slots_take_below(&slots, below, 8, got);
	uint64_t at = 0;

	for (size_t i = 0; i < 8; i++, at++) {
		while (at < below && at < m->used && m->taken[at])
			at++;
		assert_int_equal(i < n, at < below && at < m->used);
		if (i >= n)
			break;
		assert_int_equal(got[i], at);
		m->taken[at] = true;
		m->free_below--;
	}
}

/* The first that is long enough, or a part of it; given back, as by who punches it. */
static void take_a_run(const struct model *m, uint64_t *random)
{
	uint64_t least = 1 + test_below(random, test_below(random, 2) ? 8 : 2 * SEGMENT);
	uint64_t most = least + test_below(random, 100);
	uint64_t from = test_below(random, MANY);
	uint64_t first = from;
	uint64_t length = 0;
	uint64_t got;

	for (uint64_t s = from; s < m->used && length < most; s++) {
		if (!m->taken[s]) {
			length++;
			continue;
		}
		if (length >= least)
			break;
		first = s + 1;
		length = 0;
	}
	got = slots_take_run(&slots, &from, least, most);
	assert_int_equal(got, length >= least ? length : 0);
	if (got == 0)
		return;
	assert_int_equal(from, first);
	assert_int_equal(counts().free_below, m->free_below - got);
	slots_give_run(&slots, from, got);
}

static void test_random_taking_and_giving_agrees_with_a_simple_model(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	uint64_t random = test_seed();

	(void)state;
	assert_non_null(m);
	assert_int_equal(slots_set_rows(&slots, MANY), 0);
	for (int i = 0; i < 20000; i++) {
		unsigned what = (unsigned)test_below(&random, 33);

		if (what < 15)
			give_some(m, &random);
		else if (what < 30)
			take_some(m, &random);
		else if (what == 30)
			take_some_below(m, &random);
		else if (what == 31)
			take_a_run(m, &random);
		else
			slots_pack(&slots, test_below(&random, 2));
		assert_int_equal(counts().used, m->used);
		assert_int_equal(counts().free_below, m->free_below);
		if (i % 500 == 0) {
			trim(m);
			check_segments(m);
		}
	}
	free(m);
}

/* As on opening a store that was closed cleanly. */
static void test_a_map_that_was_loaded_has_its_segments(void **state)
{
	const uint64_t used = 2 * SEGMENT + 100;
	uint64_t segments[4];
	uint64_t *live;
	uint64_t count = 0;
	uint64_t got[2];

	(void)state;
	assert_int_equal(slots_set_rows(&slots, MANY), 0);
	live = slots_map_room(&slots, MANY / 8);
	for (uint64_t s = 0; s < used; s++)
		if (s % 3 && (s < SEGMENT || s % 2)) {
			live[s / 64] |= UINT64_C(1) << s % 64;
			count++;
		}
	slots_map_loaded(&slots, used, count);
	assert_int_equal(counts().free_below, used - count);
	assert_int_equal(slots_next_segments(&slots, segments, 4), 4);
	assert_true(segments[0] == 1 && segments[1] == 0 && segments[2] == 2 && segments[3] == 2);
	assert_int_equal(slot_segments_free(&slots.segments, 0), (SEGMENT + 2) / 3);
	assert_int_equal(slots_take(&slots, 2, got), 0);
	assert_true(got[0] == SEGMENT && got[1] == SEGMENT + 2);
}

/* A checkpoint that is under way writes a page as it was, and the next one as it is. */
static void test_each_change_of_the_live_map_is_told_before(void **state)
{
	struct index_pages *pages = &slots.live_changed;
	uint64_t got[2];

	(void)state;
	assert_int_equal(slots_take(&slots, 2, got), 0);
	slots_set_live(&slots, 0);
	for (int i = 0; i < 2; i++) {
		uint8_t bytes[INDEX_PAGE_BYTES];
		uint64_t page = 0;
		bool second;

		index_pages_begin(pages, 1, true);
		assert_int_equal(index_pages_count(pages, 1), 0);
		(i == 0 ? slots_set_live : slots_clear_live)(&slots, 1);
		assert_true(index_pages_take(pages, &page, bytes, &second));
		assert_int_equal(bytes[INDEX_LINE_BYTES], i == 0 ? 1 : 3);
		index_pages_end(pages, true, true);
		assert_int_equal(index_pages_count(pages, 1), 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_slots_are_taken_all_or_none),
		TEST(test_a_few_holes_are_left_while_there_is_room),
		TEST(test_who_empties_the_end_has_the_lowest_given_out),
		TEST(test_one_segment_after_the_other_is_used_up),
		TEST(test_the_best_segment_is_the_lowest_of_its_class),
		TEST(test_taking_below_a_slot_takes_holes_only),
		TEST(test_looking_ahead_tells_what_is_taken_next),
		TEST(test_trimming_and_cutting_stop_at_the_last_taken_slot),
		TEST(test_runs_are_taken_whole_and_at_most_as_long_as_asked),
		TEST(test_runs_are_taken_and_given_as_their_slots_are),
		TEST(test_live_slots_are_found_from_above),
		TEST(test_pins_count),
		TEST(test_random_taking_and_giving_agrees_with_a_simple_model),
		TEST(test_a_map_that_was_loaded_has_its_segments),
		TEST(test_each_change_of_the_live_map_is_told_before),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
