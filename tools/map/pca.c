/*
 * pca.c - the directions in which vectors differ most.
 */
#include "tools/map/pca.h"
#include "tools/map/eigen.h"
#include "tools/map/products.h"
#include "tools/map/random.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows that are summed up at once: they stay in the cache for up to PCA_DIM_DIRECT elements. */
#define ROWS 64u
#define SEED UINT64_C(20080601)
/* A vector that has lost so much of its length to others has nothing of its own. */
#define NOTHING 1e-10

/* ---- memory ------------------------------------------------------------- */

static size_t round_up(size_t count)
{
	return (count + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS * PRODUCT_COLUMNS;
}

static void fill_block(struct pca *pca);

static int open_blocks(struct pca *pca)
{
	size_t most = (size_t)PCA_BLOCK * PCA_PASSES_MAX;

	pca->basis = calloc(most * pca->stride, sizeof(double));
	pca->images = calloc(most * pca->stride, sizeof(double));
	pca->turned = calloc(PCA_BLOCK * pca->stride, sizeof(double));
	pca->scores = calloc((size_t)ROWS * PCA_BLOCK, sizeof(double));
	if (pca->basis == NULL || pca->images == NULL || pca->turned == NULL || pca->scores == NULL)
		return -ENOMEM;
	fill_block(pca);
	return 0;
}

int pca_open(size_t dim, size_t wanted, struct pca *pca)
{
	memset(pca, 0, sizeof(*pca));
	pca->dim = dim;
	pca->stride = round_up(dim);
	pca->wanted = wanted < dim ? wanted : dim;
	pca->direct = dim <= PCA_DIM_DIRECT;
	pca->shift = calloc(pca->stride, sizeof(double));
	pca->sum = calloc(pca->stride, sizeof(double));
	pca->mean = calloc(dim, sizeof(double));
	pca->buffer = calloc(ROWS * pca->stride, sizeof(double));
	pca->directions = calloc(pca->wanted * dim, sizeof(double));
	pca->variances = calloc(pca->wanted, sizeof(double));
	if (pca->shift == NULL || pca->sum == NULL || pca->mean == NULL || pca->buffer == NULL ||
	    pca->directions == NULL || pca->variances == NULL)
		return -ENOMEM;
	if (!pca->direct)
		return open_blocks(pca);
	pca->gram = calloc(pca->stride * pca->stride, sizeof(double));
	return pca->gram == NULL ? -ENOMEM : 0;
}

void pca_close(struct pca *pca)
{
	double *all[] = { pca->shift, pca->sum,        pca->buffer,   pca->gram,
		          pca->basis, pca->images,     pca->turned,   pca->scores,
		          pca->mean,  pca->directions, pca->variances };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
	memset(pca, 0, sizeof(*pca));
}

/* ---- vectors ------------------------------------------------------------ */

static double dot(const double *a, const double *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += a[i] * b[i];
	return sum;
}

static void add_times(double *to, const double *from, double factor, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] += factor * from[i];
}

static size_t basis_count(const struct pca *pca)
{
	return (size_t)PCA_BLOCK * pca->passes;
}

static double *basis_of(const struct pca *pca, size_t index)
{
	return pca->basis + index * pca->stride;
}

static double *image_of(const struct pca *pca, size_t index)
{
	return pca->images + index * pca->stride;
}

static void fill_random(struct pca *pca, double *vector, uint64_t *state)
{
	for (size_t i = 0; i < pca->dim; i++)
		vector[i] = random_share(state) - 0.5;
}

/* Take from a vector all that the first `count` of the basis have, and make it as long as 1: false where
 * nothing is left. */
static bool make_own(const struct pca *pca, double *vector, size_t count)
{
	double before = sqrt(dot(vector, vector, pca->dim)), length;

	for (unsigned again = 0; again < 2; again++) {
		for (size_t i = 0; i < count; i++) {
			const double *other = basis_of(pca, i);

			add_times(vector, other, -dot(vector, other, pca->dim), pca->dim);
		}
	}
	length = sqrt(dot(vector, vector, pca->dim));
	if (!(length > NOTHING * before))
		return false;
	for (size_t i = 0; i < pca->dim; i++)
		vector[i] /= length;
	return true;
}

/* The next block: what the matrix made of the last one, or anything where that is nothing new. */
static void fill_block(struct pca *pca)
{
	size_t first = basis_count(pca);
	uint64_t state = SEED + first;

	for (size_t i = first; i < first + PCA_BLOCK; i++) {
		double *vector = basis_of(pca, i);

		if (first > 0)
			memcpy(vector, image_of(pca, i - PCA_BLOCK), pca->dim * sizeof(double));
		while (first == 0 || !make_own(pca, vector, i)) {
			fill_random(pca, vector, &state);
			if (make_own(pca, vector, i))
				break;
		}
		for (size_t j = 0; j < pca->dim; j++)
			pca->turned[j * PCA_BLOCK + i - first] = vector[j];
	}
}

