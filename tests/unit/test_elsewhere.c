/* Paths of stores that are not a local folder, and what is said where their module is missing. */
#include "engine/quiver.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACE "rados:pool/collection"

static void test_which_paths_are_folders(void **state)
{
	(void)state;
	assert_true(quiver_is_folder("store"));
	assert_true(quiver_is_folder("./rados:pool/collection"));
	assert_true(quiver_is_folder("/rados:"));
	assert_true(quiver_is_folder("rados"));
	assert_false(quiver_is_folder("rados:"));
	assert_false(quiver_is_folder(PLACE));
}

static void nothing_found(void *arg, const char *name)
{
	(void)arg;
	fail_msg("%s", name);
}

/* Each way in says which package is missing. */
static void test_a_missing_module_is_named(void **state)
{
	const struct quiver_geometry geometry = { .dim = 4 };
	const struct quiver_options options = { .size = sizeof(options) };
	const struct quiver_create_options making = { .size = sizeof(making) };
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;

	(void)state;
	assert_int_equal(setenv("QUIVER_MODULES", "/nonexistent", 1), 0);
	assert_int_equal(quiver_open(PLACE, &options, &store, &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "librados2"));
	error.text[0] = '\0';
	assert_int_equal(quiver_create_with(PLACE, &geometry, NULL, &making, &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "librados2"));
	error.text[0] = '\0';
	assert_int_equal(quiver_check(PLACE, false, NULL, NULL, &result, &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "librados2"));
	error.text[0] = '\0';
	assert_int_equal(quiver_stores("rados:pool", NULL, nothing_found, NULL, &error),
	                 -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "librados2"));
	error.text[0] = '\0';
	assert_int_equal(quiver_destroy(PLACE, NULL, &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "librados2"));
	assert_non_null(strstr(error.text, "/nonexistent/quiverfs_rados.so"));
}

/* Nobody can know who has it open. */
static void test_a_store_elsewhere_has_no_holder(void **state)
{
	struct quiver_holder holder = { .pid = 1 };
	int64_t pid;

	(void)state;
	assert_int_equal(quiver_holder(PLACE, &holder), 0);
	assert_int_equal(holder.pid, 0);
	assert_int_equal(quiver_readers(PLACE, &pid, 1), 0);
}

static void test_a_folder_takes_no_access(void **state)
{
	const struct quiver_geometry geometry = { .dim = 4 };
	const struct quiver_options options = { .size = sizeof(options), .access = "id=me" };
	const struct quiver_create_options making = { .size = sizeof(making), .access = "id=me" };
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;

	(void)state;
	assert_int_equal(quiver_open("/nonexistent", &options, &store, &error), -EINVAL);
	assert_non_null(strstr(error.text, "id=me"));
	assert_int_equal(quiver_create_with("/nonexistent/x", &geometry, NULL, &making, &error),
	                 -EINVAL);
	assert_int_equal(
		quiver_check_with("/nonexistent", "id=me", false, NULL, NULL, &result, &error),
		-EINVAL);
	assert_int_equal(quiver_destroy("/nonexistent", NULL, &error), -EINVAL);
	assert_int_equal(quiver_stores("/nonexistent", NULL, nothing_found, NULL, &error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_paths_are_folders),
		cmocka_unit_test(test_a_missing_module_is_named),
		cmocka_unit_test(test_a_store_elsewhere_has_no_holder),
		cmocka_unit_test(test_a_folder_takes_no_access),
	};

	return cmocka_run_group_tests_name("elsewhere", tests, NULL, NULL);
}
