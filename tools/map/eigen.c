/*
 * eigen.c - eigenvalues and eigenvectors of a symmetric matrix.
 *
 * The matrix is kept turned around, so that what the published method does to columns is done to
 * rows, which lie together in memory.
 */
#include "tools/map/eigen.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps for one eigenvalue; two or three are usual. */
#define STEPS_MAX 60u

struct eigen {
	double *rows; /* n * n */
	size_t n;
	double *diagonal, *beside; /* the element beside diagonal[i] is beside[i] */
};

static double *row_of(const struct eigen *eigen, size_t index)
{
	return eigen->rows + index * eigen->n;
}

static double dot(const double *a, const double *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += a[i] * b[i];
	return sum;
}

/* ---- three diagonals ---------------------------------------------------- */

/* Row `i` has nothing but its diagonal. */
static void pass_row(struct eigen *eigen, size_t i)
{
	eigen->beside[i] = eigen->diagonal[i - 1];
	for (size_t j = 0; j < i; j++) {
		eigen->diagonal[j] = row_of(eigen, j)[i - 1];
		row_of(eigen, j)[i] = 0;
		row_of(eigen, i)[j] = 0;
	}
}

/* Apply the reflection, whose vector is in diagonal[0 ... i), to what is left of the matrix. */
static void reflect_rest(struct eigen *eigen, size_t i, double h)
{
	double *d = eigen->diagonal, *e = eigen->beside, share;

	memset(e, 0, i * sizeof(*e));
	for (size_t j = 0; j < i; j++) {
		double *row = row_of(eigen, j), f = d[j], g = e[j] + row[j] * f;

		row_of(eigen, i)[j] = f;
		for (size_t k = j + 1; k < i; k++) {
			g += row[k] * d[k];
			e[k] += row[k] * f;
		}
		e[j] = g;
	}
	for (size_t j = 0; j < i; j++)
		e[j] /= h;
	share = dot(e, d, i) / (h + h);
	for (size_t j = 0; j < i; j++)
		e[j] -= share * d[j];
	for (size_t j = 0; j < i; j++) {
		double *row = row_of(eigen, j), f = d[j], g = e[j];

		for (size_t k = j; k < i; k++)
			row[k] -= f * e[k] + g * d[k];
		d[j] = row[i - 1];
		row[i] = 0;
	}
}

/* Reflect so that row `i` has nothing left of the element beside its diagonal. */
static void reduce_row(struct eigen *eigen, size_t i)
{
	double *d = eigen->diagonal, scale = 0, h = 0, f, g;

	for (size_t k = 0; k < i; k++)
		scale += fabs(d[k]);
	if (scale == 0) {
		pass_row(eigen, i);
		d[i] = 0;
		return;
	}
	for (size_t k = 0; k < i; k++) {
		d[k] /= scale;
		h += d[k] * d[k];
	}
	f = d[i - 1];
	g = f > 0 ? -sqrt(h) : sqrt(h);
	h -= f * g;
	d[i - 1] = f - g;
	reflect_rest(eigen, i, h);
	eigen->beside[i] = scale * g;
	d[i] = h;
}

/* Multiply the reflections together. */
static void gather(struct eigen *eigen)
{
	size_t n = eigen->n;
	double *d = eigen->diagonal;

	for (size_t i = 0; i + 1 < n; i++) {
		double *vector = row_of(eigen, i + 1), h = d[i + 1];

		row_of(eigen, i)[n - 1] = row_of(eigen, i)[i];
		row_of(eigen, i)[i] = 1;
		for (size_t j = 0; h != 0 && j <= i; j++) {
			double *row = row_of(eigen, j), g = dot(vector, row, i + 1) / h;

			for (size_t k = 0; k <= i; k++)
				row[k] -= g * vector[k];
		}
		memset(vector, 0, (i + 1) * sizeof(*vector));
	}
	for (size_t j = 0; j < n; j++) {
		d[j] = row_of(eigen, j)[n - 1];
		row_of(eigen, j)[n - 1] = 0;
	}
	row_of(eigen, n - 1)[n - 1] = 1;
}

