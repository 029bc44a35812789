/*
 * tiles.h - several rows against a group of questions that lies in columns: each element that is loaded is
 * used many times, and each lane of a register is the sum of one question, so that none has to be added up
 * across.
 *
 * A part of the rows is made ready first, KERNEL_DEPTH elements of each: they lie together then, aligned,
 * and in the first cache, however far from each other the rows are.
 */
#ifndef QUIVER_DISTANCE_TILES_H
#define QUIVER_DISTANCE_TILES_H

#include "engine/distance/kernels.h"
#include "engine/distance/lanes.h"
#include "engine/distance/singles.h"

/* Registers of questions beside each other, as there are 16 or 32 registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_WIDTH_MAX 4u
#else
#define TILE_WIDTH_MAX 2u
#endif
#define TILE_GROUP_MAX (TILE_WIDTH_MAX * WIDE_LANES)
#define TILE_ROWS_MAX 8u

/* A part of all rows of a call, and what there is of those that fill up the last tile. */
struct parts {
	_Alignas(64) float elements[DISTANCE_ROWS_MAX + TILE_ROWS_MAX][KERNEL_DEPTH];
};

/* How the elements of columns are multiplied, and how products are added to the scores so far. */
enum tile_kind {
	TILE_FLOATS,
	TILE_WHOLE, /* floats that are whole numbers, of a part exactly; scores are uint32_t */
	TILE_I1, /* four bytes together, of the row 128 more than they are */
	TILE_U1, /* the same, of the row 128 less */
};

/* Whether there are the last two: an instruction that multiplies and adds four bytes at once. */
#if defined(__AVX512VNNI__)
#define QUAD 4u
#else
#define QUAD 1u
#endif
#define ENTRY_BYTES 4u /* of a question in a column: a float, or four bytes */

INLINE enum tile_kind byte_kind(enum quiver_dtype dtype)
{
	return QUAD == 1 ? TILE_WHOLE : dtype == QUIVER_I1 ? TILE_I1 : TILE_U1;
}

INLINE void add_to(enum tile_kind kind, float *scores, wide_floats products)
{
	if (kind == TILE_WHOLE) {
		wide_words sum = wide_words_at(scores) +
		                 (wide_words) __builtin_convertvector(products, wide_ints);

		memcpy(scores, &sum, sizeof(sum));
	} else {
		wide_floats sum = wide_at(scores) + products;

		memcpy(scores, &sum, sizeof(sum));
	}
}

/* `rows` rows at part[0], ... against `width` registers of questions at column: the first `count` of them
 * are wanted. */
INLINE void float_tile(enum tile_kind kind, size_t rows, size_t width, const float *part,
                       size_t depth, const uint8_t *column, float *scores, size_t padded,
                       size_t count)
{
	wide_floats sum[TILE_ROWS_MAX][TILE_WIDTH_MAX], q[TILE_WIDTH_MAX];

	UNROLL
	for (size_t r = 0; r < rows; r++) {
		UNROLL
		for (size_t v = 0; v < width; v++)
			sum[r][v] = (wide_floats){ 0 };
	}
	for (size_t k = 0; k < depth; k++) {
		UNROLL
		for (size_t v = 0; v < width; v++)
			q[v] = wide_at(column + (k * width + v) * sizeof(wide_floats));
		UNROLL
		for (size_t r = 0; r < rows; r++) {
			wide_floats x = part[r * KERNEL_DEPTH + k] - (wide_floats){ 0 };

			UNROLL
			for (size_t v = 0; v < width; v++)
				sum[r][v] += x * q[v];
		}
	}
	UNROLL
	for (size_t r = 0; r < rows; r++) {
		if (r >= count)
			break;
		UNROLL
		for (size_t v = 0; v < width; v++)
			add_to(kind, scores + r * padded + v * WIDE_LANES, sum[r][v]);
	}
}

#if QUAD == 4
/* Products of bytes, four at once, of rows that are `stride` bytes from each other, added to `sum`. */
INLINE void multiply_quads(enum tile_kind kind, size_t rows, size_t width, const uint8_t *part,
                           size_t stride, size_t quads, const uint8_t *column,
                           wide_ints sum[TILE_ROWS_MAX][TILE_WIDTH_MAX])
{
	wide_ints q[TILE_WIDTH_MAX];

	for (size_t k = 0; k < quads; k++) {
		UNROLL
		for (size_t v = 0; v < width; v++)
			q[v] = wide_ints_at(column + (k * width + v) * sizeof(q[v]));
		UNROLL
		for (size_t r = 0; r < rows; r++) {
			int32_t quad;
			wide_ints x;

			memcpy(&quad, part + r * stride + QUAD * k, sizeof(quad));
			x = quad - (wide_ints){ 0 };
			UNROLL
			for (size_t v = 0; v < width; v++)
				/* Unsigned bytes by signed ones. */
				sum[r][v] = kind == TILE_U1 ? dot_quads(sum[r][v], q[v], x)
				                            : dot_quads(sum[r][v], x, q[v]);
		}
	}
}

INLINE void quad_tile(enum tile_kind kind, size_t rows, size_t width, const float *part,
                      size_t quads, const uint8_t *column, float *scores, size_t padded,
                      size_t count)
{
	wide_ints sum[TILE_ROWS_MAX][TILE_WIDTH_MAX];

	UNROLL
	for (size_t r = 0; r < rows; r++) {
		UNROLL
		for (size_t v = 0; v < width; v++)
			sum[r][v] = (wide_ints){ 0 };
	}
	multiply_quads(kind, rows, width, (const uint8_t *)part, KERNEL_DEPTH * QUAD, quads, column,
	               sum);
	UNROLL
	for (size_t r = 0; r < rows; r++) {
		if (r >= count)
			break;
		UNROLL
		for (size_t v = 0; v < width; v++) {
			float *to = scores + r * padded + v * WIDE_LANES;
			wide_words all = wide_words_at(to) + (wide_words)sum[r][v];

			memcpy(to, &all, sizeof(all));
		}
	}
}
#endif

