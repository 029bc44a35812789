/*
 * What follows from a failed write or sync: for each row of the table in health.c a store to
 * which that happens, with each errno of its columns. What the caller is told, whether the store
 * goes on, what it says; and after a kill -9 that what was acknowledged is there, and what was
 * refused is not. Here: commits, the log, and the table itself.
 */
#include "health_life.h"

/* ---- commits ---- */

static void slots(struct life *life)
{
	int r;

	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_WRITE, 'v', 0, 1);
	if (life->how == 0)
		r = put(life, 0);
	else if (life->how == 1)
		r = put_in_batch(life);
	else
		r = quiver_rename(life->store, FEW - 1, PUT_ID, 0, NULL);
	refused(life, r);
}

/* Compaction does not take a vector for damaged whose copy could not be written. */
static void slots_of_a_move(struct life *life)
{
	char line[128];

	begin(life, QUIVER_FSYNC);
	assert_int_equal(quiver_remove(life->store, 0, 0, NULL), 0);
	life->seen->gone = 1;
	assert_int_equal(quiver_checkpoint(life->store), 0);
	fault(life, FAULT_WRITE, life->how == 0 ? 'v' : 'l', 0, 1);
	assert_int_equal(compact(life->store), life->error);
	snprintf(line, sizeof(line), "compact: %s", strerror(-life->error));
	assert_true(store_said(life->store, line));
	goes_on(life); /* into the hole */
	assert_int_equal(quiver_remove(life->store, 1, 0, NULL), 0);
	life->seen->gone = 2;
	assert_int_equal(compact(life->store), 0);
	assert_int_equal(stats_of(life->store).moved, 1);
}

static void test_bytes_of_free_slots_refuse(void **state)
{
	struct store_dir s;

	(void)state;
	each(slots, 3);
	each(slots_of_a_move, 1);
	try(&s, slots_of_a_move, 1, -EIO); /* nor one whose commit failed */
}

static void growth(struct life *life)
{
	static const char files[] = "vim";
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = QUIVER_FSYNC };
	uint64_t checkpoints;
	int r;

	open_life(life, &options);
	assert_int_equal(quiver_reserve(life->store, FEW), 0);
	fault(life, FAULT_GROW, files[life->how], 0, FAULT_EVER);
	acknowledge(life, FEW, 0);
	assert_int_equal(put(life, 0), life->error);
	assert_int_equal(version_of(life->store, PUT_ID), 0);
	/* What this frees can be used after a checkpoint. */
	assert_int_equal(quiver_remove(life->store, 0, 0, NULL), 0);
	life->seen->gone = 1;
	checkpoints = stats_of(life->store).checkpoints;
	r = put(life, 0);
	retried(life, r, checkpoints);
}

/* Where blocks were had, and what is written to them fails. */
static void growth_written(struct life *life)
{
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = QUIVER_FSYNC };

	open_life(life, &options);
	assert_int_equal(quiver_reserve(life->store, FEW), 0);
	fault(life, FAULT_WRITE, life->how == 0 ? 'i' : 'v', 0, 1);
	assert_int_equal(quiver_reserve(life->store, 1000), life->error);
	assert_int_equal(stats_of(life->store).slots, FEW);
	acknowledge(life, FEW, 0);
	goes_on(life);
}

static void test_growth_refuses_or_is_tried_again_after_a_checkpoint(void **state)
{
	(void)state;
	each(growth, 3);
	each(growth_written, 2);
}

/* Of which blocks there are nothing is known when a store has just been opened. */
static void blocks(struct life *life)
{
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = QUIVER_FSYNC };
	uint64_t checkpoints;

	begin(life, QUIVER_FSYNC);
	close_store(life->store);
	open_life(life, &options);
	checkpoints = stats_of(life->store).checkpoints;
	fault(life, FAULT_BLOCKS, 'v', 0, 1);
	refused(life, put(life, 0));
	assert_int_equal(stats_of(life->store).checkpoints, checkpoints);
}

static void test_blocks_behind_free_slots_refuse(void **state)
{
	(void)state;
	each(blocks, 1);
}

