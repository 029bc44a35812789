/*
 * products.h - products of matrices in double precision, which is where the time goes.
 */
#ifndef MAP_PRODUCTS_H
#define MAP_PRODUCTS_H

#include <stdbool.h>
#include <stddef.h>

/* Rows of the result come in multiples of the one, columns in multiples of the other. */
#define PRODUCT_ROWS 4u
#define PRODUCT_COLUMNS 8u

/* out[i][j] += the sum over d < depth of left[d * left_step + i * left_row] * right[d * right_step + j]. */
struct product {
	const double *left, *right;
	double *out;
	size_t left_step, left_row, right_step, out_row; /* in elements */
	size_t rows, columns, depth;
	bool upper; /* only what is right of the diagonal is wanted; other elements are any */
};

/* Any thread; nothing overlaps with `out`. */
void product_add(const struct product *product);

#endif
