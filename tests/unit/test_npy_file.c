/*
 * test_npy_file.c - headers of .npy files, read and written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>

#include "engine/codec/npy.h"
#include "tools/formats/npy_file.h"

#define FILE_BYTES 1024

/* A header as NumPy writes it: version, text padded to 64 bytes. */
static size_t make_header(unsigned char to[FILE_BYTES], unsigned major, const char *text)
{
	size_t prefix = major == 1 ? 10 : 12;
	size_t length = strlen(text);
	size_t all = (prefix + length + 1 + 63) / 64 * 64;
	size_t padded = all - prefix;

	assert_true(all <= FILE_BYTES);
	memset(to, ' ', all);
	memcpy(to, "\x93NUMPY", 6);
	to[6] = (unsigned char)major;
	to[7] = 0;
	to[8] = (unsigned char)(padded & 255);
	to[9] = (unsigned char)(padded >> 8);
	if (major > 1)
		to[10] = to[11] = 0;
	memcpy(to + prefix, text, length);
	to[all - 1] = '\n';
	return all;
}

static int parse_text(unsigned major, const char *text, struct npy_array *array,
                      struct npy_reason *reason)
{
	unsigned char file[FILE_BYTES];
	size_t length = make_header(file, major, text);

	memset(reason, 0, sizeof(*reason));
	return npy_parse(file, length, array, reason);
}

/* The header must be refused, and the reason must hold `part`. */
static void refuse(const char *text, const char *part)
{
	struct npy_array array;
	struct npy_reason reason;

	assert_int_equal(parse_text(1, text, &array, &reason), -EINVAL);
	if (strstr(reason.text, part) == NULL)
		fail_msg("reason '%s' does not hold '%s'", reason.text, part);
}

static void numpy_writes_it_like_this(void **state)
{
	struct npy_array array;
	struct npy_reason reason;

	(void)state;
	for (unsigned major = 1; major <= 3; major++) {
		assert_int_equal(parse_text(major,
		                            "{'descr': '<f4', 'fortran_order': False, "
		                            "'shape': (11925, 25), }",
		                            &array, &reason),
		                 0);
		assert_string_equal(array.type, "f4");
		assert_int_equal(array.item_bytes, 4);
		assert_int_equal(array.dimensions, 2);
		assert_int_equal(array.shape[0], 11925);
		assert_int_equal(array.shape[1], 25);
		assert_int_equal(array.data_offset, 128);
		assert_int_equal(array.data_bytes, 11925 * 25 * 4);
	}
}

static void other_writers_space_and_quote_differently(void **state)
{
	struct npy_array array;
	struct npy_reason reason;

	(void)state;
	assert_int_equal(parse_text(1,
	                            "{\"shape\":(3L,7),\"descr\":\"|u1\",\"fortran_order\":False}",
	                            &array, &reason),
	                 0);
	assert_string_equal(array.type, "u1");
	assert_int_equal(array.data_bytes, 21);
	assert_int_equal(parse_text(1,
	                            " { 'fortran_order' : False , 'shape' : ( 5 , ) , 'descr' : "
	                            "'<u8' } ",
	                            &array, &reason),
	                 0);
	assert_int_equal(array.dimensions, 1);
	assert_int_equal(array.data_bytes, 40);
	assert_int_equal(parse_text(1, "{'descr': '>i1', 'fortran_order': False, 'shape': (), }",
	                            &array, &reason),
	                 0);
	assert_int_equal(array.dimensions, 0);
	assert_int_equal(array.data_bytes, 1);
}

/* numpy.bool_; and bfloat16 of ml_dtypes, saved by itself and once loaded without it. */
static void bools_and_bfloat16_have_types_of_their_own(void **state)
{
	struct npy_array array;
	struct npy_reason reason;

	(void)state;
	assert_int_equal(parse_text(1,
	                            "{'descr': '|b1', 'fortran_order': False, 'shape': (2, 3), }",
	                            &array, &reason),
	                 0);
	assert_string_equal(array.type, NPY_BOOL);
	assert_int_equal(array.data_bytes, 6);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(parse_text(1,
		                            i == 0 ? "{'descr': '<V2', 'fortran_order': False, "
		                                     "'shape': (2, 3), }"
		                                   : "{'descr': '|V2', 'fortran_order': False, "
		                                     "'shape': (2, 3), }",
		                            &array, &reason),
		                 0);
		assert_string_equal(array.type, NPY_BFLOAT16);
		assert_false(array.big_endian);
		assert_int_equal(array.data_bytes, 12);
	}
}