/* ---- adding rows -------------------------------------------------------- */

/* The first rows tell where all of them are, more or less. */
static void find_shift(struct pca *pca)
{
	for (size_t i = 0; i < pca->buffered; i++)
		add_times(pca->shift, pca->buffer + i * pca->stride, 1 / (double)pca->buffered,
		          pca->dim);
	for (size_t i = 0; i < pca->buffered; i++)
		add_times(pca->buffer + i * pca->stride, pca->shift, -1, pca->dim);
	pca->has_shift = true;
}

/* Products of the rows with each other. */
static void sum_direct(struct pca *pca)
{
	product_add(&(struct product){ .left = pca->buffer,
	                               .left_step = pca->stride,
	                               .left_row = 1,
	                               .right = pca->buffer,
	                               .right_step = pca->stride,
	                               .out = pca->gram,
	                               .out_row = pca->stride,
	                               .rows = pca->stride,
	                               .columns = pca->stride,
	                               .depth = pca->buffered,
	                               .upper = true });
}

/* Products of the rows with the block, and of these with the rows. */
static void sum_block(struct pca *pca)
{
	size_t rows = (pca->buffered + PRODUCT_ROWS - 1) / PRODUCT_ROWS * PRODUCT_ROWS;

	memset(pca->scores, 0, (size_t)ROWS * PCA_BLOCK * sizeof(double));
	product_add(&(struct product){ .left = pca->buffer,
	                               .left_step = 1,
	                               .left_row = pca->stride,
	                               .right = pca->turned,
	                               .right_step = PCA_BLOCK,
	                               .out = pca->scores,
	                               .out_row = PCA_BLOCK,
	                               .rows = rows,
	                               .columns = PCA_BLOCK,
	                               .depth = pca->dim });
	product_add(&(struct product){ .left = pca->scores,
	                               .left_step = PCA_BLOCK,
	                               .left_row = 1,
	                               .right = pca->buffer,
	                               .right_step = pca->stride,
	                               .out = image_of(pca, basis_count(pca)),
	                               .out_row = pca->stride,
	                               .rows = PCA_BLOCK,
	                               .columns = pca->stride,
	                               .depth = pca->buffered });
}

static void sum_up(struct pca *pca)
{
	if (pca->buffered == 0)
		return;
	if (!pca->has_shift)
		find_shift(pca);
	for (size_t i = 0; i < pca->buffered; i++) {
		const double *row = pca->buffer + i * pca->stride;

		add_times(pca->sum, row, 1, pca->dim);
		pca->square += dot(row, row, pca->dim);
	}
	if (pca->direct)
		sum_direct(pca);
	else
		sum_block(pca);
	pca->buffered = 0;
}

void pca_add(struct pca *pca, const double *row)
{
	double *to = pca->buffer + pca->buffered * pca->stride;

	for (size_t i = 0; i < pca->dim; i++)
		to[i] = row[i] - pca->shift[i];
	pca->count++;
	pca->buffered++;
	if (pca->buffered == ROWS)
		sum_up(pca);
}

/* ---- the directions ----------------------------------------------------- */

/* The mean, of rows less shift, and the variance. */
static void find_mean(struct pca *pca)
{
	double count = pca->count > 0 ? (double)pca->count : 1;

	for (size_t i = 0; i < pca->stride; i++)
		pca->sum[i] /= count;
	for (size_t i = 0; i < pca->dim; i++)
		pca->mean[i] = pca->shift[i] + pca->sum[i];
	pca->variance = fmax(0, pca->square / count - dot(pca->sum, pca->sum, pca->dim));
}

/* Which way a direction points is anybody's choice: the same one each time. */
static void turn(double *direction, size_t dim)
{
	double most = 0;

	for (size_t i = 0; i < dim; i++) {
		if (fabs(direction[i]) > fabs(most))
			most = direction[i];
	}
	for (size_t i = 0; most < 0 && i < dim; i++)
		direction[i] = -direction[i];
}

