#include "engine/base/latency.h"

#include <assert.h>
#include <time.h>

#define STEPS_PER_DOUBLING 8u /* a bucket is an eighth of its lower bound wide */
#define STEPS_LOG2 3u
#define NS_PER_S 1000000000

static_assert(STEPS_PER_DOUBLING == 1u << STEPS_LOG2, "steps");
static_assert((64 - STEPS_LOG2 + 1) * STEPS_PER_DOUBLING <= LATENCY_BUCKETS,
              "every ns has a bucket");

static unsigned bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns < STEPS_PER_DOUBLING)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - STEPS_LOG2;
	return (shift + 1) * STEPS_PER_DOUBLING + ((ns >> shift) & (STEPS_PER_DOUBLING - 1));
}

static uint64_t bucket_upper(unsigned bucket)
{
	unsigned shift;

	if (bucket < STEPS_PER_DOUBLING)
		return bucket;
	shift = bucket / STEPS_PER_DOUBLING - 1;
	return ((uint64_t)(STEPS_PER_DOUBLING + bucket % STEPS_PER_DOUBLING) << shift) +
	       ((UINT64_C(1) << shift) - 1);
}

void latency_add(struct latency *latency, uint64_t ns)
{
	uint64_t max = atomic_load_explicit(&latency->max_ns, memory_order_relaxed);

	while (ns > max &&
	       !atomic_compare_exchange_weak_explicit(&latency->max_ns, &max, ns,
	                                              memory_order_relaxed, memory_order_relaxed))
		;
	atomic_fetch_add_explicit(&latency->sum_ns, ns, memory_order_relaxed);
	/* Last, so that whoever sees the count sees a maximum that covers it. */
	atomic_fetch_add_explicit(&latency->buckets[bucket_of(ns)], 1, memory_order_release);
}

/* The upper bound of the bucket that holds the duration of this rank (from 1). */
static uint64_t at_rank(const uint64_t *buckets, uint64_t rank)
{
	uint64_t seen = 0;
	unsigned i;

	for (i = 0; i < LATENCY_BUCKETS - 1; i++) {
		seen += buckets[i];
		if (seen >= rank)
			break;
	}
	return bucket_upper(i);
}

static uint64_t percentile(const uint64_t *buckets, uint64_t count, unsigned percent, uint64_t max)
{
	/* Rounded up: the smallest duration that `percent` of all do not exceed. */
	uint64_t rank = count / 100 * percent + (count % 100 * percent + 99) / 100;
	uint64_t upper = at_rank(buckets, rank);

	return upper < max ? upper : max;
}

void latency_read(struct latency *latency, struct quiver_latency *out)
{
	uint64_t buckets[LATENCY_BUCKETS];
	uint64_t count = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		buckets[i] = atomic_load_explicit(&latency->buckets[i], memory_order_acquire);
		count += buckets[i];
	}
	*out = (struct quiver_latency){
		.count = count,
		.sum_ns = atomic_load_explicit(&latency->sum_ns, memory_order_relaxed),
		.max_ns = atomic_load_explicit(&latency->max_ns, memory_order_relaxed),
	};
	if (count == 0)
		return;
	out->p50_ns = percentile(buckets, count, 50, out->max_ns);
	out->p90_ns = percentile(buckets, count, 90, out->max_ns);
	out->p99_ns = percentile(buckets, count, 99, out->max_ns);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	/* Cannot fail for the two clocks below. */
	if (clock_gettime(clock, &now) != 0)
		return 0;
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return (uint64_t)clock_ns(CLOCK_MONOTONIC);
}

int64_t clock_realtime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
		                  .tv_nsec = (long)(ns % NS_PER_S) };
}
