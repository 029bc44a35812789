/*
 * What follows from a failed write or sync: for each row of the table in health.c a store to
 * which that happens, with each errno of its columns. What the caller is told, whether the store
 * goes on, what it says; and after a kill -9 that what was acknowledged is there, and what was
 * refused is not.
 */
#include "unit.h"

#include <sys/mman.h>

#include "engine/base/health.h"
#include "engine/base/sizes.h"
#include "faulty_io.h"
#include "store_test.h"

#define DIM 4096u /* of u1: a few hundred commits fill a segment of the log */
#define RECORD_BYTES (128u + DIM) /* of such a commit, in the log */
#define FEW 12u /* acknowledged before a fault */
#define PUT_ID 100000u /* what meets the fault */
#define NEXT_ID 100001u /* what comes after it */
#define OTHER_ID 50000u /* others beside those */
#define WAIT_US 10000000 /* at most, for a thread of the store */
#define POLL_US 1000

static const int errors[] = { -ENOSPC, -ENOMEM, -EIO };

enum fate { ABSENT, PRESENT, EITHER };

/* What a life leaves to whoever looks after its end. In memory that outlives it. */
struct seen {
	uint64_t gone, acknowledged; /* IDs from the one to below the other are there */
	enum fate put; /* PUT_ID */
	bool next; /* NEXT_ID is there */
};

struct life {
	struct store_dir *s;
	struct seen *seen;
	void (*body)(struct life *life);
	unsigned how; /* which variant of it */
	int error; /* what the failing call returns */
	struct faulty_io io;
	struct quiver *store;
};

/* ---- in a life ---- */

static void open_life(struct life *life, const struct quiver_options *with)
{
	struct quiver_options options = *with;

	options.io = &life->io.trouble.table;
	life->store = open_with(life->s, &options);
}

static void acknowledge(struct life *life, uint64_t count, unsigned flags)
{
	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(put_version(life->store, life->seen->acknowledged, 1, flags), 0);
		life->seen->acknowledged++;
	}
}

static void begin(struct life *life, enum quiver_durability mode)
{
	struct quiver_options options = { .durability = mode };

	open_life(life, &options);
	acknowledge(life, FEW, 0);
}

static void fault(struct life *life, enum fault_call call, char file, long skip, long times)
{
	faulty_add(&life->io, call, file, skip, times, life->error);
}

static int put(struct life *life, unsigned flags)
{
	return put_version(life->store, PUT_ID, 1, flags);
}

static int put_in_batch(struct life *life)
{
	static uint8_t bytes[3][DIM];
	struct quiver_record records[3];
	struct quiver_attr attr = attr_of(1);

	for (unsigned i = 0; i < 3; i++) {
		records[i] = (struct quiver_record){ .id = i == 1 ? PUT_ID : OTHER_ID + i,
			                             .data = bytes[i] };
		vector_fill(bytes[i], DIM, records[i].id, 1);
	}
	return quiver_put_batch(life->store, records, 3, &attr, QUIVER_ATTR_ALL, 0, NULL);
}

static int compact(struct quiver *store)
{
	struct quiver_job_status status;

	assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), 0);
	do {
		usleep(POLL_US);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	return status.result;
}

static void wait_until_said(struct quiver *store, const char *text)
{
	for (int i = 0; i < WAIT_US / POLL_US && !store_said(store, text); i++)
		usleep(POLL_US);
	assert_true(store_said(store, text));
}

/* The fault was met and is over, and the store goes on. */
static void goes_on(struct life *life)
{
	assert_true(faulty_clear(&life->io) > 0);
	assert_false(stats_of(life->store).failed);
	assert_false(store_said(life->store, "read-only now"));
	assert_int_equal(leaked_slots(life->store), 0);
	assert_int_equal(put_version(life->store, NEXT_ID, 1, QUIVER_SYNC), 0);
	life->seen->next = true;
}

static void refused(struct life *life, int r)
{
	assert_int_equal(r, life->error);
	assert_int_equal(version_of(life->store, PUT_ID), 0);
	life->seen->put = ABSENT;
	goes_on(life);
}