static int end_direct(struct pca *pca)
{
	double count = pca->count > 0 ? (double)pca->count : 1;
	double *values = calloc(pca->dim, sizeof(*values)), *matrix = pca->gram;
	int result;

	if (values == NULL)
		return -ENOMEM;
	/* rows of dim in place of those of stride, whole, and less the mean */
	for (size_t i = 0; i < pca->dim; i++) {
		for (size_t j = i; j < pca->dim; j++)
			matrix[i * pca->stride + j] =
				matrix[i * pca->stride + j] / count - pca->sum[i] * pca->sum[j];
	}
	for (size_t i = 0; i < pca->dim; i++) {
		for (size_t j = i; j < pca->dim; j++)
			matrix[j * pca->stride + i] = matrix[i * pca->stride + j];
	}
	for (size_t i = 1; i < pca->dim; i++)
		memmove(matrix + i * pca->dim, matrix + i * pca->stride,
		        pca->dim * sizeof(*matrix));
	result = eigen_symmetric(matrix, pca->dim, values);
	for (size_t i = 0; result == 0 && i < pca->wanted; i++) {
		memcpy(pca->directions + i * pca->dim, matrix + i * pca->dim,
		       pca->dim * sizeof(*matrix));
		pca->variances[i] = fmax(0, values[i]);
	}
	free(values);
	return result;
}

/* What the matrix of covariances makes of the block, from the sums. */
static void finish_images(struct pca *pca)
{
	double count = pca->count > 0 ? (double)pca->count : 1;
	size_t first = basis_count(pca);

	for (size_t i = first; i < first + PCA_BLOCK; i++) {
		double *image = image_of(pca, i);
		double share = dot(pca->sum, basis_of(pca, i), pca->dim);

		for (size_t j = 0; j < pca->dim; j++)
			image[j] = image[j] / count - share * pca->sum[j];
	}
}

/* The best direction number `index` in the space of the basis: `weights` says how much of each. How far
 * it is from one of the matrix. */
static double mix(struct pca *pca, const double *weights, size_t count, size_t index)
{
	double *direction = pca->directions + index * pca->dim, *image = pca->sum, error = 0;

	memset(direction, 0, pca->dim * sizeof(*direction));
	memset(image, 0, pca->dim * sizeof(*image)); /* of this pass it is not needed any more */
	for (size_t i = 0; i < count; i++)
		add_times(direction, basis_of(pca, i), weights[i], pca->dim);
	for (size_t i = 0; index < 2 && i < count; i++)
		add_times(image, image_of(pca, i), weights[i], pca->dim);
	for (size_t j = 0; index < 2 && j < pca->dim; j++) {
		double off = image[j] - pca->variances[index] * direction[j];

		error += off * off;
	}
	return sqrt(error);
}

/* The best directions in the space of the basis so far. */
static int end_block(struct pca *pca)
{
	size_t count = basis_count(pca), shown = pca->wanted < count ? pca->wanted : count;
	double *small = calloc(count * count, sizeof(*small));
	double *values = calloc(count, sizeof(*values));
	int result = small == NULL || values == NULL ? -ENOMEM : 0;

	for (size_t i = 0; result == 0 && i < count; i++) {
		for (size_t j = 0; j <= i; j++)
			small[i * count + j] = small[j * count + i] =
				(dot(basis_of(pca, i), image_of(pca, j), pca->dim) +
			         dot(basis_of(pca, j), image_of(pca, i), pca->dim)) /
				2;
	}
	if (result == 0)
		result = eigen_symmetric(small, count, values);
	pca->error = 0;
	for (size_t i = 0; result == 0 && i < shown; i++) {
		pca->variances[i] = fmax(0, values[i]);
		pca->error = fmax(pca->error, mix(pca, small + i * count, count, i));
	}
	pca->error = result == 0 && values[0] > 0 ? pca->error / values[0] : 0;
	free(small);
	free(values);
	return result;
}

int pca_pass_end(struct pca *pca, bool *again)
{
	int result;

	sum_up(pca);
	find_mean(pca);
	if (!pca->direct)
		finish_images(pca);
	pca->passes++;
	result = pca->direct ? end_direct(pca) : end_block(pca);
	pca->done = result < 0 || pca->direct || pca->error <= PCA_CLOSE_ENOUGH ||
	            pca->passes == PCA_PASSES_MAX;
	*again = !pca->done;
	if (result == 0 && !pca->done) {
		fill_block(pca);
		pca->count = 0;
		pca->square = 0;
		memset(pca->sum, 0, pca->stride * sizeof(*pca->sum));
		return 0;
	}
	if (!pca->direct && pca->wanted > basis_count(pca))
		pca->wanted = basis_count(pca);
	for (size_t i = 0; i < pca->wanted; i++)
		turn(pca->directions + i * pca->dim, pca->dim);
	return result;
}

void pca_place(const struct pca *pca, const double *row, size_t count, double *to)
{
	for (size_t k = 0; k < count; k++) {
		const double *direction = pca->directions + k * pca->dim;

		to[k] = 0;
		for (size_t i = 0; i < pca->dim; i++)
			to[k] += (row[i] - pca->mean[i]) * direction[i];
	}
}
