/*
 * test_element.c - elements of files, and conversion between them.
 */
#include "unit.h"

#include "engine/codec/element.h"
#include "engine/codec/element_text.h"

#include <endian.h>
#include <float.h>
#include <math.h>

/* One element converted; what came to `to`. */
static int convert_one(enum element from_type, const void *from, enum element to_type, void *to,
                       struct element_loss *loss)
{
	size_t bad;

	memset(loss, 0, sizeof(*loss));
	return element_convert(from_type, from, to_type, to, 1, loss, &bad);
}

static void names_are_read_back(void **state)
{
	(void)state;
	for (int i = 0; i < ELEMENT_COUNT; i++) {
		enum element type;

		assert_int_equal(element_parse(element_name((enum element)i), &type), 0);
		assert_int_equal(type, i);
	}
	enum element type;
	assert_int_equal(element_parse("f1", &type), -EINVAL);
}

/* All 65,536 of both, the signalling NaNs too: to the bit. */
static void every_half_survives_a_float_and_a_double(void **state)
{
	const enum element types[] = { ELEMENT_F2, ELEMENT_BF2 };

	(void)state;
	for (uint32_t i = 0; i < 2u << 16; i++) {
		enum element narrow = types[i >> 16];
		uint16_t bits = (uint16_t)i, back;
		struct element_loss loss;
		unsigned char wide[8];

		for (enum element type = ELEMENT_F4; type <= ELEMENT_F8; type++) {
			assert_int_equal(convert_one(narrow, &bits, type, wide, &loss), 0);
			assert_true(loss.rounded == 0 && loss.beyond == 0);
			assert_int_equal(convert_one(type, wide, narrow, &back, &loss), 0);
			assert_true(loss.rounded == 0 && loss.beyond == 0);
			assert_int_equal(back, bits);
		}
	}
}

/* What IEEE 754 says of the upper half of a float, in whole numbers: an independent reference. */
static uint16_t brain_of(uint32_t bits)
{
	uint32_t size = bits & 0x7fffffffu, rest = size & 0xffffu;
	uint16_t upper = (uint16_t)(bits >> 16);

	if (size > 0x7f800000u)
		return size >> 16 == 0x7f80u ? upper | 0x40u : upper;
	return (uint16_t)(upper + (rest > 0x8000u || (rest == 0x8000u && upper % 2 == 1)));
}

/* Of each upper half the lower halves that are around 0, the middle and the end; and others. */
static void every_brain_and_its_neighbours_as_the_bits_say(void **state)
{
	static const uint16_t lower[] = { 0,      1,      2,      0x7ffe, 0x7fff,
		                          0x8000, 0x8001, 0x8002, 0xfffe, 0xffff };
	struct element_loss loss;
	uint32_t random = 1;
	uint16_t got;

	(void)state;
	for (uint32_t upper = 0; upper <= UINT16_MAX; upper++) {
		for (size_t i = 0; i < 2 * sizeof(lower) / sizeof(lower[0]); i++) {
			uint32_t bits = upper << 16 | lower[i / 2];

			random = random * 1664525 + 1013904223;
			if (i % 2 == 1)
				bits = upper << 16 | random >> 16;
			assert_int_equal(convert_one(ELEMENT_F4, &bits, ELEMENT_BF2, &got, &loss),
			                 0);
			assert_int_equal(got, brain_of(bits));
		}
	}
}

