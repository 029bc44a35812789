/*
 * distance.h - how far vectors are from each other: fast in single precision, for many at once, and
 * exactly in double. Knows nothing of stores.
 *
 * A score says the same as a distance, and smaller is always nearer: of l2 and hamming it is the
 * distance, of cosine -cos, of ip minus the product.
 *
 * The fast functions are compiled for several instruction sets from one source (kernels.c); at run time
 * the best that the machine has is used, or the one that the environment's QUIVERFS_ISA names: "v2", "v3",
 * "v4" (the levels of x86-64), "v4i" (with VNNI and VPOPCNTDQ), "base" (whatever the compiler was told).
 * Any thread may call anything; a struct that was initialised is only read.
 */
#ifndef QUIVER_DISTANCE_H
#define QUIVER_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

struct distance_kernels;

/* How vectors of one geometry are compared. */
struct distance {
	enum quiver_metric metric;
	enum quiver_dtype dtype;
	uint32_t dim; /* elements; of b1 bits */
	uint32_t vector_bytes;
	const struct distance_kernels *kernels; /* static */
};

/* -EINVAL a metric that does not go with the dtype: hamming of another than b1 and u1. Else 0. */
int distance_init(struct distance *distance, enum quiver_metric metric, enum quiver_dtype dtype,
                  uint32_t dim);

/* The name of the instruction set in use, as in QUIVERFS_ISA; static. */
const char *distance_isa(void);

/* Whether a vector has distances at all: as a question it has if it has one to itself. */
bool distance_has_any(const struct distance *distance, const void *vector);

/* The score of a question and a row in double, of integers and bits exact. NaN: it has none. */
double distance_score(const struct distance *distance, const void *question, const void *row);

/* Questions made ready: what the fast functions want of them is computed once. */
struct distance_questions {
	const struct distance *distance; /* not owned */
	size_t count;
	size_t padded; /* scores of one row: count rounded up to 1, 2, 4, 8, 16, 32 or a multiple of 64 */
	void *prepared; /* owned */
};

/* Questions at once that are worth a pass over the data of their own; more are as fast by so many. */
#define DISTANCE_QUESTIONS_MAX 1024u

/*
 * Questions at vectors[0 ... count - 1], 1 ... DISTANCE_QUESTIONS_MAX of them, of vector_bytes bytes each,
 * with any alignment; they are not needed afterwards. `distance` outlives it. 0 or -ENOMEM.
 */
int distance_questions_init(struct distance_questions *questions, const struct distance *distance,
                            const void *const *vectors, size_t count);
/* Also of all-zero memory. */
void distance_questions_free(struct distance_questions *questions);

/* Rows that are compared by one call, at most. */
#define DISTANCE_ROWS_MAX 64u

/*
 * Scores of `count` rows, 1 ... DISTANCE_ROWS_MAX, each of vector_bytes bytes at rows[i], with any
 * alignment: of row i and question j it is scores[i * questions->padded + j]; those from
 * questions->count on mean nothing, and are written. A score that single precision cannot hold or cannot
 * tell (overflow, NaN, under cosine a row near zero) is a NaN: distance_score tells. *norm_max, where the
 * caller has put 0 before the first call, becomes the greatest Euclidean norm of a row that was seen, of
 * ip alone. Rows may change meanwhile: the score is then any. `scores` is aligned to 64 bytes.
 */
void distance_scores(const struct distance_questions *questions, const void *const *rows,
                     size_t count, float *scores, float *norm_max);

/*
 * The same where only scores that are not above limits[j], of question j, are of interest: as many limits as
 * questions->padded, aligned to 4 bytes. A score that is certainly above is any number above it, which takes
 * less time to tell for many questions; one that is not may be a NaN.
 */
void distance_scores_within(const struct distance_questions *questions, const void *const *rows,
                            size_t count, const float *limits, float *scores, float *norm_max);

/* Bit i: not scores[i] > limits[i], so that of a NaN it is set. `count` is 1 ... 64; both are aligned to
 * 4 bytes. */
uint64_t distance_hits(const float *scores, const float *limits, size_t count);

/* How far a score of distance_scores may be from that of distance_score where that one is `score`: a bound
 * that holds for all practical purposes (N. Higham, T. Mary, "A New Approach to Probabilistic Rounding
 * Error Analysis", SIAM J. Sci. Comput. 2019). norm_max as above. */
double distance_error(const struct distance *distance, const void *question, double score,
                      float norm_max);

/* What people are told for a score, and back: struct quiver_neighbour. */
double distance_of_score(enum quiver_metric metric, double score);
double distance_to_score(enum quiver_metric metric, double distance);

/* The elements of one row as floats, `dim` of them: what an index computes with. */
void distance_floats(const struct distance *distance, const void *row, float *to);

#endif
