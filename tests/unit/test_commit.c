#include "unit.h"

#include "engine/base/sizes.h"
#include "store_test.h"

#define THREADS 16
#define PUTS 40

struct putter {
	struct quiver *store;
	pthread_t thread;
	uint64_t id;
	unsigned flags;
	int result;
	uint64_t done; /* puts that succeeded */
};

static void *put_many(void *arg)
{
	struct putter *p = arg;

	for (uint64_t i = 0; i < PUTS && p->result == 0; i++) {
		p->result = put_version(p->store, p->id, i + 1, p->flags);
		p->done += p->result == 0;
	}
	return NULL;
}

static void put_from_threads(struct quiver *store, struct putter *putters, unsigned flags)
{
	for (unsigned i = 0; i < THREADS; i++) {
		putters[i] = (struct putter){ .store = store, .id = i, .flags = flags };
		assert_int_equal(pthread_create(&putters[i].thread, NULL, put_many, &putters[i]),
		                 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(putters[i].thread, NULL), 0);
}

static void few_syncs(struct store_dir *s, enum quiver_durability mode, unsigned flags)
{
	struct putter putters[THREADS];
	struct trouble_io io;
	struct quiver *store = open_troubled(s, mode, &io);
	struct quiver_stats stats = { .size = sizeof(stats) };

	atomic_store(&io.sync_delay_us, 500);
	put_from_threads(store, putters, flags);
	stats = stats_of(store);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(putters[i].result, 0);
		assert_int_equal(version_of(store, i), PUTS);
	}
	assert_int_equal(stats.puts, THREADS * PUTS);
	assert_true(stats.syncs > 0 && stats.syncs * 4 < stats.puts);
	assert_int_equal(stats.lsn_durable, stats.lsn);
	close_store(store);
}

static void test_failure_16_one_sync_serves_many_writers(void **state)
{
	few_syncs(*state, QUIVER_ALWAYS, 0);
}

static void test_sync_flag_shares_syncs_in_mode_fsync(void **state)
{
	few_syncs(*state, QUIVER_FSYNC, QUIVER_SYNC);
}

static void *put_twice(void *arg)
{
	struct putter *p = arg;

	p->result = put_version(p->store, p->id, 1, 0);
	(void)usleep(20000);
	if (p->result == 0)
		p->result = put_version(p->store, p->id, 2, 0);
	return NULL;
}

/* While the first put of one writer is synced, one of another comes. Its sync is put off until
 * the first writer is back (20 ms of 100), so two syncs do for three puts. A writer that is
 * kept from running may come too late, but not five times. */
static void test_a_sync_waits_for_the_writers_of_the_last_one(void **state)
{
	struct trouble_io io;
	struct quiver *store = open_troubled(*state, QUIVER_ALWAYS, &io);
	uint64_t syncs = 3;

	for (unsigned tries = 0; syncs == 3 && tries < 20; tries++) {
		struct putter p = { .store = store, .id = 1 };
		uint64_t before = stats_of(store).syncs;

		atomic_store(&io.sync_delay_us, 200000);
		assert_int_equal(pthread_create(&p.thread, NULL, put_twice, &p), 0);
		(void)usleep(50000);
		assert_int_equal(put_version(store, 2, 1, 0), 0);
		assert_int_equal(pthread_join(p.thread, NULL), 0);
		assert_int_equal(p.result, 0);
		atomic_store(&io.sync_delay_us, 0);
		syncs = stats_of(store).syncs - before;
	}
	assert_int_equal(syncs, 2);
	close_store(store);
}

static void test_failure_18_after_a_failed_sync_nothing_is_acknowledged(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_ALWAYS, &io);
	uint64_t version;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	trouble_arm(&io, 1, TROUBLE_ONCE, TROUBLE_SYNC, 'l', -EIO);
	assert_int_equal(put_version(store, 1, 2, 0), -EIO);
	assert_int_equal(version_of(store, 1), 1); /* invisible */
	assert_int_equal(put_version(store, 2, 1, 0), -EROFS); /* the disk works again; still */
	assert_int_equal(quiver_remove(store, 1, 0, NULL), -EROFS);
	assert_int_equal(quiver_flush(store), -EROFS);
	assert_int_equal(quiver_checkpoint(store), -EROFS);
	assert_true(stats_of(store).failed);
	assert_true(store_said(store, "read-only now"));
	assert_int_equal(quiver_close(store), -EROFS);
	store = open_mode(s, QUIVER_ALWAYS);
	version = version_of(store, 1);
	assert_true(version == 1 || version == 2);
	assert_int_equal(put_version(store, 2, 1, 0), 0);
	close_store(store);
}

