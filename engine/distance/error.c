/*
 * How far scores in single precision may be from those in double. Every operation rounds by a factor of
 * 1 + e, |e| <= U, and a sum of n terms, in whatever order, is off by at most n U times the sum of what its
 * terms are without their signs (N. Higham, "Accuracy and Stability of Numerical Algorithms", 4.2), where n
 * is the number of additions that a term goes through. Products of two vectors are at most the product of
 * their norms so (Cauchy and Schwarz).
 */
#include <math.h>

#include "engine/distance/elements.h"
#include "engine/distance/kernels.h"

#define U 0x1p-24 /* half the distance of 1 and the next float */
/* What numbers too small for a float may be off by, also where the program that this is a library of has
 * them rounded to 0. */
#define TINY 0x1p-124
/* Terms of second order and the rounding of the bound itself. */
#define SLACK 1.01

static double norm_of(const struct distance *distance, const void *vector)
{
	double x[256], sum = 0;

	for (size_t first = 0; first < distance->dim; first += 256) {
		size_t n = distance->dim - first < 256 ? distance->dim - first : 256;

		elements_doubles(distance->dtype, vector, first, n, x);
		for (size_t i = 0; i < n; i++)
			sum += x[i] * x[i];
	}
	return sqrt(sum);
}

/* Roundings that a term of a sum goes through, of a question in a row (singles.h) ... */
static double roundings_in_rows(const struct distance *distance)
{
	double lanes = distance->kernels->lanes, dim = distance->dim;
	double chunk = dim < KERNEL_CHUNK ? dim : KERNEL_CHUNK;

	/* The product, the steps, what is left over, four sums to one, the chunks, the lanes. */
	return 1 + chunk / (4 * lanes) + 5 + 2 + dim / KERNEL_CHUNK + 1 + 3;
}

/* ... and in columns (tiles.h). */
static double roundings_in_columns(const struct distance *distance)
{
	double dim = distance->dim;

	return 1 + (dim < KERNEL_DEPTH ? dim : KERNEL_DEPTH) + dim / KERNEL_DEPTH + 1;
}

/* |row|^2 in columns: in lanes, and parts. */
static double roundings_of_square(const struct distance *distance)
{
	double dim = distance->dim, part = dim < KERNEL_DEPTH ? dim : KERNEL_DEPTH;

	return 1 + part / (2 * distance->kernels->lanes) + 2 + 1 + 3 + dim / KERNEL_DEPTH + 1;
}

static double error_of_floats(const struct distance *distance, const void *question, double score,
                              float norm_max)
{
	double rows = roundings_in_rows(distance), columns = roundings_in_columns(distance);
	double square = fmax(rows, roundings_of_square(distance));
	double product = fmax(rows, columns), tiny = TINY * distance->dim;
	double q, x;

	if (distance->metric == QUIVER_COSINE)
		/* The question's elements are rounded; the root, the quotient. */
		return U * (product + square / 2 + 5) * SLACK;
	q = norm_of(distance, question);
	if (distance->metric == QUIVER_IP) {
		x = (double)norm_max * (1 + U * square) + 0x1p-60 * sqrt(distance->dim);
		return (U * (product + 1) * q * x + tiny * (1 + q + x)) * SLACK;
	}
	/* In rows: the difference is rounded, and squared. In columns: |q|^2 + |x|^2 - 2 qx. */
	x = q + sqrt(fmax(score, 0));
	return (fmax(U * (rows + 3) * fmax(score, 0),
	             U * (2 * product * q * x + square * x * x + 3 * (q + x) * (q + x))) +
	        tiny * (1 + q + x)) *
	       SLACK;
}

/* Sums in double, of terms that are exact or nearly so, and one rounding at the end. */
static double error_of_doubles(const struct distance *distance, const void *question, double score,
                               float norm_max)
{
	double sum = 0x1p-52 * (distance->dim + 8.0), x;

	if (distance->metric == QUIVER_COSINE)
		return (U + 2 * sum) * SLACK;
	if (distance->metric == QUIVER_L2)
		return ((U + 2 * sum) * fmax(score, 0) + TINY) * SLACK;
	x = (double)norm_max * (1 + 0x1p-20);
	return (U * fabs(score) + 2 * sum * norm_of(distance, question) * x + TINY) * SLACK;
}

/* Whole numbers are exact until they are rounded. */
static double error_of_whole(const struct distance *distance, double score)
{
	if (distance->metric == QUIVER_COSINE)
		return 8 * U;
	return fabs(score) <= 0x1p24 ? 0 : fabs(score) * U * SLACK;
}

double distance_error(const struct distance *distance, const void *question, double score,
                      float norm_max)
{
	switch (arithmetic_of(distance)) {
	case ARITHMETIC_FLOATS:
		return error_of_floats(distance, question, score, norm_max);
	case ARITHMETIC_DOUBLES:
		return error_of_doubles(distance, question, score, norm_max);
	default:
		return error_of_whole(distance, score);
	}
}
