/* test_rados_target.c - how a collection is named and reached. */
#include "unit.h"

#include <errno.h>

#include "engine/rados/target.h"

static void expect_target(const char *path, bool is_place, const char *pool, const char *space,
                          const char *name)
{
	struct quiver_error error = { "" };
	struct target target;

	if (target_parse(path, is_place, &target, &error) != 0)
		fail_msg("%s: %s", path, error.text);
	assert_string_equal(target.pool, pool);
	assert_string_equal(target.space, space);
	assert_string_equal(target.name, name);
}

static void expect_no_target(const char *path, bool is_place)
{
	struct quiver_error error = { "" };
	struct target target;

	if (target_parse(path, is_place, &target, &error) != -EINVAL)
		fail_msg("%s was taken", path);
	/* A message names what came, up to where it cannot be printed. */
	assert_memory_equal(error.text, path, strcspn(path, "\x01\x7f\xc3"));
	assert_int_equal(target_parse(path, is_place, &target, NULL), -EINVAL);
}

static void paths_have_two_or_three_parts(void **state)
{
	(void)state;
	expect_target("rados:vectors/docs", false, "vectors", "", "docs");
	expect_target("rados:p/team-a/docs_2026-01", false, "p", "team-a", "docs_2026-01");
	expect_target("rados:.rgw.x:y/n.s/c", false, ".rgw.x:y", "n.s", "c");
	expect_target("rados:p", true, "p", "", "");
	expect_target("rados:p/n", true, "p", "n", "");
	expect_no_target("rados:p", false);
	expect_no_target("rados:", false);
	expect_no_target("rados:/c", false);
	expect_no_target("rados:p/", false);
	expect_no_target("rados:p//c", false);
	expect_no_target("rados:p/n/c/", false);
	expect_no_target("rados:p/n/c/d", false);
	expect_no_target("rados:p/n/c", true);
	expect_no_target("rados:", true);
	expect_no_target("rados:p/", true);
	expect_no_target("rados/p/c", false);
}

static void names_are_looked_at(void **state)
{
	char longest[64 + 16] = "rados:p/";
	char pool[200] = "rados:";

	(void)state;
	memset(longest + 8, 'c', 64);
	longest[72] = '\0';
	expect_target(longest, false, "p", "", longest + 8);
	longest[72] = 'c';
	longest[73] = '\0';
	expect_no_target(longest, false);
	memset(pool + 6, 'p', POOL_BYTES_MAX + 1);
	(void)snprintf(pool + 6 + POOL_BYTES_MAX + 1, 8, "/c");
	expect_no_target(pool, false);
	expect_no_target("rados:p/a.b", false);
	expect_no_target("rados:p/a b", false);
	expect_no_target("rados:p/\xc3\xa9", false);
	expect_no_target("rados:p q/c", false);
	expect_no_target("rados:p\x01/c", false);
	expect_no_target("rados:p/n\x7f/c", false);
}

static void access_is_words_and_values(void **state)
{
	struct access access;

	(void)state;
	assert_int_equal(access_parse(NULL, &access, NULL), 0);
	assert_string_equal(access.id, "");
	assert_int_equal(access.op_timeout_s, OP_TIMEOUT_DEFAULT_S);
	assert_int_equal(access_parse("", &access, NULL), 0);
	assert_int_equal(
		access_parse("id=app,conf=/etc/c.conf,keyring=/k,op_timeout=5", &access, NULL), 0);
	assert_string_equal(access.id, "app");
	assert_string_equal(access.conf, "/etc/c.conf");
	assert_string_equal(access.keyring, "/k");
	assert_int_equal(access.op_timeout_s, 5);
	assert_int_equal(access_parse("id=client.app,", &access, NULL), 0);
	assert_string_equal(access.id, "app");
	assert_int_equal(access_parse("op_timeout=3600", &access, NULL), 0);
}

/* librados would look for "/a" and for "b.conf". */
static void files_that_librados_cannot_be_told_are_refused(void **state)
{
	static const char *const bad[] = { "conf=/a\\,b.conf", "conf=/a;b.conf", "keyring=/k\\,",
		                           "keyring=/k k", "keyring=/k=k" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quiver_error error = { "" };
		struct access access;

		assert_int_equal(access_parse(bad[i], &access, &error), -EINVAL);
		assert_non_null(strstr(error.text, "as the end of a name"));
	}
}

static void a_backslash_takes_the_next_as_it_is(void **state)
{
	static char longest[PATH_MAX * 2 + 16] = "conf=";
	struct access access;

	(void)state;
	assert_int_equal(access_parse("conf=/a\\\\b \\c.conf,id=x,keyring=/k\\", &access, NULL), 0);
	assert_string_equal(access.conf, "/a\\b c.conf");
	assert_string_equal(access.id, "x");
	assert_string_equal(access.keyring, "/k\\");
	memset(longest + 5, '\\', PATH_MAX * 2);
	assert_int_equal(access_parse(longest, &access, NULL), -EINVAL);
	longest[5 + 2 * (PATH_MAX - 1)] = '\0';
	assert_int_equal(access_parse(longest, &access, NULL), 0);
	assert_int_equal(strlen(access.conf), PATH_MAX - 1);
	memset(longest + 5, 'x', PATH_MAX * 2);
	assert_int_equal(access_parse(longest, &access, NULL), -EINVAL);
}

static void other_access_is_refused(void **state)
{
	static const char *const bad[] = {
		"key=AQBh",
		"id",
		"id=",
		"id=a b",
		"conf=",
		"op_timeout=0",
		"op_timeout=",
		"op_timeout=3601",
		"op_timeout=-1",
		"name=x",
		"op_timeout=1x",
		"=x",
		"id=a,secret=AQ==",
		"op_timeout=99999999999",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quiver_error error = { "" };
		struct access access;

		if (access_parse(bad[i], &access, &error) != -EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_true(error.text[0] != '\0');
	}
}

static void expect_arguments(const char *arguments, const char *given, const char *id,
                             const char *conf)
{
	struct access access;

	assert_int_equal(access_parse(given, &access, NULL), 0);
	access_from_arguments(arguments, &access);
	assert_string_equal(access.id, id);
	assert_string_equal(access.conf, conf);
}

static void ceph_args_name_user_and_configuration(void **state)
{
	(void)state;
	expect_arguments(NULL, "", "", "");
	expect_arguments("--id app", "", "app", "");
	expect_arguments("--id=app --conf=/c", "", "app", "/c");
	expect_arguments("-n client.app -c /c", "", "app", "/c");
	expect_arguments("  --name\tclient.app -m 10.0.0.1 ", "", "app", "");
	expect_arguments("--user app --keyring /k", "", "app", "");
	/* What is given goes before. */
	expect_arguments("--id app -c /c", "id=other", "other", "/c");
	expect_arguments("--id", "", "", "");
	expect_arguments("--idx app --id=", "", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_have_two_or_three_parts),
		cmocka_unit_test(names_are_looked_at),
		cmocka_unit_test(access_is_words_and_values),
		cmocka_unit_test(files_that_librados_cannot_be_told_are_refused),
		cmocka_unit_test(a_backslash_takes_the_next_as_it_is),
		cmocka_unit_test(other_access_is_refused),
		cmocka_unit_test(ceph_args_name_user_and_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
