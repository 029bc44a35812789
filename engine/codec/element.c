/*
 * element.c - types of elements in files, and conversion between them.
 */
#include "engine/codec/element.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine/codec/load.h"

struct kind {
	const char *name;
	uint32_t bytes;
	bool is_float;
	double least, most; /* of integers */
};

static const struct kind kinds[ELEMENT_COUNT] = {
	[ELEMENT_F2] = { "f2", 2, true, 0, 0 },
	[ELEMENT_F4] = { "f4", 4, true, 0, 0 },
	[ELEMENT_F8] = { "f8", 8, true, 0, 0 },
	[ELEMENT_I1] = { "i1", 1, false, INT8_MIN, INT8_MAX },
	[ELEMENT_U1] = { "u1", 1, false, 0, UINT8_MAX },
	[ELEMENT_I2] = { "i2", 2, false, INT16_MIN, INT16_MAX },
	[ELEMENT_U2] = { "u2", 2, false, 0, UINT16_MAX },
	[ELEMENT_I4] = { "i4", 4, false, INT32_MIN, INT32_MAX },
	[ELEMENT_U4] = { "u4", 4, false, 0, UINT32_MAX },
	[ELEMENT_I8] = { "i8", 8, false, 0, 0 },
	[ELEMENT_U8] = { "u8", 8, false, 0, 0 },
	[ELEMENT_BF2] = { "bf2", 2, true, 0, 0 },
};

/* Half precision: 5 bits of exponent, 10 of mantissa. */
#define HALF_MANTISSA_BITS 10
#define HALF_EXPONENT_MAX 31u
#define HALF_EXPONENT_BIAS 15
#define HALF_INFINITY 0x7c00u
/* Numbers from here on round to infinity. */
#define HALF_OVERFLOW 65520.0

const char *element_name(enum element type)
{
	return kinds[type].name;
}

int element_parse(const char *name, enum element *type)
{
	for (int i = 0; i < ELEMENT_COUNT; i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*type = (enum element)i;
			return 0;
		}
	}
	return -EINVAL;
}

uint32_t element_bytes(enum element type)
{
	return kinds[type].bytes;
}

bool element_is_float(enum element type)
{
	return kinds[type].is_float;
}

void element_swap(void *elements, uint32_t bytes, size_t count)
{
	unsigned char *at = elements;

	for (size_t i = 0; i < count; i++, at += bytes) {
		for (uint32_t j = 0; j < bytes / 2; j++) {
			unsigned char other = at[j];

			at[j] = at[bytes - 1 - j];
			at[bytes - 1 - j] = other;
		}
	}
}

/* A float from its bits; a NaN keeps its upper bits on the way to a double. */
static double float_of(uint32_t bits)
{
	float number;

	memcpy(&number, &bits, sizeof(number));
	return number;
}

static double half_of(uint16_t bits)
{
	unsigned exponent = bits >> HALF_MANTISSA_BITS & HALF_EXPONENT_MAX;
	uint32_t mantissa = bits & 0x3ffu;
	uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
	double number;

	if (exponent == HALF_EXPONENT_MAX)
		return float_of(sign | 0x7f800000u | mantissa << 13);
	if (exponent == 0)
		number = ldexp(mantissa, 1 - HALF_EXPONENT_BIAS - HALF_MANTISSA_BITS);
	else
		number = ldexp(mantissa | 0x400u,
		               (int)exponent - HALF_EXPONENT_BIAS - HALF_MANTISSA_BITS);
	return sign != 0 ? -number : number;
}

/* The nearest half, straight from the double, so rounded once. */
static uint16_t half_from(double number)
{
	uint16_t sign = signbit(number) ? 0x8000u : 0;
	double size = fabs(number);
	double scaled;
	int exponent;

	if (isnan(number)) {
		float narrow = (float)number;
		uint32_t bits;

		memcpy(&bits, &narrow, sizeof(bits));
		return (uint16_t)(sign | HALF_INFINITY | 0x200u | (bits >> 13 & 0x3ffu));
	}
	if (size >= HALF_OVERFLOW)
		return sign | HALF_INFINITY;
	(void)frexp(size, &exponent);
	exponent--; /* size is 1.x times 2 to this */
	if (exponent < 1 - HALF_EXPONENT_BIAS || size == 0)
		exponent = 1 - HALF_EXPONENT_BIAS;
	scaled = rint(ldexp(size, HALF_MANTISSA_BITS - exponent));
	/* A mantissa that rounds up to 2 carries into the exponent by itself. */
	if (scaled < 1 << HALF_MANTISSA_BITS)
		return (uint16_t)(sign | (unsigned)scaled);
	return (uint16_t)(sign |
	                  (((unsigned)(exponent + HALF_EXPONENT_BIAS - 1) << HALF_MANTISSA_BITS) +
	                   (unsigned)scaled));
}

