/*
 * npy_header.h - the NPY 1.0 headers of the columns; FORMAT.md.
 */
#ifndef QUIVER_NPY_HEADER_H
#define QUIVER_NPY_HEADER_H

#include <stdint.h>

#define NPY_HEADER_BYTES 4096u
/* All that changes with the row count lies in this many bytes: one sector. */
#define NPY_HEADER_MUTABLE_BYTES 512u

/* Write the header of `rows` rows. `descr` is the dtype as NumPy's text, quotes or
 * brackets included; `row_items` is the length of a row, 0 for a column of one axis. */
void npy_header_encode(uint8_t header[NPY_HEADER_BYTES], const char *descr, uint32_t row_items,
                       uint64_t rows);
/* 0 and *rows, or -EUCLEAN where it is not, to the byte, what npy_header_encode writes
 * for this dtype and row length. */
int npy_header_decode(const uint8_t header[NPY_HEADER_BYTES], const char *descr, uint32_t row_items,
                      uint64_t *rows);

#endif