/* What is made ahead of need: a full disk is told to who needs it, all else to people. */
static void ahead(struct life *life)
{
	const char *what = life->how == 0 ? "making a log segment" : "growing the data files";
	char line[128];

	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_GROW, life->how == 0 ? 'l' : 'v', 0, FAULT_EVER);
	snprintf(line, sizeof(line), "%s: %s", what, strerror(-life->error));
	/* Beyond a quarter of the first segment; beyond three quarters of the first growth. */
	if (life->how == 0)
		acknowledge(life, 100, QUIVER_SYNC);
	else
		acknowledge(life, GROW_MIN_BYTES / DIM * 4 / 5, 0);
	if (life->error == -ENOSPC) {
		for (int i = 0; i < WAIT_US / POLL_US && faulty_fired(&life->io) == 0; i++)
			usleep(POLL_US);
		assert_false(store_said(life->store, what));
	} else {
		wait_until_said(life->store, line);
	}
	goes_on(life);
}

static void test_what_is_made_ahead_of_need_is_told_of_and_goes_on(void **state)
{
	(void)state;
	each(ahead, 2);
}

static void commit_rows(struct life *life)
{
	uint64_t checkpoints;
	int r;

	begin(life, QUIVER_FSYNC);
	checkpoints = stats_of(life->store).checkpoints;
	fault(life, FAULT_WRITE, life->how % 2 ? 'i' : 'm', 0, 1);
	r = put(life, life->how < 2 ? 0 : QUIVER_NOWAIT);
	if (life->how < 2)
		retried(life, r, checkpoints);
	else
		refused(life, r);
}

static void test_rows_of_a_commit_refuse(void **state)
{
	(void)state;
	each(commit_rows, 4);
}

static void undo_rows(struct life *life)
{
	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_WRITE, 'l', 0, 1);
	if (life->how == 0)
		fault(life, FAULT_WRITE, 'm', 1, 1);
	else
		fault(life, FAULT_SYNC, life->how == 1 ? 'i' : 'm', 0, 1);
	stopped(life, put(life, 0), "undoing the rows of a failed commit");
	life->seen->put = ABSENT;
}

static void test_rows_that_cannot_be_undone_stop(void **state)
{
	(void)state;
	each(undo_rows, 3);
}

/* ---- the log ---- */

static void log_segment(struct life *life)
{
	int r = 0;

	begin(life, QUIVER_FSYNC);
	fault(life, life->how == 0 ? FAULT_GROW : FAULT_CREATE, 'l', 0, FAULT_EVER);
	for (int i = 0; r == 0 && i < 600; i++) {
		r = put_version(life->store, life->seen->acknowledged, 1, QUIVER_SYNC);
		life->seen->acknowledged += r == 0;
	}
	/* A checkpoint makes room in the segment that there is. */
	assert_int_equal(r, life->error == -ENOSPC ? 0 : life->error);
	assert_int_equal(stats_of(life->store).checkpoints > 0, life->error == -ENOSPC);
	goes_on(life);
}

/* What is made is not had, as its name may not be on disk, and cannot be removed either. */
static void log_segment_left_over(struct life *life)
{
	int r = 0;

	if (life->error == -ENOSPC) /* the segment in use would be begun anew */
		life->error = -EDQUOT;
	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_SYNC, 'o', 0, FAULT_EVER);
	fault(life, FAULT_UNLINK, 'l', 0, FAULT_EVER);
	for (int i = 0; r == 0 && i < 600; i++) {
		r = put_version(life->store, life->seen->acknowledged, 1, QUIVER_SYNC);
		life->seen->acknowledged += r == 0;
	}
	assert_int_equal(r, life->error);
	assert_true(store_said(life->store, "wal: removing old segments"));
	assert_int_equal(version_of(life->store, life->seen->acknowledged), 0);
	goes_on(life);
	acknowledge(life, 300, QUIVER_SYNC);
}

static void test_a_new_log_segment_refuses_or_is_tried_again_after_a_checkpoint(void **state)
{
	struct store_dir s;

	(void)state;
	each(log_segment, 2);
	try(&s, log_segment, 1, -EROFS); /* the filesystem's, which is not the store's */
	each(log_segment_left_over, 1);
}

/* Fill the only segment there is, so that another such commit does not fit but a removal does,
 * and have all of it checkpointed. */
static void fill_segment(struct life *life)
{
	faulty_add(&life->io, FAULT_GROW, 'l', 0, FAULT_EVER, -ENOSPC);
	acknowledge(life, (WAL_SEGMENT_MIN_BYTES - 4096) / RECORD_BYTES - FEW, QUIVER_SYNC);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	assert_int_equal(stats_of(life->store).wal_segments, 1);
}

