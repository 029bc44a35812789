/*
 * random.h - random numbers that a seed gives again.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/* splitmix64, Steele et al. 2014. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline uint64_t test_below(uint64_t *state, uint64_t bound)
{
	return test_random(state) % bound;
}

/* The seed of this run, printed once by each source that asks; QUIVERFS_TEST_SEED repeats one. */
static inline uint64_t test_seed(void)
{
	static uint64_t seed;
	static bool known;
	const char *text = getenv("QUIVERFS_TEST_SEED");

	if (known)
		return seed;
	if (text)
		seed = strtoull(text, NULL, 10);
	else if (getrandom(&seed, 4, 0) != 4)
		abort();
	known = true;
	printf("# QUIVERFS_TEST_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

#endif
