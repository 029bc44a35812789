/*
 * products.c - products of matrices in double precision, a tile of the result at a time.
 */
#include "tools/map/products.h"

/* Four doubles side by side, at any address that a double has. */
typedef double lanes __attribute__((vector_size(32), aligned(8), may_alias));

#define LANES 4u

/* Always inlined, so that it is compiled with the instructions of whoever calls it. */
static inline __attribute__((always_inline)) void add_tile(const struct product *product, size_t i,
                                                           size_t j)
{
	const double *left = product->left + i * product->left_row;
	const double *right = product->right + j;
	lanes low[PRODUCT_ROWS] = { 0 }, high[PRODUCT_ROWS] = { 0 };

	for (size_t d = 0; d < product->depth; d++) {
		lanes a = *(const lanes *)right, b = *(const lanes *)(right + LANES);

#pragma GCC unroll 4
		for (size_t k = 0; k < PRODUCT_ROWS; k++) {
			double factor = left[k * product->left_row];

			low[k] += factor * a;
			high[k] += factor * b;
		}
		left += product->left_step;
		right += product->right_step;
	}
#pragma GCC unroll 4
	for (size_t k = 0; k < PRODUCT_ROWS; k++) {
		double *out = product->out + (i + k) * product->out_row + j;

		*(lanes *)out += low[k];
		*(lanes *)(out + LANES) += high[k];
	}
}

static inline __attribute__((always_inline)) void add_tiles(const struct product *product)
{
	for (size_t i = 0; i < product->rows; i += PRODUCT_ROWS) {
		size_t first = product->upper ? i / PRODUCT_COLUMNS * PRODUCT_COLUMNS : 0;

		for (size_t j = first; j < product->columns; j += PRODUCT_COLUMNS)
			add_tile(product, i, j);
	}
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void add_with_avx2(const struct product *product)
{
	add_tiles(product);
}
#endif

void product_add(const struct product *product)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
		add_with_avx2(product);
		return;
	}
#endif
	add_tiles(product);
}
