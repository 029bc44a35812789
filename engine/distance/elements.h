/*
 * elements.h - elements of vectors as numbers, a block at a time.
 */
#ifndef QUIVER_DISTANCE_ELEMENTS_H
#define QUIVER_DISTANCE_ELEMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

/* Elements `first` ... first + count - 1 of the row, which may have any alignment; of b1 both are multiples
 * of 8. Each becomes the number that it is. */
void elements_doubles(enum quiver_dtype dtype, const void *row, size_t first, size_t count,
                      double *to);
void elements_floats(enum quiver_dtype dtype, const void *row, size_t first, size_t count,
                     float *to); /* of f8 rounded */

/* A power of two that elements of at most `most` are multiplied by, so that doubles hold their squares, and
 * the largest of these is no subnormal number. */
double elements_scale(double most);

#endif
