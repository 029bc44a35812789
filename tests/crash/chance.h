/*
 * chance.h - streams of random numbers, one for each thing that is left to chance.
 */
#ifndef CHANCE_H
#define CHANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/common/random.h"

struct chance {
	uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
	return test_random(&chance->state);
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
