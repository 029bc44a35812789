/*
 * test_map_maths.c - what a map is computed with. The places themselves are compared with NumPy's in
 * tests/mount/test_map.py.
 */
#include "unit.h"

#include <math.h>

#include "tools/map/clusters.h"
#include "tools/map/eigen.h"
#include "tools/map/pca.h"
#include "tools/map/products.h"
#include "tools/map/random.h"

#define CLOSE 1e-11

static void a_product_is_the_sum_of_its_parts(void **state)
{
	enum { ROWS = 12, COLUMNS = 24, DEPTH = 7 };
	double left[DEPTH * ROWS], right[DEPTH * COLUMNS], out[ROWS * COLUMNS];
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < DEPTH * ROWS; i++)
		left[i] = random_share(&seed);
	for (size_t i = 0; i < DEPTH * COLUMNS; i++)
		right[i] = random_share(&seed);
	for (size_t i = 0; i < ROWS * COLUMNS; i++)
		out[i] = 1;
	product_add(&(struct product){ .left = left,
	                               .left_step = ROWS,
	                               .left_row = 1,
	                               .right = right,
	                               .right_step = COLUMNS,
	                               .out = out,
	                               .out_row = COLUMNS,
	                               .rows = ROWS,
	                               .columns = COLUMNS,
	                               .depth = DEPTH });
	for (size_t i = 0; i < ROWS; i++) {
		for (size_t j = 0; j < COLUMNS; j++) {
			double sum = 1;

			for (size_t d = 0; d < DEPTH; d++)
				sum += left[d * ROWS + i] * right[d * COLUMNS + j];
			assert_true(fabs(out[i * COLUMNS + j] - sum) < CLOSE);
		}
	}
}

/* Each row k of `vectors` is of length 1, at a right angle to the others, and what the matrix makes of it
 * is values[k] of it. */
static void check_eigen(const double *matrix, const double *vectors, const double *values, size_t n,
                        double scale)
{
	for (size_t k = 0; k < n; k++) {
		assert_true(k == 0 || values[k] <= values[k - 1]);
		for (size_t i = 0; i < n; i++) {
			double made = 0, angle = 0;

			for (size_t j = 0; j < n; j++) {
				made += matrix[i * n + j] * vectors[k * n + j];
				angle += vectors[i * n + j] * vectors[k * n + j];
			}
			assert_true(fabs(made - values[k] * vectors[k * n + i]) < CLOSE * scale);
			assert_true(fabs(angle - (i == k)) < CLOSE);
		}
	}
}

static void eigenvectors_of_all_sizes(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 40; n++) {
		double *matrix = calloc(n * n, sizeof(*matrix)),
		       *vectors = calloc(n * n, sizeof(*vectors));
		double *values = calloc(n, sizeof(*values));
		uint64_t seed = n;

		assert_true(matrix != NULL && vectors != NULL && values != NULL);
		for (size_t i = 0; i < n; i++) {
			for (size_t j = 0; j <= i; j++)
				matrix[i * n + j] = matrix[j * n + i] = random_share(&seed) - 0.5;
		}
		memcpy(vectors, matrix, n * n * sizeof(*matrix));
		assert_int_equal(eigen_symmetric(vectors, n, values), 0);
		check_eigen(matrix, vectors, values, n, 1);
		free(matrix);
		free(vectors);
		free(values);
	}
}

/* Of zeros, of a multiple of 1, of one column, and of numbers that are far from each other. */
static void eigenvectors_of_matrices_with_little_in_them(void **state)
{
	enum { N = 9 };

	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		double matrix[N * N] = { 0 }, vectors[N * N], values[N], scale = 1;

		for (size_t i = 0; i < N; i++) {
			matrix[i * N + i] = kind == 1 ? 3 : kind == 3 ? pow(10, (double)i) : 0;
			for (size_t j = 0; kind == 2 && j < N; j++)
				matrix[i * N + j] = (double)(i * j);
		}
		scale = kind == 3 ? 1e8 : kind == 2 ? 300 : 1;
		memcpy(vectors, matrix, sizeof(matrix));
		assert_int_equal(eigen_symmetric(vectors, N, values), 0);
		check_eigen(matrix, vectors, values, N, scale);
	}
	assert_int_equal(eigen_symmetric(NULL, 0, NULL), 0);
}