static void what_is_no_plain_array_is_refused_with_the_reason(void **state)
{
	(void)state;
	refuse("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", "big-endian");
	refuse("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", "Fortran order");
	refuse("{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }", "Python objects");
	refuse("{'descr': '=f4', 'fortran_order': False, 'shape': (2, 3), }", "little-endian");
	refuse("{'descr': 'f4', 'fortran_order': False, 'shape': (2, 3), }", "little-endian");
	refuse("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }", "complex");
	refuse("{'descr': '|b2', 'fortran_order': False, 'shape': (2, 3), }", "not known");
	refuse("{'descr': '|V4', 'fortran_order': False, 'shape': (2, 3), }", "raw bytes");
	refuse("{'descr': '>V2', 'fortran_order': False, 'shape': (2, 3), }", "big-endian");
	refuse("{'descr': '=V2', 'fortran_order': False, 'shape': (2, 3), }", "little-endian");
	refuse("{'descr': '<U7', 'fortran_order': False, 'shape': (2, 3), }", "text");
	refuse("{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2, 3), }", "dates");
	refuse("{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3), }", "'<f16'");
	refuse("{'descr': '|f1', 'fortran_order': False, 'shape': (2, 3), }", "'|f1'");
	refuse("{'descr': '', 'fortran_order': False, 'shape': (2, 3), }", "not known");
	refuse("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
	       "named fields");
}

static void a_broken_header_is_refused(void **state)
{
	(void)state;
	refuse("", "dictionary");
	refuse("[]", "dictionary");
	refuse("{}", "missing");
	refuse("{'descr': '<f4', 'shape': (2, 3), }", "missing");
	refuse("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
	       "twice");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", "unknown key");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } 1",
	       "after the dictionary");
	refuse("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3), }", "not True or False");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3", "does not end");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", "does not end");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }",
	       "not a whole number");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", "not a tuple");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': 2, }", "not a tuple");
	refuse("{'descr' '<f4', 'fortran_order': False, 'shape': (2, 3), }", "':'");
	refuse("{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3), }", "too early");
	refuse("{'descr': '<f4", "ASCII");
	refuse("{'descr': '<f4\\'', 'fortran_order': False, 'shape': (2, 3), }", "ASCII");
	refuse("{'descr': <f4, 'fortran_order': False, 'shape': (2, 3), }", "quoted");
}

static void a_huge_shape_is_not_believed(void **state)
{
	struct npy_array array;
	struct npy_reason reason;

	(void)state;
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616, 3), }",
	       "64 bits");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
	       "larger than any file");
	refuse("{'descr': '<f4', 'fortran_order': False, 'shape': (2305843009213693951, 1), }",
	       "larger than any file");
	refuse("{'descr': '<f8', 'fortran_order': False, 'shape': "
	       "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
	       "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }",
	       "dimensions");
	/* nothing in it, however it is shaped */
	assert_int_equal(parse_text(1,
	                            "{'descr': '<f4', 'fortran_order': False, 'shape': "
	                            "(18446744073709551615, 9223372036854775807, 0), }",
	                            &array, &reason),
	                 0);
	assert_int_equal(array.data_bytes, 0);
}

static void what_is_no_npy_is_refused(void **state)
{
	unsigned char file[FILE_BYTES];
	struct npy_array array;
	struct npy_reason reason;
	size_t length = make_header(file, 1,
	                            "{'descr': '<f4', 'fortran_order': False, "
	                            "'shape': (2, 3), }");

	(void)state;
	/* wherever it is cut */
	for (size_t cut = 0; cut < length; cut++)
		assert_int_equal(npy_parse(file, cut, &array, &reason), -EINVAL);
	assert_int_equal(npy_parse(file, length, &array, &reason), 0);
	file[6] = 4;
	assert_int_equal(npy_parse(file, length, &array, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "version 4.0"));
	file[6] = 2; /* now four bytes of length, two of them from the text */
	assert_int_equal(npy_parse(file, length, &array, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "more than any array"));
	file[0] = 'P';
	assert_int_equal(npy_parse(file, length, &array, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "not a .npy"));
}

