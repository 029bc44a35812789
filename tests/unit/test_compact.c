#include "unit.h"

#include "engine/commit/change.h"
#include "engine/commit/commit.h"
#include "engine/store/store.h"
#include "store_test.h"

#define COUNT 4000u

static void compact(struct quiver *store)
{
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
}

static uint64_t blocks(struct store_dir *s)
{
	struct stat st;

	assert_int_equal(fstatat(s->dir.fd, STORE_NAME "/vectors.npy", &st, 0), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void fill(struct quiver *store, uint64_t count)
{
	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
}

static void check_ids(struct quiver *store, uint64_t step)
{
	for (uint64_t id = 0; id < COUNT; id++) {
		struct quiver_attr want = attr_of(id + 1);
		struct quiver_attr attr;

		assert_int_equal(version_of(store, id), id % step == 0 ? id + 1 : 0);
		if (id % step)
			continue;
		assert_int_equal(quiver_stat(store, id, 0, &attr, NULL), 0);
		assert_true(attr_same(&attr, &want));
	}
}

static void test_files_shrink_and_every_byte_stays(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_job_status status;

	fill(store, COUNT);
	for (uint64_t id = 0; id < COUNT; id++)
		if (id % 4)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_true(stats_of(store).fragmentation > 0.7);
	status = run_job(store, QUIVER_COMPACT);
	assert_int_equal(status.result, 0);
	assert_true(status.ever_ran && !status.stopped && status.freed_bytes > 0);
	assert_int_equal(stats_of(store).moved, status.done);
	assert_true(status.done <= COUNT / 4);
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + COUNT / 4 * s->n);
	assert_int_equal(store_size(s, "ids.npy"), 4096 + COUNT / 4 * 8);
	assert_int_equal(store_size(s, "meta.npy"), 4096 + COUNT / 4 * 56);
	assert_int_equal(stats_of(store).slots_free, 0);
	check_ids(store, 4);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
	store = open_with(s, NULL);
	check_ids(store, 4);
	close_store(store);
}

static void test_files_that_were_cut_do_not_grow_again_by_themselves(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);

	fill(store, COUNT);
	compact(store);
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + COUNT * s->n);
	usleep(1200 * 1000); /* more than two ticks of the housekeeper */
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + COUNT * s->n);
	assert_int_equal(put_version(store, COUNT, 1, 0), 0); /* who writes makes them grow */
	assert_true(store_size(s, "vectors.npy") > 4096 + COUNT * s->n);
	close_store(store);
	store = open_with(s, NULL);
	usleep(700 * 1000);
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + (COUNT + 1) * s->n);
	close_store(store);
}

static void test_failure_9_with_everything_deleted_only_headers_remain(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);

	fill(store, COUNT);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_true(stats_of(store).fragmentation == 1.0);
	compact(store);
	assert_int_equal(store_size(s, "vectors.npy"), 4096);
	assert_int_equal(store_size(s, "ids.npy"), 4096);
	assert_int_equal(store_size(s, "meta.npy"), 4096);
	assert_true(stats_of(store).fragmentation == 0.0);
	assert_int_equal(stats_of(store).slots_used, 0);
	assert_int_equal(put_version(store, 1, 5, 0), 0);
	close_store(store);
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 1), 5);
	close_store(store);
}

/* A slot is smaller than a block, so holes are only found across slots. */
static void test_failure_10_holes_smaller_than_a_block_free_blocks_together(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	uint64_t count = 60000; /* more than are kept for who writes next */
	uint64_t before;

	fill(store, count);
	for (uint64_t id = 0; id < count - 10; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	before = blocks(s);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_true(stats_of(store).punches > 0);
	assert_true(blocks(s) + (uint64_t)count * s->n / 4 < before);
	for (uint64_t id = count - 10; id < count; id++)
		assert_int_equal(version_of(store, id), id + 1);
	/* What was punched is allocated again before it is used. */
	before = blocks(s);
	fill(store, count - 10);
	assert_true(blocks(s) > before);
	for (uint64_t id = 0; id < count; id++)
		assert_int_equal(version_of(store, id), id + 1);
	close_store(store);
}

static void test_a_held_column_is_not_cut_until_it_is_released(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	uint64_t size;
	int fd;

	fill(store, COUNT);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_column_hold(store, QUIVER_COLUMN_VECTORS, &fd, &size), 0);
	compact(store);
	assert_int_equal(quiver_column_bytes(store, QUIVER_COLUMN_VECTORS), size);
	assert_int_equal(store_size(s, "vectors.npy"), size);
	quiver_column_release(store, QUIVER_COLUMN_VECTORS);
	for (int i = 0; i < 1200 && store_size(s, "vectors.npy") > 4096; i++)
		usleep(100 * 1000);
	assert_int_equal(store_size(s, "vectors.npy"), 4096);
	close_store(store);
}