/* A double that lies so near to the middle that a float would be the middle. */
static void a_double_is_rounded_to_a_brain_once(void **state)
{
	static const struct {
		double from;
		uint16_t to;
	} cases[] = {
		{ 1.00390625, 0x3f80 }, { 1.01171875, 0x3f82 },
		{ 0x1.01p0, 0x3f80 },   { 0x1.0100000000001p0, 0x3f81 },
		{ 0x1.03p0, 0x3f82 },   { 0x1.02fffffffffffp0, 0x3f81 },
		{ 0x1.fep127, 0x7f7f }, { 0x1.fefffffffffffp127, 0x7f7f },
		{ 0x1.ffp127, 0x7f80 }, { -0x1.ffp127, 0xff80 },
		{ 1e300, 0x7f80 },      { -1e300, 0xff80 },
		{ 0x1p-126, 0x0080 },   { 0x1.fffffffffffffp-127, 0x0080 },
		{ 0x1p-133, 0x0001 },   { 0x1.8p-133, 0x0002 },
		{ 0x1p-134, 0x0000 },   { 0x1.0000000000001p-134, 0x0001 },
		{ -0x1p-134, 0x8000 },  { 5e-324, 0x0000 },
		{ -0.0, 0x8000 },       { -INFINITY, 0xff80 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct element_loss loss;
		uint16_t got;

		assert_int_equal(convert_one(ELEMENT_F8, &cases[i].from, ELEMENT_BF2, &got, &loss),
		                 0);
		assert_int_equal(got, cases[i].to);
		assert_int_equal(loss.beyond, isfinite(cases[i].from) && (got & 0x7fff) == 0x7f80);
	}
}

/* A NaN whose upper bits are 0 would be infinity without them. */
static void a_nan_stays_one_with_its_upper_bits(void **state)
{
	static const struct {
		uint64_t from; /* a double */
		uint32_t single;
		uint16_t half, brain;
	} cases[] = {
		{ 0x7ff8000000000000, 0x7fc00000, 0x7e00, 0x7fc0 },
		{ 0xfff0000000000001, 0xffc00000, 0xfe00, 0xffc0 },
		{ 0x7ff0000020000000, 0x7f800001, 0x7e00, 0x7fc0 },
		{ 0x7ff4000000000000, 0x7fa00000, 0x7d00, 0x7fa0 },
		{ 0xfff7ffffffffffff, 0xffbfffff, 0xfdff, 0xffbf },
		{ 0x7fffffffffffffff, 0x7fffffff, 0x7fff, 0x7fff },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct element_loss loss;
		uint32_t single;
		uint16_t narrow;

		convert_one(ELEMENT_F8, &cases[i].from, ELEMENT_F4, &single, &loss);
		assert_int_equal(single, cases[i].single);
		convert_one(ELEMENT_F8, &cases[i].from, ELEMENT_F2, &narrow, &loss);
		assert_int_equal(narrow, cases[i].half);
		convert_one(ELEMENT_F8, &cases[i].from, ELEMENT_BF2, &narrow, &loss);
		assert_int_equal(narrow, cases[i].brain);
	}
}

/* As numpy.packbits has them. */
static void bits_are_packed_from_the_upper_end(void **state)
{
	const float numbers[16] = { 1, 0, -0.0f, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	const unsigned char bools[16] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	unsigned char bits[2] = { 0xff, 0xff }, back[16];
	struct element_loss loss = { 0 };
	size_t bad;

	(void)state;
	assert_int_equal(element_row_bytes(ELEMENT_B1, 16), 2);
	assert_int_equal(element_convert(ELEMENT_F4, numbers, ELEMENT_B1, bits, 16, &loss, &bad),
	                 0);
	assert_true(bits[0] == 0x98 && bits[1] == 0x01);
	assert_true(loss.elements == 16 && loss.rounded == 0 && loss.beyond == 0);
	assert_int_equal(element_convert(ELEMENT_B1, bits, ELEMENT_U1, back, 16, &loss, &bad), 0);
	assert_memory_equal(back, bools, 16);
	memset(bits, 0xff, 2);
	assert_int_equal(element_convert(ELEMENT_BOOL, bools, ELEMENT_B1, bits, 16, &loss, &bad),
	                 0);
	assert_true(bits[0] == 0x98 && bits[1] == 0x01);
	for (size_t i = 0; i < 16; i++)
		assert_true(element_get(ELEMENT_B1, bits, i, NULL) == bools[i]);
	assert_true(element_all_finite(ELEMENT_B1, bits, 16, &bad));
}

static void what_is_neither_0_nor_1_is_no_bit(void **state)
{
	static const double others[] = { 2, -1, 0.5, 5e-324, 1.0000000000000002, INFINITY, NAN };
	unsigned char bools[] = { 1, 0, 2 }, bit;
	double to[3]; /* room for any of them */
	size_t bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct element_loss loss = { 0 };

		assert_int_equal(element_store(ELEMENT_B1, others[i], &bit, &loss), -EDOM);
	}
	for (enum element type = ELEMENT_F4; type <= ELEMENT_B1; type++) {
		struct element_loss loss = { 0 };

		assert_int_equal(element_convert(ELEMENT_BOOL, bools, type, to, 3, &loss, &bad),
		                 -EDOM);
		assert_int_equal(bad, 2);
		assert_non_null(strstr(element_refusal(ELEMENT_BOOL, type), "not 0 or 1"));
	}
}

/* ---- text --------------------------------------------------------------- */

/* Decimal numbers that a double would bring to the middle of two floats of 16 bits. */
static void decimal_numbers_are_rounded_once(void **state)
{
	static const struct {
		enum element type;
		const char *text;
		uint16_t bits;
	} cases[] = {
		{ ELEMENT_BF2, "1.00390625", 0x3f80 },
		{ ELEMENT_BF2, "1.003906250000000000000000000000000001", 0x3f81 },
		{ ELEMENT_BF2, "1.003906249999999999999999999999999999", 0x3f80 },
		{ ELEMENT_BF2, "1.01171875", 0x3f82 },
		{ ELEMENT_BF2, "1.011718749999999999999999999999999999", 0x3f81 },
		{ ELEMENT_BF2, "-1.011718749999999999999999999999999999", 0xbf81 },
		{ ELEMENT_F2, "1.00048828125", 0x3c00 },
		{ ELEMENT_F2, "1.000488281250000000000000000000000001", 0x3c01 },
		{ ELEMENT_F2, "-1.001464843749999999999999999999999999", 0xbc01 },
		{ ELEMENT_BF2, "3.38953138925153547590470800371487866880e38", 0x7f7f },
		{ ELEMENT_BF2, "-inf", 0xff80 },
		{ ELEMENT_BF2, "1e-60", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint16_t got = 0xdead;

		assert_int_equal(element_read_word(cases[i].type, cases[i].text, &got, 0), 0);
		assert_int_equal(got, cases[i].bits);
	}
}

static void words_that_are_no_element(void **state)
{
	static const struct {
		enum element type;
		const char *text;
		int result;
	} cases[] = {
		{ ELEMENT_BF2, "3.4e38", -ERANGE }, { ELEMENT_BF2, "1e999", -ERANGE },
		{ ELEMENT_BF2, "0x", -EINVAL },     { ELEMENT_BF2, "true", -EINVAL },
		{ ELEMENT_B1, "2", -ERANGE },       { ELEMENT_B1, "-1", -ERANGE },
		{ ELEMENT_B1, "0.5", -ERANGE },     { ELEMENT_B1, "nan", -ERANGE },
		{ ELEMENT_B1, "", -EINVAL },        { ELEMENT_B1, "truest", -EINVAL },
		{ ELEMENT_B1, "yes", -EINVAL },     { ELEMENT_B1, "1,", -EINVAL },
		{ ELEMENT_B1, "TRUE", 0 },          { ELEMENT_B1, "False", 0 },
		{ ELEMENT_B1, "1.0", 0 },           { ELEMENT_B1, "-0", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char to[8];

		assert_int_equal(element_read_word(cases[i].type, cases[i].text, to, 0),
		                 cases[i].result);
	}
}

/* Each bf2 in the fewest digits: one fewer is another number. */
static void a_brain_is_written_in_the_fewest_digits(void **state)
{
	char text[ELEMENT_TEXT_BYTES], fewer[320];

	(void)state;
	for (uint32_t i = 0; i <= UINT16_MAX; i++) {
		uint16_t bits = (uint16_t)i, back = 0;
		bool nan = (bits & 0x7fff) > 0x7f80;
		double number = element_load(ELEMENT_BF2, &bits, NULL);
		int digits = 0;

		assert_true(element_write(ELEMENT_BF2, &bits, 0, text) < ELEMENT_TEXT_BYTES);
		assert_int_equal(element_read_word(ELEMENT_BF2, text, &back, 0), 0);
		if (nan)
			assert_true((back & 0x7fff) > 0x7f80 && back >> 15 == bits >> 15);
		else
			assert_int_equal(back, bits);
		if (!isfinite(number) || number == 0)
			continue;
		for (const char *at = text; *at != '\0' && *at != 'e'; at++)
			digits += *at >= '0' && *at <= '9' && !(digits == 0 && *at == '0');
		assert_true(digits <= 4 || strchr(text, '.') == NULL);
		if (digits < 2 || strchr(text, '.') == NULL)
			continue;
		snprintf(fewer, sizeof(fewer), "%.*g", digits - 1, number);
		if (element_read_word(ELEMENT_BF2, fewer, &back, 0) == 0)
			assert_true(back != bits);
	}
}

/* Between two neighbours the nearer is taken, and the even one in the middle. */
static void a_half_is_rounded_to_the_nearest_even(void **state)
{
	(void)state;
	for (uint16_t half = 0; half < 0x7bff; half++) {
		uint16_t above = half + 1, got;
		double low = element_load(ELEMENT_F2, &half, NULL);
		double high = element_load(ELEMENT_F2, &above, NULL);
		double middle = (low + high) / 2;
		struct element_loss loss;

		assert_true(low < high);
		assert_int_equal(convert_one(ELEMENT_F8, &middle, ELEMENT_F2, &got, &loss), 0);
		assert_int_equal(got, half % 2 == 0 ? half : above);
		assert_true(loss.rounded == 1 && loss.largest == high - middle);
		middle = nextafter(middle, INFINITY);
		assert_int_equal(convert_one(ELEMENT_F8, &middle, ELEMENT_F2, &got, &loss), 0);
		assert_int_equal(got, above);
		middle = nextafter(nextafter(middle, 0), 0);
		assert_int_equal(convert_one(ELEMENT_F8, &middle, ELEMENT_F2, &got, &loss), 0);
		assert_int_equal(got, half);
	}
}

static void what_is_beyond_becomes_the_nearest_or_infinity(void **state)
{
	const struct {
		enum element type;
		double from, to;
	} cases[] = {
		{ ELEMENT_F2, 65519.9, 65504 },    { ELEMENT_F2, 65520, INFINITY },
		{ ELEMENT_F2, -1e300, -INFINITY }, { ELEMENT_F4, 1e39, INFINITY },
		{ ELEMENT_I1, 127.5, 127 },        { ELEMENT_I1, 200, 127 },
		{ ELEMENT_I1, -128.4, -128 },      { ELEMENT_I1, -INFINITY, -128 },
		{ ELEMENT_U1, -0.6, 0 },           { ELEMENT_U1, 254.5, 254 },
		{ ELEMENT_I4, 3e9, 2147483647 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct element_loss loss = { 0 };
		unsigned char stored[8];

		assert_int_equal(element_store(cases[i].type, cases[i].from, stored, &loss), 0);
		assert_true(element_load(cases[i].type, stored, NULL) == cases[i].to);
		assert_int_equal(loss.rounded + loss.beyond, 1);
		assert_int_equal(loss.elements, 1);
	}
}

static void a_nan_becomes_no_integer(void **state)
{
	float numbers[3] = { 1, 2, NAN };
	unsigned char to[3] = { 9, 9, 9 };
	struct element_loss loss = { 0 };
	size_t bad = 0;

	(void)state;
	assert_int_equal(element_convert(ELEMENT_F4, numbers, ELEMENT_U1, to, 3, &loss, &bad),
	                 -EDOM);
	assert_int_equal(bad, 2);
	assert_true(to[0] == 1 && to[1] == 2 && to[2] == 9);
	assert_false(element_all_finite(ELEMENT_F4, numbers, 3, &bad));
	assert_int_equal(bad, 2);
	assert_true(element_all_finite(ELEMENT_F4, numbers, 2, &bad));
	assert_true(element_all_finite(ELEMENT_U1, to, 3, &bad));
}

static void wide_integers_lose_what_a_double_has_not(void **state)
{
	uint64_t wide = htole64(UINT64_C(9007199254740993)); /* 2^53 + 1 */
	struct element_loss loss;
	double got;

	(void)state;
	assert_int_equal(convert_one(ELEMENT_U8, &wide, ELEMENT_F8, &got, &loss), 0);
	assert_true(got == 9007199254740992.0 && loss.rounded == 1 && loss.largest == 1);
	wide = htole64((uint64_t)INT64_MIN);
	assert_int_equal(convert_one(ELEMENT_I8, &wide, ELEMENT_F8, &got, &loss), 0);
	assert_true(got == -9223372036854775808.0 && loss.rounded == 0);
}

static void bytes_turn_around(void **state)
{
	unsigned char bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	const unsigned char fours[] = { 4, 3, 2, 1, 8, 7, 6, 5 };

	(void)state;
	element_swap(bytes, 4, 2);
	assert_memory_equal(bytes, fours, sizeof(bytes));
	element_swap(bytes, 1, 8);
	assert_memory_equal(bytes, fours, sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_back),
		cmocka_unit_test(every_half_survives_a_float_and_a_double),
		cmocka_unit_test(every_brain_and_its_neighbours_as_the_bits_say),
		cmocka_unit_test(a_double_is_rounded_to_a_brain_once),
		cmocka_unit_test(a_nan_stays_one_with_its_upper_bits),
		cmocka_unit_test(bits_are_packed_from_the_upper_end),
		cmocka_unit_test(what_is_neither_0_nor_1_is_no_bit),
		cmocka_unit_test(decimal_numbers_are_rounded_once),
		cmocka_unit_test(words_that_are_no_element),
		cmocka_unit_test(a_brain_is_written_in_the_fewest_digits),
		cmocka_unit_test(a_half_is_rounded_to_the_nearest_even),
		cmocka_unit_test(what_is_beyond_becomes_the_nearest_or_infinity),
		cmocka_unit_test(a_nan_becomes_no_integer),
		cmocka_unit_test(wide_integers_lose_what_a_double_has_not),
		cmocka_unit_test(bytes_turn_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
