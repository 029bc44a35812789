/*
 * runner.h - many numbered cases, in child processes, so that one that crashes or hangs is a
 * failed case with a name like any other.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNNER_WHY_BYTES 1024

struct runner {
	const char *name;
	uint64_t cases;
	/* In a short run: so many cases at most, and none begins when those before have used so many
	 * seconds of the processors; drawn from all, in an order that follows from the seed. */
	uint64_t short_cases;
	unsigned short_seconds;
	/* Run one. False with the reason in `why` where it fails. In a child. */
	bool (*run)(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES]);
	/* What the case is, for who reads of its failure. */
	void (*describe)(void *arg, uint64_t number, char *to, size_t room);
	void *arg;
};

/* Run all, print each failure and a line of figures. The number of failures. */
uint64_t runner_run(const struct runner *runner);

/* The seed of this run, printed once; QUIVERFS_TEST_SEED repeats one. */
uint64_t runner_seed(void);
/* Whether QUIVERFS_TEST_LONG asks for everything. */
bool runner_long(void);
/* QUIVERFS_TEST_CASE: run only this one; false where it is not set. */
bool runner_only(uint64_t *number);

#endif
