/* Scores in double, one row at a time: what people are told, and what the fast ones are held to. */
#include <math.h>

#include "engine/distance/distance.h"
#include "engine/distance/elements.h"

#define BLOCK 256u /* elements at once: of both vectors in the first cache */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Bits that differ. */
static double hamming(const struct distance *distance, const void *a, const void *b)
{
	const uint8_t *x = a, *y = b;
	uint64_t bits = 0;

	for (uint32_t i = 0; i < distance->vector_bytes; i++)
		bits += (uint64_t)__builtin_popcount(x[i] ^ y[i]);
	return (double)bits;
}

static double squares_between(const struct distance *distance, const void *a, const void *b)
{
	double x[BLOCK], y[BLOCK], sum = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = smaller(BLOCK, distance->dim - first);
		double part = 0;

		elements_doubles(distance->dtype, a, first, n, x);
		elements_doubles(distance->dtype, b, first, n, y);
		for (size_t i = 0; i < n; i++)
			part += (x[i] - y[i]) * (x[i] - y[i]);
		sum += part;
	}
	return sum;
}

/* What angles and products are made of. */
struct products {
	double ab, aa, bb;
};

/* `scale` is what all elements are multiplied by. */
static struct products products_of(const struct distance *distance, const void *a, const void *b,
                                   double scale_a, double scale_b)
{
	double x[BLOCK], y[BLOCK];
	struct products sums = { 0 };

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = smaller(BLOCK, distance->dim - first);
		struct products part = { 0 };

		elements_doubles(distance->dtype, a, first, n, x);
		elements_doubles(distance->dtype, b, first, n, y);
		for (size_t i = 0; i < n; i++) {
			double p = x[i] * scale_a, q = y[i] * scale_b;

			part.ab += p * q;
			part.aa += p * p;
			part.bb += q * q;
		}
		sums.ab += part.ab;
		sums.aa += part.aa;
		sums.bb += part.bb;
	}
	return sums;
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

static bool is_normal_sum(double sum)
{
	return sum > 0x1p-900 && sum < 0x1p900;
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
	return -(sums.ab / (sqrt(sums.aa) * sqrt(sums.bb)));
}

double distance_score(const struct distance *distance, const void *question, const void *row)
{
	switch (distance->metric) {
	case QUIVER_L2:
		return squares_between(distance, question, row);
	case QUIVER_COSINE:
		return minus_cosine(distance, question, row);
	case QUIVER_IP:
		return -products_of(distance, question, row, 1, 1).ab;
	case QUIVER_HAMMING:
		return hamming(distance, question, row);
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