/* A cheap fuzzer: any byte may be anything, nothing may be read out of bounds
 * (the sanitizers look) and what passes must add up. */
static void flipped_bytes_never_lead_astray(void **state)
{
	unsigned char file[FILE_BYTES], *copy;
	struct npy_array array;
	struct npy_reason reason;
	size_t length = make_header(file, 1,
	                            "{'descr': '<f4', 'fortran_order': False, "
	                            "'shape': (11925, 25), }");

	(void)state;
	copy = malloc(length);
	assert_non_null(copy);
	for (size_t at = 0; at < length; at++) {
		for (unsigned value = 0; value < 256; value++) {
			memcpy(copy, file, length);
			copy[at] = (unsigned char)value;
			if (npy_parse(copy, length, &array, &reason) < 0)
				continue;
			assert_true(array.data_offset <= length);
			assert_true(array.item_bytes > 0);
			assert_true(array.data_bytes % array.item_bytes == 0);
		}
	}
	free(copy);
}

static void what_is_written_is_read_back(void **state)
{
	static const char *const types[] = { "f4", "f2", "f8", "i1", "u1", "u8" };
	char header[NPY_WRITTEN_BYTES];
	struct npy_array array;
	struct npy_reason reason;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		assert_int_equal(npy_format_header(header, types[i], 1000, 65536), 0);
		assert_int_equal(npy_parse(header, sizeof(header), &array, &reason), 0);
		assert_string_equal(array.type, types[i]);
		assert_int_equal(array.dimensions, 2);
		assert_int_equal(array.shape[0], 1000);
		assert_int_equal(array.shape[1], 65536);
		assert_int_equal(array.data_offset, sizeof(header));
		assert_int_equal(header[sizeof(header) - 1], '\n');
	}
	assert_int_equal(npy_format_header(header, "u8", 0, 0), 0);
	assert_int_equal(npy_parse(header, sizeof(header), &array, &reason), 0);
	assert_int_equal(array.dimensions, 1);
	assert_int_equal(npy_format_header(header, "f8", UINT64_MAX, UINT32_MAX), 0);
	assert_int_equal(npy_format_header(header, "float", 1, 1), -EINVAL);
}

static void the_size_of_the_file_must_fit(void **state)
{
	unsigned char file[FILE_BYTES] = { 0 };
	char path[] = "/tmp/test_npy_file.XXXXXX";
	struct npy_array array;
	struct npy_reason reason;
	size_t length = make_header(file, 1,
	                            "{'descr': '<f4', 'fortran_order': False, "
	                            "'shape': (2, 3), }");
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, file, length + 24), length + 24);
	assert_int_equal(npy_read_header(fd, &array, &reason), 0);
	assert_int_equal(ftruncate(fd, (off_t)length + 23), 0);
	assert_int_equal(npy_read_header(fd, &array, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "cut off"));
	assert_int_equal(ftruncate(fd, (off_t)length + 25), 0);
	assert_int_equal(npy_read_header(fd, &array, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "too long"));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(npy_read_header(fd, &array, &reason), -EINVAL);
	assert_int_equal(close(fd), 0);
	assert_int_equal(npy_read_header(fd, &array, &reason), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numpy_writes_it_like_this),
		cmocka_unit_test(other_writers_space_and_quote_differently),
		cmocka_unit_test(bools_and_bfloat16_have_types_of_their_own),
		cmocka_unit_test(what_is_no_plain_array_is_refused_with_the_reason),
		cmocka_unit_test(a_broken_header_is_refused),
		cmocka_unit_test(a_huge_shape_is_not_believed),
		cmocka_unit_test(what_is_no_npy_is_refused),
		cmocka_unit_test(flipped_bytes_never_lead_astray),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(the_size_of_the_file_must_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
