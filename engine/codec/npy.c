/*
 * npy.c - NumPy's .npy files: the header, read and written.
 */
#include "engine/codec/npy.h"
#include "engine/codec/npy_literal.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6u
#define VERSION_BYTES 2u

/* Where the header's text lies: set *text_offset and *text_bytes from the first
 * `length` bytes of a file. -EINVAL with a reason. */
static int parse_prefix(const unsigned char *start, size_t length, size_t *text_offset,
                        size_t *text_bytes, struct npy_reason *reason)
{
	uint16_t length_v1;
	uint32_t length_v2;
	unsigned major, minor;

	if (length < MAGIC_BYTES + VERSION_BYTES || memcmp(start, MAGIC, MAGIC_BYTES) != 0)
		return npy_refuse(reason, "not a .npy file: it does not begin with \\x93NUMPY");
	major = start[MAGIC_BYTES];
	minor = start[MAGIC_BYTES + 1];
	if (major < 1 || major > 3 || minor != 0)
		return npy_refuse(reason,
		                  ".npy version %u.%u is not known here; expected 1.0 to 3.0",
		                  major, minor);
	*text_offset = MAGIC_BYTES + VERSION_BYTES + (major == 1 ? 2 : 4);
	if (length < *text_offset)
		return npy_refuse(reason, "the file ends within its header");
	if (major == 1) {
		memcpy(&length_v1, start + MAGIC_BYTES + VERSION_BYTES, sizeof(length_v1));
		*text_bytes = le16toh(length_v1);
	} else {
		memcpy(&length_v2, start + MAGIC_BYTES + VERSION_BYTES, sizeof(length_v2));
		*text_bytes = le32toh(length_v2);
	}
	if (*text_bytes > NPY_TEXT_BYTES_MAX)
		return npy_refuse(
			reason, "its header claims %zu bytes, more than any array of numbers needs",
			*text_bytes);
	return 0;
}

/* Set data_bytes from the shape. -EINVAL where it does not fit 63 bits, the
 * longest file there can be. */
static int measure(struct npy_array *array, struct npy_reason *reason)
{
	uint64_t bytes = array->item_bytes;
	uint64_t end;
	bool empty = false, huge = false;

	for (unsigned i = 0; i < array->dimensions; i++) {
		if (array->shape[i] == 0)
			empty = true;
		else if (__builtin_mul_overflow(bytes, array->shape[i], &bytes))
			huge = true;
	}
	if (empty) {
		array->data_bytes = 0;
		return 0;
	}
	if (huge || __builtin_add_overflow(bytes, array->data_offset, &end) || end > INT64_MAX)
		return npy_refuse(reason, "its shape is larger than any file can be");
	array->data_bytes = bytes;
	return 0;
}

int npy_measure_header(const void *start, size_t length, size_t *header_bytes,
                       struct npy_reason *reason)
{
	size_t text_offset = 0, text_bytes = 0;
	int result = parse_prefix(start, length, &text_offset, &text_bytes, reason);

	*header_bytes = text_offset + text_bytes;
	return result;
}

int npy_parse_any(const void *start, size_t length, struct npy_array *array,
                  struct npy_reason *reason)
{
	size_t text_offset = 0, text_bytes = 0;
	int result;

	memset(array, 0, sizeof(*array));
	result = parse_prefix(start, length, &text_offset, &text_bytes, reason);
	if (result < 0)
		return result;
	if (length - text_offset < text_bytes)
		return npy_refuse(reason, "the file ends within its header");
	result = npy_parse_literal((const char *)start + text_offset, text_bytes, array, reason);
	if (result < 0)
		return result;
	array->data_offset = text_offset + text_bytes;
	return measure(array, reason);
}

int npy_check_order(const struct npy_array *array, struct npy_reason *reason)
{
	if (array->big_endian)
		return npy_refuse(reason,
		                  "its type is '>%s', big-endian; expected little-endian ('<%s'); "
		                  "save it with array.astype('<%s')",
		                  array->type, array->type, array->type);
	if (array->fortran)
		return npy_refuse(reason, "it is in Fortran order (column after column); expected "
		                          "C order; save it with numpy.ascontiguousarray(array)");
	return 0;
}

int npy_parse(const void *start, size_t length, struct npy_array *array, struct npy_reason *reason)
{
	int result = npy_parse_any(start, length, array, reason);

	return result < 0 ? result : npy_check_order(array, reason);
}

int npy_format_header(char to[NPY_WRITTEN_BYTES], const char *type, uint64_t rows, uint32_t columns)
{
	const size_t prefix_bytes = MAGIC_BYTES + VERSION_BYTES + 2;
	uint16_t text_bytes = htole16((uint16_t)(NPY_WRITTEN_BYTES - prefix_bytes));
	char order;
	int length;

	if (type[0] == '\0' || type[1] == '\0' || type[2] != '\0')
		return -EINVAL;
	order = type[1] == '1' ? '|' : '<';
	memset(to, ' ', NPY_WRITTEN_BYTES);
	memcpy(to, MAGIC "\x01\x00", MAGIC_BYTES + VERSION_BYTES);
	memcpy(to + MAGIC_BYTES + VERSION_BYTES, &text_bytes, sizeof(text_bytes));
	if (columns == 0)
		length = snprintf(to + prefix_bytes, NPY_WRITTEN_BYTES - prefix_bytes,
		                  "{'descr': '%c%s', 'fortran_order': False, 'shape': (%" PRIu64
		                  ",), }",
		                  order, type, rows);
	else
		length = snprintf(to + prefix_bytes, NPY_WRITTEN_BYTES - prefix_bytes,
		                  "{'descr': '%c%s', 'fortran_order': False, 'shape': (%" PRIu64
		                  ", %u), }",
		                  order, type, rows, columns);
	if (length < 0 || (size_t)length >= NPY_WRITTEN_BYTES - prefix_bytes)
		return -EINVAL;
	to[prefix_bytes + (size_t)length] = ' '; /* over the NUL of snprintf */
	to[NPY_WRITTEN_BYTES - 1] = '\n';
	return 0;
}