/* What is acknowledged after that must be there, whatever the header on disk says. */
static void start_over(struct life *life)
{
	uint64_t removed = 0;
	int r;

	begin(life, QUIVER_FSYNC);
	fill_segment(life);
	if (life->how == 0)
		fault(life, FAULT_WRITE, 'l', 0, 1);
	else
		fault(life, FAULT_SYNC, life->how == 1 ? 'l' : 'o', 0, 1);
	r = put(life, QUIVER_SYNC);
	while (removed < 8 && quiver_remove(life->store, removed, QUIVER_SYNC, NULL) == 0)
		life->seen->gone = ++removed;
	stopped(life, r, "starting a new log");
}

/* The same at a checkpoint of mode none, which is all that logs there. */
static void start_over_at_a_checkpoint(struct life *life)
{
	const uint64_t records = (WAL_SEGMENT_MIN_BYTES - 4096) / 128;

	begin(life, QUIVER_NONE);
	faulty_add(&life->io, FAULT_GROW, 'l', 0, FAULT_EVER, -ENOSPC);
	acknowledge(life, records / 2, 0);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	acknowledge(life, records / 2 - 100, 0);
	assert_int_equal(quiver_checkpoint(life->store), 0);
	for (uint64_t id = OTHER_ID; id < OTHER_ID + 200; id++)
		assert_int_equal(put_version(life->store, id, 1, 0), 0);
	fault(life, FAULT_SYNC, life->how == 0 ? 'l' : 'o', 0, 1);
	stopped(life, quiver_checkpoint(life->store), "starting a new log");
}

/* Where the file has kept its name nothing has happened yet. */
static void start_over_unnamed(struct life *life)
{
	uint64_t checkpoints;
	int r;

	begin(life, QUIVER_FSYNC);
	fill_segment(life);
	checkpoints = stats_of(life->store).checkpoints;
	fault(life, FAULT_RENAME, 'l', 0, 1);
	r = put(life, QUIVER_SYNC);
	if (life->error == -ENOSPC)
		checkpoints--; /* there is nothing left to checkpoint */
	retried(life, r, checkpoints);
	for (; life->seen->gone < 8; life->seen->gone++)
		assert_int_equal(quiver_remove(life->store, life->seen->gone, QUIVER_SYNC, NULL),
		                 0);
}

static void test_a_log_that_cannot_be_begun_anew_stops(void **state)
{
	(void)state;
	each(start_over, 3);
	each(start_over_at_a_checkpoint, 2);
	each(start_over_unnamed, 1);
}

static void log_record(struct life *life)
{
	uint64_t checkpoints;
	int r;

	begin(life, QUIVER_FSYNC);
	checkpoints = stats_of(life->store).checkpoints;
	fault(life, FAULT_WRITE, 'l', 0, 1);
	if (life->how == 0)
		refused(life, put(life, QUIVER_NOWAIT));
	else {
		r = life->how == 1 ? put(life, 0) : put_in_batch(life);
		retried(life, r, checkpoints);
	}
}

static void test_log_records_are_wiped_and_refuse(void **state)
{
	(void)state;
	each(log_record, 3);
}

static void log_wipe(struct life *life)
{
	begin(life, QUIVER_FSYNC);
	fault(life, FAULT_WRITE, 'l', 0, life->how == 0 ? 2 : 1);
	if (life->how == 1)
		fault(life, FAULT_SYNC, 'l', 0, 1);
	stopped(life, put(life, 0), "wiping a failed write of the log");
}

static void test_log_records_that_cannot_be_wiped_stop(void **state)
{
	(void)state;
	each(log_wipe, 2);
}

static void log_sync(struct life *life)
{
	static const struct quiver_options often = { .size = sizeof(struct quiver_options),
		                                     .durability = QUIVER_FSYNC,
		                                     .commit_interval_ms = 20 };
	static const char *const what = "a sync of the log";

	if (life->how == 3) {
		open_life(life, &often);
		fault(life, FAULT_SYNC, 'l', 0, 1);
		acknowledge(life, 1, 0);
		wait_until_said(life->store, what);
		stopped(life, -EIO, what);
		return;
	}
	begin(life, QUIVER_FSYNC);
	if (life->how == 2) { /* of slots that the log names */
		acknowledge(life, PUTSLOT_MIN_BYTES / DIM, 0);
		fault(life, FAULT_SYNC, 'v', 0, 1);
		stopped(life, quiver_flush(life->store), what);
		return;
	}
	if (life->how == 0)
		fault(life, FAULT_SYNC, 'l', 0, 1);
	else
		fault(life, FAULT_WRITE, 'd', 0, 1);
	stopped(life, put(life, QUIVER_SYNC), what);
	assert_int_equal(version_of(life->store, PUT_ID), 0);
}

