/*
 * test_new_meta.c - a meta.npy.new that no upgrade has left: the store is refused by whoever looks
 * at it, with its name, and nothing of it is used or written to.
 */
#include "store_test.h"

#define NEW_NAME "meta.npy.new"
#define VECTORS 300u

struct found {
	struct store_dir *store;
	char new_path[UNIT_PATH_BYTES + 64];
	char meta_path[UNIT_PATH_BYTES + 64];
};

/* A store of this version, closed, with some vectors in it. */
static struct found make(void **state)
{
	struct found found = { .store = *state };
	struct quiver *store;

	snprintf(found.new_path, sizeof(found.new_path), "%s/" NEW_NAME, found.store->path);
	snprintf(found.meta_path, sizeof(found.meta_path), "%s/meta.npy", found.store->path);
	store = open_mode(found.store, QUIVER_FSYNC);
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	return found;
}

static void is_refused(const struct found *found, bool read_only)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = read_only };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;

	assert_int_not_equal(open_result(found->store, &options, &store, &error), 0);
	assert_null(store);
	if (!strstr(error.text, NEW_NAME))
		fail_msg("%s", error.text);
}

/* And all is there again when it has gone. */
static void all_refuse(const struct found *found)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;

	for (int repair = 0; repair <= 1; repair++) {
		assert_int_not_equal(
			quiver_check(found->store->path, repair, NULL, NULL, &result, &error), 0);
		assert_non_null(strstr(error.text, NEW_NAME));
	}
	is_refused(found, true);
	is_refused(found, false);
	assert_int_equal(remove(found->new_path), 0);
	store = open_mode(found->store, QUIVER_FSYNC);
	for (uint64_t id = 0; id < VECTORS; id++)
		assert_int_equal(version_of(store, id), 1);
	close_store(store);
}

/* The first `length` bytes of `from` as a new file. */
static void copy(const char *from, const char *to, size_t length)
{
	static uint8_t bytes[1 << 20];
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	assert_true(n > 0 && (size_t)n < sizeof(bytes));
	assert_int_equal(close(fd), 0);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	n = (size_t)n < length ? n : (ssize_t)length;
	assert_int_equal(write(fd, bytes, (size_t)n), n);
	assert_int_equal(close(fd), 0);
}

static void one_that_is_too_short_is_refused(void **state)
{
	struct found found = make(state);

	copy(found.meta_path, found.new_path, 4096 + 56 * 10);
	all_refuse(&found);
	copy(found.meta_path, found.new_path, 100);
	all_refuse(&found);
}

static void one_with_another_header_is_refused(void **state)
{
	struct found found = make(state);
	char ids[UNIT_PATH_BYTES + 64];

	snprintf(ids, sizeof(ids), "%s/ids.npy", found.store->path);
	copy(ids, found.new_path, SIZE_MAX);
	all_refuse(&found);
}

/* It is of another time: what was committed since is in the other one alone. */
static void a_whole_one_beside_rows_of_this_version_is_refused(void **state)
{
	struct found found = make(state);

	copy(found.meta_path, found.new_path, SIZE_MAX);
	all_refuse(&found);
}

static void a_folder_is_refused(void **state)
{
	struct found found = make(state);

	assert_int_equal(mkdir(found.new_path, 0700), 0);
	all_refuse(&found);
}

/* Whoever opened it would wait for ever. */
static void a_fifo_is_refused(void **state)
{
	struct found found = make(state);

	assert_int_equal(mkfifo(found.new_path, 0600), 0);
	all_refuse(&found);
}

/* Else the next commit would be stored in what it leads to. */
static void a_link_is_refused(void **state)
{
	struct found found = make(state);
	char outside[UNIT_PATH_BYTES + 64];

	snprintf(outside, sizeof(outside), "%s/outside", found.store->dir.path);
	copy(found.meta_path, outside, SIZE_MAX);
	assert_int_equal(symlink(outside, found.new_path), 0);
	all_refuse(&found);
	assert_int_equal(symlink("/nowhere/at/all", found.new_path), 0);
	all_refuse(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_is_too_short_is_refused, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(one_with_another_header_is_refused, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(a_whole_one_beside_rows_of_this_version_is_refused,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_folder_is_refused, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_fifo_is_refused, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(a_link_is_refused, setup_store, teardown_store),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
