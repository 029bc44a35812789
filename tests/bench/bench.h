/*
 * bench.h - what the workers of the benchmark share: their arguments, seeded data,
 * and a runner that times operations done by several threads or processes at once.
 *
 * A worker measures one row and prints one line of JSON; bench.py does the rest.
 * Whatever goes wrong ends the program with a message.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Vectors in one batch, as in the targets of the benchmark. */
#define BENCH_BATCH 1000u

struct bench_args {
	const char *row; /* what to measure */
	const char *path; /* where */
	const char *mode; /* durability, or a variant of the peer; "" unless given */
	const char *order; /* of the IDs: "random" or "list" */
	uint64_t count; /* vectors that are there: IDs 0 to count - 1 */
	uint64_t start; /* first ID that rows use which make new vectors */
	uint64_t ops; /* operations over all workers */
	uint64_t seed;
	uint32_t bytes; /* of a vector */
	unsigned workers;
	unsigned snapshots; /* that there are */
};

/* ROW PATH [--name value]... */
void bench_args_parse(int argc, char **argv, struct bench_args *args);

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
uint64_t bench_now_ns(void);
void *bench_alloc(size_t bytes);
/* `bytes` of noise. */
void bench_fill(void *to, size_t bytes, uint64_t seed);
/* 0 to count - 1 in random order; malloc'd. */
uint64_t *bench_shuffled(uint64_t count, uint64_t seed);

struct bench_job {
	uint64_t ops; /* spread over the workers in runs of neighbours */
	unsigned workers;
	bool processes; /* else threads */
	/* Operations between two looks at the clock, where one is too short for it. */
	uint64_t stride;
	void *arg;
	/* Each worker, before the clock starts; may be NULL. Its session goes to op. */
	void *(*begin)(void *arg, unsigned worker);
	void (*op)(void *arg, void *session, uint64_t i);
	void (*end)(void *arg, void *session); /* may be NULL */
};

struct bench_result {
	uint64_t ops;
	uint64_t ns; /* from the common start to the end of the last worker */
	uint64_t bytes; /* moved, where it means something */
	uint64_t p50_ns, p99_ns, p999_ns, max_ns; /* of one operation */
};

void bench_run(const struct bench_job *job, struct bench_result *result);
/* The percentiles of `count` samples, which are sorted on the way. */
void bench_percentiles(uint64_t *samples, size_t count, struct bench_result *result);
void bench_print(const struct bench_result *result);

#endif
