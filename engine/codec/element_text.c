/*
 * element_text.c - elements as decimal numbers, and back.
 */
#include "engine/codec/element_text.h"

#include <errno.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What lies halfway between two floats of 16 bits has no more bits of mantissa than f2 has and
 * one: the others are 0. */
#define HALFWAY_ZEROS ((UINT64_C(1) << 41) - 1)

/* The length of a word for a bit at the start of `text`, 0 where there is none. */
static size_t truth_length(const char *text, double *number)
{
	size_t spaces = strspn(text, " \t");

	*number = strncasecmp(text + spaces, "true", 4) == 0;
	if (*number != 0)
		return spaces + 4;
	return strncasecmp(text + spaces, "false", 5) == 0 ? spaces + 5 : 0;
}

static uint64_t bits_of(double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof(bits));
	return bits;
}

/*
 * Of the two doubles beside a decimal number, which is none itself, the one that ends in a 1:
 * no number that is halfway between two floats does, so it is on the side on which the decimal
 * number is.
 */
static double round_to_odd(const char *text)
{
	int before = fegetround();
	double below, above;

	if (before < 0 || fesetround(FE_DOWNWARD) != 0)
		return strtod(text, NULL);
	below = strtod(text, NULL);
	(void)fesetround(FE_UPWARD); /* as the other direction */
	above = strtod(text, NULL);
	(void)fesetround(before); /* as it was */
	return bits_of(below) % 2 == 1 ? below : above;
}

double element_read(enum element type, const char *text, size_t *length)
{
	char *end = NULL;
	double number;
	int err;

	*length = type == ELEMENT_B1 ? truth_length(text, &number) : 0;
	if (*length > 0)
		return number;
	number = type == ELEMENT_F4 ? (double)strtof(text, &end) : strtod(text, &end);
	*length = (size_t)(end - text);
	if ((type != ELEMENT_F2 && type != ELEMENT_BF2) || (bits_of(number) & HALFWAY_ZEROS) != 0 ||
	    !isfinite(number) || number == 0)
		return number;
	err = errno;
	number = round_to_odd(text);
	errno = err;
	return number;
}

int element_read_word(enum element type, const char *word, void *elements, size_t index)
{
	struct element_loss loss = { 0 };
	size_t length;
	double number = element_read(type, word, &length);

	if (length == 0 || word[length] != '\0')
		return -EINVAL;
	if (element_put(type, number, elements, index, &loss) < 0 || loss.beyond > 0)
		return -ERANGE;
	if (!element_is_float(type) && loss.rounded > 0)
		return -ERANGE;
	/* 1e999 is infinity to strtod; the word itself says whether it is meant. */
	if (isinf(number) && strpbrk(word, "iI") == NULL)
		return -ERANGE;
	return 0;
}

/* Whether a text is read back as the element, but for the bits of a NaN. */
static bool is_read_back(enum element type, const char *text, double number)
{
	unsigned char back[sizeof(uint64_t)];
	double other;

	if (element_read_word(type, text, back, 0) < 0)
		return false;
	other = element_load(type, back, NULL);
	return (number == other || (isnan(number) && isnan(other))) &&
	       signbit(number) == signbit(other);
}

/* How many digits every decimal number keeps in the type, how many every number of the type
 * needs, and below what it has fewer bits. */
struct precision {
	int kept, most;
	double normal;
};

static const struct precision *precision_of(enum element type)
{
	static const struct precision half = { 3, 5, 0x1p-14 };
	static const struct precision brain = { 2, 4, FLT_MIN };
	static const struct precision single = { FLT_DIG, FLT_DECIMAL_DIG, FLT_MIN };
	static const struct precision twice = { DBL_DIG, DBL_DECIMAL_DIG, DBL_MIN };

	switch (type) {
	case ELEMENT_F2:
		return &half;
	case ELEMENT_BF2:
		return &brain;
	case ELEMENT_F8:
		return &twice;
	default:
		return &single;
	}
}

/*
 * Print a power of two away from 0. Below it the numbers are half as far apart as above, so that
 * the nearest decimal number of so many digits may be another one's where the next above it is
 * still its own.
 */
static int print_away(double number, int digits, char to[ELEMENT_TEXT_BYTES])
{
	int before = fegetround();
	int length;

	if (before < 0 || fesetround(signbit(number) ? FE_DOWNWARD : FE_UPWARD) != 0)
		return snprintf(to, ELEMENT_TEXT_BYTES, "%.*g", digits, number);
	length = snprintf(to, ELEMENT_TEXT_BYTES, "%.*g", digits, number);
	(void)fesetround(before); /* as it was */
	return length;
}

static bool is_power_of_two(double number)
{
	int exponent;

	return isfinite(number) && fabs(frexp(number, &exponent)) == 0.5;
}

/* Up to the digits that are kept %g drops the zeros behind, so the first text that is read
 * back is the shortest that rounds the number. */
size_t element_write(enum element type, const void *elements, size_t index,
                     char to[ELEMENT_TEXT_BYTES])
{
	const struct precision *precision = precision_of(type);
	double number = element_get(type, elements, index, NULL);
	int digits = fabs(number) < precision->normal ? 1 : precision->kept;
	int length;

	for (;; digits++) {
		length = snprintf(to, ELEMENT_TEXT_BYTES, "%.*g", digits, number);
		if (digits >= precision->most || is_read_back(type, to, number))
			break;
		if (!is_power_of_two(number))
			continue;
		length = print_away(number, digits, to);
		if (is_read_back(type, to, number))
			break;
	}
	return (size_t)length;
}
