/* Rows that only snapshots have: what commits and readers do while a checkpoint tidies them. */
#include "unit.h"

#include "engine/index/versions.h"

/* So many that the file is written anew when most are of no use. */
#define COUNT 5000u
#define LATER 20000u

static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16 };

/* Versions whose file is being written anew when `meanwhile` is called. */
struct tidied {
	struct quiver_io io; /* first: `self` of its functions */
	pthread_mutex_t writer_lock;
	struct versions versions;
	void (*meanwhile)(struct tidied *t);
	struct snapshot *left; /* for it */
};

static int open_hook(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                     mode_t mode)
{
	struct tidied *t = (struct tidied *)(uintptr_t)self;
	void (*meanwhile)(struct tidied * t) = t->meanwhile;

	if (meanwhile && strcmp(name, "versions.new") == 0) {
		t->meanwhile = NULL;
		meanwhile(t);
	}
	return quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);
}

static void end_rows(struct tidied *t, uint64_t first, uint64_t count, uint64_t lsn, uint64_t until)
{
	assert_int_equal(pthread_mutex_lock(&t->writer_lock), 0);
	assert_int_equal(versions_make_room(&t->versions, count), 0);
	assert_int_equal(versions_room_on_disk(&t->versions, count), 0);
	for (uint64_t i = first; i < first + count; i++) {
		struct meta_row row = { .lsn = lsn, .attr_lsn = lsn };

		versions_end(&t->versions, i, i, &row, until, VERSION_SUPERSEDED);
	}
	assert_int_equal(pthread_mutex_unlock(&t->writer_lock), 0);
}

static struct snapshot *add(struct tidied *t, const char *name, uint64_t lsn)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	assert_non_null(snapshot);
	strcpy(snapshot->name, name);
	snapshot->page.lsn = lsn;
	assert_int_equal(pthread_mutex_lock(&t->writer_lock), 0);
	assert_int_equal(versions_snapshot_room(&t->versions), 0);
	versions_snapshot_add(&t->versions, snapshot);
	assert_int_equal(pthread_mutex_unlock(&t->writer_lock), 0);
	return snapshot;
}

/* Of the slots below COUNT most are of snapshot `old`, the others and those above of `new`, too. */
static void set_up(struct tidied *t, const struct unit_dir *dir,
                   void (*meanwhile)(struct tidied *t))
{
	memset(t, 0, sizeof(*t));
	t->io = *quiver_io_posix();
	t->io.open = open_hook;
	assert_int_equal(pthread_mutex_init(&t->writer_lock, NULL), 0);
	versions_init(&t->versions, &t->writer_lock);
	versions_file_init(&t->versions.file, &t->io, dir->fd, uuid);
	assert_int_equal(versions_file_create(&t->versions.file), 0);
	add(t, "old", 10);
	add(t, "new", 20);
	end_rows(t, 0, COUNT - 100, 5, 15);
	end_rows(t, COUNT - 100, 100, 5, 25);
	assert_int_equal(versions_persist(&t->versions, 25), 0);
	versions_snapshot_removed(&t->versions, versions_snapshot(&t->versions, "old", false));
	t->meanwhile = meanwhile;
}

/* How many slots came free. */
static size_t tidy(struct tidied *t)
{
	struct version *gone;
	size_t count;

	assert_int_equal(versions_tidy(&t->versions, &gone, &count), 0);
	free(gone);
	return count;
}

static void tear_down(struct tidied *t)
{
	assert_int_equal(versions_file_close(&t->versions.file, false), 0);
	versions_destroy(&t->versions);
	assert_int_equal(pthread_mutex_destroy(&t->writer_lock), 0);
}

static void end_many(struct tidied *t)
{
	end_rows(t, COUNT, LATER, 18, 30);
}

static void test_more_rows_end_while_it_is_tidied_than_there_were(void **state)
{
	struct tidied t;
	struct version_record record;

	set_up(&t, *state, end_many);
	assert_int_equal(tidy(&t), COUNT - 100);
	assert_null(t.meanwhile);
	assert_int_equal(t.versions.held, 100 + LATER);
	assert_int_equal(versions_persist(&t.versions, 30), 0);
	for (uint64_t id = COUNT - 100; id < COUNT + LATER; id++) {
		assert_int_equal(versions_of_id(&t.versions, id, 20, &record), 0);
		assert_int_equal(record.slot, id);
	}
	assert_int_equal(versions_of_id(&t.versions, 0, 10, &record), -ENOENT);
	tear_down(&t);
}

static void leave(struct tidied *t)
{
	versions_snapshot_release(&t->versions, t->left);
}

static void test_who_leaves_while_it_is_tidied_is_heeded(void **state)
{
	struct tidied t;

	set_up(&t, *state, leave);
	t.left = versions_snapshot(&t.versions, "new", true);
	versions_snapshot_removed(&t.versions, t.left);
	assert_int_equal(tidy(&t), COUNT - 100);
	assert_null(t.meanwhile);
	assert_int_equal(tidy(&t), 100);
	assert_int_equal(t.versions.held, 0);
	assert_int_equal(tidy(&t), 0);
	tear_down(&t);
}

/* A recovery may keep a row with the attributes that the columns still have, and the next, after a
 * crash amid it, with those that it had got from the log. */
static void test_a_slot_is_held_once_whatever_its_attributes(void **state)
{
	struct tidied t;
	struct meta_row row = { .lsn = 5, .attr_lsn = 5 };

	set_up(&t, *state, NULL);
	assert_int_equal(tidy(&t), COUNT - 100);
	assert_int_equal(versions_make_room(&t.versions, 2), 0);
	versions_end(&t.versions, COUNT, COUNT, &row, 40, VERSION_SUPERSEDED);
	row.attr_lsn = 30;
	versions_end(&t.versions, COUNT, COUNT, &row, 40, VERSION_SUPERSEDED);
	assert_int_equal(t.versions.held, 101);
	tear_down(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_more_rows_end_while_it_is_tidied_than_there_were, unit_setup_dir,
			unit_teardown_dir),
		cmocka_unit_test_setup_teardown(test_who_leaves_while_it_is_tidied_is_heeded,
		                                unit_setup_dir, unit_teardown_dir),
		cmocka_unit_test_setup_teardown(test_a_slot_is_held_once_whatever_its_attributes,
		                                unit_setup_dir, unit_teardown_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
