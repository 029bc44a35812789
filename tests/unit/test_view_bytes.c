/* A vector as text and as .npy, and back; what is no vector is refused. */
#include "unit.h"

#include <math.h>

#include "fs/base/view_bytes.h"

#define DIM 4u
/* Of b1. */
#define BITS 16u

static struct quiver_geometry geometry_of(enum quiver_dtype dtype)
{
	uint32_t dim = dtype == QUIVER_B1 ? BITS : DIM;

	return (struct quiver_geometry){ .dim = dim,
		                         .dtype = dtype,
		                         .vector_bytes = quiver_vector_bytes(dim, dtype) };
}

static void round_trip(enum quiver_dtype dtype, enum tree_form form, const void *vector)
{
	struct quiver_geometry geometry = geometry_of(dtype);
	struct view_reason reason;
	unsigned char back[DIM * 8];
	size_t size = 0, room = 0;
	char *bytes = NULL;

	assert_int_equal(view_encode(&geometry, form, vector, &bytes, &size, &room), 0);
	assert_true(size <= room && size <= view_bytes_max(&geometry, form));
	assert_int_equal(view_decode(&geometry, form, bytes, size, back, &reason), 0);
	assert_memory_equal(back, vector, geometry.vector_bytes);
	free(bytes);
}

/* All 65,536 of them but the NaNs, whose bits text does not keep. */
static void every_narrow_float_is_read_back(void **state)
{
	uint16_t halves[DIM], brains[DIM];

	(void)state;
	for (uint32_t first = 0; first < 65536; first += DIM) {
		for (uint32_t i = 0; i < DIM; i++) {
			halves[i] = brains[i] = (uint16_t)(first + i);
			if ((halves[i] & 0x7c00u) == 0x7c00u)
				halves[i] &= 0xfc00u;
			if ((brains[i] & 0x7f80u) == 0x7f80u)
				brains[i] &= 0xff80u;
		}
		round_trip(QUIVER_F2, TREE_FORM_TXT, halves);
		round_trip(QUIVER_F2, TREE_FORM_NPY, halves);
		round_trip(QUIVER_BF2, TREE_FORM_TXT, brains);
		round_trip(QUIVER_BF2, TREE_FORM_NPY, brains);
	}
}

static void all_bits_are_read_back(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1u << BITS; i++) {
		const unsigned char vector[BITS / 8] = { (unsigned char)(i >> 8),
			                                 (unsigned char)i };

		round_trip(QUIVER_B1, TREE_FORM_NPY, vector);
		if (i % 7 == 0)
			round_trip(QUIVER_B1, TREE_FORM_TXT, vector);
	}
}

/* The file of an array of one dimension. */
static size_t make_npy(char *to, const char *descr, unsigned length, const void *data, size_t bytes)
{
	int used = snprintf(to + 10, 118,
	                    "{'descr': '%s', 'fortran_order': False, 'shape': (%u,), }", descr,
	                    length);

	memcpy(to, "\x93NUMPY\x01\x00\x76\x00", 10);
	memset(to + 10 + used, ' ', 118 - (size_t)used);
	to[127] = '\n';
	memcpy(to + 128, data, bytes);
	return 128 + bytes;
}

static void takes(enum quiver_dtype dtype, const char *descr, unsigned length, const void *data,
                  size_t bytes, const void *vector)
{
	struct quiver_geometry geometry = geometry_of(dtype);
	struct view_reason reason = { "" };
	unsigned char got[DIM * 8];
	char file[256];
	size_t size = make_npy(file, descr, length, data, bytes);

	if (view_decode(&geometry, TREE_FORM_NPY, file, size, got, &reason) != 0)
		fail_msg("%s", reason.text);
	assert_memory_equal(got, vector, geometry.vector_bytes);
	assert_true(size <= view_bytes_max(&geometry, TREE_FORM_NPY));
}

