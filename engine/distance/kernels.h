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
	void (*scores)(const struct distance_questions *questions, const void *const *rows,
	               size_t count, float *scores, float *norm_max);
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
};

/* Elements of one column that are summed up before the sum is added to those before. */
#define KERNEL_DEPTH 64u
/* Elements of a row that are summed up before the sum is added to those before: a multiple of all
 * that registers take. */
#define KERNEL_CHUNK 4096u

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
