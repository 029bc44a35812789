/*
 * latency.h - a histogram of durations: buckets of equal ratio (8 to a doubling),
 * so that a percentile is right to within an eighth, in constant memory. After the
 * idea of HdrHistogram (Tene).
 */
#ifndef QUIVER_LATENCY_H
#define QUIVER_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "engine/quiver.h"

#define LATENCY_BUCKETS 512 /* 64 doublings of 8 */

struct latency {
	_Atomic uint64_t buckets[LATENCY_BUCKETS];
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t max_ns;
};

/* Any thread, lock-free. All-zero memory is an empty histogram. */
void latency_add(struct latency *latency, uint64_t ns);
/* Percentiles are the upper bound of their bucket, at most the maximum. */
void latency_read(struct latency *latency, struct quiver_latency *out);
/* CLOCK_MONOTONIC in ns; CLOCK_REALTIME in ns. */
uint64_t clock_monotonic_ns(void);
int64_t clock_realtime_ns(void);
/* A time of such a clock, as the calls that wait take it. */
struct timespec clock_timespec(uint64_t ns);

#endif