/* What NumPy and others make of vectors that it has no type for. */
static void arrays_of_other_types_that_mean_the_same(void **state)
{
	static const unsigned char bools[BITS] = { 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
	static const unsigned char bits[BITS / 8] = { 0x98, 0x01 };
	static const unsigned char brains[DIM * 2] = { 0x80, 0x3f, 0, 0xc0, 0xc1, 0x7f, 1, 0 };

	(void)state;
	takes(QUIVER_B1, "|b1", BITS, bools, BITS, bits);
	takes(QUIVER_B1, "|u1", BITS / 8, bits, BITS / 8, bits);
	takes(QUIVER_BF2, "<u2", DIM, brains, sizeof(brains), brains);
	takes(QUIVER_BF2, "<V2", DIM, brains, sizeof(brains), brains);
	takes(QUIVER_BF2, "|V2", DIM, brains, sizeof(brains), brains);
}

static void extremes_are_read_back(void **state)
{
	static const float singles[][DIM] = {
		{ 0, -0.0f, 1, 0x1p-149f },
		{ 3.40282347e38f, -1.17549435e-38f, 0.1f, 16777216 },
		{ INFINITY, -INFINITY, 1e10f, 9.00719925e15f },
	};
	static const double doubles[][DIM] = {
		{ 0, -0.0, 5e-324, 2.2250738585072014e-308 },
		{ 1.7976931348623157e308, 0.1, 1.0 / 3, 9007199254740993.0 },
		{ INFINITY, -INFINITY, -2.2250738585072014e-308, 123456789.123456789 },
	};
	static const int8_t bytes[DIM] = { -128, -1, 0, 127 };
	static const uint8_t unsigned_bytes[DIM] = { 0, 1, 254, 255 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (enum tree_form form = TREE_FORM_NPY; form <= TREE_FORM_TXT; form++) {
			round_trip(QUIVER_F4, form, singles[i]);
			round_trip(QUIVER_F8, form, doubles[i]);
			round_trip(QUIVER_I1, form, bytes);
			round_trip(QUIVER_U1, form, unsigned_bytes);
		}
	}
}

static void text_has_the_fewest_digits(void **state)
{
	static const float vector[DIM] = { 0.1f, 16777216, 0x1p-149f, -2.5f };
	struct quiver_geometry geometry = geometry_of(QUIVER_F4);
	size_t size = 0, room = 0;
	char *bytes = NULL;

	(void)state;
	assert_int_equal(view_encode(&geometry, TREE_FORM_TXT, vector, &bytes, &size, &room), 0);
	assert_int_equal(size, strlen("0.1\n16777216\n1e-45\n-2.5\n"));
	assert_memory_equal(bytes, "0.1\n16777216\n1e-45\n-2.5\n", size);
	free(bytes);
}

static void refuses(enum quiver_dtype dtype, enum tree_form form, const char *bytes, size_t size,
                    const char *says)
{
	struct quiver_geometry geometry = geometry_of(dtype);
	struct view_reason reason = { "" };
	unsigned char vector[DIM * 8];
	char *copy = malloc(size + 1);

	assert_non_null(copy);
	memcpy(copy, bytes, size); /* so that a sanitizer sees where it ends */
	copy = realloc(copy, size > 0 ? size : 1);
	assert_int_equal(view_decode(&geometry, form, copy, size, vector, &reason), -EINVAL);
	if (strstr(reason.text, says) == NULL)
		fail_msg("reason '%s' does not hold '%s'", reason.text, says);
	free(copy);
}

/* One vector, as people write vectors. */
static void text_may_have_commas_and_brackets(void **state)
{
	static const float vector[DIM] = { 1, -2.5f, 0.25f, 1e10f };
	static const char *const texts[] = {
		"1 -2.5 .25 1e10",
		"1,-2.5,.25,1e10",
		"1, -2.5,\n0.25 ,1e10\n",
		"[1, -2.5, 0.25, 1e10]",
		"[[1, -2.5, 0.25, 1e10]]\n",
		"[1. -2.5\n .25 1e10]",
		" [ \n1 ,\t-2.5,.25,1e10, ] \r\n",
		"1,-2.5,.25,1e10,",
		"\xef\xbb\xbf[1,-2.5,.25,1e10]",
	};
	struct quiver_geometry geometry = geometry_of(QUIVER_F4);
	struct view_reason reason = { "" };
	float got[DIM];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (view_decode(&geometry, TREE_FORM_TXT, texts[i], strlen(texts[i]),
		                (unsigned char *)got, &reason) != 0)
			fail_msg("'%s': %s", texts[i], reason.text);
		assert_memory_equal(got, vector, sizeof(vector));
	}
}

