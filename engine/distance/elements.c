#include "engine/distance/elements.h"

#include <endian.h>
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

/* A float16: sign, 5 bits of exponent, 10 of fraction (IEEE 754). */
static float half_of(uint16_t bits)
{
	uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
	uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;

	if (exponent == 31)
		return float_of(sign | 0x7f800000 | fraction << 13);
	if (exponent == 0) {
		float number = (float)fraction * 0x1p-24f;

		return sign ? -number : number;
	}
	return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

/* What both of the functions below do, for elements of type `number`. */
#define ELEMENTS(number)                                                              \
	const uint8_t *at = row;                                                      \
                                                                                      \
	for (size_t i = 0; i < count; i++) {                                          \
		size_t k = first + i;                                                 \
                                                                                      \
		switch (dtype) {                                                      \
		case QUIVER_F4:                                                       \
			to[i] = (number)float_of(load_4(at + 4 * k));                 \
			break;                                                        \
		case QUIVER_F2:                                                       \
			to[i] = (number)half_of(load_2(at + 2 * k));                  \
			break;                                                        \
		case QUIVER_BF2:                                                      \
			to[i] = (number)float_of((uint32_t)load_2(at + 2 * k) << 16); \
			break;                                                        \
		case QUIVER_F8:                                                       \
			to[i] = (number)double_of(at + 8 * k);                        \
			break;                                                        \
		case QUIVER_I1:                                                       \
			to[i] = (number)(int8_t)at[k];                                \
			break;                                                        \
		case QUIVER_U1:                                                       \
			to[i] = (number)at[k];                                        \
			break;                                                        \
		case QUIVER_B1:                                                       \
			to[i] = (number)(at[k / 8] >> (7 - k % 8) & 1);               \
			break;                                                        \
		}                                                                     \
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
