/*
 * What follows from a failed write or sync: for each row of the table in health.c a store to
 * which that happens, with each errno of its columns. What the caller is told, whether the store
 * goes on, what it says; and after a kill -9 that what was acknowledged is there, and what was
 * refused is not. Here: checkpoints, space that is given back,
 * the index, and LOCK.
 */
#include "health_life.h"

/* ---- checkpoints ---- */

static void checkpoint_slots(struct life *life)
{
	static const char files[] = "vim";

	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_SYNC, files[life->how], 0, 1);
	stopped(life, quiver_checkpoint(life->store), "syncing the data files at a checkpoint");
}

static void checkpoint_log(struct life *life)
{
	int r;

	begin(life, QUIVER_NONE);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	assert_int_equal(put(life, 0), 0);
	fault(life, FAULT_WRITE, 'l', 0, 1);
	r = quiver_checkpoint(life->store);
	if (life->error == -EIO) {
		stopped(life, r, "logging a checkpoint");
		return;
	}
	assert_int_equal(r, life->error);
	assert_int_equal(version_of(life->store, PUT_ID), 1);
	life->seen->put = PRESENT;
	goes_on(life);
}

static void checkpoint_sync(struct life *life)
{
	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_SYNC, 'l', 0, 1);
	stopped(life, quiver_checkpoint(life->store), "a sync of the log");
}

/* There is a row to free, and one whose attributes have changed. */
static void change_rows(struct life *life, bool free_one)
{
	struct quiver_attr attr = attr_of(9);

	begin(life, QUIVER_FSYNC);
	assert_int_equal(quiver_set_attr(life->store, FEW - 1, &attr, QUIVER_ATTR_ALL, QUIVER_SYNC),
	                 0);
	if (free_one) {
		assert_int_equal(quiver_remove(life->store, 0, QUIVER_SYNC, NULL), 0);
		life->seen->gone = 1;
	}
}

static void checkpoint_rows(struct life *life)
{
	change_rows(life, life->how > 0);
	fault(life, FAULT_WRITE, life->how < 2 ? 'm' : 'i', 0, 1);
	stopped(life, quiver_checkpoint(life->store), "writing rows at a checkpoint");
}

static void checkpoint_rows_sync(struct life *life)
{
	change_rows(life, true);
	fault(life, FAULT_SYNC, life->how == 0 ? 'i' : 'm', 1, 1);
	stopped(life, quiver_checkpoint(life->store), "syncing the rows at a checkpoint");
}

static void superblock(struct life *life)
{
	begin(life, QUIVER_FSYNC);
	fault(life, life->how == 0 ? FAULT_WRITE : FAULT_SYNC, 's', 0, 1);
	stopped(life, quiver_checkpoint(life->store), "writing the superblock");
}

