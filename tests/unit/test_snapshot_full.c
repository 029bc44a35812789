#include "unit.h"

#include "store_test.h"

/* A disk that is full, where there are snapshots. Blocks that a file has can be written; it gets no
 * more, and no new file has any. */
#define COUNT 400u
#define MANY 100000u /* more than there is ever room for ahead */

static void fill_disk(struct trouble_io *io)
{
	trouble_arm(io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE | TROUBLE_CREATE, 0, -ENOSPC);
}

/* Vectors 0 ... count - 1 with version 1, and a snapshot of them. */
static struct quiver *open_filled(struct store_dir *s, enum quiver_durability mode,
                                  struct trouble_io *io, uint64_t count)
{
	struct quiver *store = open_troubled(s, mode, io);

	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "before", NULL), 0);
	return store;
}

static void check_snapshot(struct quiver *store, const char *name, uint64_t count, uint64_t version)
{
	struct quiver *view;

	assert_int_equal(quiver_snapshot_open(store, name, &view), 0);
	assert_int_equal(quiver_count(view), count);
	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(version_of(view, id), version);
	assert_int_equal(quiver_close(view), 0);
}

static void check_healthy(struct quiver *store)
{
	assert_false(stats_of(store).failed);
	assert_int_equal(leaked_slots(store), 0);
}

static void test_making_one_is_refused_and_leaves_nothing(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_filled(s, QUIVER_FSYNC, &io, COUNT);
	struct quiver_snapshot told;

	fill_disk(&io);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(quiver_snapshot_create(store, "full", NULL), -ENOSPC);
		assert_int_equal(quiver_snapshot_stat(store, "full", &told), -ENOENT);
	}
	assert_int_equal(put_version(store, 1, 2, 0), 0); /* there was room ahead */
	assert_int_equal(quiver_remove(store, 2, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	check_snapshot(store, "before", COUNT, 1);
	check_healthy(store);
	trouble_disarm(&io);
	assert_int_equal(quiver_snapshot_create(store, "full", NULL), 0);
	close_store(store);
	store = open_with(s, NULL);
	check_snapshot(store, "before", COUNT, 1);
	assert_int_equal(quiver_snapshot_stat(store, "full", &told), 0);
	assert_int_equal(told.count, COUNT - 1);
	close_store(store);
}

/* Overwrite, rename, remove and change attributes until there is no room for what the snapshot has of
 * it. How many went through. */
static uint64_t change_until_full(struct quiver *store, uint64_t count, uint64_t version)
{
	struct quiver_attr attr = attr_of(version);
	int r = 0;

	for (uint64_t id = 0; id < count; id++) {
		if (id % 4 == 0)
			r = put_version(store, id, version, 0);
		else if (id % 4 == 1)
			r = quiver_remove(store, id, 0, NULL);
		else if (id % 4 == 2)
			r = quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0);
		else
			r = quiver_rename(store, id, MANY + id, 0, NULL);
		if (r == -ENOSPC)
			return id;
		assert_int_equal(r, 0);
		if (id % 512 == 511)
			assert_int_equal(quiver_checkpoint(store), 0);
	}
	return count;
}

static void check_refused(struct quiver *store, uint64_t id)
{
	struct quiver_attr attr = attr_of(9);

	for (int i = 0; i < 2; i++) { /* also after a checkpoint */
		assert_int_equal(put_version(store, id, 9, 0), -ENOSPC);
		assert_int_equal(quiver_rename(store, id, MANY * 2, 0, NULL), -ENOSPC);
		assert_int_equal(quiver_rename(store, MANY * 3, id, 0, NULL), -ENOENT);
		assert_int_equal(quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0), -ENOSPC);
		assert_int_equal(version_of(store, id), 1);
		assert_int_equal(quiver_checkpoint(store), 0);
	}
}

/* The last of the room is for removals. The first that is refused. */
static uint64_t remove_until_full(struct quiver *store, uint64_t id)
{
	int r = 0;

	while (id < MANY && r == 0) {
		r = quiver_remove(store, id, 0, NULL);
		id += r == 0;
		if (id % 512 == 511)
			assert_int_equal(quiver_checkpoint(store), 0);
	}
	assert_int_equal(r, -ENOSPC);
	return id;
}

static void what_is_held_is_refused(struct store_dir *s, enum quiver_durability mode)
{
	struct trouble_io io;
	struct quiver *store = open_filled(s, mode, &io, MANY);
	uint64_t done, removed;

	assert_int_equal(quiver_reserve(store, 2 * MANY), 0); /* slots are not what is missing */
	fill_disk(&io);
	done = change_until_full(store, MANY, 2);
	assert_true(done > 0 && done < MANY);
	check_refused(store, done);
	removed = remove_until_full(store, done + 1);
	assert_true(removed > done + 1);
	check_refused(store, removed);
	assert_int_equal(quiver_remove(store, removed, 0, NULL), -ENOSPC);
	assert_true(store_said(store, "remove a snapshot: before alone holds the most"));
	check_healthy(store);
	check_snapshot(store, "before", MANY, 1);
	/* What no snapshot has needs no room. */
	assert_int_equal(put_version(store, 4 * MANY, 1, 0), 0);
	assert_int_equal(put_version(store, 4 * MANY, 2, 0), 0);
	assert_int_equal(quiver_remove(store, 4 * MANY, 0, NULL), 0);
	/* Removing it works, and what it held comes back. */
	assert_int_equal(quiver_snapshot_remove(store, "before"), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	assert_int_equal(put_version(store, done, 2, 0), 0);
	assert_int_equal(quiver_remove(store, done, 0, NULL), 0);
	check_healthy(store);
	trouble_disarm(&io);
	close_store(store);
}

static void test_what_a_snapshot_has_is_refused_at_the_call(void **state)
{
	what_is_held_is_refused(*state, QUIVER_FSYNC);
}

static void test_the_same_without_a_log(void **state)
{
	what_is_held_is_refused(*state, QUIVER_NONE);
}

/* A crash on a full disk: what the log takes from the columns has room. */
static void test_a_store_with_snapshots_is_recovered_on_a_full_disk(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;
	struct trouble_io io;
	pid_t pid;
	int status;

	close_store(open_filled(s, QUIVER_FSYNC, &io, COUNT));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		store = open_with(s, NULL);
		for (uint64_t id = 0; id < COUNT; id++)
			if (put_version(store, id, 2, 0) != 0)
				_exit(1);
		_exit(0); /* as kill -9 */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	trouble_init(&io);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE, 'r', -ENOSPC);
	store = open_io(s, QUIVER_FSYNC, &io);
	check_snapshot(store, "before", COUNT, 1);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(version_of(store, id), 2);
	trouble_disarm(&io);
	close_store(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_making_one_is_refused_and_leaves_nothing),
		TEST(test_what_a_snapshot_has_is_refused_at_the_call),
		TEST(test_the_same_without_a_log),
		TEST(test_a_store_with_snapshots_is_recovered_on_a_full_disk),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