/* All who wait for the sync that fails, and who come while it does. */
static void test_no_writer_is_told_of_success_by_a_sync_that_failed(void **state)
{
	struct store_dir *s = *state;
	struct putter putters[THREADS];
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_ALWAYS, &io);

	atomic_store(&io.sync_delay_us, 200);
	trouble_arm(&io, 12, TROUBLE_ONCE, TROUBLE_SYNC, 'l', -EIO);
	put_from_threads(store, putters, 0);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_true(putters[i].result == -EIO || putters[i].result == -EROFS);
		assert_int_equal(version_of(store, i), putters[i].done);
	}
	assert_int_equal(quiver_close(store), -EROFS);
	store = open_mode(s, QUIVER_ALWAYS);
	for (unsigned i = 0; i < THREADS; i++) {
		uint64_t version = version_of(store, i);

		assert_true(version == putters[i].done || version == putters[i].done + 1);
	}
	close_store(store);
}

static void failed_log_write(struct store_dir *s, long at, bool batch)
{
	struct quiver_record records[3];
	uint8_t bytes[3][STORE_BYTES_MAX];
	struct quiver_attr attr = attr_of(3);
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	trouble_arm(&io, at, TROUBLE_ONCE, TROUBLE_WRITE, 'l', -EIO);
	for (unsigned i = 0; i < 3; i++) {
		vector_fill(bytes[i], s->n, i + 1, 2);
		records[i] = (struct quiver_record){ .id = i + 1, .data = bytes[i] };
	}
	if (batch)
		assert_int_equal(
			quiver_put_batch(store, records, 3, &attr, QUIVER_ATTR_ALL, 0, NULL), -EIO);
	else
		assert_int_equal(put_version(store, 1, 2, 0), -EIO);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(put_version(store, 9, 9, 0), 0); /* the log goes on where it was */
	assert_int_equal(quiver_remove(store, 9, 0, NULL), 0);
}

struct failing_life {
	struct store_dir *s;
	bool batch;
};

static int fail_and_die(void *arg)
{
	struct failing_life *life = arg;

	failed_log_write(life->s, 1, life->batch);
	return 0;
}

static void test_failure_12_a_failed_write_of_the_log_is_not_back_after_reopening(void **state)
{
	struct store_dir *s = *state;

	for (int batch = 0; batch < 2; batch++) {
		struct failing_life life = { .s = s, .batch = batch != 0 };
		struct quiver *store;

		die_in_child(fail_and_die, &life);
		store = open_with(s, NULL);
		assert_int_equal(version_of(store, 1), 1);
		assert_int_equal(version_of(store, 2), 0);
		assert_int_equal(version_of(store, 9), 0);
		assert_int_equal(quiver_count(store), 1);
		close_store(store);
	}
}

static void test_a_failed_wipe_of_the_log_makes_the_store_read_only(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_WRITE, 'l', -EIO);
	assert_int_equal(put_version(store, 1, 2, 0), -EIO);
	trouble_disarm(&io);
	assert_int_equal(put_version(store, 2, 1, 0), -EROFS);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(quiver_close(store), -EROFS);
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 1), 1);
	close_store(store);
}

/* Every call of a put in turn finds the disk full. */
static void test_a_full_disk_at_any_call_leaks_no_slot(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	int failures = 0;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	for (long at = 1; at < 40; at++) {
		int r;

		/* ids and meta are full-size already, but the disk does not know that. */
		trouble_arm(&io, at, TROUBLE_ONCE, TROUBLE_WRITE | TROUBLE_ALLOCATE, 0, -ENOSPC);
		r = put_version(store, 2 + (uint64_t)at, 1, 0);
		trouble_disarm(&io);
		assert_true(r == 0 || r == -ENOSPC);
		failures += r != 0;
		assert_int_equal(version_of(store, 2 + (uint64_t)at), r == 0);
		assert_int_equal(leaked_slots(store), 0);
		assert_false(stats_of(store).failed);
	}
	assert_true(failures >= 1); /* where a checkpoint cannot help */
	assert_int_equal(put_version(store, 100, 1, 0), 0);
	close_store(store);
	store = open_with(s, NULL);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(version_of(store, 100), 1);
	close_store(store);
}