/* So that what is not set there does not happen to be 0. */
static __attribute__((noinline)) void dirty_stack(void)
{
	volatile char junk[16384];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = '\x01';
}

static void what_is_no_vector_is_refused(void **state)
{
	static const struct {
		enum quiver_dtype dtype;
		const char *text;
		const char *says;
	} bad[] = {
		{ QUIVER_F4, "", "got 0 of 4 numbers" },
		{ QUIVER_F4, "1 2 3", "got 3 of 4 numbers" },
		{ QUIVER_F4, "1 2\n3\n\n4 5", "line 4: more than 4 numbers" },
		{ QUIVER_F4, "1 2\n3 4x", "line 2: '4x' is not a number" },
		{ QUIVER_F4, "1 2 3 1e39", "1e39 is not a value of f4" },
		{ QUIVER_F4, "1 2 3 -", "'-' is not a number" },
		{ QUIVER_F8, "1 2 3 -1e309", "-1e309 is not a value of f8" },
		{ QUIVER_F2, "1 2 3 65520", "65520 is not a value of f2" },
		{ QUIVER_I1, "1 2 3 128", "128 is not a value of i1" },
		{ QUIVER_I1, "1 2 3 0.5", "0.5 is not a value of i1" },
		{ QUIVER_U1, "1 2 3 nan", "nan is not a value of u1" },
		{ QUIVER_U1, "1 2 3 -1", "-1 is not a value of u1" },
		{ QUIVER_BF2, "1 2 3 3.4e38", "3.4e38 is not a value of bf2" },
		{ QUIVER_B1, "1 0 1", "got 3 of 16 numbers" },
		{ QUIVER_B1, "1 0\n2", "line 2: 2 is not a value of b1 (0 or 1)" },
		{ QUIVER_F4, "0,1 0,2", "line 1: commas between some numbers" },
		{ QUIVER_F4, "0,1\n0,2", "line 2: commas between some numbers" },
		{ QUIVER_F4, "1 2,3,4", "line 1: commas between some numbers" },
		{ QUIVER_F4, "0,1, 0,2, 0,3", "more than 4 numbers" },
		{ QUIVER_F4, "1,2\n,,3,4", "line 2: a ',' without a number" },
		{ QUIVER_F4, ",1,2,3,4", "a ',' without a number" },
		{ QUIVER_F4, "[1,2],[3,4]", "a ',' without a number" },
		{ QUIVER_F4, "[1,2,3,4", "the ']' at its end is missing" },
		{ QUIVER_F4, "[[1,2,3,4]", "the ']' at its end is missing" },
		{ QUIVER_F4, "1,2,3,4]", "a ']' without its '['" },
		{ QUIVER_F4, "[1,2]3,4", "a number after the ']'" },
		{ QUIVER_F4, "[1 2 3 4]5", "a number after the ']'" },
		{ QUIVER_F4, "[[[1,2,3,4]]]", "a '[' that does not begin a vector" },
		{ QUIVER_F4, "1[2 3 4]", "a '[' that does not begin a vector" },
		{ QUIVER_F4, "][1 2 3 4", "a ']' without its '['" },
		{ QUIVER_F4, "[,1,2,3,4]", "a ',' without a number" },
		{ QUIVER_F4, "[1,2,3]", "got 3 of 4 numbers" },
		{ QUIVER_F4, "1;2;3;4", "'1;2;3;4' is not a number" },
		{ QUIVER_F4, "1 2 3 \xef\xbb\xbf 4", "is not a number" },
	};
	static const unsigned char data[BITS * 4] = { 1, 0, 2 };
	static const struct {
		enum quiver_dtype dtype;
		const char *descr;
		unsigned length;
		size_t bytes;
		const char *says;
	} bad_arrays[] = {
		{ QUIVER_B1, "|b1", BITS, BITS, "element 2: a bool" },
		{ QUIVER_B1, "|b1", BITS / 8, BITS / 8,
		  "its shape is wrong; expected (16,) or (1, 16)" },
		{ QUIVER_B1, "|u1", BITS, BITS, "its shape is wrong; expected (2,) or" },
		{ QUIVER_B1, "|i1", BITS / 8, BITS / 8, "numpy.packbits" },
		{ QUIVER_B1, "<f4", BITS, BITS * 4, "its type is f4; expected bool" },
		{ QUIVER_BF2, "<f4", DIM, DIM * 4, "ml_dtypes.bfloat16" },
		{ QUIVER_BF2, "<f2", DIM, DIM * 2, "its type is f2; expected bf2" },
		{ QUIVER_BF2, "<V2", DIM - 1, DIM * 2 - 2, "its shape is wrong; expected (4,) or" },
		{ QUIVER_BF2, "<u2", DIM, DIM * 2 - 1, "got 7 of 8 bytes" },
		{ QUIVER_F2, "<V2", DIM, DIM * 2, "its type is V2; expected f2" },
		{ QUIVER_F2, "<u2", DIM, DIM * 2, "its type is u2; expected f2" },
		{ QUIVER_U1, "|b1", DIM, DIM, "its type is b1; expected u1" },
	};
	char longest[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i].dtype, TREE_FORM_TXT, bad[i].text, strlen(bad[i].text), bad[i].says);
	for (size_t i = 0; i < sizeof(bad_arrays) / sizeof(bad_arrays[0]); i++) {
		char file[256];
		size_t size = make_npy(file, bad_arrays[i].descr, bad_arrays[i].length, data,
		                       bad_arrays[i].bytes);

		refuses(bad_arrays[i].dtype, TREE_FORM_NPY, file, size, bad_arrays[i].says);
	}
	refuses(QUIVER_F4, TREE_FORM_TXT, "1 2 3 4\0", 8, "'4?' is not a number");
	memset(longest, '1', sizeof(longest));
	dirty_stack();
	refuses(QUIVER_F8, TREE_FORM_TXT, longest, sizeof(longest), "is not a number");
}