/* Where the disk is full, there was a checkpoint and a second attempt; else as refused. */
static void retried(struct life *life, int r, uint64_t checkpoints)
{
	if (life->error != -ENOSPC) {
		assert_int_equal(stats_of(life->store).checkpoints, checkpoints);
		refused(life, r);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(stats_of(life->store).checkpoints, checkpoints + 1);
	assert_int_equal(version_of(life->store, PUT_ID), 1);
	life->seen->put = PRESENT;
	goes_on(life);
}

/* The line that says why: what failed, with its errno. */
static void says_why(struct life *life, const char *what)
{
	char line[256];

	snprintf(line, sizeof(line), "%s failed: %s; the store is read-only now", what,
	         strerror(-life->error));
	assert_true(store_said(life->store, line));
}

/* The store has failed; the call that noticed returned `r`. */
static void stopped(struct life *life, int r, const char *what)
{
	uint64_t last = life->seen->acknowledged - 1;

	assert_int_equal(r, -EIO);
	assert_true(faulty_clear(&life->io) > 0);
	assert_true(stats_of(life->store).failed);
	says_why(life, what);
	assert_int_equal(put_version(life->store, NEXT_ID, 1, 0), -EROFS);
	assert_int_equal(quiver_remove(life->store, last, 0, NULL), -EROFS);
	assert_int_equal(quiver_flush(life->store), -EROFS);
	assert_int_equal(quiver_checkpoint(life->store), -EROFS);
	assert_int_equal(version_of(life->store, last), 1);
	life->seen->put = EITHER;
}

/* ---- after it ---- */

/* A report that is the last one, as a close may be followed by no other look. */
static void keep_line(void *arg, const char *line)
{
	snprintf(arg, 256, "%s", line);
}

static void say(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

static void look(const struct life *life)
{
	const struct seen *seen = life->seen;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store;
	uint64_t version;

	if (quiver_check(life->s->path, false, say, NULL, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.damage, 0);
	store = open_with(life->s, NULL);
	for (uint64_t id = 0; id < seen->acknowledged; id++)
		assert_int_equal(version_of(store, id), id >= seen->gone);
	version = version_of(store, PUT_ID);
	assert_true(seen->put == EITHER ? version <= 1 : version == (seen->put == PRESENT));
	assert_int_equal(version_of(store, NEXT_ID), seen->next);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(put_version(store, NEXT_ID, 2, QUIVER_SYNC), 0);
	close_store(store);
}

static int live(void *arg)
{
	struct life *life = arg;

	faulty_init(&life->io);
	life->body(life);
	return 0;
}

static void try(struct store_dir *s, void (*body)(struct life *life), unsigned how, int error)
{
	struct life life = { .s = s, .body = body, .how = how, .error = error };
	int status;

	life.seen = mmap(NULL, sizeof(*life.seen), PROT_READ | PROT_WRITE,
	                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(life.seen != MAP_FAILED);
	unit_dir_make(&s->dir);
	store_create(s, DIM, QUIVER_U1);
	status = unit_in_child(live, &life);
	if (status != 0)
		fail_msg("variant %u with \"%s\" ended with %d", how, strerror(-error), status);
	look(&life);
	unit_dir_remove(&s->dir);
	assert_int_equal(munmap(life.seen, sizeof(*life.seen)), 0);
}

/* Each variant of a life, with each errno. */
static void each(void (*body)(struct life *life), unsigned variants)
{
	struct store_dir s;

	for (unsigned how = 0; how < variants; how++)
		for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
			try(&s, body, how, errors[i]);
}

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
	const struct quiver_options options = { .durability = QUIVER_FSYNC };
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
	const struct quiver_options options = { .durability = QUIVER_FSYNC };

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
	const struct quiver_options options = { .durability = QUIVER_FSYNC };
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
	stopped(life, r, "beginning the log anew");
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
	stopped(life, quiver_checkpoint(life->store), "beginning the log anew");
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
	static const struct quiver_options often = { .durability = QUIVER_FSYNC,
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
		assert_int_equal(rows_in(life.s, "meta.npy", 40), rows);
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
	store_flip(&s, "index", (4096 + 5) * 8); /* of the only page of the table */
	store_flip(&s, "ids.npy", (4096 + 5 * 8) * 8);
	store = open_with(&s, NULL);
	assert_int_equal(put_version(store, PUT_ID, 1, 0), -EROFS);
	assert_true(stats_of(store).failed);
	assert_true(store_said(store, "making the index anew failed: Structure needs cleaning"));
	assert_int_equal(quiver_remove(store, 1, 0, NULL), -EROFS);
	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(version_of(store, id), id == 5 ? UINT64_MAX : 1);
	assert_int_equal(quiver_close(store), -EROFS);
	assert_int_equal(quiver_check(s.path, false, NULL, NULL, &result, &error), 0);
	assert_true(result.damage > 0);
	unit_dir_remove(&s.dir);
}

/* ---- files that a store can do without ---- */

/* At a close: it is not clean then, or the next open makes the index anew. */
static void test_an_index_that_is_not_saved(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct faulty_io io;
		struct store_dir s;
		struct quiver *store;
		struct quiver_options options = { .io = &io.trouble.table };
		char line[256] = "";

		options.on_report = keep_line;
		options.on_report_arg = line;
		faulty_init(&io);
		unit_dir_make(&s.dir);
		store_create(&s, DIM, QUIVER_U1);
		store = open_with(&s, &options);
		assert_int_equal(put_version(store, 1, 1, 0), 0);
		faulty_add(&io, FAULT_WRITE, 'x', 0, 1, errors[i]);
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
		struct quiver_options options = { .io = &io.trouble.table };
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
			assert_non_null(strstr(error.text, "in use by another process"));
			close_store(store);
		}
		unit_dir_remove(&s.dir);
	}
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
	{ HEALTH_UNDO_ROWS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_SEGMENT, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_LOG_SEGMENT_AHEAD, HEALTH_REFUSE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_LOG_START_OVER, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_RECORD, HEALTH_RETRY, HEALTH_REFUSE, HEALTH_REFUSE },
	{ HEALTH_LOG_WIPE, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_SYNC, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_SLOTS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_LOG, HEALTH_REFUSE, HEALTH_REFUSE, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_ROWS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_ROWS_SYNC, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_SUPERBLOCK, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_AFTER, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_CHECKPOINT_LISTS, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
	{ HEALTH_LOG_CUT, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_PUNCH, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_CUT, HEALTH_IGNORE, HEALTH_IGNORE, HEALTH_IGNORE },
	{ HEALTH_INDEX, HEALTH_STOP, HEALTH_STOP, HEALTH_STOP },
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
