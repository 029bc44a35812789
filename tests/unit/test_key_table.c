#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "tools/cli/key_table.h"

#define KEYS 200000u

static void a_key_keeps_its_number(void **state)
{
	struct key_table table = { 0 };
	uint64_t number = 0;

	(void)state;
	assert_int_equal(key_table_add(&table, "a", 1, 7, &number), 1);
	assert_int_equal(number, 7);
	assert_int_equal(key_table_add(&table, "ab", 2, UINT64_MAX, &number), 1);
	assert_int_equal(key_table_add(&table, "", 0, 3, &number), 1);
	assert_int_equal(key_table_add(&table, "a\0", 2, 4, &number), 1);
	assert_int_equal(key_table_add(&table, "a", 1, 8, &number), 0);
	assert_int_equal(number, 7);
	assert_int_equal(key_table_add(&table, "ab", 2, 9, &number), 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(key_table_add(&table, "", 0, 9, &number), 0);
	assert_int_equal(number, 3);
	key_table_free(&table);
	assert_int_equal(key_table_add(&table, "a", 1, 1, &number), 1);
	key_table_free(&table);
}

static void many_keys_are_told_apart(void **state)
{
	struct key_table table = { 0 };
	char key[32];
	uint64_t number;

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < KEYS; i++) {
			int length = snprintf(key, sizeof(key), "https://x/%u", i * 7);

			assert_int_equal(
				key_table_add(&table, key, (size_t)length, i + round, &number),
				round == 0);
			assert_int_equal(number, i);
		}
	}
	assert_int_equal(table.count, KEYS);
	key_table_free(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_keeps_its_number),
		cmocka_unit_test(many_keys_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