static uint64_t cuts_of(struct quiver *store)
{
	uint64_t cuts;

	pthread_mutex_lock(&store->wishes.lock);
	cuts = store->wishes.cuts;
	pthread_mutex_unlock(&store->wishes.lock);
	return cuts;
}

/* The housekeeper took the wish, and was held up until the compaction was over. */
static void test_a_wish_to_grow_ends_with_a_cut(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	uint64_t cuts = cuts_of(store);
	uint64_t size;

	fill(store, COUNT);
	for (uint64_t id = 0; id < COUNT; id++)
		if (id % 8)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	compact(store);
	size = store_size(s, "vectors.npy");
	assert_int_equal(size, 4096 + (COUNT + 7) / 8 * s->n);
	assert_int_equal(space_grow_ahead(&store->space, cuts), 0);
	assert_int_equal(store_size(s, "vectors.npy"), size);
	assert_int_equal(space_grow_ahead(&store->space, cuts_of(store)), 0);
	assert_true(store_size(s, "vectors.npy") > size);
	close_store(store);
}

static void test_a_reader_in_the_last_slot_keeps_it_and_the_cut_follows_later(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_ref ref;

	fill(store, COUNT);
	assert_int_equal(quiver_get(store, COUNT - 1, 0, &ref), 0);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	compact(store);
	assert_true(store_size(s, "vectors.npy") >= 4096 + COUNT * s->n);
	fill(store, 100); /* nobody may get the slot */
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(vector_version(ref.data, s->n, COUNT - 1), COUNT);
	assert_int_equal(quiver_ref_verify(store, &ref, 0), 0);
	quiver_unref(store, &ref);
	for (int i = 0; i < 1200 && store_size(s, "vectors.npy") >= 4096 + COUNT * s->n; i++)
		usleep(100 * 1000);
	assert_int_equal(stats_of(store).slots_retired, 0);
	assert_true(store_size(s, "vectors.npy") < 4096 + COUNT * s->n);
	close_store(store);
}

/* ---- one group ---- */

static struct commit_op move_of(struct quiver *store, uint64_t id, uint64_t to)
{
	struct commit_op op = { .type = WAL_MOVE, .id = id, .slot = to };
	struct quiver_ref ref;

	assert_int_equal(quiver_get(store, id, 0, &ref), 0);
	op.src_slot = ref.slot;
	op.src_lsn = ref.lsn;
	quiver_unref(store, &ref);
	return op;
}

/* 100 vectors, of which the first 10 are gone: their slots, `count` of them, are taken. */
static struct quiver *open_with_targets(struct store_dir *s, uint64_t *to, size_t count)
{
	struct quiver *store = open_with(s, NULL);