/* A part of `count` rows against one group. */
typedef void tiles(const struct parts *parts, size_t depth, const uint8_t *column, float *scores,
                   size_t padded, size_t count);
#define TILES(name, tile, kind, rows, width)                                             \
	static void name(const struct parts *parts, size_t depth, const uint8_t *column, \
	                 float *scores, size_t padded, size_t count)                     \
	{                                                                                \
		for (size_t i = 0; i < count; i += (rows))                               \
			tile(kind, rows, width, parts->elements[i], depth, column,       \
			     scores + i * padded, padded, count - i);                    \
	}

TILES(tiles_floats_1, float_tile, TILE_FLOATS, 8, 1)
#if TILE_WIDTH_MAX == 4
TILES(tiles_floats_2, float_tile, TILE_FLOATS, 8, 2)
TILES(tiles_floats_4, float_tile, TILE_FLOATS, 6, 4)
#else
TILES(tiles_floats_2, float_tile, TILE_FLOATS, 6, 2)
#define tiles_floats_4 NULL
#endif

#if QUAD == 4
TILES(tiles_i1_1, quad_tile, TILE_I1, 8, 1)
TILES(tiles_i1_2, quad_tile, TILE_I1, 8, 2)
TILES(tiles_i1_4, quad_tile, TILE_I1, 6, 4)
TILES(tiles_u1_1, quad_tile, TILE_U1, 8, 1)
TILES(tiles_u1_2, quad_tile, TILE_U1, 8, 2)
TILES(tiles_u1_4, quad_tile, TILE_U1, 6, 4)
#else
TILES(tiles_whole_1, float_tile, TILE_WHOLE, 8, 1)
#if TILE_WIDTH_MAX == 4
TILES(tiles_whole_2, float_tile, TILE_WHOLE, 8, 2)
TILES(tiles_whole_4, float_tile, TILE_WHOLE, 6, 4)
#else
TILES(tiles_whole_2, float_tile, TILE_WHOLE, 6, 2)
#define tiles_whole_4 NULL
#endif
#endif

INLINE tiles *tiles_of(enum tile_kind kind, size_t group)
{
	static tiles *const of[][3] = {
		[TILE_FLOATS] = { tiles_floats_1, tiles_floats_2, tiles_floats_4 },
#if QUAD == 4
		[TILE_I1] = { tiles_i1_1, tiles_i1_2, tiles_i1_4 },
		[TILE_U1] = { tiles_u1_1, tiles_u1_2, tiles_u1_4 },
#else
		[TILE_WHOLE] = { tiles_whole_1, tiles_whole_2, tiles_whole_4 },
#endif
	};
	size_t width = group / WIDE_LANES;

	return of[kind][width == 4 ? 2 : width - 1];
}

/* Elements first ... first + depth - 1 of a row, a part of it, as floats. The sum of their squares. */
INLINE float make_part(enum quiver_dtype dtype, const uint8_t *row, size_t first, size_t depth,
                       float *part)
{
	floats square[2] = { { 0 } }, x;
	size_t k = 0;

	for (; k + 2 * LANES <= depth; k += 2 * LANES) {
		UNROLL
		for (size_t s = 0; s < 2; s++) {
			x = elements_at(dtype, row, first + k + s * LANES);
			memcpy(part + k + s * LANES, &x, sizeof(x));
			square[s] += x * x;
		}
	}
	for (; k < depth; k += LANES) {
		x = depth - k < LANES ? last_elements(dtype, row, first + depth, depth - k)
		                      : elements_at(dtype, row, first + k);
		memcpy(part + k, &x, sizeof(x));
		square[0] += x * x;
	}
	return sum_of(square[0] + square[1]);
}

/* The same of a row of bytes, as whole numbers: `count` elements, KERNEL_DEPTH * QUAD at most. */
INLINE uint32_t make_byte_part(enum quiver_dtype dtype, const uint8_t *row, size_t first,
                               size_t count, float *part)
{
#if QUAD == 4
	__m512i square = _mm512_setzero_si512();

	/* Beyond the last element the question's are 0. */
	for (size_t k = 0; k < count; k += 64) {
		__mmask64 mask = count - k >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (count - k)) - 1;
		__m512i x = _mm512_maskz_loadu_epi8(mask, row + first + k);
		__m256i low = _mm512_castsi512_si256(x), high = _mm512_extracti64x4_epi64(x, 1);
		__m512i a = dtype == QUIVER_I1 ? _mm512_cvtepi8_epi16(low)
		                               : _mm512_cvtepu8_epi16(low);
		__m512i b = dtype == QUIVER_I1 ? _mm512_cvtepi8_epi16(high)
		                               : _mm512_cvtepu8_epi16(high);

		_mm512_storeu_si512((uint8_t *)part + k,
		                    _mm512_xor_si512(x, _mm512_set1_epi8(-128)));
		square = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(square, a, a), b, b);
	}
	return (uint32_t)_mm512_reduce_add_epi32(square);
#else
	return (uint32_t)make_part(dtype, row, first, count, part);
#endif
}

#endif
