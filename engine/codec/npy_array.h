/*
 * npy_array.h - what the header of a .npy file says.
 */
#ifndef NPY_ARRAY_H
#define NPY_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

/* NumPy's own limit (64 since NumPy 2). */
#define NPY_DIMENSIONS_MAX 64u

/* What a header says. */
struct npy_array {
	char type[4]; /* kind and item size: "f4", "u8"; NUL-terminated */
	uint32_t item_bytes;
	bool big_endian;
	bool fortran; /* column after column */
	unsigned dimensions;
	uint64_t shape[NPY_DIMENSIONS_MAX];
	uint64_t data_offset; /* of the first element in the file */
	uint64_t data_bytes; /* of all elements */
};

/* Room for a reason that a person understands. */
struct npy_reason {
	char text[256];
};

#endif