	fill(store, 100);
	for (uint64_t id = 0; id < 10; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(space_take_below(&store->space, 90, count, to), count);
	return store;
}

static uint64_t slots_free(struct quiver *store)
{
	assert_int_equal(quiver_checkpoint(store), 0);
	return stats_of(store).slots_free;
}

static void check_all_but_the_first_10(struct quiver *store)
{
	for (uint64_t id = 10; id < 100; id++)
		assert_int_equal(version_of(store, id), id + 1);
	assert_int_equal(leaked_slots(store), 0);
}

static void test_what_cannot_be_moved_is_left_out_of_its_group(void **state)
{
	struct store_dir *s = *state;
	uint8_t buffer[5 * STORE_BYTES_MAX];
	uint64_t to[5];
	struct quiver *store = open_with_targets(s, to, 5);
	struct commit_op ops[5] = { move_of(store, 94, to[0]), move_of(store, 96, to[1]),
		                    move_of(store, 97, to[2]), move_of(store, 98, to[3]),
		                    move_of(store, 99, to[4]) };
	struct quiver_ref ref;
	size_t moved;

	ops[1].src_slot = 50; /* it was there once */
	ops[2].id = 5; /* gone */
	store_flip(s, "vectors.npy", (4096 + ops[3].src_slot * s->n) * 8);
	assert_int_equal(change_move(&store->checkpointer, ops, 5, buffer, &moved), 0);
	assert_int_equal(moved, 2);
	store_flip(s, "vectors.npy", (4096 + 98 * s->n) * 8);
	assert_int_equal(quiver_get(store, 99, 0, &ref), 0);
	assert_int_equal(ref.slot, to[4]);
	quiver_unref(store, &ref);
	assert_int_equal(slots_free(store), 10);
	check_all_but_the_first_10(store);
	close_store(store);
	store = open_with(s, NULL);
	check_all_but_the_first_10(store);
	close_store(store);
}

/* It has got another version between the copy and the commit, in the same slot even. */
static void test_a_copy_of_another_version_is_left_out(void **state)
{
	struct store_dir *s = *state;
	uint64_t to[3];
	struct quiver *store = open_with_targets(s, to, 3);
	struct commit_op ops[3] = { move_of(store, 97, to[0]), move_of(store, 98, to[1]),
		                    move_of(store, 99, to[2]) };
	struct commit_request request = { .ops = ops, .count = 3, .each = true };

	for (size_t i = 0; i < 3; i++)
		ops[i].src_lsn--;
	assert_int_equal(commit_submit(&store->checkpointer, &request), 0);
	assert_false(request.published);
	assert_int_equal(stats_of(store).moved, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(ops[i].result, -ESTALE);
	assert_int_equal(slots_free(store), 10);
	check_all_but_the_first_10(store);
	close_store(store);
}

static void test_each_move_of_a_group_waits_for_who_changes_its_vector(void **state)
{
	struct commit_op moves[2] = { { .type = WAL_MOVE, .id = 1 },
		                      { .type = WAL_MOVE, .id = 2 } };
	struct commit_op put = { .type = WAL_PUT, .id = 2 };
	struct commit_op name = { .type = WAL_RENAME, .id = 3, .from = 2 };
	struct commit_op other = { .type = WAL_PUT, .id = 3 };
	struct commit_request group = { .ops = moves, .count = 2, .each = true };
	struct commit_request one = { .ops = &put, .count = 1 };

	(void)state;
	assert_true(commit_requests_clash(&group, &one) && commit_requests_clash(&one, &group));
	one.ops = &name;
	assert_true(commit_requests_clash(&group, &one) && commit_requests_clash(&one, &group));
	one.ops = &other;
	assert_true(!commit_requests_clash(&group, &one) && !commit_requests_clash(&one, &group));
}

/* ---- with everybody else at work ---- */

struct others {
	struct quiver *store;
	_Atomic bool stop;
	_Atomic int wrong;
	_Atomic int failed; /* a put or a removal, with this */
	uint64_t versions[COUNT]; /* of the writer; 0 removed */
};

static void *change_all_the_time(void *arg)
{
	struct others *o = arg;
	uint64_t random = test_seed();

	while (!atomic_load(&o->stop)) {
		uint64_t id = test_below(&random, COUNT);
		int r;

		if (o->versions[id] && test_below(&random, 2)) {
			r = quiver_remove(o->store, id, 0, NULL);
			o->versions[id] = 0;
		} else {
			o->versions[id] = test_random(&random) >> 8 | 1;
			r = put_version(o->store, id, o->versions[id], 0);
		}
		if (r)
			atomic_store(&o->failed, r);
	}
	return NULL;
}

static void *read_all_the_time(void *arg)
{
	struct others *o = arg;
	uint64_t random = test_seed() + 1;

	while (!atomic_load(&o->stop))
		if (version_of(o->store, test_below(&random, COUNT)) == UINT64_MAX)
			atomic_store(&o->wrong, __LINE__);
	return NULL;
}

static void test_compaction_loses_nothing_while_everyone_works(void **state)
{
	struct store_dir *s = *state;
	struct others *o = calloc(1, sizeof(*o));
	pthread_t threads[3];
	uint64_t count = 0;

	assert_non_null(o);
	o->store = open_with(s, NULL);
	fill(o->store, COUNT);
	for (uint64_t id = 0; id < COUNT; id++)
		o->versions[id] = id + 1;
	assert_int_equal(pthread_create(&threads[0], NULL, change_all_the_time, o), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, read_all_the_time, o), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, read_all_the_time, o), 0);
	for (int i = 0; i < 12; i++)
		compact(o->store);
	atomic_store(&o->stop, true);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&o->wrong), 0);
	assert_int_equal(atomic_load(&o->failed), 0);
	assert_true(stats_of(o->store).moved > 0);
	for (uint64_t id = 0; id < COUNT; id++) {
		assert_int_equal(version_of(o->store, id), o->versions[id]);
		count += o->versions[id] != 0;
	}
	assert_int_equal(quiver_count(o->store), count);
	compact(o->store);
	assert_int_equal(stats_of(o->store).slots_used, count);
	assert_int_equal(leaked_slots(o->store), 0);
	close_store(o->store);
	free(o);
}

