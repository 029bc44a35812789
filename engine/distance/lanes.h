/*
 * lanes.h - registers of several elements, as wide as what it is compiled for has them.
 */
#ifndef QUIVER_DISTANCE_LANES_H
#define QUIVER_DISTANCE_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "engine/quiver.h"

/* One question at a time is as fast as memory with 32 bytes; those of 64 only cost clock there. */
#if defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
#if defined(__AVX512F__)
#define WIDE_LANES 16
#else
#define WIDE_LANES LANES
#endif

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float floats __attribute__((vector_size(LANES * 4)));
typedef uint32_t words __attribute__((vector_size(LANES * 4)));
typedef uint16_t halves __attribute__((vector_size(LANES * 2)));
typedef int8_t signed_bytes __attribute__((vector_size(LANES)));
typedef uint8_t unsigned_bytes __attribute__((vector_size(LANES)));
typedef double doubles __attribute__((vector_size(LANES * 4)));
typedef uint64_t longs __attribute__((vector_size(LANES * 4)));

typedef float wide_floats __attribute__((vector_size(WIDE_LANES * 4)));
typedef int32_t wide_ints __attribute__((vector_size(WIDE_LANES * 4)));
typedef uint32_t wide_words __attribute__((vector_size(WIDE_LANES * 4)));

INLINE floats floats_at(const void *at)
{
	floats v;

	memcpy(&v, at, sizeof(v));
	return v;
}

INLINE doubles doubles_at(const void *at)
{
	doubles v;

	memcpy(&v, at, sizeof(v));
	return v;
}

INLINE wide_floats wide_at(const void *at)
{
	wide_floats v;

	memcpy(&v, at, sizeof(v));
	return v;
}

INLINE wide_words wide_words_at(const void *at)
{
	wide_words v;

	memcpy(&v, at, sizeof(v));
	return v;
}

INLINE wide_ints wide_ints_at(const void *at)
{
	wide_ints v;

	memcpy(&v, at, sizeof(v));
	return v;
}

#if defined(__AVX512VNNI__)
/* In each lane: the sum, and the products of four unsigned bytes by four signed ones. */
INLINE wide_ints dot_quads(wide_ints sum, wide_ints unsigned_quads, wide_ints signed_quads)
{
	return (wide_ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)unsigned_quads,
	                                      (__m512i)signed_quads);
}
#endif

/* float16, as elements.c has it. */
INLINE floats floats_of_f2(const uint8_t *at)
{
#if defined(__F16C__)
	return (floats)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)at));
#elif defined(__aarch64__)
	float16x4_t v;

	memcpy(&v, at, sizeof(v));
	return (floats)vcvt_f32_f16(v);
#else
	halves v;
	words bits, size, subnormal, special, normal;

	memcpy(&v, at, sizeof(v));
	bits = __builtin_convertvector(v, words);
	size = (bits & 0x7fff) << 13;
	subnormal = (words)(size < 1u << 23);
	special = (words)(size >= 31u << 23);
	normal = size + (112u << 23) + (special & 112u << 23);
	/* 2^-14 and the fraction, less 2^-14 */
	size = (words)((floats)(size + (113u << 23)) - 0x1p-14f);
	return (floats)((subnormal & size) | (~subnormal & normal) | (bits & 0x8000) << 16);
#endif
}

INLINE floats floats_of_bf2(const uint8_t *at)
{
	halves v;

	memcpy(&v, at, sizeof(v));
	return (floats)(__builtin_convertvector(v, words) << 16);
}

INLINE floats floats_of_i1(const uint8_t *at)
{
	typedef int32_t ints __attribute__((vector_size(LANES * 4)));
	signed_bytes v;

	memcpy(&v, at, sizeof(v));
	return __builtin_convertvector(__builtin_convertvector(v, ints), floats);
}

INLINE floats floats_of_u1(const uint8_t *at)
{
	typedef int32_t ints __attribute__((vector_size(LANES * 4)));
	unsigned_bytes v;

	memcpy(&v, at, sizeof(v));
	return __builtin_convertvector(__builtin_convertvector(v, ints), floats);
}

INLINE size_t element_bytes(enum quiver_dtype dtype)
{
	switch (dtype) {
	case QUIVER_F8:
		return 8;
	case QUIVER_F4:
		return 4;
	case QUIVER_F2:
	case QUIVER_BF2:
		return 2;
	default:
		return 1;
	}
}

/* LANES elements from element i on. */
INLINE floats elements_at(enum quiver_dtype dtype, const uint8_t *row, size_t i)
{
	const uint8_t *at = row + i * element_bytes(dtype);

	switch (dtype) {
	case QUIVER_F2:
		return floats_of_f2(at);
	case QUIVER_BF2:
		return floats_of_bf2(at);
	case QUIVER_I1:
		return floats_of_i1(at);
	case QUIVER_U1:
		return floats_of_u1(at);
	default:
		return floats_at(at);
	}
}

/* The last `count` elements of those that end at element `dim`, fewer than LANES, in front of zeros. */
INLINE floats last_elements(enum quiver_dtype dtype, const uint8_t *row, size_t dim, size_t count)
{
	uint8_t buffer[LANES * 4] = { 0 };

	memcpy(buffer, row + (dim - count) * element_bytes(dtype), count * element_bytes(dtype));
	return elements_at(dtype, buffer, 0);
}

INLINE float sum_of(floats v)
{
#if LANES == 8
	__m128 x =
		_mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));

	x = _mm_add_ps(x, _mm_movehl_ps(x, x));
	return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
#else
	return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

INLINE double double_sum_of(doubles v)
{
	double sum = v[0] + v[1];

	for (size_t i = 2; i < LANES / 2; i++)
		sum += v[i];
	return sum;
}

/* Bit i: not v[i] > limits[i]. */
INLINE uint64_t not_above(wide_floats v, wide_floats limits)
{
#if WIDE_LANES == 16
	return _mm512_cmp_ps_mask((__m512)v, (__m512)limits, _CMP_NGT_UQ);
#elif WIDE_LANES == 8
	return (uint64_t)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)limits, _CMP_NGT_UQ));
#elif defined(__x86_64__)
	return (uint64_t)_mm_movemask_ps(_mm_cmpngt_ps((__m128)v, (__m128)limits));
#else
	wide_words above = (wide_words)(v > limits), bits = ~above & (wide_words){ 1, 2, 4, 8 };

	return bits[0] | bits[1] | bits[2] | bits[3];
#endif
}

#endif
