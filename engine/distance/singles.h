/*
 * singles.h - a row against one question, which lies in a row, too. Sums are made of several, so that no
 * addition waits for the one before, and of chunks, which bounds their errors (error.c).
 */
#ifndef QUIVER_DISTANCE_SINGLES_H
#define QUIVER_DISTANCE_SINGLES_H

#include "engine/distance/kernels.h"
#include "engine/distance/lanes.h"

#define SUMS 4u /* at once */

INLINE size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

INLINE float squares_between(enum quiver_dtype dtype, const uint8_t *row, const float *question,
                             size_t dim)
{
	floats total = { 0 };

	for (size_t first = 0; first < dim; first += KERNEL_CHUNK) {
		size_t end = least(dim, first + KERNEL_CHUNK), i = first;
		floats sum[SUMS] = { { 0 } }, d;

		for (; i + SUMS * LANES <= end; i += SUMS * LANES) {
			UNROLL
			for (size_t s = 0; s < SUMS; s++) {
				d = elements_at(dtype, row, i + s * LANES) -
				    floats_at(question + i + s * LANES);
				sum[s] += d * d;
			}
		}
		for (; i + LANES <= end; i += LANES) {
			d = elements_at(dtype, row, i) - floats_at(question + i);
			sum[0] += d * d;
		}
		if (i < end) {
			d = last_elements(dtype, row, end, end - i) - floats_at(question + i);
			sum[1] += d * d;
		}
		total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
	}
	return sum_of(total);
}

struct product {
	float product, square; /* of the row with the question and with itself */
};

INLINE struct product product_with(enum quiver_dtype dtype, const uint8_t *row,
                                   const float *question, size_t dim)
{
	floats total = { 0 }, total_square = { 0 };

	for (size_t first = 0; first < dim; first += KERNEL_CHUNK) {
		size_t end = least(dim, first + KERNEL_CHUNK), i = first;
		floats sum[SUMS] = { { 0 } }, square[SUMS] = { { 0 } }, x;

		for (; i + SUMS * LANES <= end; i += SUMS * LANES) {
			UNROLL
			for (size_t s = 0; s < SUMS; s++) {
				x = elements_at(dtype, row, i + s * LANES);
				sum[s] += x * floats_at(question + i + s * LANES);
				square[s] += x * x;
			}
		}
		for (; i + LANES <= end; i += LANES) {
			x = elements_at(dtype, row, i);
			sum[0] += x * floats_at(question + i);
			square[0] += x * x;
		}
		if (i < end) {
			x = last_elements(dtype, row, end, end - i);
			sum[1] += x * floats_at(question + i);
			square[1] += x * x;
		}
		total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
		total_square += (square[0] + square[1]) + (square[2] + square[3]);
	}
	return (struct product){ sum_of(total), sum_of(total_square) };
}

/* f8: questions are doubles, and so is all until the end. */
INLINE double double_squares_between(const uint8_t *row, const double *question, size_t dim)
{
	size_t i = 0, step = LANES / 2;
	doubles sum[SUMS] = { { 0 } }, d;
	double rest = 0;

	for (; i + SUMS * step <= dim; i += SUMS * step) {
		UNROLL
		for (size_t s = 0; s < SUMS; s++) {
			d = doubles_at(row + 8 * (i + s * step)) -
			    doubles_at(question + i + s * step);
			sum[s] += d * d;
		}
	}
	for (; i < dim; i++) {
		double x;

		memcpy(&x, row + 8 * i, sizeof(x));
		rest += (x - question[i]) * (x - question[i]);
	}
	return double_sum_of((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest;
}

struct double_product {
	double product, square;
};

INLINE struct double_product double_product_with(const uint8_t *row, const double *question,
                                                 size_t dim)
{
	size_t i = 0, step = LANES / 2;
	doubles sum[SUMS] = { { 0 } }, square[SUMS] = { { 0 } }, v;
	struct double_product rest = { 0 };

	for (; i + SUMS * step <= dim; i += SUMS * step) {
		UNROLL
		for (size_t s = 0; s < SUMS; s++) {
			v = doubles_at(row + 8 * (i + s * step));
			sum[s] += v * doubles_at(question + i + s * step);
			square[s] += v * v;
		}
	}
	for (; i < dim; i++) {
		double x;

		memcpy(&x, row + 8 * i, sizeof(x));
		rest.product += x * question[i];
		rest.square += x * x;
	}
	rest.product += double_sum_of((sum[0] + sum[1]) + (sum[2] + sum[3]));
	rest.square += double_sum_of((square[0] + square[1]) + (square[2] + square[3]));
	return rest;
}

/* i1 and u1: questions are int16_t, and sums are modulo 2^32, which holds 65,536 squares of 255. */
INLINE int byte_at(enum quiver_dtype dtype, const uint8_t *row, size_t i)
{
	return dtype == QUIVER_I1 ? (int8_t)row[i] : row[i];
}

INLINE uint32_t byte_squares_between(enum quiver_dtype dtype, const uint8_t *row,
                                     const int16_t *question, size_t dim)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < dim; i++) {
		int16_t d = (int16_t)(byte_at(dtype, row, i) - question[i]);

		sum += (uint32_t)(d * d);
	}
	return sum;
}

struct byte_product {
	uint32_t product, square;
};

INLINE struct byte_product byte_product_with(enum quiver_dtype dtype, const uint8_t *row,
                                             const int16_t *question, size_t dim)
{
	struct byte_product sums = { 0 };

	for (size_t i = 0; i < dim; i++) {
		int16_t x = (int16_t)byte_at(dtype, row, i);

		sums.product += (uint32_t)(x * question[i]);
		sums.square += (uint32_t)(x * x);
	}
	return sums;
}

#endif