/* No room for another byte of files: reads and deletes go on for ever, also past the end of
 * the log's segment. */
static void test_deletes_go_on_where_the_disk_is_full(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	uint64_t count = 20000;

	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE, 0, -ENOSPC);
	for (uint64_t round = 1; round <= 6; round++) {
		for (uint64_t id = 0; id < count; id++) {
			assert_int_equal(version_of(store, id), round);
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
		}
		assert_int_equal(quiver_count(store), 0);
		/* What they freed can be used, though the files cannot grow. */
		for (uint64_t id = 0; id < count; id++)
			assert_int_equal(put_version(store, id, round + 1, 0), 0);
	}
	assert_false(stats_of(store).failed);
	trouble_disarm(&io);
	close_store(store);
}

static void test_a_full_disk_refuses_growth_and_keeps_what_there_is(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FLUSH, &io);
	uint64_t id = 0;
	int r;

	assert_int_equal(put_version(store, id++, 1, 0), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_ALLOCATE, 'v', -ENOSPC);
	while ((r = put_version(store, id, 1, 0)) == 0)
		id++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(quiver_remove(store, 0, 0, NULL), 0);
	assert_int_equal(put_version(store, id, 1, 0), 0); /* into the slot that came free */
	assert_int_equal(put_version(store, id + 1, 1, 0), -ENOSPC);
	assert_int_equal(quiver_reserve(store, 1u << 20), -ENOSPC);
	trouble_disarm(&io);
	assert_int_equal(put_version(store, id + 1, 1, 0), 0);
	close_store(store);
}

/* ---- QUIVER_NOWAIT ---- */

static void test_nowait_answers_eagain_where_it_would_sync(void **state)
{
	struct quiver *store = open_mode(*state, QUIVER_ALWAYS);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(put_version(store, 1, 2, QUIVER_NOWAIT), -EAGAIN);
	assert_int_equal(quiver_remove(store, 1, QUIVER_NOWAIT, NULL), -EAGAIN);
	assert_int_equal(quiver_rename(store, 1, 2, QUIVER_NOWAIT, NULL), -EAGAIN);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(quiver_set_durability(store, QUIVER_FSYNC), 0);
	assert_int_equal(put_version(store, 1, 2, QUIVER_NOWAIT | QUIVER_SYNC), -EAGAIN);
	assert_int_equal(put_version(store, 1, 2, QUIVER_NOWAIT), 0);
	assert_int_equal(quiver_rename(store, 1, 2, QUIVER_NOWAIT, NULL), 0);
	assert_int_equal(quiver_remove(store, 2, QUIVER_NOWAIT, NULL), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void *put_synced(void *arg)
{
	struct putter *p = arg;

	p->result = put_version(p->store, p->id, 1, QUIVER_SYNC);
	return NULL;
}

/* While a sync is under way that lasts until the call has returned: it cannot have waited. */
static void test_nowait_never_waits_for_the_sync_of_another(void **state)
{
	struct putter slow = { .id = 1 };
	struct trouble_io io;
	struct quiver *store = open_troubled(*state, QUIVER_FSYNC, &io);
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t before;
	unsigned refused = 0;
	unsigned tries = 0;

	before = stats_of(store).syncs;
	atomic_store(&io.sync_delay_us, 300000);
	slow.store = store;
	assert_int_equal(pthread_create(&slow.thread, NULL, put_synced, &slow), 0);
	while (refused == 0 && tries++ < 1000000) {
		int r = put_version(store, 2, tries, QUIVER_NOWAIT);

		assert_true(r == 0 || r == -EAGAIN);
		refused += r == -EAGAIN;
	}
	/* The writer lock is held meanwhile, so nothing else of the store may be asked. */
	assert_int_equal(refused, 1);
	assert_int_equal(pthread_join(slow.thread, NULL), 0);
	stats = stats_of(store);
	assert_int_equal(slow.result, 0);
	assert_true(stats.syncs > before);
	atomic_store(&io.sync_delay_us, 0);
	assert_int_equal(put_version(store, 2, 7, QUIVER_NOWAIT), 0);
	close_store(store);
}

/* Syncs that one flush makes. */
static long syncs_of_flush(struct quiver *store, const struct trouble_io *io)
{
	long before = atomic_load(&io->syncs);

	assert_int_equal(quiver_flush(store), 0);
	return atomic_load(&io->syncs) - before;
}

/* Its bytes are in the log, whatever others do with longer series. */
static void test_who_syncs_each_vector_waits_for_one_sync(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);

	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(put_version(store, i, 1, 0), 0);
		assert_int_equal(syncs_of_flush(store, &io), 1);
	}
	/* Those in their slots are synced there as well; where the columns have grown, all
	 * three files. */
	for (uint64_t i = 0; i < 2 * PUTSLOT_MIN_BYTES / s->n; i++)
		assert_int_equal(put_version(store, i, 2, 0), 0);
	assert_true(syncs_of_flush(store, &io) > 1);
	assert_int_equal(put_version(store, 1, 3, 0), 0);
	assert_int_equal(syncs_of_flush(store, &io), 1);
	close_store(store);
}