static void reduce(struct eigen *eigen)
{
	for (size_t j = 0; j < eigen->n; j++)
		eigen->diagonal[j] = row_of(eigen, j)[eigen->n - 1];
	for (size_t i = eigen->n - 1; i > 0; i--)
		reduce_row(eigen, i);
	eigen->diagonal[0] = 0;
	gather(eigen);
	memmove(eigen->beside, eigen->beside + 1, (eigen->n - 1) * sizeof(*eigen->beside));
	eigen->beside[eigen->n - 1] = 0;
}

/* ---- one eigenvalue after another --------------------------------------- */

static void rotate(double *one, double *other, size_t n, double c, double s)
{
	for (size_t k = 0; k < n; k++) {
		double h = other[k];

		other[k] = s * one[k] + c * h;
		one[k] = c * one[k] - s * h;
	}
}

/* One step of QL on rows first ... last, with a shift that has been taken off already. */
static void step(struct eigen *eigen, size_t first, size_t last, double next)
{
	double *d = eigen->diagonal, *e = eigen->beside;
	double p = d[last], c = 1, c2 = 1, c3 = 1, s = 0, s2 = 0, after = e[first + 1];

	for (size_t i = last; i-- > first;) {
		double g, h, r;

		c3 = c2;
		c2 = c;
		s2 = s;
		g = c * e[i];
		h = c * p;
		r = hypot(p, e[i]);
		e[i + 1] = s * r;
		s = e[i] / r;
		c = p / r;
		p = c * d[i] - s * g;
		d[i + 1] = h + s * (c * g + s * d[i]);
		rotate(row_of(eigen, i), row_of(eigen, i + 1), eigen->n, c, s);
	}
	p = -s * s2 * c3 * after * e[first] / next;
	e[first] = s * p;
	d[first] = c * p;
}

/* Take a shift off the diagonal from `first` on: how much. *next is what diagonal[first + 1] then is. */
static double shift(struct eigen *eigen, size_t first, double *next)
{
	double *d = eigen->diagonal, *e = eigen->beside;
	double g = d[first], p = (d[first + 1] - g) / (2 * e[first]);
	double r = p < 0 ? -hypot(p, 1) : hypot(p, 1), h;

	d[first] = e[first] / (p + r);
	d[first + 1] = e[first] * (p + r);
	*next = d[first + 1];
	h = g - d[first];
	for (size_t i = first + 2; i < eigen->n; i++)
		d[i] -= h;
	return h;
}

static int solve(struct eigen *eigen)
{
	double *d = eigen->diagonal, *e = eigen->beside;
	double shifted = 0, largest = 0, next;

	for (size_t first = 0; first < eigen->n; first++) {
		size_t last = first;
		unsigned steps = 0;

		largest = fmax(largest, fabs(d[first]) + fabs(e[first]));
		while (last + 1 < eigen->n && fabs(e[last]) > DBL_EPSILON * largest)
			last++;
		while (last > first && fabs(e[first]) > DBL_EPSILON * largest) {
			if (steps++ == STEPS_MAX)
				return -EDOM;
			shifted += shift(eigen, first, &next);
			step(eigen, first, last, next);
		}
		d[first] += shifted;
		e[first] = 0;
	}
	return 0;
}

/* ---- all of it ---------------------------------------------------------- */

static void swap_rows(double *one, double *other, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		double h = one[k];

		one[k] = other[k];
		other[k] = h;
	}
}

/* Largest first. */
static void sort(struct eigen *eigen)
{
	double *d = eigen->diagonal;

	for (size_t i = 0; i < eigen->n; i++) {
		size_t best = i;

		for (size_t j = i + 1; j < eigen->n; j++) {
			if (d[j] > d[best])
				best = j;
		}
		if (best != i) {
			swap_rows(&d[i], &d[best], 1);
			swap_rows(row_of(eigen, i), row_of(eigen, best), eigen->n);
		}
	}
}

int eigen_symmetric(double *matrix, size_t n, double *values)
{
	struct eigen eigen = { .rows = matrix, .n = n, .diagonal = values };
	int result;

	if (n == 0)
		return 0;
	eigen.beside = calloc(n + 1, sizeof(*eigen.beside));
	if (eigen.beside == NULL)
		return -ENOMEM;
	reduce(&eigen);
	result = solve(&eigen);
	if (result == 0)
		sort(&eigen);
	free(eigen.beside);
	return result;
}
