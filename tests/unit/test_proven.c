/* What is remembered of a version in the page cache is not taken for another. */
#include "unit.h"

#include "fs/vector/proven.h"

#define LSN UINT64_C(5000000000) /* of the last commit before the mount */
#define SLOTS 100u /* in use then */

static int setup(void **state)
{
	struct proven *proven = NULL;

	assert_int_equal(proven_new(LSN, SLOTS, &proven), 0);
	*state = proven;
	return 0;
}

static int teardown(void **state)
{
	proven_free(*state);
	return 0;
}

static struct quiver_ref version(uint64_t id, uint64_t lsn, uint64_t slot)
{
	return (struct quiver_ref){ .id = id, .lsn = lsn, .slot = slot };
}

static void nothing_is_proven_at_first(void **state)
{
	const struct quiver_ref refs[] = { version(0, 1, 0), version(7, LSN, SLOTS - 1),
		                           version(7, LSN + 1, 0) };

	for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++)
		assert_false(proven_is(*state, &refs[i]));
}

static void what_was_there_is_proven_by_its_slot(void **state)
{
	/* The same place of marks. */
	const struct quiver_ref one = version(7, 1, 0), two = version(7 + PROVEN_MARKS, LSN, 99);
	const struct quiver_ref beyond = version(8, LSN, SLOTS);

	proven_fills(*state, &one);
	proven_set(*state, &one);
	assert_true(proven_is(*state, &one));
	assert_false(proven_is(*state, &two));
	proven_fills(*state, &two);
	proven_set(*state, &two);
	proven_fills(*state, &one);
	assert_true(proven_is(*state, &one));
	assert_true(proven_is(*state, &two));
	proven_set(*state, &beyond);
	assert_false(proven_is(*state, &beyond));
}

static void what_came_since_is_proven_by_itself(void **state)
{
	/* In the same place, and in the same slots. */
	const struct quiver_ref refs[] = {
		version(7, LSN + 1, 0),
		version(7, LSN + 2, 0),
		version(7 + PROVEN_MARKS, LSN + 3, 0),
		version(7 + PROVEN_MARKS, LSN + PROVEN_COMMITS_MAX, 1),
		version(7, LSN + 1000, SLOTS),
	};
	const size_t count = sizeof(refs) / sizeof(refs[0]);

	for (size_t set = 0; set < count; set++) {
		proven_set(*state, &refs[set]);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(proven_is(*state, &refs[i]), i == set);
	}
}

static void a_younger_version_in_the_cache_ends_it(void **state)
{
	const struct quiver_ref old = version(7, LSN, 3), newer = version(7, LSN + 2, 4);
	const struct quiver_ref newest = version(7, LSN + 3, 3), other = version(8, LSN + 4, 5);

	proven_set(*state, &old);
	proven_fills(*state, &other);
	assert_true(proven_is(*state, &old));
	proven_fills(*state, &newer);
	assert_false(proven_is(*state, &old));
	assert_false(proven_is(*state, &newer));
	proven_set(*state, &newer);
	proven_fills(*state, &newer);
	assert_true(proven_is(*state, &newer));
	proven_fills(*state, &newest);
	assert_false(proven_is(*state, &newer));
	assert_false(proven_is(*state, &newest));
}

static void an_older_version_in_the_cache_ends_it(void **state)
{
	const struct quiver_ref oldest = version(7, LSN, 3), old = version(7, LSN + 1, 4);
	const struct quiver_ref newer = version(7, LSN + 2, 5);

	proven_set(*state, &oldest);
	for (int i = 0; i < 2; i++) {
		proven_fills(*state, &newer);
		proven_set(*state, &newer);
		assert_true(proven_is(*state, &newer));
		proven_fills(*state, i == 0 ? &old : &oldest);
		assert_false(proven_is(*state, &newer));
		assert_false(proven_is(*state, &old));
		assert_false(proven_is(*state, &oldest));
	}
}

static void after_too_many_commits_nothing_is_proven(void **state)
{
	const struct quiver_ref last = version(7, LSN + PROVEN_COMMITS_MAX, 3);

	for (uint64_t more = 1; more < UINT64_C(1) << 34; more *= 2) {
		const struct quiver_ref beyond = version(7, last.lsn + more, 3);

		proven_set(*state, &last);
		assert_true(proven_is(*state, &last));
		proven_fills(*state, &beyond);
		assert_false(proven_is(*state, &last));
		proven_set(*state, &beyond);
		assert_false(proven_is(*state, &beyond));
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_is_proven_at_first),
		CASE(what_was_there_is_proven_by_its_slot),
		CASE(what_came_since_is_proven_by_itself),
		CASE(a_younger_version_in_the_cache_ends_it),
		CASE(an_older_version_in_the_cache_ends_it),
		CASE(after_too_many_commits_nothing_is_proven),
	};

	return cmocka_run_group_tests_name("proven", tests, NULL, NULL);
}