/* A commit that is synced itself begins anew, too, and is in the log however many came before. */
static void test_a_synced_commit_waits_for_one_sync_unless_slots_lie_before_it(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	long before;

	for (uint64_t i = 0; i < 2 * PUTSLOT_MIN_BYTES / s->n; i++)
		assert_int_equal(put_version(store, i, 1, 0), 0);
	assert_int_equal(put_version(store, 1, 2, QUIVER_SYNC), 0); /* syncs those as well */
	assert_int_equal(put_version(store, 1, 3, 0), 0);
	before = atomic_load(&io.syncs);
	assert_int_equal(put_version(store, 1, 4, QUIVER_SYNC), 0);
	assert_int_equal(atomic_load(&io.syncs) - before, 1);
	close_store(store);
}

static void test_nowait_does_not_grow_the_files_itself(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	uint64_t id = 0;

	/* An empty store has no row: somebody else has to make room. */
	assert_int_equal(put_version(store, id, 1, QUIVER_NOWAIT), -EAGAIN);
	for (; id < 3000; id++) {
		while (put_version(store, id, 1, QUIVER_NOWAIT) == -EAGAIN)
			usleep(100);
	}
	assert_int_equal(quiver_count(store), id);
	close_store(store);
}

#define SMALL_BATCH 65536u /* so many go into each commit of the test below */

static int put_small(struct quiver *store, uint64_t first, unsigned flags)
{
	static struct quiver_record records[SMALL_BATCH];
	struct quiver_attr attr = attr_of(1);

	for (size_t i = 0; i < SMALL_BATCH; i++)
		records[i] = (struct quiver_record){ .id = first + i, .data = "x" };
	return quiver_put_batch(store, records, SMALL_BATCH, &attr, QUIVER_ATTR_ALL, flags, NULL);
}

/* A checkpoint of mode none logs all that has come since the last one as one group, which one
 * segment of the log has to hold; so while none succeeds there is an end to it. */