/* It is written before the columns are cut, too. */
static void superblock_of_a_cut(struct life *life)
{
	begin(life, QUIVER_FSYNC);
	assert_int_equal(put_version(life->store, OTHER_ID, 1, 0), 0);
	assert_int_equal(quiver_remove(life->store, OTHER_ID, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	fault(life, life->how == 0 ? FAULT_WRITE : FAULT_SYNC, 's', 0, 1);
	stopped(life, compact(life->store), "writing the superblock");
}

static void test_a_failed_checkpoint_stops(void **state)
{
	(void)state;
	each(checkpoint_slots, 3);
	each(checkpoint_sync, 1);
	each(checkpoint_rows, 3);
	each(checkpoint_rows_sync, 2);
	each(superblock, 2);
	each(superblock_of_a_cut, 2);
}

static void test_the_log_of_a_checkpoint_in_mode_none_refuses_where_there_is_no_room(void **state)
{
	(void)state;
	each(checkpoint_log, 1);
}

/* Mode none: a commit that was to be durable is so, and none may follow. Only a lack of memory
 * fails that checkpoint without a failed write that is told for itself. */
static void checkpoint_after(struct life *life)
{
	begin(life, QUIVER_NONE);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	fault(life, FAULT_SYNC, 's', 0, 1);
	assert_int_equal(put(life, QUIVER_SYNC), 0);
	assert_int_equal(version_of(life->store, PUT_ID), 1);
	stopped(life, -EIO, "writing the superblock");
	life->seen->put = PRESENT;
}

static void test_a_failed_checkpoint_behind_a_commit_of_mode_none_stops(void **state)
{
	(void)state;
	each(checkpoint_after, 1);
}

/* ---- what loses nothing ---- */

static void log_cut(struct life *life)
{
	char line[128];

	begin(life, QUIVER_FSYNC);
	acknowledge(life, 300, QUIVER_SYNC);
	assert_int_equal(stats_of(life->store).wal_segments, 2);
	fault(life, FAULT_UNLINK, 'l', 0, FAULT_EVER);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	snprintf(line, sizeof(line), "wal: removing old segments: %s", strerror(-life->error));
	assert_true(store_said(life->store, line));
	goes_on(life);
}

/* So many are more than growing ahead keeps; and so many fewer. */
#define MANY 1250u
#define SOME 500u

/* Slots that are free, below one that is not. */
static void free_slots(struct life *life, uint64_t count)
{
	begin(life, QUIVER_FLUSH);
	acknowledge(life, count, 0);
	while (life->seen->gone < count)
		assert_int_equal(quiver_remove(life->store, life->seen->gone++, 0, NULL), 0);
}

static void punch(struct life *life)
{
	uint64_t punches;
	char line[128];

	free_slots(life, MANY);
	punches = stats_of(life->store).punches;
	fault(life, FAULT_PUNCH, 'v', 0, FAULT_EVER);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	snprintf(line, sizeof(line), "vectors.npy: giving free space back: %s",
	         strerror(-life->error));
	assert_true(store_said(life->store, line));
	assert_int_equal(stats_of(life->store).punches, punches);
	goes_on(life);
	/* Tried again at the next checkpoint. */
	assert_int_equal(quiver_checkpoint(life->store), 0);
	assert_true(stats_of(life->store).punches > punches);
}

/* Put off by who has a column open. */
static void cut(struct life *life)
{
	static const char files[] = "vim";
	char line[128];
	uint64_t size;
	int fd;

	free_slots(life, MANY);
	assert_int_equal(quiver_column_hold(life->store, QUIVER_COLUMN_VECTORS, &fd, &size), 0);
	assert_int_equal(compact(life->store), 0);
	fault(life, FAULT_CUT, files[life->how], 0, FAULT_EVER);
	quiver_column_release(life->store, QUIVER_COLUMN_VECTORS);
	snprintf(line, sizeof(line), "cutting the data files: %s", strerror(-life->error));
	wait_until_said(life->store, line);
	goes_on(life);
}

/* The rows of a column's file, which ends with one. */
static uint64_t rows_in(struct store_dir *s, const char *name, uint64_t row_bytes)
{
	uint64_t bytes = store_size(s, name) - 4096;

	assert_int_equal(bytes % row_bytes, 0);
	return bytes / row_bytes;
}

/* A cut that fails half-way is made up for at the close. */
static void test_a_close_cuts_what_could_not_be_cut(void **state)
{
	static const char files[] = "vim";

	(void)state;
	for (size_t i = 0; i < strlen(files); i++) {
		struct life life = { .s = &(struct store_dir){ .n = 0 },
			             .seen = &(struct seen){ .gone = 0 },
			             .error = -EIO };
		struct quiver_check_result result;
		struct quiver_error error = { "" };
		uint64_t rows;

		faulty_init(&life.io);
		unit_dir_make(&life.s->dir);
		store_create(life.s, DIM, QUIVER_U1);
		free_slots(&life, MANY);
		fault(&life, FAULT_CUT, files[i], 0, 1);
		assert_int_equal(compact(life.store), -EIO);
		assert_true(store_said(life.store, "compact: Input/output error"));
		assert_true(faulty_clear(&life.io) > 0);
		close_store(life.store);
		rows = rows_in(life.s, "vectors.npy", DIM);
		assert_int_equal(rows_in(life.s, "ids.npy", 8), rows);
		assert_int_equal(rows_in(life.s, "meta.npy", 56), rows);
		assert_int_equal(quiver_check(life.s->path, false, say, NULL, &result, &error), 0);
		assert_true(result.clean && result.damage == 0);
		unit_dir_remove(&life.s->dir);
	}
}

/* At a close what growing ahead has kept is punched, too. */
static void test_a_close_is_clean_though_nothing_can_be_punched(void **state)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct life life = { .s = &(struct store_dir){ .n = 0 },
			             .seen = &(struct seen){ .gone = 0 },
			             .error = errors[i] };

		faulty_init(&life.io);
		unit_dir_make(&life.s->dir);
		store_create(life.s, DIM, QUIVER_U1);
		free_slots(&life, SOME);
		fault(&life, FAULT_PUNCH, 'v', 0, FAULT_EVER);
		close_store(life.store);
		assert_true(faulty_clear(&life.io) > 0);
		assert_int_equal(quiver_check(life.s->path, false, say, NULL, &result, &error), 0);
		assert_true(result.clean && result.damage == 0);
		unit_dir_remove(&life.s->dir);
	}
}

