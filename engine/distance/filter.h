/*
 * filter.h - which of many questions a row is certainly too far from: bytes are multiplied instead of floats,
 * four at once, and what they may be off by is known.
 *
 * Of each part of a vector, FILTER_DEPTH elements, the largest becomes 127 and the others in proportion,
 * rounded: x = x' + r, where r is what the rounding leaves. Then qx = q'x' + q'r(x) + r(q)x, and the last two
 * are at most |q'| |r(x)| + |r(q)| |x|, summed over all parts (Cauchy and Schwarz). The norms of what is left
 * are computed when vectors are rounded.
 */
#ifndef QUIVER_DISTANCE_FILTER_H
#define QUIVER_DISTANCE_FILTER_H

#include "engine/distance/lanes.h"

#if defined(__AVX512VNNI__)

#include <math.h>

#include "engine/distance/kernels.h"
#include "engine/distance/tiles.h"

/* A part of each row: bytes, 128 more than they are, and what 1 stands for. */
struct filter_parts {
	_Alignas(64) uint8_t bytes[DISTANCE_ROWS_MAX + TILE_ROWS_MAX][FILTER_DEPTH];
	float scale[DISTANCE_ROWS_MAX + TILE_ROWS_MAX];
};

/* |x|^2 and |r(x)|^2. */
struct filter_row {
	float square, left;
};

/* Sixteen elements from element i on, of `count` that there are: zeros from there on. */
INLINE __m512 masked_elements_at(enum quiver_dtype dtype, const uint8_t *row, size_t i,
                                 size_t count)
{
	size_t n = i < count ? count - i : 0;
	__mmask16 mask = n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
	const uint8_t *at = row + i * element_bytes(dtype);

	switch (dtype) {
	case QUIVER_F2:
		return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, at));
	case QUIVER_BF2:
		return _mm512_castsi512_ps(_mm512_slli_epi32(
			_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, at)), 16));
	default:
		return _mm512_maskz_loadu_ps(mask, at);
	}
}

/* As many as sixteen at once that no operation waits for the one before. */
#define FILTER_SUMS 4u

INLINE float largest_of(enum quiver_dtype dtype, const uint8_t *row, size_t count)
{
	__m512 most[FILTER_SUMS];

	UNROLL
	for (size_t s = 0; s < FILTER_SUMS; s++)
		most[s] = _mm512_setzero_ps();
	for (size_t k = 0; k < count; k += 16 * FILTER_SUMS) {
		UNROLL
		for (size_t s = 0; s < FILTER_SUMS; s++)
			most[s] = _mm512_max_ps(most[s], _mm512_abs_ps(masked_elements_at(
								 dtype, row, k + 16 * s, count)));
	}
	return _mm512_reduce_max_ps(
		_mm512_max_ps(_mm512_max_ps(most[0], most[1]), _mm512_max_ps(most[2], most[3])));
}

/* One part of one row, `count` elements of it. Returns what 1 stands for. */
INLINE float make_filter_part(enum quiver_dtype dtype, const uint8_t *row, size_t count,
                              uint8_t *bytes, struct filter_row *sums)
{
	__m512 square[FILTER_SUMS], left[FILTER_SUMS];
	float largest = largest_of(dtype, row, count), scale = largest * (1 / 127.0f);
	__m512 inverse = _mm512_set1_ps(largest > FILTER_LARGEST_LEAST ? 127 / largest : 0);

	UNROLL
	for (size_t s = 0; s < FILTER_SUMS; s++)
		square[s] = left[s] = _mm512_setzero_ps();
	for (size_t k = 0; k < count; k += 16 * FILTER_SUMS) {
		UNROLL
		for (size_t s = 0; s < FILTER_SUMS; s++) {
			__m512 x = masked_elements_at(dtype, row, k + 16 * s, count), r;
			__m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
			__m128i small =
				_mm_xor_si128(_mm512_cvtsepi32_epi8(whole), _mm_set1_epi8(-128));

			memcpy(bytes + k + 16 * s, &small, sizeof(small));
			r = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(scale), x);
			square[s] = _mm512_fmadd_ps(x, x, square[s]);
			left[s] = _mm512_fmadd_ps(r, r, left[s]);
		}
	}
	sums->square += _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(square[0], square[1]),
	                                                   _mm512_add_ps(square[2], square[3])));
	sums->left += _mm512_reduce_add_ps(
		_mm512_add_ps(_mm512_add_ps(left[0], left[1]), _mm512_add_ps(left[2], left[3])));
	return scale;
}

