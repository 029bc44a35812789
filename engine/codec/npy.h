/*
 * npy.h - NumPy's .npy files: the header, read and written.
 *
 * Knows versions 1.0 to 3.0 and arrays of numbers. Everything else is refused with a
 * reason that a person understands. Nothing here knows of stores; any thread may call
 * anything.
 */
#ifndef NPY_H
#define NPY_H

#include "engine/codec/npy_array.h"

#include <stddef.h>
#include <stdint.h>

/* The magic, the version and the longest length field. */
#define NPY_PREFIX_BYTES_MAX 12u
/* Longest header text that is read. NumPy itself stops at 10,000; only arrays
 * of records, which are refused anyway, need that much. */
#define NPY_TEXT_BYTES_MAX 65536u
/* Length of every header written here: NumPy aligns to 64, and the longest
 * shape needs 81 characters of text. */
#define NPY_WRITTEN_BYTES 128u

/*
 * How many bytes of a file its header takes, from the first NPY_PREFIX_BYTES_MAX (or
 * all there are), to *header_bytes. -EINVAL with a reason where it is no header.
 */
int npy_measure_header(const void *start, size_t length, size_t *header_bytes,
                       struct npy_reason *reason);

/*
 * Parse the start of a file, `length` bytes at `start`, into *array, in whatever order
 * its bytes and rows are.
 * -EINVAL with a reason where it is not a header of such an array, or where it does
 * not end within `length`.
 */
int npy_parse_any(const void *start, size_t length, struct npy_array *array,
                  struct npy_reason *reason);

/* The same, -EINVAL also where it is not little-endian and in C order. */
int npy_parse(const void *start, size_t length, struct npy_array *array, struct npy_reason *reason);

/* -EINVAL with a reason that says how to save it better, where the array is not
 * little-endian and in C order. */
int npy_check_order(const struct npy_array *array, struct npy_reason *reason);

/*
 * Write a version 1.0 header for `rows` rows of `columns` elements, or of one
 * number each where `columns` is 0 (a one-dimensional array), to `to`.
 * `type` is "f4" and the like. -EINVAL for another word.
 */
int npy_format_header(char to[NPY_WRITTEN_BYTES], const char *type, uint64_t rows,
                      uint32_t columns);

#endif