static void *compact_all_the_time(void *arg)
{
	struct others *o = arg;

	while (!atomic_load(&o->stop))
		compact(o->store);
	return NULL;
}

/* A compaction takes holes, and cuts the files behind the last slot: not what a put has just had
 * them grow for, or it would end as if the disk were full. */
static void test_a_put_has_what_it_grew(void **state)
{
	struct store_dir *s = *state;
	struct others *o = calloc(1, sizeof(*o));
	pthread_t thread;

	assert_non_null(o);
	o->store = open_with(s, NULL);
	fill(o->store, 64);
	assert_int_equal(pthread_create(&thread, NULL, compact_all_the_time, o), 0);
	for (uint64_t i = 0; i < 20000; i++) {
		assert_int_equal(put_version(o->store, 64 + i % 16, i, 0), 0);
		if (i % 16 == 15)
			for (uint64_t id = 0; id < 16; id++)
				assert_int_equal(quiver_remove(o->store, 64 + id, 0, NULL), 0);
	}
	atomic_store(&o->stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close_store(o->store);
	free(o);
}

static void test_moves_do_not_wait_for_the_disk_in_mode_always(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);
	long before;

	fill(store, 1000);
	for (uint64_t id = 0; id < 500; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_ALWAYS), 0);
	before = atomic_load(&io.syncs);
	compact(store);
	assert_int_equal(stats_of(store).moved, 500);
	assert_true(atomic_load(&io.syncs) - before < 50);
	close_store(store);
}

static void test_compaction_stops_when_asked_and_one_job_runs_at_a_time(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_ALWAYS, &io);
	struct quiver_job_status status;

	assert_int_equal(quiver_set_durability(store, QUIVER_FSYNC), 0);
	fill(store, 1000);
	for (uint64_t id = 0; id < 500; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_ALWAYS), 0);
	atomic_store(&io.write_delay_us, 20000); /* 8 groups of 3 writes and more */
	assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), 0);
	assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), -EBUSY);
	assert_int_equal(quiver_job_start(store, QUIVER_VERIFY), -EBUSY);
	do {
		usleep(1000);
	} while (stats_of(store).moved == 0);
	assert_int_equal(quiver_job_stop(store, QUIVER_COMPACT), 0);
	do {
		usleep(1000);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	assert_true(status.stopped && status.result == 0 && status.done < 500);
	atomic_store(&io.write_delay_us, 0);
	status = run_job(store, QUIVER_VERIFY);
	assert_int_equal(status.result, 0);
	assert_int_equal(status.total, 500);
	assert_int_equal(status.mismatches, 0);
	close_store(store);
}

static void test_closing_ends_a_compaction(void **state)
{
	struct store_dir *s = *state;

	for (int i = 0; i < 5; i++) {
		struct quiver *store = open_with(s, NULL);

		fill(store, COUNT);
		for (uint64_t id = 0; id < COUNT; id += 2)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
		assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), 0);
		usleep((useconds_t)i * 300);
		close_store(store);
		store = open_with(s, NULL);
		for (uint64_t id = 0; id < COUNT; id++)
			assert_int_equal(version_of(store, id), id % 2 ? id + 1 : 0);
		close_store(store);
	}
}

