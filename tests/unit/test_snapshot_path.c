/* What a snapshot may be called, and which paths name one. */
#include "engine/quiver.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_names(void **state)
{
	char name[QUIVER_SNAPSHOT_NAME_MAX + 2];

	(void)state;
	assert_true(quiver_snapshot_name_is_valid("a"));
	assert_true(quiver_snapshot_name_is_valid("2026-11-29_12:30.5"));
	assert_true(quiver_snapshot_name_is_valid("-a"));
	assert_false(quiver_snapshot_name_is_valid(""));
	assert_false(quiver_snapshot_name_is_valid("."));
	assert_false(quiver_snapshot_name_is_valid(".a"));
	assert_false(quiver_snapshot_name_is_valid("a/b"));
	assert_false(quiver_snapshot_name_is_valid("a@b"));
	assert_false(quiver_snapshot_name_is_valid("a b"));
	assert_false(quiver_snapshot_name_is_valid("a\n"));
	assert_false(quiver_snapshot_name_is_valid("\xc3\xa4"));
	memset(name, 'n', sizeof(name));
	name[QUIVER_SNAPSHOT_NAME_MAX] = '\0';
	assert_true(quiver_snapshot_name_is_valid(name));
	name[QUIVER_SNAPSHOT_NAME_MAX] = 'n';
	name[QUIVER_SNAPSHOT_NAME_MAX + 1] = '\0';
	assert_false(quiver_snapshot_name_is_valid(name));
}

static void test_paths(void **state)
{
	size_t length = 0;

	(void)state;
	assert_true(quiver_is_snapshot("store@one", &length));
	assert_int_equal(length, strlen("store"));
	assert_true(quiver_is_snapshot("/nowhere/me@home/@one", &length));
	assert_int_equal(length, strlen("/nowhere/me@home/"));
	assert_false(quiver_is_snapshot("store", &length));
	assert_false(quiver_is_snapshot("@one", &length));
	assert_false(quiver_is_snapshot("store@", &length));
	assert_false(quiver_is_snapshot("store@.one", &length));
	assert_false(quiver_is_snapshot("/nowhere/me@home/store", &length));
	assert_false(quiver_is_snapshot("rados:pool/store@one", &length));
}

/* Its name has the look of a snapshot's, and it was there before there were any. */
static void test_a_folder_that_is_there_is_a_folder(void **state)
{
	char path[] = "/tmp/snapshot_path@XXXXXX";
	size_t length;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_false(quiver_is_snapshot(path, &length));
	assert_int_equal(rmdir(path), 0);
	assert_true(quiver_is_snapshot(path, &length));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_a_folder_that_is_there_is_a_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
