#include "engine/distance/elements.h"

#include <endian.h>
#include <math.h>
#include <string.h>

static uint16_t load_2(const uint8_t *at)
{
	uint16_t bits;

	memcpy(&bits, at, sizeof(bits));
	return le16toh(bits);
}

static uint32_t load_4(const uint8_t *at)
{
	uint32_t bits;

	memcpy(&bits, at, sizeof(bits));
	return le32toh(bits);
}

static float float_of(uint32_t bits)
{
	float number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

static double double_of(const uint8_t *at)
{
	uint64_t bits;
	double number;

	memcpy(&bits, at, sizeof(bits));
	bits = le64toh(bits);
	memcpy(&number, &bits, sizeof(number));
	return number;
}

/* A float16: sign, 5 bits of exponent, 10 of fraction (IEEE 754). Without branches, for the loops below. */
static float half_of(uint16_t bits)
{
	uint32_t size = (uint32_t)(bits & 0x7fff) << 13;
	uint32_t number = size + (size >= 31u << 23 ? 224u << 23 : 112u << 23);
	/* 2^-14 and the fraction, less 2^-14 */
	float subnormal = float_of(size + (113u << 23)) - 0x1p-14f;
	uint32_t subnormal_bits, is_subnormal = -(uint32_t)(size < 1u << 23);

	memcpy(&subnormal_bits, &subnormal, sizeof(subnormal_bits));
	number = (subnormal_bits & is_subnormal) | (number & ~is_subnormal);
	return float_of(number | (uint32_t)(bits & 0x8000) << 16);
}

/* What both of the functions below do, for elements of type `number`: loops of one kind each, which the
 * compiler makes vectors of. */
#define ELEMENTS(number)                                                                      \
	const uint8_t *at = (const uint8_t *)row + first * quiver_vector_bytes(8, dtype) / 8; \
                                                                                              \
	switch (dtype) {                                                                      \
	case QUIVER_F4:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)float_of(load_4(at + 4 * i));                         \
		break;                                                                        \
	case QUIVER_F2:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)half_of(load_2(at + 2 * i));                          \
		break;                                                                        \
	case QUIVER_BF2:                                                                      \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)float_of((uint32_t)load_2(at + 2 * i) << 16);         \
		break;                                                                        \
	case QUIVER_F8:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)double_of(at + 8 * i);                                \
		break;                                                                        \
	case QUIVER_I1:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)(int8_t)at[i];                                        \
		break;                                                                        \
	case QUIVER_U1:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)at[i];                                                \
		break;                                                                        \
	case QUIVER_B1:                                                                       \
		for (size_t i = 0; i < count; i++)                                            \
			to[i] = (number)(at[i / 8] >> (7 - i % 8) & 1);                       \
		break;                                                                        \
	}

void elements_doubles(enum quiver_dtype dtype, const void *row, size_t first, size_t count,
                      double *to)
{
	ELEMENTS(double)
}

void elements_floats(enum quiver_dtype dtype, const void *row, size_t first, size_t count,
                     float *to)
{
	ELEMENTS(float)
}

double elements_scale(double most)
{
	return ldexp(1, most > 0x1p-1000 && most < 0x1p1000 ? -ilogb(most)
	                : most > 1                          ? -1000
	                                                    : 1000);
}
