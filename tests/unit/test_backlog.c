/* Writers that are faster than checkpoints: they wait and do not fail, and the log stays bounded. */
#include "unit.h"

#include "engine/store/store.h"
#include "store_test.h"

#define SLOW_BYTES (UINT64_C(32) << 10)
#define MAX_BYTES (UINT64_C(64) << 10)
#define WRITERS 4u
#define EACH 2000u
#define RECORD_BYTES (WAL_RECORD_HEADER_BYTES + STORE_DIM + 8)
#define PATIENCE_MS 120000

static struct quiver *open_limited(void **state)
{
	struct quiver *store = open_mode(*state, QUIVER_FSYNC);

	store->checkpointer.backlog.slow_bytes = SLOW_BYTES;
	store->checkpointer.backlog.max_bytes = MAX_BYTES;
	return store;
}

static uint64_t uncovered_bytes(struct quiver *store)
{
	uint64_t covered = atomic_load(&store->checkpointer.log_bytes);

	return atomic_load(&store->wal.appended_bytes) - covered;
}

static void test_the_log_stays_bounded_and_nobody_fails(void **state)
{
	struct quiver *store = open_limited(state);
	uint64_t before = stats_of(store).checkpoints;

	for (uint64_t i = 0; i < EACH; i++) {
		assert_int_equal(put_version(store, i % 50, i + 1, 0), 0);
		assert_true(uncovered_bytes(store) <= MAX_BYTES + RECORD_BYTES);
	}
	assert_true(stats_of(store).checkpoints - before >=
	            EACH * (uint64_t)WAL_RECORD_HEADER_BYTES / MAX_BYTES / 2);
	close_store(store);
}

static void test_who_must_not_wait_is_turned_away(void **state)
{
	struct quiver *store = open_limited(state);
	uint64_t id = 0;
	int r = 0;

	/* Nobody makes checkpoints meanwhile. */
	pthread_mutex_lock(&store->checkpointer.lock);
	while (r == 0 && uncovered_bytes(store) < MAX_BYTES)
		r = put_version(store, id++, 1, 0);
	assert_int_equal(r, 0);
	assert_int_equal(put_version(store, id, 1, QUIVER_NOWAIT), -EAGAIN);
	assert_int_equal(quiver_remove(store, 0, QUIVER_NOWAIT, NULL), -EAGAIN);
	pthread_mutex_unlock(&store->checkpointer.lock);
	assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_count(store), id + 1);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

struct writer {
	struct quiver *store;
	uint64_t first;
	_Atomic uint64_t *done;
	int result;
	pthread_t thread;
};

static void *write_all(void *arg)
{
	struct writer *writer = arg;

	for (uint64_t i = 0; writer->result == 0 && i < EACH; i++) {
		writer->result = put_version(writer->store, writer->first + i % 100, i + 1, 0);
		atomic_fetch_add(writer->done, 1);
	}
	return NULL;
}

/* Until nobody gets any further. */
static void await_standstill(_Atomic uint64_t *done)
{
	uint64_t before = UINT64_MAX;

	for (int ms = 0; ms < PATIENCE_MS && atomic_load(done) != before; ms += 100) {
		before = atomic_load(done);
		usleep(100000);
	}
}

static void test_writers_stand_while_a_checkpoint_does(void **state)
{
	struct quiver *store = open_limited(state);
	struct writer writers[WRITERS];
	_Atomic uint64_t done = 0;

	pthread_mutex_lock(&store->checkpointer.lock);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .store = store, .first = i * 100, .done = &done };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]),
		                 0);
	}
	await_standstill(&done);
	assert_true(atomic_load(&done) < WRITERS * (uint64_t)EACH);
	assert_true(uncovered_bytes(store) <= MAX_BYTES + WRITERS * RECORD_BYTES);
	pthread_mutex_unlock(&store->checkpointer.lock);
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		assert_int_equal(writers[i].result, 0);
	}
	assert_true(uncovered_bytes(store) <= MAX_BYTES + WRITERS * RECORD_BYTES);
	for (uint64_t id = 0; id < WRITERS * UINT64_C(100); id++)
		assert_int_equal(version_of(store, id), EACH - 99 + id % 100);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_attributes_in_memory_are_bounded(void **state)
{
	struct quiver *store = open_limited(state);
	struct quiver_attr attr = { .mode = 0600 };

	store->checkpointer.backlog.max_bytes = UINT64_MAX;
	store->checkpointer.backlog.attrs_max = 20;
	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	for (uint64_t id = 0; id < 100; id++) {
		assert_int_equal(quiver_set_attr(store, id, &attr, QUIVER_ATTR_MODE, 0), 0);
		assert_true(atomic_load(&store->catalog.attr_deltas.count) <= 20);
	}
	close_store(store);
}

/* 8 MiB of log take 8 ms to be covered. */
static void test_turns_become_longer_towards_the_bound(void **state)
{
	struct backlog backlog = { .slow_bytes = 100 << 20, .max_bytes = 200 << 20 };
	const uint64_t now = 1000000000;

	(void)state;
	assert_false(backlog_knows(&backlog));
	backlog_learn(&backlog, 1 << 20, 1); /* too little to tell */
	assert_false(backlog_knows(&backlog));
	backlog_learn(&backlog, 64 << 20, 64000000);
	assert_true(backlog_knows(&backlog));

	/* The first goes on at once, the next waits for it. */
	assert_int_equal(backlog_turn_ns(&backlog, 150 << 20, 8 << 20, now), now);
	assert_in_range(backlog_turn_ns(&backlog, 100 << 20, 8 << 20, now), now + 7900000,
	                now + 8100000);
	/* At slow_bytes a turn takes no time. */
	assert_in_range(backlog_turn_ns(&backlog, 200 << 20, 8 << 20, now), now + 7900000,
	                now + 8100000);
	/* At the bound twice what the checkpoint takes. */
	assert_in_range(backlog_turn_ns(&backlog, 200 << 20, 8 << 20, now), now + 23900000,
	                now + 24100000);
	/* Nobody waits for what is over, nor for ever. */
	assert_int_equal(backlog_turn_ns(&backlog, 200 << 20, UINT64_C(1) << 40, now * 2), now * 2);
	assert_int_equal(backlog_turn_ns(&backlog, 200 << 20, 1 << 20, now * 2),
	                 now * 2 + 500000000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_log_stays_bounded_and_nobody_fails),
		TEST(test_who_must_not_wait_is_turned_away),
		TEST(test_writers_stand_while_a_checkpoint_does),
		TEST(test_attributes_in_memory_are_bounded),
		TEST(test_turns_become_longer_towards_the_bound),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