/* Count a difference between what was and what is. */
static void count_loss(struct element_loss *loss, double difference)
{
	difference = fabs(difference);
	if (!(difference > 0))
		return;
	loss->rounded++;
	if (difference > loss->largest)
		loss->largest = difference;
}

/* A 64-bit integer as a double, which holds 53 of its bits. */
static double wide_of(long double exact, struct element_loss *loss)
{
	double number = (double)exact;

	if (loss != NULL)
		count_loss(loss, (double)((long double)number - exact));
	return number;
}

double element_load(enum element type, const void *at, struct element_loss *loss)
{
	double number;
	uint64_t bits;

	switch (type) {
	case ELEMENT_F2:
		return half_of(load16(at));
	case ELEMENT_F4:
		return float_of(load32(at));
	case ELEMENT_F8:
		bits = load64(at);
		memcpy(&number, &bits, sizeof(number));
		return number;
	case ELEMENT_I1:
		return *(const int8_t *)at;
	case ELEMENT_U1:
		return *(const uint8_t *)at;
	case ELEMENT_I2:
		return (int16_t)load16(at);
	case ELEMENT_U2:
		return load16(at);
	case ELEMENT_I4:
		return (int32_t)load32(at);
	case ELEMENT_U4:
		return load32(at);
	case ELEMENT_I8:
		return wide_of((int64_t)load64(at), loss);
	case ELEMENT_U8:
		return wide_of(load64(at), loss);
	case ELEMENT_BF2:
		return float_of((uint32_t)load16(at) << 16);
	case ELEMENT_COUNT:
		break;
	}
	return NAN;
}

/* Put the lower `bytes` of an integer, little-endian. */
static void put_integer(void *to, uint64_t bits, uint32_t bytes)
{
	bits = htole64(bits);
	memcpy(to, &bits, bytes);
}

/* The nearest integer within the range of the type. */
static int store_integer(enum element type, double number, void *to, struct element_loss *loss)
{
	const struct kind *kind = &kinds[type];
	double whole;

	if (isnan(number))
		return -EDOM;
	whole = rint(number);
	if (whole < kind->least || whole > kind->most) {
		loss->beyond++;
		whole = whole < kind->least ? kind->least : kind->most;
	} else {
		count_loss(loss, whole - number);
	}
	put_integer(to, (uint64_t)(int64_t)whole, kind->bytes);
	return 0;
}

int element_store(enum element type, double number, void *to, struct element_loss *loss)
{
	uint32_t bits32;
	uint64_t bits64;
	float narrow;
	double stored = number;

	loss->elements++;
	if (!kinds[type].is_float)
		return store_integer(type, number, to, loss);
	if (type == ELEMENT_F2) {
		bits64 = half_from(number);
		stored = half_of((uint16_t)bits64);
	} else if (type == ELEMENT_F4) {
		narrow = (float)number;
		memcpy(&bits32, &narrow, sizeof(bits32));
		bits64 = bits32;
		stored = narrow;
	} else {
		memcpy(&bits64, &number, sizeof(bits64));
	}
	put_integer(to, bits64, kinds[type].bytes);
	if (isinf(stored) && isfinite(number))
		loss->beyond++;
	else if (isfinite(number))
		count_loss(loss, stored - number);
	return 0;
}

int element_convert(enum element from_type, const void *from, enum element to_type, void *to,
                    size_t count, struct element_loss *loss, size_t *bad)
{
	const unsigned char *in = from;
	unsigned char *out = to;

	for (size_t i = 0; i < count; i++) {
		double number = element_load(from_type, in, loss);
		int result = element_store(to_type, number, out, loss);

		if (result < 0) {
			*bad = i;
			return result;
		}
		in += kinds[from_type].bytes;
		out += kinds[to_type].bytes;
	}
	return 0;
}

bool element_all_finite(enum element type, const void *elements, size_t count, size_t *bad)
{
	const unsigned char *at = elements;

	if (!kinds[type].is_float)
		return true;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(element_load(type, at + i * kinds[type].bytes, NULL))) {
			*bad = i;
			return false;
		}
	}
	return true;
}