/* As on a disk that does not give a page of ids.npy any more. */
static void test_a_row_whose_id_cannot_be_read_is_passed_by(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	uint64_t none = QUIVER_ID_NONE;
	char path[64];
	int fd;

	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	for (uint64_t id = 0; id < 50; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	store_file("ids.npy", path, sizeof(path));
	fd = openat(s->dir.fd, path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &none, sizeof(none), 4096 + 99 * 8), sizeof(none));
	assert_int_equal(close(fd), 0);
	alarm(60); /* it was tried for ever once */
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
	alarm(0);
	assert_int_equal(stats_of(store).moved, 49);
	close_store(store);
}

static void test_autocompact_begins_by_itself(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;
	uint64_t count = 24000; /* of 1000 bytes: less than 16 MiB is not worth it */

	unit_dir_remove(&s->dir);
	unit_dir_make(&s->dir);
	store_create(s, 1000, QUIVER_U1);
	store = open_mode(s, QUIVER_FLUSH);
	assert_int_equal(quiver_set_autocompact(store, 101), -EINVAL);
	fill(store, count);
	for (uint64_t id = 0; id < count; id++)
		if (id % 8)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(stats_of(store).compactions, 0);
	assert_int_equal(quiver_set_autocompact(store, 50), 0);
	for (int i = 0; i < 2400 && stats_of(store).compactions == 0; i++)
		usleep(50 * 1000);
	assert_true(stats_of(store).compactions > 0);
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + count / 8 * 1000);
	for (uint64_t id = 0; id < count; id += 8)
		assert_int_equal(version_of(store, id), id + 1);
	close_store(store);
}

/* A snapshot has all that lies above the free slots: to compact brings nothing, however often. */
static void test_autocompact_does_not_try_again_what_snapshots_hinder(void **state)
{
	const unsigned pause_s = 12; /* longer than that between two runs */
	struct store_dir *s = *state;
	struct quiver *store;
	uint64_t count = 24000; /* of 1000 bytes: less than 16 MiB is not worth it */

	unit_dir_remove(&s->dir);
	unit_dir_make(&s->dir);
	store_create(s, 1000, QUIVER_U1);
	store = open_mode(s, QUIVER_FLUSH);
	fill(store, count);
	for (uint64_t id = 0; id < count; id++)
		if (id % 8)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_snapshot_create(store, "all", NULL), 0);
	compact(store);
	assert_int_equal(stats_of(store).compactions, 1);
	assert_int_equal(stats_of(store).moved, 0);
	assert_true(stats_of(store).fragmentation > 0.8);
	assert_int_equal(quiver_set_autocompact(store, 50), 0);
	(void)sleep(pause_s);
	assert_int_equal(stats_of(store).compactions, 1);
	assert_int_equal(quiver_snapshot_remove(store, "all"), 0);
	for (int i = 0; i < 2400 && stats_of(store).compactions == 1; i++)
		usleep(50 * 1000);
	assert_int_equal(store_size(s, "vectors.npy"), 4096 + count / 8 * 1000);
	close_store(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_files_shrink_and_every_byte_stays),
		TEST(test_files_that_were_cut_do_not_grow_again_by_themselves),
		TEST(test_failure_9_with_everything_deleted_only_headers_remain),
		TEST(test_failure_10_holes_smaller_than_a_block_free_blocks_together),
		TEST(test_a_held_column_is_not_cut_until_it_is_released),
		TEST(test_a_wish_to_grow_ends_with_a_cut),
		TEST(test_a_reader_in_the_last_slot_keeps_it_and_the_cut_follows_later),
		TEST(test_what_cannot_be_moved_is_left_out_of_its_group),
		TEST(test_a_copy_of_another_version_is_left_out),
		TEST(test_each_move_of_a_group_waits_for_who_changes_its_vector),
		TEST(test_compaction_loses_nothing_while_everyone_works),
		TEST(test_a_put_has_what_it_grew),
		TEST(test_moves_do_not_wait_for_the_disk_in_mode_always),
		TEST(test_compaction_stops_when_asked_and_one_job_runs_at_a_time),
		TEST(test_closing_ends_a_compaction),
		TEST(test_a_row_whose_id_cannot_be_read_is_passed_by),
		TEST(test_autocompact_begins_by_itself),
		TEST(test_autocompact_does_not_try_again_what_snapshots_hinder),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
