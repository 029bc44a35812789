/* test_rados_parts.c - what the module for RADOS has of its own and needs no cluster for: IDs sorted
 * in their place, and numbers out of what a monitor says. */
#include "unit.h"

#include "engine/rados/id_array.h"
#include "engine/rados/monitor_text.h"

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Against qsort: `mask` decides how near to each other they are, and how often the same. */
static void check_sorted(size_t count, uint64_t mask)
{
	uint64_t *expected = malloc((count + 1) * sizeof(*expected));
	struct id_array array = { 0 };
	uint64_t state = 88172645463325252u + count;
	size_t kept = 0;

	assert_non_null(expected);
	for (size_t i = 0; i < count; i++) {
		expected[i] = next_random(&state) & mask;
		assert_int_equal(id_array_add(&array, expected[i]), 0);
	}
	qsort(expected, count, sizeof(*expected), compare_ids);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || expected[i] != expected[kept - 1])
			expected[kept++] = expected[i];
	}
	id_array_finish(&array);
	assert_int_equal(array.count, kept);
	if (kept > 0)
		assert_memory_equal(array.ids, expected, kept * sizeof(*expected));
	free(array.ids);
	free(expected);
}

static void test_ids_are_sorted_in_their_place(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 31, 32, 33, 1000, 100000 };
	static const uint64_t masks[] = { UINT64_MAX, 0xffffff, 0xff, 0,
		                          UINT64_C(0xff000000000000ff) };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (size_t k = 0; k < sizeof(masks) / sizeof(masks[0]); k++)
			check_sorted(counts[i], masks[k]);
	}
}

static void test_ids_take_no_more_than_their_bytes(void **state)
{
	struct id_array array = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		assert_int_equal(id_array_add(&array, i), 0);
	id_array_finish(&array);
	assert_int_equal(array.room, 5000);
	free(array.ids);
}

/* As Ceph 16 says it, shortened. */
static const char df[] =
	"\n{\"stats\":{\"total_bytes\":6442450944,\"stored\":1},\"stats_by_class\":{\"hdd\":{}},"
	"\"pools\":[{\"name\":\"a\",\"id\":1,\"stats\":{\"stored\":10,\"objects\":2,\"max_avail\":"
	"30}},"
	"{\"name\":\"id\",\"id\":12,\"stats\":{\"stored\":18446744073709551615,\"max_avail\":31}}]}"
	"\n";

static void test_numbers_of_a_pool(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_true(monitor_text_of_pool(df, 1, "stored", &value));
	assert_int_equal(value, 10);
	assert_true(monitor_text_of_pool(df, 1, "max_avail", &value));
	assert_int_equal(value, 30);
	assert_true(monitor_text_of_pool(df, 12, "stored", &value));
	assert_true(value == UINT64_MAX);
	assert_true(monitor_text_of_pool(df, 12, "max_avail", &value));
	assert_int_equal(value, 31);
	assert_false(monitor_text_of_pool(df, 2, "stored", &value));
	assert_false(monitor_text_of_pool(df, 1, "nothing", &value));
	assert_false(monitor_text_of_pool("", 1, "stored", &value));
	assert_false(monitor_text_of_pool("{\"pools\":[]}", 1, "stored", &value));
	assert_false(monitor_text_of_pool("{\"pools\":[{\"id\":1}]}", 1, "stored", &value));
}

static void test_numbers_by_their_names(void **state)
{
	static const char quota[] = "\n{\"pool_name\":\"quota_max_bytes\",\"quota_max_objects\":0,"
				    "\"quota_max_bytes\" : 4000000000,\"current_num_bytes\":-1}";
	uint64_t value = 0;

	(void)state;
	assert_true(monitor_text_number(quota, "quota_max_bytes", &value));
	assert_true(value == 4000000000);
	assert_false(monitor_text_number(quota, "current_num_bytes", &value));
	assert_false(monitor_text_number(quota, "pool_name", &value));
	assert_false(monitor_text_number("{\"a\":99999999999999999999999}", "a", &value));
	assert_false(monitor_text_number("\"a\"", "a", &value));
	assert_false(monitor_text_number("\"a\":", "a", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_sorted_in_their_place),
		cmocka_unit_test(test_ids_take_no_more_than_their_bytes),
		cmocka_unit_test(test_numbers_of_a_pool),
		cmocka_unit_test(test_numbers_by_their_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
