/* Vectors that are gone between a lookup and what follows it. */
#include "unit.h"

#include "fs/vector/gone.h"

#define TID 77

static int setup(void **state)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	assert_non_null(fs);
	assert_int_equal(gone_new(&fs->gone), 0);
	*state = fs;
	return 0;
}

static int teardown(void **state)
{
	struct fs *fs = *state;

	gone_free(fs->gone);
	free(fs);
	return 0;
}

static void the_first_time_the_kernel_looks_again(void **state)
{
	struct quiver_attr attr;

	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
}

static void a_second_lookup_that_finds_it_is_the_answer(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12, .mode = 0640, .uid = 3 };
	struct quiver_attr attr;

	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
	gone_found(*state, 5, TID, &found);
	/* As often as one system call asks: permissions, open, truncation. */
	for (int i = 0; i < 3; i++) {
		memset(&attr, 0, sizeof(attr));
		assert_int_equal(gone_answer(*state, 5, TID, &attr), 0);
		assert_true(attr.mtime_ns == 12 && attr.mode == 0640 && attr.uid == 3);
	}
}

static void a_lookup_before_it_is_not(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;

	gone_found(*state, 5, TID, &found);
	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
}

static void without_a_second_lookup_it_is_stale_again(void **state)
{
	struct quiver_attr attr;

	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
}

static void threads_and_vectors_are_apart(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;

	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
	gone_found(*state, 5, TID + 1, &found);
	gone_found(*state, 5, TID + 256, &found);
	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
	gone_found(*state, 5, TID, &found);
	assert_int_equal(gone_answer(*state, 6, TID, &attr), -ESTALE);
}

static void another_lookup_ends_it(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;

	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
	gone_found(*state, 6, TID, &found);
	gone_found(*state, 5, TID, &found);
	assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
}

static void an_open_ends_it(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;

	for (int opens = 0; opens < 2; opens++) {
		assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
		if (opens == 1)
			gone_found(*state, 5, TID, &found);
		gone_over(*state, TID + 256);
		gone_over(*state, TID);
		gone_found(*state, 5, TID, &found);
		assert_int_equal(gone_answer(*state, 5, TID, &attr), -ESTALE);
		gone_over(*state, TID);
	}
}

/* ---- a second node ---- */

static void who_finds_another_version_cached_is_told_once(void **state)
{
	pid_t tid = getpid();

	assert_false(gone_wants_alias(*state, 5, tid));
	assert_true(gone_ask_alias(*state, 5, tid));
	/* Each lookup of the second try; not those of others. */
	for (int i = 0; i < 2; i++)
		assert_true(gone_wants_alias(*state, 5, tid));
	assert_false(gone_wants_alias(*state, 6, tid));
	assert_false(gone_wants_alias(*state, 5, tid + 1));
	assert_false(gone_ask_alias(*state, 5, tid));
	gone_over(*state, tid);
	assert_false(gone_wants_alias(*state, 5, tid));
	assert_true(gone_ask_alias(*state, 5, tid));
}

static void nobody_is_told_twice(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;
	pid_t tid = getpid();

	/* Gone, and then an older version is cached of the one made anew. */
	assert_int_equal(gone_answer(*state, 5, tid, &attr), -ESTALE);
	assert_false(gone_ask_alias(*state, 5, tid));
	assert_false(gone_wants_alias(*state, 5, tid));
	gone_over(*state, tid);
	/* The other way round. */
	assert_true(gone_ask_alias(*state, 5, tid));
	gone_found(*state, 5, tid, &found);
	assert_int_equal(gone_answer(*state, 5, tid, &attr), 0);
	assert_int_equal(attr.mtime_ns, 12);
	/* Its place is its own for that long. */
	assert_false(gone_ask_alias(*state, 5, tid % 256 + 256));
}

static void a_writer_by_the_second_node_gets_the_first(void **state)
{
	const struct quiver_attr found = { .mtime_ns = 12 };
	struct quiver_attr attr;
	pid_t tid = getpid();

	assert_false(gone_takes_back(*state, 5, tid));
	assert_true(gone_ask_alias(*state, 5, tid));
	assert_true(gone_takes_back(*state, 5, tid));
	assert_false(gone_wants_alias(*state, 5, tid));
	assert_false(gone_takes_back(*state, 5, tid));
	gone_found(*state, 5, tid, &found);
	assert_int_equal(gone_answer(*state, 5, tid, &attr), 0);
}

static void who_does_not_look_again_is_not_told(void **state)
{
	FILE *stat = fopen("/proc/2/stat", "r");
	char text[64] = "";

	assert_false(gone_ask_alias(*state, 5, 0)); /* of another pid namespace */
	if (stat != NULL && fgets(text, sizeof(text), stat) != NULL && strstr(text, "(kthreadd)"))
		assert_false(gone_ask_alias(*state, 5, 2));
	if (stat != NULL)
		assert_int_equal(fclose(stat), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_first_time_the_kernel_looks_again, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_second_lookup_that_finds_it_is_the_answer, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(a_lookup_before_it_is_not, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_second_lookup_it_is_stale_again, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(threads_and_vectors_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(another_lookup_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_open_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(who_finds_another_version_cached_is_told_once,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_told_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(a_writer_by_the_second_node_gets_the_first, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(who_does_not_look_again_is_not_told, setup,
		                                teardown),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL);
}
