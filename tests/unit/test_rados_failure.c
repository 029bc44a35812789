/* test_rados_failure.c - what the errors of a cluster mean to who called, and the lines of them. */
#include "unit.h"

#include <errno.h>

#include "engine/rados/failure.h"

static struct collection *collection_new(void)
{
	struct collection *collection = calloc(1, sizeof(*collection));

	assert_non_null(collection);
	assert_int_equal(report_init(&collection->report, NULL, NULL), 0);
	pthread_mutex_init(&collection->failures.lock, NULL);
	collection->connection.op_timeout_s = 7;
	strcpy(collection->connection.user, "client.app");
	strcpy(collection->connection.target.pool, "vectors");
	strcpy(collection->connection.target.space, "team");
	return collection;
}

static void collection_drop(struct collection *collection)
{
	pthread_mutex_destroy(&collection->failures.lock);
	report_destroy(&collection->report);
	free(collection);
}

static void expect(int r, bool is_writing, int expected, const char *words)
{
	struct collection *collection = collection_new();
	size_t length;
	char *text;

	assert_int_equal(failure_of(collection, r, is_writing, "vector %d", 42), expected);
	assert_int_equal(failure_errno(r, is_writing), expected);
	assert_int_equal(report_text(&collection->report, &text, &length), 0);
	if (!strstr(text, "vector 42: ") || !strstr(text, words))
		fail_msg("%d: %s", r, text);
	assert_int_equal(collection->watch.state == WATCH_FENCED, r == -ESHUTDOWN);
	free(text);
	collection_drop(collection);
}

static void each_error_has_its_meaning(void **state)
{
	(void)state;
	expect(-ETIMEDOUT, false, -ETIMEDOUT, "within 7 s");
	expect(-ETIMEDOUT, true, -ETIMEDOUT, "may still happen");
	expect(-EINTR, true, -EINTR, "may still happen");
	expect(-ENOSPC, true, -ENOSPC, "the pool vectors is full");
	expect(-EDQUOT, true, -EDQUOT, "quota");
	expect(-ESHUTDOWN, false, -EIO, "mount again");
	expect(-ENOENT, true, -EIO, "gone");
	expect(-EPERM, true, -EROFS, "osd 'allow rw pool=vectors namespace=team'");
	expect(-EPERM, false, -EACCES, "osd 'allow r pool=vectors namespace=team'");
	expect(-EACCES, true, -EROFS, "client.app");
	/* These mean something else to who calls. */
	expect(-EAGAIN, true, -EIO, "the cluster answers");
	expect(-EINVAL, false, -EIO, "the cluster answers");
	expect(-EEXIST, true, -EIO, "the cluster answers");
	expect(-5000, true, -EIO, "the cluster answers");
}

static void a_cluster_that_is_down_leaves_other_lines(void **state)
{
	struct collection *collection = collection_new();
	size_t length;
	char *text;

	(void)state;
	report_add(&collection->report, "something else");
	for (int i = 0; i < 100000; i++)
		(void)failure_of(collection, -ETIMEDOUT, false, "vector %d", i);
	assert_int_equal(report_text(&collection->report, &text, &length), 0);
	assert_non_null(strstr(text, "something else"));
	assert_non_null(strstr(text, "vector 0:"));
	assert_null(strstr(text, "vector 99999:"));
	free(text);
	/* Later they are said again, with how many were not. */
	collection->failures.from_ns -= UINT64_C(61) * 1000000000;
	(void)failure_of(collection, -ETIMEDOUT, false, "vector %d", 100000);
	assert_int_equal(report_text(&collection->report, &text, &length), 0);
	assert_non_null(strstr(text, "vector 100000:"));
	assert_non_null(strstr(text, "99872 more"));
	free(text);
	collection_drop(collection);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_error_has_its_meaning),
		cmocka_unit_test(a_cluster_that_is_down_leaves_other_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