static void test_a_sync_of_the_log_stops(void **state)
{
	(void)state;
	each(log_sync, 4);
}

/* ---- the table ---- */

/* Written down a second time: a row that is changed has to be changed on purpose. */
static const struct {
	enum health_subject subject;
	enum health_verdict full, memory, other;
} rows[] = {
	{ HEALTH_SLOTS, HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_GROWTH, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_GROWTH_AHEAD, HEALTH_REFUSE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_BLOCKS, HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_COMMIT_ROWS, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_NOTES, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_STOP },
	{ HEALTH_UNDO_ROWS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_SEGMENT, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_LOG_SEGMENT_AHEAD, HEALTH_REFUSE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_LOG_START_OVER, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_RECORD, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_LOG_WIPE, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_SYNC, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_SLOTS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_LOG, HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_VERSIONS, HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_ROWS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_ROWS_SYNC, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_SUPERBLOCK, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_AFTER, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_LISTS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_CUT, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_VERSIONS_CUT, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_PUNCH, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_CUT, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_INDEX, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_INDEX_KEEP, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_INDEX_SAVE, HEALTH_IGNORE, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_LOCK_NAME, HEALTH_IGNORE, HEALTH_REFUSE, HEALTH_REFUSE },
};

static void test_each_row_says_what_is_written_here(void **state)
{
	const size_t count = sizeof(rows) / sizeof(rows[0]);

	(void)state;
	assert_int_equal(count, HEALTH_SUBJECTS);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].subject, i);
		assert_int_equal(health_verdict(rows[i].subject, -ENOSPC), rows[i].full);
		assert_int_equal(health_verdict(rows[i].subject, -ENOMEM), rows[i].memory);
		assert_int_equal(health_verdict(rows[i].subject, -EIO), rows[i].other);
		assert_int_equal(health_verdict(rows[i].subject, -EROFS), rows[i].other);
	}
}

static void test_a_verdict_takes_effect(void **state)
{
	const size_t count = sizeof(rows) / sizeof(rows[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		struct health health;
		enum health_verdict verdict = rows[i].other;

		assert_int_equal(health_init(&health, false, NULL, NULL), 0);
		assert_int_equal(health_judge(&health, rows[i].subject, 0), 0);
		assert_int_equal(health_judge(&health, rows[i].subject, -EBADF),
		                 verdict == HEALTH_IGNORE ? 0
		                 : verdict == HEALTH_STOP ? -EIO
		                                          : -EBADF);
		assert_int_equal(health_failed(&health), verdict == HEALTH_STOP);
		assert_int_equal(health_writable(&health), verdict == HEALTH_STOP ? -EROFS : 0);
		assert_int_equal(report_total(&health.report),
		                 verdict == HEALTH_STOP || verdict == HEALTH_IGNORE);
		/* One line is enough; what failed first is the reason. */
		if (verdict == HEALTH_STOP) {
			assert_int_equal(health_judge(&health, rows[i].subject, -EIO), -EIO);
			assert_int_equal(atomic_load(&health.failed), EBADF);
			assert_int_equal(report_total(&health.report), 1);
		}
		health_destroy(&health);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_says_what_is_written_here),
		cmocka_unit_test(test_a_verdict_takes_effect),
		cmocka_unit_test(test_bytes_of_free_slots_refuse),
		cmocka_unit_test(test_growth_refuses_or_is_tried_again_after_a_checkpoint),
		cmocka_unit_test(test_blocks_behind_free_slots_refuse),
		cmocka_unit_test(test_what_is_made_ahead_of_need_is_told_of_and_goes_on),
		cmocka_unit_test(test_rows_of_a_commit_refuse),
		cmocka_unit_test(test_rows_that_cannot_be_undone_stop),
		cmocka_unit_test(
			test_a_new_log_segment_refuses_or_is_tried_again_after_a_checkpoint),
		cmocka_unit_test(test_a_log_that_cannot_be_begun_anew_stops),
		cmocka_unit_test(test_log_records_are_wiped_and_refuse),
		cmocka_unit_test(test_log_records_that_cannot_be_wiped_stop),
		cmocka_unit_test(test_a_sync_of_the_log_stops),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
