#include "unit.h"

#include <string.h>

#include "tools/cli/id_tally.h"

static void add_all(struct id_tally *tally, const uint64_t *ids, size_t count, int wanted)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(id_tally_add(tally, ids[i]), wanted);
}

static void ids_are_counted_once_each(void **state)
{
	static const uint64_t ids[] = { 5, 0, UINT64_MAX - 1, 63, 64, 127, 128, 1ull << 40, 4096 };
	struct id_tally tally;

	(void)state;
	id_tally_start(&tally, ID_TALLY_GROUPS_MAX);
	assert_int_equal(tally.count, 0);
	add_all(&tally, ids, sizeof(ids) / sizeof(ids[0]), 1);
	add_all(&tally, ids, sizeof(ids) / sizeof(ids[0]), 0);
	assert_int_equal(tally.count, 18);
	assert_int_equal(tally.distinct, 9);
	assert_true(tally.least == 0 && tally.most == UINT64_MAX - 1);
	assert_false(tally.full);
	id_tally_end(&tally);
	assert_int_equal(tally.distinct, 9);
}

/* Each of a million IDs twice, in an order that jumps about. */
static void neighbours_take_little_memory_in_any_order(void **state)
{
	const uint64_t count = 1u << 20;
	struct id_tally tally;

	(void)state;
	id_tally_start(&tally, count / 64);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(id_tally_add(&tally, 1000 * 64 + i * 40503 % count), 1);
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(id_tally_add(&tally, 1000 * 64 + i), 0);
	assert_int_equal(tally.distinct, count);
	assert_true(tally.least == 64000 && tally.most == 64000 + count - 1 && !tally.full);
	id_tally_end(&tally);
}

static void a_full_tally_says_so(void **state)
{
	struct id_tally tally;

	(void)state;
	id_tally_start(&tally, 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(id_tally_add(&tally, i << 20), 1);
	assert_int_equal(id_tally_add(&tally, 1), 1); /* beside one that is there */
	assert_false(tally.full);
	assert_int_equal(id_tally_add(&tally, 9u << 20), 0);
	assert_true(tally.full);
	assert_int_equal(id_tally_add(&tally, 2), 0);
	assert_true(tally.count == 6 && tally.distinct == 4 && tally.most == 9u << 20);
	id_tally_end(&tally);
}

static void a_range_is_added_as_its_ids_are(void **state)
{
	struct id_tally tally;

	(void)state;
	id_tally_start(&tally, 1);
	id_tally_add_range(&tally, 7, 0);
	assert_int_equal(tally.count, 0);
	id_tally_add_range(&tally, 7, 100);
	id_tally_add_range(&tally, 107, 1);
	assert_true(tally.least == 7 && tally.most == 107);
	assert_true(tally.count == 101 && tally.distinct == 101);
	id_tally_end(&tally);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_counted_once_each),
		cmocka_unit_test(neighbours_take_little_memory_in_any_order),
		cmocka_unit_test(a_full_tally_says_so),
		cmocka_unit_test(a_range_is_added_as_its_ids_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