/* `rows` rows against `width` registers of questions: the first `count` are wanted. */
INLINE void filter_tile(size_t rows, size_t width, const uint8_t *bytes, const float *scale,
                        size_t quads, const uint8_t *column, float *scores, size_t padded,
                        size_t count)
{
	const uint8_t *start = column + FILTER_DEPTH * 16 * width, *unit = start + 64 * width;
	wide_ints sum[TILE_ROWS_MAX][TILE_WIDTH_MAX];

	UNROLL
	for (size_t r = 0; r < rows; r++) {
		UNROLL
		for (size_t v = 0; v < width; v++)
			sum[r][v] = wide_ints_at(start + 64 * v);
	}
	multiply_quads(TILE_I1, rows, width, bytes, FILTER_DEPTH, quads, column, sum);
	UNROLL
	for (size_t r = 0; r < rows; r++) {
		if (r >= count)
			break;
		UNROLL
		for (size_t v = 0; v < width; v++) {
			float *to = scores + r * padded + v * WIDE_LANES;
			__m512 units = _mm512_mul_ps(_mm512_loadu_ps(unit + 64 * v),
			                             _mm512_set1_ps(scale[r]));

			_mm512_storeu_ps(to, _mm512_fmadd_ps(_mm512_cvtepi32_ps((__m512i)sum[r][v]),
			                                     units, _mm512_loadu_ps(to)));
		}
	}
}

#define FILTER_TILES(name, rows, width)                                                            \
	static void name(const struct filter_parts *parts, size_t quads, const uint8_t *column,    \
	                 float *scores, size_t padded, size_t count)                               \
	{                                                                                          \
		for (size_t i = 0; i < count; i += (rows))                                         \
			filter_tile(rows, width, parts->bytes[i], parts->scale + i, quads, column, \
			            scores + i * padded, padded, count - i);                       \
	}

FILTER_TILES(filter_tiles_1, 8, 1)
FILTER_TILES(filter_tiles_2, 8, 2)
FILTER_TILES(filter_tiles_4, 6, 4)

/* What becomes of a product and of the norms: a bound of the score. */
struct filter_bound {
	float product, left, norm, add;
};

INLINE struct filter_bound filter_bound_of(enum quiver_metric metric, struct filter_row row,
                                           size_t dim)
{
	/* What numbers too small to be squared add. */
	float tiny = 0x1p-60f * sqrtf((float)dim), more = 1 + 1e-4f;
	float norm = sqrtf(row.square) * more + tiny, left = sqrtf(row.left) * more + tiny;
	float parts = (float)filter_parts_of(dim);

	if (!(row.square <= FILTER_SQUARE_MOST))
		return (struct filter_bound){ .product = NAN };
	switch (metric) {
	case QUIVER_L2:
		return (struct filter_bound){ -2, left, norm,
			                      row.square * (1 - 4 * FILTER_ROUNDING(parts)) };
	case QUIVER_COSINE:
		if (!(row.square >= KERNEL_SQUARE_LEAST && row.square <= KERNEL_SQUARE_MOST))
			return (struct filter_bound){ .product = NAN };
		return (struct filter_bound){ -1 / sqrtf(row.square), left / norm * more, more, 0 };
	default:
		return (struct filter_bound){ -1, left, norm, 0 };
	}
}

/* The products of a row become scores: too far ones any above the limit, others NaN. How many these are. */
INLINE size_t finish_filter(const struct prepared *prepared, struct filter_bound row, float *scores,
                            const float *limits, size_t count)
{
	size_t near = 0;

	for (size_t j = 0; j < count; j += WIDE_LANES) {
		wide_floats s = wide_at(scores + j) * row.product + wide_at(prepared->base + j);
		uint64_t mask;

		s -= wide_at(prepared->reach + j) * row.left;
		s -= wide_at(prepared->slack + j) * row.norm;
		s += row.add;
		mask = not_above(s, wide_at(limits + j));
		if (count - j < WIDE_LANES)
			mask &= (1u << (count - j)) - 1;
		s = (wide_floats)_mm512_mask_mov_ps((__m512)s, (__mmask16)mask,
		                                    _mm512_set1_ps(NAN));
		memcpy(scores + j, &s, sizeof(s));
		near += (size_t)__builtin_popcountll(mask);
	}
	return near;
}

#endif
#endif
