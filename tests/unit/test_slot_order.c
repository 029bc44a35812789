#include "unit.h"

#include "engine/commit/slot_order.h"
#include "store_test.h"

#define MOST 5000u

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Lists of all lengths and of slots that lie near and far. */
static void the_order_is_that_of_the_slots(void **state)
{
	static uint64_t keys[MOST], spare[MOST], expected[MOST];
	uint64_t random = test_seed();

	(void)state;
	for (int round = 0; round < 300; round++) {
		size_t count = test_below(&random, round < 20 ? 4 : MOST);
		uint64_t slots = UINT64_C(1) << (1 + test_below(&random, 32));

		for (size_t i = 0; i < count; i++)
			expected[i] = keys[i] = slot_order_key(test_below(&random, slots), i);
		/* Those of one slot stay as they were, which is by their places. */
		qsort(expected, count, sizeof(*expected), by_number);
		slot_order_sort(keys, spare, count);
		assert_memory_equal(keys, expected, count * sizeof(*keys));
	}
}

static void a_key_tells_slot_and_place(void **state)
{
	uint64_t key = slot_order_key(UINT32_MAX - 2, UINT32_MAX);

	(void)state;
	assert_true(slot_order_slot(key) == UINT32_MAX - 2);
	assert_true(slot_order_place(key) == UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order_is_that_of_the_slots),
		cmocka_unit_test(a_key_tells_slot_and_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
