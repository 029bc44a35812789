/*
 * chance.h - random numbers that a seed gives again.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

/* splitmix64, Steele et al. 2014. */
static inline uint64_t chance_next(struct chance *chance)
{
	uint64_t z = chance->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A stream of its own for `a` and `b`. */
static inline struct chance chance_of(uint64_t a, uint64_t b)
{
	struct chance chance = { a * UINT64_C(0x2545f4914f6cdd1d) + 1 };

	chance.state = chance_next(&chance) ^ b * UINT64_C(0xd1342543de82ef95);
	return chance;
}

static inline uint64_t chance_below(struct chance *chance, uint64_t bound)
{
	return chance_next(chance) % bound;
}

static inline bool chance_percent(struct chance *chance, unsigned percent)
{
	return chance_below(chance, 100) < percent;
}

#endif
