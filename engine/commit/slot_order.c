#include "engine/commit/slot_order.h"

#include <string.h>

#define DIGIT_BITS 8
#define DIGITS (1u << DIGIT_BITS)
#define SLOT_AT 32 /* bits */

static unsigned digit(uint64_t key, int at)
{
	return key >> at & (DIGITS - 1);
}

/* Of the digits at `at`, where each begins in the order. Whether there is more than one. */
static int count_digits(const uint64_t *keys, size_t count, int at, size_t begins[DIGITS])
{
	size_t sum = 0;

	memset(begins, 0, DIGITS * sizeof(*begins));
	for (size_t i = 0; i < count; i++)
		begins[digit(keys[i], at)]++;
	if (begins[digit(keys[0], at)] == count)
		return 0;
	for (unsigned d = 0; d < DIGITS; d++) {
		size_t n = begins[d];

		begins[d] = sum;
		sum += n;
	}
	return 1;
}

void slot_order_sort(uint64_t *keys, uint64_t *spare, size_t count)
{
	uint64_t *from = keys;
	uint64_t *to = spare;
	size_t begins[DIGITS];

	for (int at = SLOT_AT; count > 0 && at < 64; at += DIGIT_BITS) {
		uint64_t *sorted = to;

		if (!count_digits(from, count, at, begins))
			continue;
		for (size_t i = 0; i < count; i++)
			to[begins[digit(from[i], at)]++] = from[i];
		to = from;
		from = sorted;
	}
	if (from != keys)
		memcpy(keys, from, count * sizeof(*keys));
}
