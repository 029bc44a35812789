#include "engine/media/npy_header.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/media/bytes.h"

#define PREAMBLE_BYTES 10 /* magic, version 1.0, length of the text */

static const uint8_t preamble[8] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };

/* The text up to the row count, which is all that stands before it. */
static int format_start(char *to, size_t room, const char *descr)
{
	return snprintf(to, room, "{'descr': %s, 'fortran_order': False, 'shape': (", descr);
}

void npy_header_encode(uint8_t header[NPY_HEADER_BYTES], const char *descr, uint32_t row_items,
                       uint64_t rows)
{
	char text[NPY_HEADER_MUTABLE_BYTES - PREAMBLE_BYTES];
	char items[16] = "";
	int start, length;

	if (row_items != 0) {
		length = snprintf(items, sizeof(items), " %u", row_items);
		assert(length > 0 && (size_t)length < sizeof(items));
	}
	start = format_start(text, sizeof(text), descr);
	assert(start > 0 && (size_t)start < sizeof(text));
	length = snprintf(text + start, sizeof(text) - (size_t)start, "%llu,%s), }",
	                  (unsigned long long)rows, items);
	assert(length > 0 && (size_t)(start + length) < sizeof(text));

	memset(header, ' ', NPY_HEADER_BYTES);
	memcpy(header, preamble, sizeof(preamble));
	put_le16(header + sizeof(preamble), NPY_HEADER_BYTES - PREAMBLE_BYTES);
	memcpy(header + PREAMBLE_BYTES, text, (size_t)(start + length));
	header[NPY_HEADER_BYTES - 1] = '\n';
}

int npy_header_decode(const uint8_t header[NPY_HEADER_BYTES], const char *descr, uint32_t row_items,
                      uint64_t *rows)
{
	uint8_t expected[NPY_HEADER_BYTES];
	char start[NPY_HEADER_MUTABLE_BYTES];
	int length = format_start(start, sizeof(start), descr);
	const uint8_t *digit;
	uint64_t value = 0;

	assert(length > 0 && (size_t)length < sizeof(start));
	digit = header + PREAMBLE_BYTES + length;
	for (; digit < header + NPY_HEADER_BYTES && *digit >= '0' && *digit <= '9'; digit++) {
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*digit - '0'), &value))
			return -EUCLEAN;
	}
	npy_header_encode(expected, descr, row_items, value);
	if (memcmp(header, expected, NPY_HEADER_BYTES) != 0)
		return -EUCLEAN;
	*rows = value;
	return 0;
}