/* Every cut of a file is refused, and no flip reads past its end. */
static void cut_and_flip(enum quiver_dtype dtype, enum tree_form form, char *bytes, size_t size)
{
	struct quiver_geometry geometry = geometry_of(dtype);
	unsigned char *back = malloc(geometry.vector_bytes);
	struct view_reason reason;

	assert_non_null(back);
	for (size_t cut = 0; cut + 1 < size; cut++)
		refuses(dtype, form, bytes, cut, "");
	for (size_t bit = 0; bit < size * 8; bit++) {
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
		(void)view_decode(&geometry, form, bytes, size, back, &reason);
		bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
	}
	free(back);
}

static void cut_and_flipped_files_are_read_within_their_bytes(void **state)
{
	static const enum quiver_dtype dtypes[] = { QUIVER_F4, QUIVER_BF2, QUIVER_B1 };
	static const float vector[DIM] = { 1, 2, 3, 4 };
	static const unsigned char bools[BITS] = { 1, 1 };
	char *bytes = NULL;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(dtypes) / sizeof(dtypes[0]); i++) {
		struct quiver_geometry geometry = geometry_of(dtypes[i / 2]);
		enum tree_form form = i % 2 == 0 ? TREE_FORM_NPY : TREE_FORM_TXT;
		size_t size = 0, room = 0;

		assert_int_equal(view_encode(&geometry, form, vector, &bytes, &size, &room), 0);
		bytes = realloc(bytes, size);
		assert_non_null(bytes);
		cut_and_flip(dtypes[i / 2], form, bytes, size);
		free(bytes);
	}
	bytes = malloc(128 + BITS);
	assert_non_null(bytes);
	cut_and_flip(QUIVER_B1, TREE_FORM_NPY, bytes, make_npy(bytes, "|b1", BITS, bools, BITS));
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_narrow_float_is_read_back),
		cmocka_unit_test(all_bits_are_read_back),
		cmocka_unit_test(arrays_of_other_types_that_mean_the_same),
		cmocka_unit_test(extremes_are_read_back),
		cmocka_unit_test(text_has_the_fewest_digits),
		cmocka_unit_test(text_may_have_commas_and_brackets),
		cmocka_unit_test(what_is_no_vector_is_refused),
		cmocka_unit_test(cut_and_flipped_files_are_read_within_their_bytes),
	};

	return cmocka_run_group_tests_name("view_bytes", tests, NULL, NULL);
}