/* A row of `dim` elements whose directions are of very different width, far from 0. */
static void fill_row(double *row, size_t dim, uint64_t *seed)
{
	double first = random_share(seed) - 0.5, second = random_share(seed) - 0.5;

	for (size_t i = 0; i < dim; i++)
		row[i] = 1000 + 8 * first * cos((double)i) + 3 * second * sin((double)i) +
		         0.01 * (random_share(seed) - 0.5);
}

/* Fewer elements and more than PCA_DIM_DIRECT: both ways find the same two directions. */
static void directions_are_found_both_ways(void **state)
{
	static const size_t dims[] = { PCA_DIM_DIRECT, PCA_DIM_DIRECT + 1 };

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		size_t dim = dims[k];
		double *row = calloc(dim, sizeof(*row)), place[2];
		double around = 0, along = 0;
		struct pca pca;
		bool again = true;

		assert_non_null(row);
		assert_int_equal(pca_open(dim, 2, &pca), 0);
		for (unsigned pass = 0; again; pass++) {
			uint64_t seed = 5;

			for (size_t i = 0; i < 200; i++) {
				fill_row(row, dim, &seed);
				pca_add(&pca, row);
			}
			assert_int_equal(pca_pass_end(&pca, &again), 0);
			assert_true(again ? k == 1 && pass < PCA_PASSES_MAX : true);
		}
		assert_true(pca.error <= PCA_CLOSE_ENOUGH && pca.count == 200);
		for (size_t i = 0; i < dim; i++) {
			around += pca.directions[i] * cos((double)i);
			along += cos((double)i) * cos((double)i);
		}
		assert_true(fabs(around) / sqrt(along) > 0.99);
		assert_true(pca.variances[0] > pca.variances[1] && pca.variances[1] > 0);
		assert_true((pca.variances[0] + pca.variances[1]) / pca.variance > 0.99);
		pca_place(&pca, pca.mean, 2, place);
		assert_true(place[0] == 0 && place[1] == 0);
		pca_close(&pca);
		free(row);
	}
}

static void clusters_are_numbered_by_their_sizes(void **state)
{
	float points[60], centres[5];
	uint32_t which[60];
	size_t groups = 3;

	(void)state;
	for (size_t i = 0; i < 60; i++)
		points[i] = (float)(i < 10 ? 0 : i < 30 ? 50 : 90) + (float)(i % 10) / 10;
	assert_int_equal(clusters_find(points, 60, 1, &groups, which, centres), 0);
	assert_int_equal(groups, 3);
	for (size_t i = 0; i < 60; i++)
		assert_int_equal(which[i], i < 10 ? 2 : i < 30 ? 1 : 0);
	assert_true(fabsf(centres[0] - 90.45F) < 1e-3F && fabsf(centres[2] - 0.45F) < 1e-3F);

	for (size_t i = 0; i < 60; i++)
		points[i] = (float)(i % 2);
	groups = 5;
	assert_int_equal(clusters_find(points, 60, 1, &groups, which, centres), 0);
	assert_int_equal(groups, 2); /* there are no more different points */
	groups = 5;
	assert_int_equal(clusters_find(points, 0, 1, &groups, which, centres), 0);
	assert_int_equal(groups, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_product_is_the_sum_of_its_parts),
		cmocka_unit_test(eigenvectors_of_all_sizes),
		cmocka_unit_test(eigenvectors_of_matrices_with_little_in_them),
		cmocka_unit_test(directions_are_found_both_ways),
		cmocka_unit_test(clusters_are_numbered_by_their_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
