/* Scores in double, one row at a time: what people are told, and what the fast ones are held to. */
#include <math.h>
#include <string.h>

#include "engine/distance/distance.h"
#include "engine/distance/elements.h"

#define BLOCK 256u /* elements at once: of both vectors in the first cache */
#define SUMS \
	8u /* at once, so that no addition waits for the one before; added up in the same order on
                   every machine */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bits that differ, or that both have. */
static double bits_of(bool differ, const struct distance *distance, const void *a, const void *b)
{
	const uint8_t *x = a, *y = b;
	uint64_t bits = 0;
	size_t i = 0;

	for (; i + sizeof(uint64_t) <= distance->vector_bytes; i += sizeof(uint64_t)) {
		uint64_t p, q;

		memcpy(&p, x + i, sizeof(p));
		memcpy(&q, y + i, sizeof(q));
		bits += (uint64_t)__builtin_popcountll(differ ? p ^ q : p & q);
	}
	for (; i < distance->vector_bytes; i++)
		bits += (uint64_t)__builtin_popcount(differ ? x[i] ^ y[i] : x[i] & y[i]);
	return (double)bits;
}

static double sum_of(const double sums[SUMS])
{
	return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
	       ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* Elements first ... of a row, and zeros up to BLOCK. Returns how many of them are to be looked at, a
 * multiple of SUMS. */
static size_t take_block(const struct distance *distance, const void *row, size_t first,
                         double block[BLOCK])
{
	size_t n = smaller(BLOCK, distance->dim - first), all = (n + SUMS - 1) / SUMS * SUMS;

	elements_doubles(distance->dtype, row, first, n, block);
	for (size_t i = n; i < all; i++)
		block[i] = 0;
	return all;
}

static double squares_between(const struct distance *distance, const void *a, const void *b)
{
	double x[BLOCK], y[BLOCK], sum = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = take_block(distance, a, first, x);
		double part[SUMS] = { 0 };

		(void)take_block(distance, b, first, y); /* as many */
		for (size_t i = 0; i < n; i += SUMS)
			for (size_t s = 0; s < SUMS; s++)
				part[s] += (x[i + s] - y[i + s]) * (x[i + s] - y[i + s]);
		sum += sum_of(part);
	}
	return sum;
}

/* What angles and products are made of. */
struct products {
	double ab, aa, bb;
};

/* Of two vectors whose elements are multiplied first. */
static struct products products_of(const struct distance *distance, const void *a, const void *b,
                                   double scale_a, double scale_b)
{
	double x[BLOCK], y[BLOCK];
	struct products sums = { 0 };

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = take_block(distance, a, first, x);
		double ab[SUMS] = { 0 }, aa[SUMS] = { 0 }, bb[SUMS] = { 0 };

		(void)take_block(distance, b, first, y); /* as many */
		for (size_t i = 0; i < n; i += SUMS) {
			for (size_t s = 0; s < SUMS; s++) {
				double p = x[i + s] * scale_a, q = y[i + s] * scale_b;

				ab[s] += p * q;
				aa[s] += p * p;
				bb[s] += q * q;
			}
		}
		sums.ab += sum_of(ab);
		sums.aa += sum_of(aa);
		sums.bb += sum_of(bb);
	}
	return sums;
}

static double product_of(const struct distance *distance, const void *a, const void *b)
{
	double x[BLOCK], y[BLOCK], sum = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = take_block(distance, a, first, x);
		double part[SUMS] = { 0 };

		(void)take_block(distance, b, first, y); /* as many */
		for (size_t i = 0; i < n; i += SUMS)
			for (size_t s = 0; s < SUMS; s++)
				part[s] += x[i + s] * y[i + s];
		sum += sum_of(part);
	}
	return sum;
}

/* The largest of the elements without their signs; NaN where one is. */
static double largest(const struct distance *distance, const void *row)
{
	double x[BLOCK], most = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = smaller(BLOCK, distance->dim - first);

		elements_doubles(distance->dtype, row, first, n, x);
		for (size_t i = 0; i < n; i++)
			if (!(fabs(x[i]) <= most))
				most = fabs(x[i]);
		if (isnan(most))
			break;
	}
	return most;
}

/* So that the product of two of them is in range. */
static bool is_normal_sum(double sum)
{
	return sum > 0x1p-500 && sum < 0x1p500;
}

/* Minus the cosine. */
static double score_of_products(struct products sums)
{
	/* Of a vector and itself it is 1: the root of a square that was rounded is exact. */
	double cosine = sums.ab / sqrt(sums.aa * sums.bb);

	if (fabs(cosine) > 1)
		cosine = copysign(1, cosine);
	/* As many digits as 1 - cos has, since of equal distances the ID decides. */
	return (1 - cosine) - 1;
}

static double minus_cosine(const struct distance *distance, const void *a, const void *b)
{
	struct products sums = products_of(distance, a, b, 1, 1);

	/* Of f8 the squares may be beyond what a double holds. */
	if (!is_normal_sum(sums.aa) || !is_normal_sum(sums.bb)) {
		double most_a = largest(distance, a), most_b = largest(distance, b);

		if (!(most_a > 0 && most_b > 0) || isinf(most_a) || isinf(most_b))
			return NAN;
		sums = products_of(distance, a, b, elements_scale(most_a), elements_scale(most_b));
	}
	return score_of_products(sums);
}

/* b1: elements are 0 and 1. */
static double score_of_bits(const struct distance *distance, const void *question, const void *row)
{
	struct products sums;

	if (distance->metric == QUIVER_L2 || distance->metric == QUIVER_HAMMING)
		return bits_of(true, distance, question, row);
	sums.ab = bits_of(false, distance, question, row);
	if (distance->metric == QUIVER_IP)
		return -sums.ab;
	sums.aa = bits_of(false, distance, question, question);
	sums.bb = bits_of(false, distance, row, row);
	return sums.aa > 0 && sums.bb > 0 ? score_of_products(sums) : NAN;
}

double distance_score(const struct distance *distance, const void *question, const void *row)
{
	if (distance->dtype == QUIVER_B1)
		return score_of_bits(distance, question, row);
	switch (distance->metric) {
	case QUIVER_L2:
		return squares_between(distance, question, row);
	case QUIVER_COSINE:
		return minus_cosine(distance, question, row);
	case QUIVER_IP:
		return -product_of(distance, question, row);
	case QUIVER_HAMMING:
		return bits_of(true, distance, question, row);
	}
	return NAN;
}

bool distance_has_any(const struct distance *distance, const void *vector)
{
	/* An infinity less itself is no number either. */
	return !isnan(distance_score(distance, vector, vector));
}

double distance_of_score(enum quiver_metric metric, double score)
{
	switch (metric) {
	case QUIVER_COSINE:
		return 1 + score;
	case QUIVER_IP:
		return score == 0 ? 0 : -score;
	default:
		return score;
	}
}

double distance_to_score(enum quiver_metric metric, double distance)
{
	switch (metric) {
	case QUIVER_COSINE:
		return distance - 1;
	case QUIVER_IP:
		return -distance;
	default:
		return distance;
	}
}

void distance_floats(const struct distance *distance, const void *row, float *to)
{
	elements_floats(distance->dtype, row, 0, distance->dim, to);
}
