/* Snapshots: what they hold, and what comes free with them. */
#include "unit.h"

#include <sys/mman.h>

#include "engine/store/store.h"
#include "store_test.h"

#define COUNT 100u
/* More than the table of rows has room for at first, and than is written anew for. */
#define MANY 6000u

static void put_all(struct quiver *store, uint64_t from, uint64_t to, uint64_t version)
{
	for (uint64_t id = from; id < to; id++)
		assert_int_equal(put_version(store, id, version, 0), 0);
}

static struct quiver_snapshot snapshot_of(struct quiver *store, const char *name)
{
	struct quiver_snapshot snapshot;

	assert_int_equal(quiver_snapshot_stat(store, name, &snapshot), 0);
	return snapshot;
}

static void make(struct quiver *store, const char *name)
{
	assert_int_equal(quiver_snapshot_create(store, name, NULL), 0);
}

static void drop(struct quiver *store, const char *name)
{
	assert_int_equal(quiver_snapshot_remove(store, name), 0);
}

static uint64_t held(struct quiver *store)
{
	assert_int_equal(quiver_checkpoint(store), 0);
	return stats_of(store).slots_held;
}

static void test_a_snapshot_is_told_of(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_snapshot made, *all;
	size_t count;

	put_all(store, 0, COUNT, 1);
	assert_int_equal(quiver_snapshot_create(store, "first", &made), 0);
	assert_string_equal(made.name, "first");
	assert_int_equal(made.count, COUNT);
	assert_int_equal(made.slots, COUNT);
	assert_int_equal(made.lsn, stats_of(store).lsn);
	assert_true(made.created_ns > 0);
	assert_int_equal(made.own_vectors, 0);
	assert_false(made.damaged);
	make(store, "second");
	assert_int_equal(quiver_snapshots(store, &all, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(all[0].name, "first");
	assert_string_equal(all[1].name, "second");
	assert_memory_not_equal(all[0].uuid, all[1].uuid, sizeof(all[0].uuid));
	free(all);
	assert_int_equal(stats_of(store).snapshots, 2);
	close_store(store);
}

static void test_what_cannot_be_made_or_removed_is_refused(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_snapshot snapshot;

	make(store, "a");
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), -EEXIST);
	assert_int_equal(quiver_snapshot_create(store, ".a", NULL), -EINVAL);
	assert_int_equal(quiver_snapshot_create(store, "a/b", NULL), -EINVAL);
	assert_int_equal(quiver_snapshot_create(store, "", NULL), -EINVAL);
	assert_int_equal(quiver_snapshot_remove(store, "b"), -ENOENT);
	assert_int_equal(quiver_snapshot_remove(store, "../superblock"), -ENOENT);
	assert_int_equal(quiver_snapshot_stat(store, "b", &snapshot), -ENOENT);
	drop(store, "a");
	assert_int_equal(quiver_snapshot_remove(store, "a"), -ENOENT);
	make(store, "a");
	close_store(store);
}

