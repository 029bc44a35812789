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
	[ELEMENT_B1] = { "b1", 0, false, 0, 1 },
	[ELEMENT_BOOL] = { "bool", 1, false, 0, 1 },
};

/* A float of 16 bits: a sign, an exponent, a mantissa. The bias is the largest exponent, too. */
struct narrow {
	int mantissa_bits;
	int bias;
};

static const struct narrow half = { 10, 15 }, brain = { 7, 127 };

/* Of a double. */
#define DOUBLE_MANTISSA_BITS 52
#define DOUBLE_EXPONENT_MAX 0x7ffu
#define DOUBLE_BIAS 1023
/* Of a float. */
#define FLOAT_MANTISSA_BITS 23
#define FLOAT_INFINITY 0x7f800000u

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

size_t element_row_bytes(enum element type, size_t count)
{
	return type == ELEMENT_B1 ? (count + ELEMENT_BITS - 1) / ELEMENT_BITS
	                          : count * kinds[type].bytes;
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

/* A float from its bits; a NaN keeps its own, which the processor would make a quiet one's. */
static double float_of(uint32_t bits)
{
	uint32_t size = bits & ~UINT32_C(0x80000000);
	double number;
	float narrow;

	if (size > FLOAT_INFINITY) {
		uint64_t wide = (uint64_t)(bits ^ size) << 32 |
		                (uint64_t)DOUBLE_EXPONENT_MAX << DOUBLE_MANTISSA_BITS |
		                (uint64_t)(size - FLOAT_INFINITY)
		                        << (DOUBLE_MANTISSA_BITS - FLOAT_MANTISSA_BITS);

		memcpy(&number, &wide, sizeof(number));
		return number;
	}
	memcpy(&narrow, &bits, sizeof(narrow));
	return narrow;
}

static double half_of(uint16_t bits)
{
	uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
	uint32_t rest = (bits & 0x7fffu) << (FLOAT_MANTISSA_BITS - half.mantissa_bits);
	uint32_t exponent = rest >> FLOAT_MANTISSA_BITS;

	if (exponent == 0) /* in steps of the least there is */
		return (sign != 0 ? -1.0 : 1.0) * (bits & 0x3ffu) * 0x1p-24;
	if (exponent == 0x1fu)
		return float_of(sign | FLOAT_INFINITY | rest);
	return float_of(sign |
	                (rest + ((uint32_t)(brain.bias - half.bias) << FLOAT_MANTISSA_BITS)));
}

/* The upper bits of a NaN's mantissa, as many as there is room for, and never none of them:
 * that would be infinity. */
static uint64_t nan_mantissa(uint64_t bits, int room)
{
	uint64_t mantissa = (bits & ((UINT64_C(1) << DOUBLE_MANTISSA_BITS) - 1)) >>
	                    (DOUBLE_MANTISSA_BITS - room);

	return mantissa != 0 ? mantissa : UINT64_C(1) << (room - 1);
}

/* The nearest float of 16 bits, straight from the double, so rounded once. */
static uint16_t narrow_from(double number, const struct narrow *to)
{
	const uint64_t hidden = UINT64_C(1) << DOUBLE_MANTISSA_BITS;
	const unsigned infinity = (2u * (unsigned)to->bias + 1) << to->mantissa_bits;
	int dropped = DOUBLE_MANTISSA_BITS - to->mantissa_bits, exponent;
	uint64_t bits, mantissa, kept, rest, middle;
	unsigned sign;

	memcpy(&bits, &number, sizeof(bits));
	sign = (unsigned)(bits >> 48) & 0x8000u;
	if (isnan(number))
		return (uint16_t)(sign | infinity | nan_mantissa(bits, to->mantissa_bits));
	exponent = (int)(bits >> DOUBLE_MANTISSA_BITS & DOUBLE_EXPONENT_MAX) - DOUBLE_BIAS;
	if (exponent > to->bias)
		return (uint16_t)(sign | infinity);
	exponent += to->bias - 1; /* what is in front of the mantissa, but for its first one */
	if (exponent < 0) {
		dropped -= exponent;
		exponent = 0;
	}
	if (dropped > DOUBLE_MANTISSA_BITS + 1) /* less than half of the least there is */
		return (uint16_t)sign;
	mantissa = (bits & (hidden - 1)) | hidden;
	kept = mantissa >> dropped;
	rest = mantissa - (kept << dropped);
	middle = UINT64_C(1) << (dropped - 1);
	kept += rest > middle || (rest == middle && kept % 2 == 1);
	/* A mantissa that rounds up to 2 carries into the exponent, up to infinity, by itself. */
	return (uint16_t)(sign | (((unsigned)exponent << to->mantissa_bits) + (unsigned)kept));
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
	case ELEMENT_B1:
		return *(const uint8_t *)at >> (ELEMENT_BITS - 1);
	case ELEMENT_BOOL:
		return *(const uint8_t *)at;
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

/* The nearest float, little-endian. */
static void store_float(enum element type, double number, void *to, struct element_loss *loss)
{
	double stored = number;
	uint64_t bits;
	uint32_t bits32;
	float narrow;

	memcpy(&bits, &number, sizeof(bits));
	if (type == ELEMENT_F2) {
		bits = narrow_from(number, &half);
		stored = half_of((uint16_t)bits);
	} else if (type == ELEMENT_BF2) {
		bits = narrow_from(number, &brain);
		stored = float_of((uint32_t)bits << 16);
	} else if (type == ELEMENT_F4 && isnan(number)) {
		bits = (bits >> 32 & 0x80000000u) | FLOAT_INFINITY |
		       nan_mantissa(bits, FLOAT_MANTISSA_BITS);
	} else if (type == ELEMENT_F4) {
		narrow = (float)number;
		memcpy(&bits32, &narrow, sizeof(bits32));
		bits = bits32;
		stored = narrow;
	}
	put_integer(to, bits, kinds[type].bytes);
	if (isinf(stored) && isfinite(number))
		loss->beyond++;
	else if (isfinite(number))
		count_loss(loss, stored - number);
}

/* Bit `place` of a byte, counted from its upper end. */
static int store_bit(double number, uint8_t *to, unsigned place)
{
	unsigned others = place > 0 ? *to : 0;
	unsigned bit = 0x80u >> place;

	if (number != 0 && number != 1)
		return -EDOM;
	*to = (uint8_t)(number != 0 ? others | bit : others & ~bit);
	return 0;
}

int element_store(enum element type, double number, void *to, struct element_loss *loss)
{
	return element_put(type, number, to, 0, loss);
}

double element_get(enum element type, const void *elements, size_t index, struct element_loss *loss)
{
	const unsigned char *from = elements;

	if (type == ELEMENT_B1)
		return from[index / ELEMENT_BITS] >> (ELEMENT_BITS - 1 - index % ELEMENT_BITS) & 1;
	return element_load(type, from + index * kinds[type].bytes, loss);
}

int element_put(enum element type, double number, void *elements, size_t index,
                struct element_loss *loss)
{
	unsigned char *to = elements;

	loss->elements++;
	if (type == ELEMENT_B1)
		return store_bit(number, to + index / ELEMENT_BITS, index % ELEMENT_BITS);
	to += index * kinds[type].bytes;
	if (!kinds[type].is_float)
		return store_integer(type, number, to, loss);
	store_float(type, number, to, loss);
	return 0;
}

int element_convert(enum element from_type, const void *from, enum element to_type, void *to,
                    size_t count, struct element_loss *loss, size_t *bad)
{
	for (size_t i = 0; i < count; i++) {
		double number = element_get(from_type, from, i, loss);
		int result = from_type == ELEMENT_BOOL && number > 1 ? -EDOM : 0;

		if (result == 0)
			result = element_put(to_type, number, to, i, loss);
		if (result < 0) {
			*bad = i;
			return result;
		}
	}
	return 0;
}

const char *element_refusal(enum element from_type, enum element to_type)
{
	if (from_type == ELEMENT_BOOL)
		return "a bool in it is not 0 or 1";
	if (to_type == ELEMENT_B1)
		return "a number in it is not 0 or 1, but a bit must be";
	return "a NaN cannot become an integer";
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
