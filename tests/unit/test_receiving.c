/* The mark of a store that is half of a stream: nobody gets what is live. */
#include "unit.h"

#include "engine/store/receiving.h"

#define PATH_BYTES (UNIT_PATH_BYTES + 32)

static const char *path_of(struct unit_dir *dir)
{
	static char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/store", dir->path);
	return path;
}

static void make(struct unit_dir *dir)
{
	struct quiver_geometry geometry = { .dim = 4, .dtype = QUIVER_F4 };

	assert_int_equal(quiver_create(path_of(dir), &geometry, NULL, NULL, NULL), 0);
}

static struct quiver_options options_for(bool read_only)
{
	return (struct quiver_options){ .size = sizeof(struct quiver_options),
		                        .read_only = read_only };
}

static struct quiver *open_marked(struct unit_dir *dir)
{
	struct quiver_options options = options_for(false);
	struct quiver_error error;
	struct quiver *store;

	if (receiving_open(path_of(dir), &options, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

static struct receive_mark sample(bool has_old)
{
	struct receive_mark mark = {
		.position = 3,
		.name = "here",
		.header = { .geometry = { .dim = 4, .dtype = QUIVER_F4, .vector_bytes = 16 },
		            .new_one = { .uuid = { 5 }, .lsn = 100, .count = 7, .name = "new" },
		            .vectors = 7 },
	};

	if (has_old) {
		mark.header.has_old = true;
		mark.header.old_one =
			(struct stream_version){ .uuid = { 6 }, .lsn = 90, .name = "old" };
	}
	return mark;
}

static void check_refused(struct unit_dir *dir, const char *text)
{
	for (int read_only = 0; read_only < 2; read_only++) {
		struct quiver_options options = options_for(read_only);
		struct quiver_error error;
		struct quiver *store;

		assert_int_equal(quiver_open(path_of(dir), &options, &store, &error), -EINPROGRESS);
		assert_null(store);
		if (!strstr(error.text, text))
			fail_msg("%s", error.text);
	}
}

static void check_opens(struct unit_dir *dir)
{
	for (int read_only = 0; read_only < 2; read_only++) {
		struct quiver_options options = options_for(read_only);
		struct quiver *store;

		assert_int_equal(quiver_open(path_of(dir), &options, &store, NULL), 0);
		assert_int_equal(quiver_close(store), 0);
	}
}

static void put_one(struct quiver *store, uint64_t id)
{
	struct quiver_attr attr = { .mode = 0644 };
	float vector[4] = { (float)id };

	assert_int_equal(quiver_put(store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

static void a_marked_store_is_refused_until_it_is_cleared(void **state)
{
	struct receive_mark mark = sample(true), again;
	struct quiver *store;

	make(*state);
	store = open_marked(*state);
	assert_int_equal(receiving_is_marked(store), 0);
	assert_int_equal(receiving_read(store, &again), -ENOENT);
	assert_int_equal(receiving_write(store, &mark), 0);
	put_one(store, 1);
	assert_int_equal(quiver_close(store), 0);
	check_refused(*state, "snapshot here, 3 of 7 changes");

	store = open_marked(*state);
	assert_int_equal(receiving_is_marked(store), 1);
	assert_int_equal(receiving_read(store, &again), 0);
	assert_memory_equal(&again, &mark, sizeof(mark));
	mark.position = 5;
	assert_int_equal(receiving_write(store, &mark), 0);
	assert_int_equal(quiver_count(store), 1);
	assert_int_equal(quiver_close(store), 0);
	check_refused(*state, ", 5 of 7 changes");

	store = open_marked(*state);
	assert_int_equal(receiving_clear(store), 0);
	assert_int_equal(receiving_clear(store), 0);
	assert_int_equal(quiver_close(store), 0);
	assert_int_equal(faccessat(((struct unit_dir *)*state)->fd, "store/RECEIVING", F_OK, 0),
	                 -1);
	check_opens(*state);
}

/* Either of the two is enough, and what a file says that is damaged does not matter. */
static void each_sign_is_enough(void **state)
{
	struct receive_mark mark = sample(true);
	struct quiver *store;
	uint8_t file[RECEIVE_MARK_BYTES];

	make(*state);
	store = open_marked(*state);
	assert_int_equal(receiving_write(store, &mark), 0);
	assert_int_equal(quiver_close(store), 0);
	unit_read(*state, "store/RECEIVING", file, sizeof(file), 0);
	assert_int_equal(unlinkat(((struct unit_dir *)*state)->fd, "store/RECEIVING", 0), 0);
	check_refused(*state, "--undo");

	store = open_marked(*state);
	assert_int_equal(receiving_clear(store), 0);
	assert_int_equal(quiver_close(store), 0);
	check_opens(*state);
	unit_write(*state, "store/RECEIVING", file, sizeof(file), 0);
	check_refused(*state, "continues");
	unit_flip(*state, "store/RECEIVING", 800);
	check_refused(*state, "--undo");
	unit_truncate(*state, "store/RECEIVING", 0);
	check_refused(*state, "--undo");
}

static void a_link_in_place_of_the_file_is_a_sign(void **state)
{
	make(*state);
	assert_int_equal(symlinkat("/dev/null", ((struct unit_dir *)*state)->fd, "store/RECEIVING"),
	                 0);
	check_refused(*state, "--undo");
}

/* A process that was killed: what it has committed is recovered, and the mark is there. */
static int leave_marked(void *arg)
{
	struct receive_mark mark = sample(true);
	struct quiver *store = open_marked(arg);

	assert_int_equal(receiving_write(store, &mark), 0);
	put_one(store, 1);
	assert_int_equal(quiver_flush(store), 0);
	_exit(0);
}

static void a_crash_keeps_the_mark(void **state)
{
	struct quiver_check_result result;
	struct quiver_error error;
	struct quiver *store;

	make(*state);
	assert_int_equal(unit_in_child(leave_marked, *state), 0);
	check_refused(*state, ", 3 of 7 changes");
	assert_int_equal(quiver_check(path_of(*state), true, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.damage, 0);
	check_refused(*state, ", 3 of 7 changes");
	store = open_marked(*state);
	assert_int_equal(quiver_count(store), 1);
	assert_int_equal(quiver_close(store), 0);
}

/* The half of a whole stream tells how the other comes to it. */
static void the_name_that_it_will_have_is_told(void **state)
{
	struct receive_mark mark = sample(false);
	struct quiver_options options = options_for(true);
	struct quiver_error error;
	struct quiver *store;
	char path[PATH_BYTES + 16];

	make(*state);
	store = open_marked(*state);
	assert_int_equal(receiving_write(store, &mark), 0);
	assert_int_equal(quiver_close(store), 0);
	snprintf(path, sizeof(path), "%s.receiving", path_of(*state));
	assert_int_equal(rename(path_of(*state), path), 0);
	assert_int_equal(quiver_open(path, &options, &store, &error), -EINPROGRESS);
	assert_non_null(strstr(error.text, "/store` continues"));
	assert_non_null(strstr(error.text, "--undo"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_marked_store_is_refused_until_it_is_cleared,
		                                unit_setup_dir, unit_teardown_dir),
		cmocka_unit_test_setup_teardown(each_sign_is_enough, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(a_link_in_place_of_the_file_is_a_sign,
		                                unit_setup_dir, unit_teardown_dir),
		cmocka_unit_test_setup_teardown(a_crash_keeps_the_mark, unit_setup_dir,
		                                unit_teardown_dir),
		cmocka_unit_test_setup_teardown(the_name_that_it_will_have_is_told, unit_setup_dir,
		                                unit_teardown_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