static void test_what_gives_space_back_is_told_of_and_goes_on(void **state)
{
	(void)state;
	each(log_cut, 1);
	each(punch, 1);
	each(cut, 3);
}

/* ---- the index ---- */

static void test_rows_that_the_index_cannot_be_made_anew_from_stop(void **state)
{
	struct store_dir s;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;

	(void)state;
	unit_dir_make(&s.dir);
	store_create(&s, DIM, QUIVER_U1);
	store = open_with(&s, NULL);
	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	for (uint64_t page = 0; page < store_index_pages(&s); page++)
		store_flip_index(&s, page, 65 * 8);
	store_flip(&s, "ids.npy", (4096 + 5 * 8) * 8);
	store = open_with(&s, NULL);
	assert_int_equal(put_version(store, PUT_ID, 1, 0), -EROFS);
	assert_true(stats_of(store).failed);
	assert_true(store_said(store, "rebuilding the index failed: Structure needs cleaning"));
	assert_int_equal(quiver_remove(store, 1, 0, NULL), -EROFS);
	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(version_of(store, id), id == 5 ? UINT64_MAX : 1);
	assert_int_equal(quiver_close(store), -EROFS);
	assert_int_equal(quiver_check(s.path, false, NULL, NULL, &result, &error), 0);
	assert_true(result.damage > 0);
	unit_dir_remove(&s.dir);
}

/* ---- files that a store can do without ---- */

/* What a close says nobody can ask for afterwards. */
static void keep_line(void *arg, const char *line)
{
	snprintf(arg, 256, "%s", line);
}

/* At a close, neither by its checkpoint nor afterwards: it is not clean then, or the next open makes
 * the index anew. */
static void test_an_index_that_is_not_saved(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct faulty_io io;
		struct store_dir s;
		struct quiver *store;
		struct quiver_options options = { .size = sizeof(struct quiver_options),
			                          .io = &io.trouble.table };
		char line[256] = "";

		options.on_report = keep_line;
		options.on_report_arg = line;
		faulty_init(&io);
		unit_dir_make(&s.dir);
		store_create(&s, DIM, QUIVER_U1);
		store = open_with(&s, &options);
		assert_int_equal(put_version(store, 1, 1, 0), 0);
		faulty_add(&io, FAULT_WRITE, 'x', 0, 2, errors[i]);
		assert_int_equal(quiver_close(store), errors[i] == -ENOSPC ? 0 : errors[i]);
		assert_int_equal(strstr(line, "index: not saved") != NULL, errors[i] == -ENOSPC);
		store = open_with(&s, NULL);
		assert_int_equal(version_of(store, 1), 1);
		assert_int_equal(store_said(store, "index: missing"), errors[i] == -ENOSPC);
		close_store(store);
		unit_dir_remove(&s.dir);
	}
}

static void test_a_lock_without_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct faulty_io io;
		struct store_dir s;
		struct quiver *store, *other;
		struct quiver_options options = { .size = sizeof(struct quiver_options),
			                          .io = &io.trouble.table };
		struct quiver_error error = { "" };
		int r;

		faulty_init(&io);
		unit_dir_make(&s.dir);
		store_create(&s, DIM, QUIVER_U1);
		faulty_add(&io, FAULT_WRITE, 'o', 0, FAULT_EVER, errors[i]);
		r = open_result(&s, &options, &store, &error);
		assert_int_equal(r, errors[i] == -ENOSPC ? 0 : errors[i]);
		if (r == 0) {
			assert_int_equal(open_result(&s, NULL, &other, &error), -EBUSY);
			assert_non_null(strstr(error.text, "in use by "));
			close_store(store);
		}
		unit_dir_remove(&s.dir);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_failed_checkpoint_stops),
		cmocka_unit_test(
			test_the_log_of_a_checkpoint_in_mode_none_refuses_where_there_is_no_room),
		cmocka_unit_test(test_a_failed_checkpoint_behind_a_commit_of_mode_none_stops),
		cmocka_unit_test(test_what_gives_space_back_is_told_of_and_goes_on),
		cmocka_unit_test(test_a_close_cuts_what_could_not_be_cut),
		cmocka_unit_test(test_a_close_is_clean_though_nothing_can_be_punched),
		cmocka_unit_test(test_rows_that_the_index_cannot_be_made_anew_from_stop),
		cmocka_unit_test(test_an_index_that_is_not_saved),
		cmocka_unit_test(test_a_lock_without_a_name),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
