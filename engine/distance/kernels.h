/*
 * kernels.h - what is compiled for several instruction sets, and what it wants of questions.
 */
#ifndef QUIVER_DISTANCE_KERNELS_H
#define QUIVER_DISTANCE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/distance/distance.h"

/* What elements are computed as. */
enum arithmetic {
	ARITHMETIC_FLOATS, /* f4, f2, bf2 */
	ARITHMETIC_DOUBLES, /* f8: differences of large numbers stay exact */
	ARITHMETIC_BYTES, /* i1 and u1, in whole numbers of 32 bits, modulo 2^32 */
	ARITHMETIC_BITS, /* b1, and u1 under hamming */
};

/* What one instruction set has. */
struct distance_kernels {
	const char *isa;
	unsigned lanes; /* floats in a register of those that compare one question */
	/* Questions that lie together in columns, at most; fewer than least_columns are in rows. */
	unsigned group_max, least_columns;
	unsigned
		byte_quad; /* bytes of a question that lie together in a column; 0: they are floats there */
	bool filters; /* floats in columns */
	/* `limits` as of distance_scores_within, or NULL. */
	void (*scores)(const struct distance_questions *questions, const void *const *rows,
	               size_t count, const float *limits, float *scores, float *norm_max);
	uint64_t (*hits)(const float *scores, const float *limits, size_t count);
};

/*
 * Questions as kernels want them: few in rows, each compared by itself, and many in columns, of which a
 * group fills registers. Of those beyond questions->count all is 0. Under cosine floats and doubles are
 * those of a vector of length 1.
 */
struct prepared {
	enum arithmetic arithmetic;
	size_t row_bytes; /* of a question in rows, a multiple of 64 */
	uint8_t *rows; /* floats, doubles, int16_t, bits; NULL: in columns */
	size_t group; /* questions in each group of columns */
	/* [group of questions][dim][question] floats; or [group][dim / byte_quad, rounded up][question]
	 * [byte_quad] bytes. NULL: in rows. */
	uint8_t *columns;
	size_t group_bytes;
	float *square; /* |q|^2; or of bytes and bits: */
	uint32_t *whole_square;
	uint32_t *start; /* of bytes in columns: what the sum of products begins with */
	float *inverse; /* of bytes and bits: 1 / |q| */
	/*
	 * What filter.h wants of the same columns: of each group, of each FILTER_DEPTH elements
	 * [FILTER_DEPTH / 4][question][4] int8_t, [question] int32_t, what a sum of products with bytes that
	 * are 128 too much begins with, and [question] float, what 1 stands for. NULL: not filtered.
	 */
	uint8_t *filter;
	size_t filter_bytes; /* of a group */
	/* A score is at least base + the product's part - reach * |r(x)| - slack * |x|. */
	float *base, *reach, *slack;
	_Atomic unsigned
		filter_pause; /* calls that are not filtered, since too little was kept away */
};

/* Elements of one column that are summed up before the sum is added to those before. */
#define KERNEL_DEPTH 64u
/* Elements of a row that are summed up before the sum is added to those before: a multiple of all
 * that registers take. */
#define KERNEL_CHUNK 4096u

/* Elements of a part of filter.h, a multiple of 64: the sum of the products of their bytes is exact as a
 * float. */
#define FILTER_DEPTH 256u
static inline size_t filter_parts_of(size_t dim)
{
	return (dim + FILTER_DEPTH - 1) / FILTER_DEPTH;
}

/* What the sums of floats may be off by, relative to the sum of all their terms without their signs: a
 * generous bound, since what bytes leave is much more. */
#define FILTER_ROUNDING(parts) ((2 * (parts) + 64) * 0x1p-24f)
#define FILTER_BLOCK_BYTES (FILTER_DEPTH + 4 + 4) /* of them, of one question */
#define FILTER_LARGEST_LEAST 1e-30f /* of a part whose largest is less all are 0 */
#define FILTER_SQUARE_MOST 1e36f /* of a vector with more all is near */

/* |row|^2 that a cosine in single precision can be told from. */
#define KERNEL_SQUARE_LEAST 1e-24f
#define KERNEL_SQUARE_MOST 1e30f

static inline enum arithmetic arithmetic_of(const struct distance *distance)
{
	switch (distance->dtype) {
	case QUIVER_F8:
		return ARITHMETIC_DOUBLES;
	case QUIVER_B1:
		return ARITHMETIC_BITS;
	case QUIVER_U1:
	case QUIVER_I1:
		return distance->metric == QUIVER_HAMMING ? ARITHMETIC_BITS : ARITHMETIC_BYTES;
	default:
		return ARITHMETIC_FLOATS;
	}
}

extern const struct distance_kernels distance_kernels_base;
extern const struct distance_kernels distance_kernels_v2;
extern const struct distance_kernels distance_kernels_v3;
extern const struct distance_kernels distance_kernels_v4;
extern const struct distance_kernels distance_kernels_v4i;

#endif
