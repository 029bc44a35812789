#include "unit.h"

#include "engine/index/readers.h"
#include "store_test.h"

/* More vectors than a reader has pins, and more threads than there are readers. */
#define COUNT 200u
#define THREADS (READERS_MAX + 20u)

static_assert(COUNT > READER_PINS && COUNT > THREADS, "some pins are counted in the slots");

static void fill(struct quiver *store, uint64_t first, uint64_t version)
{
	for (uint64_t id = first; id < first + COUNT; id++)
		assert_int_equal(put_version(store, id, version, 0), 0);
}

/* Remove what is there; whoever comes then takes every slot that is free. */
static void replace_all(struct quiver *store, uint64_t held)
{
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_retired, held);
	fill(store, COUNT, 2);
}

static void check_and_give_back(struct quiver *store, struct quiver_ref *refs, uint64_t count)
{
	uint32_t n = quiver_geometry(store)->vector_bytes;

	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(vector_version(refs[i].data, n, refs[i].id), 1);
		assert_int_equal(quiver_ref_verify(store, &refs[i], 0), 0);
		quiver_unref(store, &refs[i]);
	}
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_retired, 0);
}

static void test_one_thread_holds_more_than_it_has_pins(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_ref refs[COUNT];

	fill(store, 0, 1);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(quiver_get(store, id, 0, &refs[id]), 0);
	replace_all(store, COUNT);
	check_and_give_back(store, refs, COUNT);
	close_store(store);
}

struct taker {
	struct quiver *store;
	uint64_t id;
	pthread_barrier_t *all;
	struct quiver_ref *ref;
	int result;
};

static void *take(void *arg)
{
	struct taker *taker = arg;

	taker->result = quiver_get(taker->store, taker->id, 0, taker->ref);
	if (taker->all)
		(void)pthread_barrier_wait(taker->all);
	return NULL;
}

/* Each thread has the number of the one before, whose pins are still set. */
static void test_pins_outlive_the_threads_that_set_them(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_ref refs[COUNT];

	fill(store, 0, 1);
	for (uint64_t id = 0; id < COUNT; id++) {
		struct taker taker = { .store = store, .id = id, .ref = &refs[id] };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, take, &taker), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(taker.result, 0);
	}
	assert_int_equal(stats_of(store).gets, COUNT);
	replace_all(store, COUNT);
	check_and_give_back(store, refs, COUNT);
	close_store(store);
}

static void test_more_threads_than_readers_hold_and_count(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct taker takers[THREADS];
	struct quiver_ref refs[THREADS];
	pthread_t threads[THREADS];
	pthread_barrier_t all;
	struct quiver_ref none;

	fill(store, 0, 1);
	assert_int_equal(pthread_barrier_init(&all, NULL, THREADS), 0);
	for (uint64_t i = 0; i < THREADS; i++) {
		takers[i] = (struct taker){ .store = store, .id = i, .all = &all, .ref = &refs[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
	}
	for (uint64_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(takers[i].result, 0);
	}
	assert_int_equal(pthread_barrier_destroy(&all), 0);
	assert_int_equal(quiver_get(store, COUNT, 0, &none), -ENOENT);
	assert_int_equal(stats_of(store).gets, THREADS);
	assert_int_equal(stats_of(store).get_misses, 1);
	replace_all(store, THREADS);
	check_and_give_back(store, refs, THREADS);
	close_store(store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_one_thread_holds_more_than_it_has_pins),
		TEST(test_pins_outlive_the_threads_that_set_them),
		TEST(test_more_threads_than_readers_hold_and_count),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
