/*
 * npy_array.h - what the header of a .npy file says.
 */
#ifndef NPY_ARRAY_H
#define NPY_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

/* NumPy's own limit (64 since NumPy 2). */
#define NPY_DIMENSIONS_MAX 64u

/* Types that are no numbers of NumPy's. A void of two bytes is what np.save makes of a bfloat16
 * of ml_dtypes (and jax, and MLX): there is nothing else that it could be a number of. The name
 * 'bfloat16' is taken for it as well. */
#define NPY_BOOL "b1"
#define NPY_BFLOAT16 "V2"

/* What a header says. */
struct npy_array {
	char type[4]; /* kind and item size: "f4", "u8", NPY_BOOL; NUL-terminated */
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
