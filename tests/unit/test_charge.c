/* What is charged to whom. */
#include "unit.h"

#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/errors.h"

#define OWNER 1000
#define USER 2000

static int setup(void **state)
{
	struct fs *fs = calloc(1, sizeof(*fs));

	assert_non_null(fs);
	fs->owner_uid = OWNER;
	assert_int_equal(errors_new(NULL, &fs->errors), 0);
	assert_int_equal(charges_new(&fs->charges), 0);
	*state = fs;
	return 0;
}

static int teardown(void **state)
{
	struct fs *fs = *state;

	charges_free(fs->charges);
	errors_free(fs->errors);
	free(fs);
	return 0;
}

static void must_sum(struct fs *fs, enum charge_kind kind, uint64_t whole, uint64_t user_max)
{
	uint64_t whole_is, user_max_is;

	charge_sums(fs, kind, &whole_is, &user_max_is);
	assert_int_equal(whole_is, whole);
	assert_int_equal(user_max_is, user_max);
}

static void a_user_gets_a_quarter(void **state)
{
	struct fs *fs = *state;

	assert_int_equal(charge_take(fs, CHARGE_SCRATCH_FILES, USER, SCRATCH_FILES_MAX / 4), 0);
	assert_int_equal(charge_take(fs, CHARGE_SCRATCH_FILES, USER, 1), -EDQUOT);
	must_sum(fs, CHARGE_SCRATCH_FILES, SCRATCH_FILES_MAX / 4, SCRATCH_FILES_MAX / 4);
	/* nothing of it counts for another user or for something else */
	assert_int_equal(charge_take(fs, CHARGE_SCRATCH_FILES, USER + 64, 1), 0);
	assert_int_equal(charge_take(fs, CHARGE_STAGES, USER, 1), 0);
	must_sum(fs, CHARGE_STAGES, 1, 1);
	charge_give(fs, CHARGE_SCRATCH_FILES, USER, 1);
	assert_int_equal(charge_take(fs, CHARGE_SCRATCH_FILES, USER, 1), 0);
	assert_int_equal(atomic_load(&fs->charged), 2);
	charge_give(fs, CHARGE_SCRATCH_FILES, USER, SCRATCH_FILES_MAX / 4);
	charge_give(fs, CHARGE_SCRATCH_FILES, USER + 64, 1);
	assert_int_equal(atomic_load(&fs->charged), 1);
	charge_give(fs, CHARGE_STAGES, USER, 1);
	assert_int_equal(atomic_load(&fs->charged), 0);
	must_sum(fs, CHARGE_SCRATCH_FILES, 0, 0);
}

static void all_users_leave_a_quarter_to_the_owner(void **state)
{
	struct fs *fs = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(charge_take(fs, CHARGE_VIEW_BYTES, USER + i, VIEW_BYTES_MAX / 4),
		                 0);
	assert_int_equal(charge_take(fs, CHARGE_VIEW_BYTES, USER + 3, 1), -ENOSPC);
	assert_int_equal(charge_take(fs, CHARGE_VIEW_BYTES, OWNER, VIEW_BYTES_MAX / 8), 0);
	assert_int_equal(charge_take(fs, CHARGE_VIEW_BYTES, 0, VIEW_BYTES_MAX / 8), 0);
	assert_int_equal(charge_take(fs, CHARGE_VIEW_BYTES, OWNER, 1), -ENOSPC);
	must_sum(fs, CHARGE_VIEW_BYTES, VIEW_BYTES_MAX, VIEW_BYTES_MAX / 4);
}

static void the_owner_may_take_it_all(void **state)
{
	struct fs *fs = *state;

	assert_int_equal(charge_take(fs, CHARGE_STAGE_BYTES, OWNER, STAGE_BYTES_MAX), 0);
	assert_int_equal(charge_take(fs, CHARGE_STAGE_BYTES, CALLER_NOBODY, 1), -ENOSPC);
	assert_int_equal(charge_take(fs, CHARGE_STAGE_BYTES, USER, 1), -ENOSPC);
	assert_int_equal(charge_take(fs, CHARGE_STAGE_BYTES, USER, 0), 0);
	charge_give(fs, CHARGE_STAGE_BYTES, USER, 0);
}

static void four_copies_of_a_large_store_are_a_users(void **state)
{
	const uint64_t copy = UINT64_C(3) << 30;
	struct fs *fs = *state;

	for (unsigned i = 0; i < LISTING_COPIES_OF_USER_MIN; i++)
		assert_int_equal(charge_take(fs, CHARGE_LISTING_BYTES, USER, copy), 0);
	assert_int_equal(charge_take(fs, CHARGE_LISTING_BYTES, USER, copy), -EDQUOT);
	for (unsigned i = LISTING_COPIES_OF_USER_MIN; i < LISTING_COPIES_MIN; i++)
		assert_int_equal(charge_take(fs, CHARGE_LISTING_BYTES, OWNER, copy), 0);
	assert_int_equal(charge_take(fs, CHARGE_LISTING_BYTES, OWNER, copy), -ENOSPC);
}

static void a_line_says_whose_bound_it_was(void **state)
{
	struct fs *fs = *state;
	char *text = NULL;
	size_t length = 0;
	FILE *out;

	assert_int_equal(charge_refuse(fs, ".x", CHARGE_SCRATCH_FILES, USER, 1, -EDQUOT), -EDQUOT);
	assert_int_equal(charge_refuse(fs, ".y", CHARGE_SCRATCH_FILES, USER, 1, -ENOSPC), -ENOSPC);
	assert_int_equal(charge_refuse(fs, ".z", CHARGE_SCRATCH_BYTES, OWNER, 1, -ENOSPC), -ENOSPC);
	out = open_memstream(&text, &length);
	assert_non_null(out);
	errors_show(fs->errors, out);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, " .x: user 2000 may have at most 4096 scratch files\n"));
	assert_non_null(strstr(text, " .y: there may be at most 16384 scratch files, and a quarter "
	                             "is kept for the owner of the mount\n"));
	assert_non_null(
		strstr(text, " .z: there may be at most 268435456 bytes in scratch files\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		CASE(a_user_gets_a_quarter),
		CASE(all_users_leave_a_quarter_to_the_owner),
		CASE(the_owner_may_take_it_all),
		CASE(four_copies_of_a_large_store_are_a_users),
		CASE(a_line_says_whose_bound_it_was),
	};

	return cmocka_run_group_tests_name("charge", tests, NULL, NULL);
}
