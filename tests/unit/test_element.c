/*
 * test_element.c - elements of files, and conversion between them.
 */
#include "unit.h"

#include "engine/codec/element.h"

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

static void every_half_survives_a_float_and_a_double(void **state)
{
	(void)state;
	for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
		uint16_t half = (uint16_t)bits, back;
		bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
		struct element_loss loss;
		unsigned char wide[8];

		for (enum element type = ELEMENT_F4; type <= ELEMENT_F8; type++) {
			assert_int_equal(convert_one(ELEMENT_F2, &half, type, wide, &loss), 0);
			assert_true(loss.rounded == 0 && loss.beyond == 0);
			assert_int_equal(convert_one(type, wide, ELEMENT_F2, &back, &loss), 0);
			assert_true(loss.rounded == 0 && loss.beyond == 0);
			/* a signalling NaN may become a quiet one */
			assert_int_equal(nan ? back | 0x200 : back, nan ? half | 0x200 : half);
		}
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
		cmocka_unit_test(a_half_is_rounded_to_the_nearest_even),
		cmocka_unit_test(what_is_beyond_becomes_the_nearest_or_infinity),
		cmocka_unit_test(a_nan_becomes_no_integer),
		cmocka_unit_test(wide_integers_lose_what_a_double_has_not),
		cmocka_unit_test(bytes_turn_around),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
