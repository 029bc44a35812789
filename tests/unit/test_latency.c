#include "unit.h"

#include <pthread.h>
#include <time.h>

#include "engine/base/latency.h"

static void nothing_measured_reads_as_zero(void **state)
{
	struct latency latency = { 0 };
	struct quiver_latency out;

	(void)state;
	latency_read(&latency, &out);
	assert_true(out.count == 0 && out.sum_ns == 0 && out.max_ns == 0);
	assert_true(out.p50_ns == 0 && out.p90_ns == 0 && out.p99_ns == 0);
}

static void one_duration_is_every_percentile(void **state)
{
	static const uint64_t durations[] = { 0, 1, 7, 8, 9, 1000, 123456789, UINT64_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		struct latency latency = { 0 };
		struct quiver_latency out;

		latency_add(&latency, durations[i]);
		latency_read(&latency, &out);
		assert_true(out.count == 1);
		assert_true(out.sum_ns == durations[i]);
		assert_true(out.max_ns == durations[i]);
		assert_true(out.p50_ns == durations[i]);
		assert_true(out.p99_ns == durations[i]);
	}
}

/* A lone maximum far above, so that the bucket's own bound shows. */
static void check_bound(uint64_t ns)
{
	struct latency latency = { 0 };
	struct quiver_latency out;

	latency_add(&latency, ns);
	latency_add(&latency, ns);
	latency_add(&latency, UINT64_MAX);
	latency_read(&latency, &out);
	assert_true(out.p50_ns >= ns);
	assert_true(out.p50_ns - ns <= ns / 8);
}

static void a_percentile_is_right_to_within_an_eighth(void **state)
{
	(void)state;
	for (uint64_t ns = 0; ns < 5000; ns++)
		check_bound(ns);
	for (unsigned shift = 3; shift < 64; shift++) {
		check_bound((UINT64_C(1) << shift) - 1);
		check_bound(UINT64_C(1) << shift);
		check_bound((UINT64_C(1) << shift) + (UINT64_C(1) << (shift - 3)));
	}
}

static void percentiles_of_a_thousand_even_steps(void **state)
{
	struct latency latency = { 0 };
	struct quiver_latency out;

	(void)state;
	for (uint64_t i = 1; i <= 1000; i++)
		latency_add(&latency, i * 1000);
	latency_read(&latency, &out);
	assert_true(out.count == 1000);
	assert_true(out.sum_ns == UINT64_C(500500000));
	assert_true(out.max_ns == 1000000);
	assert_in_range(out.p50_ns, 500000, 500000 * 9 / 8);
	assert_in_range(out.p90_ns, 900000, 1000000);
	assert_in_range(out.p99_ns, 990000, 1000000);
}

static void the_rank_is_rounded_up(void **state)
{
	struct latency latency = { 0 };
	struct quiver_latency out;

	(void)state;
	for (int i = 0; i < 98; i++)
		latency_add(&latency, 1);
	latency_add(&latency, 5);
	latency_read(&latency, &out); /* 99 in all: p99 is the 99th */
	assert_true(out.p99_ns == 5 && out.p90_ns == 1);
	latency_add(&latency, 7);
	latency_read(&latency, &out); /* 100 in all: still the 99th */
	assert_true(out.p99_ns == 5 && out.max_ns == 7);
}

#define THREADS 4
#define ADDS 20000

static void *add_many(void *arg)
{
	for (uint64_t i = 0; i < ADDS; i++)
		latency_add(arg, i);
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct latency latency = { 0 };
	struct quiver_latency out;
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &latency), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	latency_read(&latency, &out);
	assert_true(out.count == THREADS * ADDS);
	assert_true(out.sum_ns == (uint64_t)THREADS * ADDS * (ADDS - 1) / 2);
	assert_true(out.max_ns == ADDS - 1);
}

static void the_clocks_run(void **state)
{
	uint64_t before = clock_monotonic_ns();

	(void)state;
	usleep(2000);
	assert_true(clock_monotonic_ns() - before >= 2000000);
	assert_in_range(clock_realtime_ns() / 1000000000, time(NULL) - 2, time(NULL) + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_measured_reads_as_zero),
		cmocka_unit_test(one_duration_is_every_percentile),
		cmocka_unit_test(a_percentile_is_right_to_within_an_eighth),
		cmocka_unit_test(percentiles_of_a_thousand_even_steps),
		cmocka_unit_test(the_rank_is_rounded_up),
		cmocka_unit_test(threads_lose_nothing),
		cmocka_unit_test(the_clocks_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
