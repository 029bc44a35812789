/*
 * eigen.h - eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to three
 * diagonals, and the QL method with implicit shifts on them (Bowdler, Martin, Reinsch, Wilkinson,
 * "The QR and QL Algorithms for Symmetric Matrices", Numerische Mathematik 1968).
 */
#ifndef MAP_EIGEN_H
#define MAP_EIGEN_H

#include <stddef.h>

/*
 * Of the symmetric matrix of n * n finite numbers at `matrix`: the eigenvalues, largest first, to
 * values[n], and in place of the matrix in row k a vector of length 1 that belongs to values[k].
 * 0; -ENOMEM; -EDOM it does not converge. Any thread.
 */
int eigen_symmetric(double *matrix, size_t n, double *values);

#endif
