/*
 * pca.h - the directions in which vectors differ most, from passes over all of them in double
 * precision.
 *
 * Up to PCA_DIM_DIRECT dimensions one pass sums up the covariances, and the directions are its
 * eigenvectors. Beyond that each pass multiplies a block of vectors by the matrix of covariances, which
 * is never written down, and the best directions in the space of all these are taken (block Krylov:
 * Musco and Musco, "Randomized Block Krylov Methods for Stronger and Faster Approximate Singular Value
 * Decomposition", NIPS 2015), until the first two do not change. One thread.
 */
#ifndef MAP_PCA_H
#define MAP_PCA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCA_DIM_DIRECT 1024u
/* Vectors that are multiplied in a pass, and passes at most. */
#define PCA_BLOCK 16u
#define PCA_PASSES_MAX 12u
/* The first two directions are found when what the matrix makes of one differs from a multiple of it by
 * at most this share of the greatest variance. */
#define PCA_CLOSE_ENOUGH 1e-8

struct pca {
	size_t dim, wanted; /* elements; directions, which pca_pass_end may have fewer of */
	size_t stride; /* dim and zeros: of each row below */
	bool direct, done;
	uint64_t count; /* rows of this pass so far */
	unsigned passes; /* that are at their end */
	double *shift; /* near the mean: what is taken off before anything is summed up */
	bool has_shift;
	double *sum; /* of the rows less shift */
	double square; /* of their lengths */
	double *buffer; /* rows less shift, that are not summed up yet */
	size_t buffered;
	double *gram; /* direct: stride * stride, the sum of the products */
	double *basis, *images; /* else: vectors of length 1, and what the matrix makes of each */
	double *turned,
		*scores; /* the block that is multiplied, by columns; its products with rows */
	/* The result: */
	double *mean; /* dim */
	double *directions; /* wanted rows of dim, of length 1; the greatest element of each is positive */
	double *variances; /* wanted of them, in these directions, largest first: sums over count */
	double variance; /* in all directions */
	double error; /* the greatest of the first two, as PCA_CLOSE_ENOUGH */
};

/* For vectors of `dim` elements, and `wanted` directions or dim of them. To be given back with pca_close
 * also after an error. 0 or -ENOMEM. */
int pca_open(size_t dim, size_t wanted, struct pca *pca);
void pca_close(struct pca *pca);

/* Add one row, of dim elements of at most PCA_ELEMENT_MAX: in each pass all of them. */
#define PCA_ELEMENT_MAX 1e100
void pca_add(struct pca *pca, const double *row);

/* All rows were added: *again tells whether another pass is needed; else the result is there, also of no
 * rows. 0; -ENOMEM, -EDOM. */
int pca_pass_end(struct pca *pca, bool *again);

/* Where a row lies in the first `count` directions, from the mean. */
void pca_place(const struct pca *pca, const double *row, size_t count, double *to);

#endif