static void test_in_mode_none_commits_wait_for_a_checkpoint_in_the_end(void **state)
{
	struct store_dir small;
	struct trouble_io io;
	struct quiver_options options = { .size = sizeof(options),
		                          .durability = QUIVER_NONE,
		                          .io = &io.table };
	struct quiver *store;
	uint64_t id = 0;
	int r = 0;

	(void)state;
	unit_dir_make(&small.dir);
	store_create(&small, 1, QUIVER_U1);
	trouble_init(&io);
	store = open_with(&small, &options);
	assert_int_equal(quiver_reserve(store, 24 * SMALL_BATCH), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_WRITE, 'l', -ENOSPC);
	for (; r == 0 && id < 24 * SMALL_BATCH; id += SMALL_BATCH)
		r = put_small(store, id, 0);
	assert_int_equal(r, -ENOSPC);
	/* Also while the checkpoint that the store has begun tries again. */
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(put_small(store, id, i % 2 ? 0 : QUIVER_NOWAIT),
		                 i % 2 ? -ENOSPC : -EAGAIN);
	assert_int_equal(quiver_count(store), id - SMALL_BATCH);
	trouble_arm(&io, 0, TROUBLE_FROM, TROUBLE_WRITE, 'l', -ENOSPC);
	assert_int_equal(put_small(store, id, 0), 0);
	assert_int_equal(quiver_count(store), id);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
	unit_dir_remove(&small.dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

/* ---- on the way to the device ---- */

#define LARGE_BYTES 4096u
#define LARGE_COUNT 64u

static _Atomic uint64_t soon_bytes; /* that somebody asked the device to begin with */

static void count_hint(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length,
                       enum io_hint hint)
{
	if (hint == IO_WRITE_SOON && fd >= 0 &&
	    atomic_load(&trouble_self(self)->letters[fd]) == 'v')
		atomic_fetch_add(&soon_bytes, length);
	quiver_io_posix()->hint(quiver_io_posix(), fd, offset, length, hint);
}

/* Of vectors.npy, that is asked for as soon as it is full: SOON_BYTES of change.c. */
#define PART_BYTES (UINT64_C(2) << 20)
#define PART_BATCHES (PART_BYTES / LARGE_BYTES / LARGE_COUNT)

/* Bytes of slots asked for by a batch of `count` vectors from `first` on. */
static uint64_t soon_of_batch(struct quiver *store, uint64_t first, size_t count, unsigned flags)
{
	struct quiver_record records[LARGE_COUNT];
	struct quiver_attr attr = attr_of(1);
	uint8_t *bytes = malloc((size_t)LARGE_COUNT * LARGE_BYTES);

	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++) {
		vector_fill(bytes + i * LARGE_BYTES, LARGE_BYTES, first + i, 1);
		records[i] =
			(struct quiver_record){ .id = first + i, .data = bytes + i * LARGE_BYTES };
	}
	atomic_store(&soon_bytes, 0);
	assert_int_equal(
		quiver_put_batch(store, records, count, &attr, QUIVER_ATTR_ALL, flags, NULL), 0);
	free(bytes);
	return atomic_load(&soon_bytes);
}

static void test_what_batches_have_filled_goes_to_the_device_if_that_is_asked_for(void **state)
{
	struct store_dir *s = *state;
	uint8_t got[LARGE_BYTES];
	uint64_t ids = 2 * PART_BATCHES * LARGE_COUNT;
	uint64_t soon = 0;
	struct trouble_io io;
	struct quiver *store;

	unit_dir_remove(&s->dir);
	unit_dir_make(&s->dir);
	store_create(s, LARGE_BYTES, QUIVER_U1);
	trouble_init(&io);
	io.table.hint = count_hint;
	store = open_io(s, QUIVER_FSYNC, &io);
	for (uint64_t id = 0; id < ids / 2; id += LARGE_COUNT)
		assert_int_equal(soon_of_batch(store, id, LARGE_COUNT, 0), 0);
	for (uint64_t id = ids / 2; id < ids; id += LARGE_COUNT) {
		assert_int_equal(soon, 0); /* the last fills the part, and asks for all of it */
		soon = soon_of_batch(store, id, LARGE_COUNT, QUIVER_WRITE_SOON);
	}
	assert_int_equal(soon, PART_BYTES);
	assert_int_equal(soon_of_batch(store, ids, 2, QUIVER_WRITE_SOON), 0);
	for (uint64_t id = 0; id < ids + 2; id++) {
		assert_int_equal(quiver_get_copy(store, id, got, NULL, NULL), 0);
		assert_int_equal(vector_version(got, LARGE_BYTES, id), 1);
	}
	close_store(store);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_failure_16_one_sync_serves_many_writers),
		TEST(test_sync_flag_shares_syncs_in_mode_fsync),
		TEST(test_a_sync_waits_for_the_writers_of_the_last_one),
		TEST(test_failure_18_after_a_failed_sync_nothing_is_acknowledged),
		TEST(test_no_writer_is_told_of_success_by_a_sync_that_failed),
		TEST(test_failure_12_a_failed_write_of_the_log_is_not_back_after_reopening),
		TEST(test_a_failed_wipe_of_the_log_makes_the_store_read_only),
		TEST(test_a_full_disk_at_any_call_leaks_no_slot),
		TEST(test_deletes_go_on_where_the_disk_is_full),
		TEST(test_a_full_disk_refuses_growth_and_keeps_what_there_is),
		TEST(test_nowait_answers_eagain_where_it_would_sync),
		TEST(test_nowait_never_waits_for_the_sync_of_another),
		TEST(test_who_syncs_each_vector_waits_for_one_sync),
		TEST(test_a_synced_commit_waits_for_one_sync_unless_slots_lie_before_it),
		TEST(test_in_mode_none_commits_wait_for_a_checkpoint_in_the_end),
		TEST(test_nowait_does_not_grow_the_files_itself),
		TEST(test_what_batches_have_filled_goes_to_the_device_if_that_is_asked_for),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
