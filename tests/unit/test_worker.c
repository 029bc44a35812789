/* Workers: whose work is done first, where users share them. */
#include "unit.h"

#include <pthread.h>

#include "fs/base/worker.h"

#define HOG 1000u
#define OTHER 2000u

/* One piece that runs until it is let go. */
struct piece {
	struct work work;
	struct test *test;
	bool held;
};

struct test {
	struct workers *workers;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned running, most; /* lock; of HOG */
	unsigned done[2]; /* lock; of HOG, of OTHER */
	bool go; /* lock */
};

static void run(struct work *work)
{
	struct piece *piece = (struct piece *)(void *)work;
	struct test *test = piece->test;
	bool is_hog = work->user == HOG;

	pthread_mutex_lock(&test->lock);
	if (is_hog && ++test->running > test->most)
		test->most = test->running;
	pthread_cond_broadcast(&test->changed);
	while (piece->held && !test->go)
		pthread_cond_wait(&test->changed, &test->lock);
	test->running -= is_hog;
	test->done[is_hog ? 0 : 1]++;
	pthread_cond_broadcast(&test->changed);
	pthread_mutex_unlock(&test->lock);
}

static struct piece piece_of(struct test *test, uid_t user, bool held)
{
	return (struct piece){ .work = { .run = run, .user = user }, .test = test, .held = held };
}

/* One user has far more than there are threads, and none of it ends: another's is done all the same. */
static void a_user_leaves_threads_to_others(void **state)
{
	static const enum worker_class kinds[] = { WORKER_NEAREST, WORKER_NEAREST_LARGE };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct test test = { .workers = NULL };
		struct piece hogs[100], others[20];

		(void)pthread_mutex_init(&test.lock, NULL);
		(void)pthread_cond_init(&test.changed, NULL);
		assert_int_equal(workers_new(false, &test.workers), 0);
		for (size_t j = 0; j < 100; j++) {
			hogs[j] = piece_of(&test, HOG, true);
			workers_submit(test.workers, kinds[i], &hogs[j].work);
		}
		for (size_t j = 0; j < 20; j++) {
			others[j] = piece_of(&test, OTHER, false);
			workers_submit(test.workers, kinds[i], &others[j].work);
		}
		pthread_mutex_lock(&test.lock);
		while (test.done[1] < 20)
			pthread_cond_wait(&test.changed, &test.lock);
		assert_int_equal(test.done[0], 0);
		test.go = true;
		pthread_cond_broadcast(&test.changed);
		pthread_mutex_unlock(&test.lock);
		workers_free(test.workers); /* which does what is left */
		assert_int_equal(test.done[0], 100);
		assert_true(test.most >= 1 && test.most <= 12);
		pthread_cond_destroy(&test.changed);
		pthread_mutex_destroy(&test.lock);
	}
}

/* Where nobody is given a share the oldest goes first, whoever has it. */
static void others_go_by_age(void **state)
{
	struct test test = { .workers = NULL };
	struct piece hogs[300];

	(void)state;
	(void)pthread_mutex_init(&test.lock, NULL);
	(void)pthread_cond_init(&test.changed, NULL);
	assert_int_equal(workers_new(false, &test.workers), 0);
	for (size_t j = 0; j < 300; j++) {
		hogs[j] = piece_of(&test, HOG, false);
		workers_submit(test.workers, WORKER_GET, &hogs[j].work);
	}
	workers_drain(test.workers);
	assert_int_equal(test.done[0], 300);
	workers_free(test.workers);
	pthread_cond_destroy(&test.changed);
	pthread_mutex_destroy(&test.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_leaves_threads_to_others),
		cmocka_unit_test(others_go_by_age),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