static void test_slots_are_held_for_as_long_as_a_snapshot_has_them(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	uint64_t used;

	put_all(store, 0, COUNT, 1);
	make(store, "a");
	put_all(store, 0, COUNT / 2, 2);
	assert_int_equal(held(store), COUNT / 2);
	assert_int_equal(snapshot_of(store, "a").own_vectors, COUNT / 2);
	make(store, "b");
	/* What both have is neither's own. */
	assert_int_equal(quiver_remove(store, COUNT - 1, 0, NULL), 0);
	assert_int_equal(held(store), COUNT / 2 + 1);
	assert_int_equal(snapshot_of(store, "a").own_vectors, COUNT / 2);
	assert_int_equal(snapshot_of(store, "b").own_vectors, 0);
	put_all(store, 0, 1, 3);
	assert_int_equal(held(store), COUNT / 2 + 2);
	assert_int_equal(snapshot_of(store, "b").own_vectors, 1);
	drop(store, "a");
	assert_int_equal(held(store), 2);
	assert_int_equal(snapshot_of(store, "b").own_vectors, 2);
	used = stats_of(store).slots_used;
	put_all(store, 1000, 1000 + COUNT / 4, 1);
	assert_int_equal(stats_of(store).slots_used, used); /* what came free is used again */
	drop(store, "b");
	assert_int_equal(held(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_attributes_hold_no_slot(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_attr attr = { .mode = 0640 };
	struct quiver_snapshot snapshot;

	put_all(store, 0, COUNT, 1);
	make(store, "a");
	assert_int_equal(quiver_set_attr(store, 7, &attr, QUIVER_ATTR_MODE, 0), 0);
	attr.mode = 0600;
	assert_int_equal(quiver_set_attr(store, 7, &attr, QUIVER_ATTR_MODE, 0), 0);
	assert_int_equal(held(store), 0);
	snapshot = snapshot_of(store, "a");
	assert_int_equal(snapshot.own_vectors, 0);
	assert_true(snapshot.own_bytes > 0 && snapshot.own_bytes < STORE_DIM);
	put_all(store, 7, 8, 2);
	assert_int_equal(held(store), 1);
	drop(store, "a");
	assert_int_equal(held(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_compaction_goes_around_what_snapshots_have(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_snapshot before;
	uint64_t moved;

	put_all(store, 0, COUNT, 1);
	for (uint64_t id = 0; id < COUNT / 2; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	make(store, "a");
	before = snapshot_of(store, "a");
	put_all(store, 1000, 1010, 1);
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
	moved = stats_of(store).moved;
	assert_true(moved <= 10);
	assert_int_equal(stats_of(store).slots_held, 0); /* it moved nothing that a snapshot has */
	assert_int_equal(stats_of(store).slots, before.slots);
	drop(store, "a");
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
	assert_int_equal(stats_of(store).slots, COUNT / 2 + 10);
	close_store(store);
}

static void test_without_snapshots_nothing_is_left_of_them(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);

	put_all(store, 0, COUNT, 1);
	make(store, "a");
	put_all(store, 0, COUNT, 2);
	assert_int_equal(held(store), COUNT);
	assert_int_equal(faccessat(s->dir.fd, STORE_NAME "/versions", F_OK, 0), 0);
	drop(store, "a");
	assert_int_equal(faccessat(s->dir.fd, STORE_NAME "/versions", F_OK, 0), -1);
	assert_int_equal(held(store), 0);
	assert_int_equal(store->superblock.now.features_to_change, 0);
	close_store(store);
	store = open_with(s, NULL);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(version_of(store, 5), 2);
	close_store(store);
}

/* Also where nothing is committed any more. */
static void test_a_removed_snapshot_gives_space_back_at_once(void **state)
{
	const uint64_t count = 60000; /* more than is kept for who writes next */
	struct quiver *store = open_with(*state, NULL);

	put_all(store, 0, count, 1);
	make(store, "a");
	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(held(store), count);
	assert_int_equal(stats_of(store).punches, 0);
	drop(store, "a");
	assert_true(stats_of(store).punches > 0);
	close_store(store);
}

static void test_many_snapshots_of_one_store(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	char name[32];

	put_all(store, 0, COUNT, 1);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		make(store, name);
		put_all(store, i % COUNT, i % COUNT + 1, i + 2);
	}
	assert_int_equal(held(store), 1000);
	for (unsigned i = 0; i < 1000; i++) {
		/* From the middle, so that there are some on both sides. */
		snprintf(name, sizeof(name), "s%u", (i + 500) % 1000);
		drop(store, name);
	}
	assert_int_equal(held(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

/* Somebody who writes while the rows of snapshots are sorted out and their file is written anew. */
struct busy_io {
	struct quiver_io table; /* first: `self` of the functions */
	struct quiver **store; /* to be written to at the next file that is written anew, once */
};

static int busy_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                     mode_t mode)
{
	const struct busy_io *io = (const struct busy_io *)self;
	struct quiver *store = *io->store;

	if (store && strcmp(name, "versions.new") == 0) {
		*io->store = NULL;
		put_all(store, MANY, 3 * MANY, 3);
	}
	return quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);
}

static void test_rows_that_end_while_others_are_sorted_out_are_kept(void **state)
{
	struct quiver *busy = NULL;
	struct busy_io io = { .table = *quiver_io_posix(), .store = &busy };
	struct quiver_options options = { .size = sizeof(struct quiver_options), .io = &io.table };
	struct quiver *store;

	io.table.open = busy_open;
	store = open_with(*state, &options);
	put_all(store, 0, 3 * MANY, 1);
	make(store, "a");
	put_all(store, 0, MANY, 2); /* in a alone */
	make(store, "b");
	put_all(store, 0, COUNT, 3);
	assert_int_equal(held(store), MANY + COUNT);
	busy = store;
	drop(store, "a");
	assert_null(busy);
	assert_int_equal(held(store), 2 * MANY + COUNT);
	assert_int_equal(snapshot_of(store, "b").own_vectors, 2 * MANY + COUNT);
	drop(store, "b");
	assert_int_equal(held(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static uint64_t snapshot_version_of(struct quiver *store, const char *name, uint64_t id)
{
	struct quiver *snapshot;
	uint64_t version;

	assert_int_equal(quiver_snapshot_open(store, name, &snapshot), 0);
	version = version_of(snapshot, id);
	assert_int_equal(quiver_close(snapshot), 0);
	return version;
}

static uint64_t slot_of(struct quiver *store, uint64_t id)
{
	struct quiver_ref ref;
	uint64_t slot;

	assert_int_equal(quiver_get(store, id, 0, &ref), 0);
	slot = ref.slot;
	quiver_unref(store, &ref);
	return slot;
}

/* A checkpoint is writing attributes while the vector is overwritten, and is killed there. */
static void die_amid_a_row(const struct store_dir *s, uint64_t *slot)
{
	struct quiver_attr attr = { .mode = 0640 };
	struct quiver *store = open_with(s, NULL);
	uint64_t lsn;

	put_all(store, 0, COUNT, 1);
	make(store, "a");
	*slot = slot_of(store, 7);
	assert_int_equal(quiver_set_attr(store, 7, &attr, QUIVER_ATTR_MODE, 0), 0);
	lsn = stats_of(store).lsn;
	put_all(store, 7, 8, 2);
	assert_int_equal(quiver_flush(store), 0);
	assert_int_equal(versions_persist(&store->catalog.versions, lsn), 0);
}

static void test_a_slot_is_held_of_a_row_that_was_torn_before_it_ended(void **state)
{
	struct store_dir *s = *state;
	uint64_t *slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE,
	                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct quiver *store;
	int status;
	pid_t pid;

	assert_ptr_not_equal(slot, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		die_amid_a_row(s, slot);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store_flip(s, "meta.npy", (4096 + *slot * 56 + 48) * 8); /* of its mode */
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 7), 2);
	assert_int_equal(stats_of(store).slots_held, 1);
	put_all(store, 1000, 1000 + COUNT, 3);
	assert_int_equal(snapshot_version_of(store, "a", 7), 1);
	close_store(store);
	assert_int_equal(munmap(slot, sizeof(*slot)), 0);
}

/* Vector 7 of snapshot "old" was in a slot that was used again when that was removed; "new" is there.
 * The file of "old" as it was is in `file`. */
static void use_a_slot_again(const struct store_dir *s, uint8_t file[SNAPSHOT_FILE_BYTES])
{
	struct quiver *store = open_with(s, NULL);
	uint64_t slot;
	int fd;

	put_all(store, 0, 8, 1); /* of more, a single free slot would wait for others */
	slot = slot_of(store, 7);
	make(store, "old");
	put_all(store, 7, 8, 2);
	make(store, "new");
	fd = openat(s->dir.fd, STORE_NAME "/snapshots/old", O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, file, SNAPSHOT_FILE_BYTES), SNAPSHOT_FILE_BYTES);
	assert_int_equal(close(fd), 0);
	drop(store, "old");
	put_all(store, 1000, 1001, 3);
	assert_int_equal(slot_of(store, 1000), slot);
	close_store(store);
}

static void check_that_nothing_is_given_twice(struct quiver *store, const char *name)
{
	assert_int_equal(stats_of(store).slots_held, 0);
	put_all(store, 1000, 1001, 4);
	assert_int_equal(held(store), name[0] == 'n' ? 1 : 0); /* a damaged one may have it */
	drop(store, name);
	assert_int_equal(held(store), 0);
	put_all(store, 2000, 2000 + COUNT, 5);
	assert_int_equal(version_of(store, 1000), 4);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_a_damaged_snapshot_does_not_have_what_was_let_go_of(void **state)
{
	struct store_dir *s = *state;
	uint8_t file[SNAPSHOT_FILE_BYTES];

	use_a_slot_again(s, file);
	store_flip(s, "snapshots/new", 100 * 8);
	store_flip(s, "snapshots/new", (4096 + 100) * 8);
	check_that_nothing_is_given_twice(open_with(s, NULL), "new");
}

static void test_a_snapshot_that_is_put_back_lacks_what_was_let_go_of(void **state)
{
	struct store_dir *s = *state;
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct quiver *store, *snapshot;
	uint8_t bytes[STORE_BYTES_MAX];
	int fd;

	use_a_slot_again(s, file);
	fd = openat(s->dir.fd, STORE_NAME "/snapshots/old", O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, file, sizeof(file)), sizeof(file));
	assert_int_equal(close(fd), 0);
	store = open_with(s, NULL);
	assert_int_equal(snapshot_version_of(store, "old", 6), 1);
	assert_int_equal(quiver_snapshot_open(store, "old", &snapshot), 0);
	assert_int_equal(quiver_get_copy(snapshot, 7, bytes, NULL, NULL), -EIO);
	assert_int_equal(quiver_close(snapshot), 0);
	check_that_nothing_is_given_twice(store, "old");
}

static void test_on_a_full_disk_removing_goes_on_for_longer_than_overwriting(void **state)
{
	struct trouble_io io;
	struct quiver *store = open_troubled(*state, QUIVER_FSYNC, &io);
	uint64_t id = 0;

	put_all(store, 0, 4000, 1);
	make(store, "a");
	assert_int_equal(quiver_reserve(store, 8000), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE, 0, -ENOSPC);
	while (id < 4000 && put_version(store, id, 2, 0) == 0)
		id++;
	assert_true(id > 0 && id < 3000);
	assert_int_equal(put_version(store, id, 2, 0), -ENOSPC);
	for (uint64_t n = 0; n < 600; n++)
		assert_int_equal(quiver_remove(store, id + n, 0, NULL), 0);
	atomic_store(&io.at, 0);
	assert_int_equal(put_version(store, 1, 3, 0), 0);
	close_store(store);
}

/* A commit that finds no room moves all of them, while all writers wait. */
static void test_the_table_grows_at_checkpoints(void **state)
{
	const uint64_t count = 20000;
	struct quiver *store = open_with(*state, NULL);
	const struct versions_table *table = &store->catalog.versions.table;

	put_all(store, 0, count, 1);
	make(store, "a");
	put_all(store, 0, count, 2);
	assert_int_equal(held(store), count);
	assert_int_equal(table->count, count);
	assert_true(table->capacity >= 2 * count);
	assert_int_equal(snapshot_of(store, "a").own_vectors, count);
	drop(store, "a");
	assert_int_equal(table->count, 0);
	assert_true(table->capacity < count);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_snapshot_is_told_of, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_made_or_removed_is_refused,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_slots_are_held_for_as_long_as_a_snapshot_has_them, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_attributes_hold_no_slot, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_compaction_goes_around_what_snapshots_have,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_without_snapshots_nothing_is_left_of_them,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_a_removed_snapshot_gives_space_back_at_once,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_many_snapshots_of_one_store, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(
			test_on_a_full_disk_removing_goes_on_for_longer_than_overwriting,
			setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_rows_that_end_while_others_are_sorted_out_are_kept, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_slot_is_held_of_a_row_that_was_torn_before_it_ended, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_damaged_snapshot_does_not_have_what_was_let_go_of, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_snapshot_that_is_put_back_lacks_what_was_let_go_of, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_the_table_grows_at_checkpoints, setup_store,
		                                teardown_store),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
