/*
 * Scores in single precision, compiled once for each instruction set: KERNELS is the name of what it makes
 * (kernels.h), KERNELS_ISA that of the set.
 */
#include "engine/distance/kernels.h"

#include <float.h>
#include <math.h>
#include <stdatomic.h>

#include "engine/distance/filter.h"
#include "engine/distance/lanes.h"
#include "engine/distance/singles.h"
#include "engine/distance/tiles.h"

#ifndef KERNELS
#define KERNELS distance_kernels_base
#define KERNELS_ISA "base"
#endif

/* What is to be known of one call. */
struct call {
	const struct distance *distance;
	struct prepared *prepared;
	size_t questions, padded;
	const void *const *rows;
	size_t count;
	const float *limits;
	float *scores;
	float *norm_max;
};

/* An infinity is a number that did not fit. */
INLINE float or_nan(float score)
{
	return score + 0 * score;
}

INLINE wide_floats wide_or_nan(wide_floats scores)
{
	return scores + 0 * scores;
}

INLINE void see_norm(const struct call *call, float norm)
{
	if (norm > *call->norm_max)
		*call->norm_max = norm;
}

INLINE const void *row_of_question(const struct call *call, size_t j)
{
	return call->prepared->rows + j * call->prepared->row_bytes;
}

static bool has_cosine(float square)
{
	return square >= KERNEL_SQUARE_LEAST && square <= KERNEL_SQUARE_MOST;
}

/* ---- floats ---- */

/* A row's score from its product with the question and with itself. */
INLINE float score_of_product(const struct call *call, float product, float square)
{
	if (call->distance->metric == QUIVER_COSINE)
		return has_cosine(square) ? -product / sqrtf(square) : NAN;
	if (!(square <= FLT_MAX))
		return NAN;
	see_norm(call, sqrtf(square));
	return or_nan(-product);
}

INLINE void score_floats_in_rows(const struct call *call, enum quiver_dtype dtype)
{
	size_t dim = call->distance->dim;
	bool squares = call->distance->metric == QUIVER_L2;

	for (size_t i = 0; i < call->count; i++) {
		for (size_t j = 0; j < call->questions; j++) {
			const float *question = row_of_question(call, j);
			float *score = &call->scores[i * call->padded + j];

			if (squares) {
				*score = or_nan(
					squares_between(dtype, call->rows[i], question, dim));
			} else {
				struct product p =
					product_with(dtype, call->rows[i], question, dim);

				*score = score_of_product(call, p.product, p.square);
			}
		}
	}
}

/* The same for all questions of a row whose products are in `scores`. */
static void finish_floats(const struct call *call, float *scores, float square)
{
	const float *squares = call->prepared->square;
	enum quiver_metric metric = call->distance->metric;
	float scale = -1;

	if (metric == QUIVER_COSINE) {
		scale = has_cosine(square) ? -1 / sqrtf(square) : NAN;
	} else if (metric == QUIVER_IP) {
		if (square <= FLT_MAX)
			see_norm(call, sqrtf(square));
		else
			scale = NAN;
	}
	for (size_t j = 0; j < call->padded; j += WIDE_LANES) {
		wide_floats s = wide_at(scores + j);

		s = metric == QUIVER_L2 ? (wide_at(squares + j) + square) - 2 * s : s * scale;
		s = wide_or_nan(s);
		memcpy(scores + j, &s, sizeof(s));
	}
}

/* One part of all rows, and what it adds to the squares of them. */
INLINE void make_parts(const struct call *call, enum quiver_dtype dtype, size_t first, size_t depth,
                       struct parts *parts, float *squares)
{
	for (size_t i = 0; i < call->count; i++)
		squares[i] += make_part(dtype, call->rows[i], first, depth, parts->elements[i]);
}

INLINE void multiply_part(const struct call *call, enum tile_kind kind, const struct parts *parts,
                          size_t first, size_t depth)
{
	const struct prepared *prepared = call->prepared;
	size_t group = prepared->group;
	tiles *multiply = tiles_of(kind, group);

	for (size_t g = 0; g * group < call->padded; g++) {
		const uint8_t *columns = prepared->columns + g * prepared->group_bytes;

		multiply(parts, depth, columns + first * group * ENTRY_BYTES,
		         call->scores + g * group, call->padded, call->count);
	}
}

INLINE void score_floats_in_columns(const struct call *call, enum quiver_dtype dtype)
{
	size_t dim = call->distance->dim;
	float squares[DISTANCE_ROWS_MAX] = { 0 };
	struct parts parts;

	memset(parts.elements[call->count], 0, TILE_ROWS_MAX * sizeof(parts.elements[0]));
	memset(call->scores, 0, call->count * call->padded * sizeof(float));
	for (size_t first = 0; first < dim; first += KERNEL_DEPTH) {
		size_t depth = least(KERNEL_DEPTH, dim - first);

		make_parts(call, dtype, first, depth, &parts, squares);
		multiply_part(call, TILE_FLOATS, &parts, first, depth);
	}
	for (size_t i = 0; i < call->count; i++)
		finish_floats(call, call->scores + i * call->padded, squares[i]);
}

#if defined(__AVX512VNNI__)
/* A score that has to be told exactly takes as long as so many in columns, about. */
#define FILTER_NEAR_COST 64u
#define FILTER_PAUSE 15u /* calls that are not filtered after one that told too little */

#define FILTER_AHEAD 4u /* rows whose parts are fetched before they are used */

/* What the processor does not foresee: it takes rows for what they are, but not their parts. Of elements of
 * two bytes it makes no difference. */
INLINE void fetch_part(enum quiver_dtype dtype, const uint8_t *row, size_t first, size_t count)
{
	if (dtype != QUIVER_F4)
		return;
	for (size_t k = 0; k < count * sizeof(float); k += 64)
		__builtin_prefetch(row + first * sizeof(float) + k);
}

INLINE void filter_part(const struct call *call, const struct filter_parts *parts, size_t block,
                        size_t quads)
{
	const struct prepared *prepared = call->prepared;
	size_t group = prepared->group, width = group / WIDE_LANES;

	for (size_t g = 0; g * group < call->padded; g++) {
		const uint8_t *column = prepared->filter + g * prepared->filter_bytes +
		                        block * FILTER_BLOCK_BYTES * group;
		float *scores = call->scores + g * group;

		if (width == 4)
			filter_tiles_4(parts, quads, column, scores, call->padded, call->count);
		else if (width == 2)
			filter_tiles_2(parts, quads, column, scores, call->padded, call->count);
		else
			filter_tiles_1(parts, quads, column, scores, call->padded, call->count);
	}
}

/* Whether that was worth the while; else all is to be computed anew. */
INLINE bool filter(const struct call *call, enum quiver_dtype dtype)
{
	const struct distance *distance = call->distance;
	size_t dim = distance->dim, near = 0;
	struct filter_row sums[DISTANCE_ROWS_MAX] = { { 0 } };
	struct filter_parts parts;

	memset(parts.bytes[call->count], 0, TILE_ROWS_MAX * sizeof(parts.bytes[0]));
	memset(call->scores, 0, call->count * call->padded * sizeof(float));
	for (size_t first = 0; first < dim; first += FILTER_DEPTH) {
		size_t n = least(FILTER_DEPTH, dim - first);

		for (size_t i = 0; i < call->count; i++) {
			const uint8_t *row = call->rows[i];

			if (i + FILTER_AHEAD < call->count)
				fetch_part(dtype, call->rows[i + FILTER_AHEAD], first, n);
			parts.scale[i] = make_filter_part(dtype, row + first * element_bytes(dtype),
			                                  n, parts.bytes[i], &sums[i]);
		}
		filter_part(call, &parts, first / FILTER_DEPTH, (n + 3) / 4);
	}
	for (size_t i = 0; i < call->count; i++) {
		if (distance->metric == QUIVER_IP && sums[i].square <= FLT_MAX)
			see_norm(call, sqrtf(sums[i].square));
		near += finish_filter(
			call->prepared, filter_bound_of(distance->metric, sums[i], dim),
			call->scores + i * call->padded, call->limits, call->questions);
	}
	return near * FILTER_NEAR_COST <= call->count * call->questions;
}

/* Whether all limits are numbers: there is nothing to keep away while anything is near enough. */
static bool has_limits(const struct call *call)
{
	if (!call->limits || !call->prepared->filter)
		return false;
	for (size_t j = 0; j < call->questions; j++)
		if (!(call->limits[j] < INFINITY))
			return false;
	return true;
}

INLINE bool filtered(const struct call *call, enum quiver_dtype dtype)
{
	_Atomic unsigned *pause = &call->prepared->filter_pause;
	unsigned left = atomic_load_explicit(pause, memory_order_relaxed);

	if (!has_limits(call))
		return false;
	/* Another thread may count, too: it is a hint. */
	if (left > 0) {
		atomic_store_explicit(pause, left - 1, memory_order_relaxed);
		return false;
	}
	if (filter(call, dtype))
		return true;
	atomic_store_explicit(pause, FILTER_PAUSE, memory_order_relaxed);
	return false;
}
#else
INLINE bool filtered(const struct call *call, enum quiver_dtype dtype)
{
	(void)call;
	(void)dtype;
	return false;
}
#endif

INLINE void score_floats(const struct call *call, enum quiver_dtype dtype)
{
	if (call->prepared->columns && filtered(call, dtype))
		return;
	if (call->prepared->columns)
		score_floats_in_columns(call, dtype);
	else
		score_floats_in_rows(call, dtype);
}

/* ---- doubles ---- */

static float score_of_double_product(const struct call *call, struct double_product p)
{
	if (call->distance->metric == QUIVER_COSINE)
		return p.square > 1e-280 && p.square < 1e280 ? (float)(-p.product / sqrt(p.square))
		                                             : NAN;
	if (!(p.square < 1e60))
		return NAN;
	see_norm(call, (float)sqrt(p.square));
	return or_nan((float)-p.product);
}

static void score_doubles(const struct call *call)
{
	size_t dim = call->distance->dim;

	for (size_t i = 0; i < call->count; i++) {
		for (size_t j = 0; j < call->questions; j++) {
			const double *question = row_of_question(call, j);
			float *score = &call->scores[i * call->padded + j];

			if (call->distance->metric == QUIVER_L2)
				*score = or_nan((float)double_squares_between(call->rows[i],
				                                              question, dim));
			else
				*score = score_of_double_product(
					call, double_product_with(call->rows[i], question, dim));
		}
	}
}

/* ---- bytes ---- */

INLINE float score_of_whole_product(const struct call *call, enum quiver_dtype dtype, size_t j,
                                    uint32_t product, uint32_t square)
{
	float number = dtype == QUIVER_I1 ? (float)(int32_t)product : (float)product;

	if (call->distance->metric == QUIVER_COSINE)
		return square ? -number * call->prepared->inverse[j] / sqrtf((float)square) : NAN;
	see_norm(call, sqrtf((float)square));
	return -number;
}

INLINE void score_bytes_in_rows(const struct call *call, enum quiver_dtype dtype)
{
	size_t dim = call->distance->dim;
	bool squares = call->distance->metric == QUIVER_L2;

	for (size_t i = 0; i < call->count; i++) {
		for (size_t j = 0; j < call->questions; j++) {
			const int16_t *question = row_of_question(call, j);
			float *score = &call->scores[i * call->padded + j];

			if (squares) {
				*score = (float)byte_squares_between(dtype, call->rows[i], question,
				                                     dim);
			} else {
				struct byte_product p =
					byte_product_with(dtype, call->rows[i], question, dim);

				*score =
					score_of_whole_product(call, dtype, j, p.product, p.square);
			}
		}
	}
}

/* For all questions of a row whose products are in `scores`, as whole numbers. */
INLINE void finish_whole(const struct call *call, enum quiver_dtype dtype, float *scores,
                         uint32_t square)
{
	enum quiver_metric metric = call->distance->metric;
	float inverse = square ? 1 / sqrtf((float)square) : NAN;

	if (metric == QUIVER_IP)
		see_norm(call, sqrtf((float)square));
	for (size_t j = 0; j < call->padded; j += WIDE_LANES) {
		wide_words sum = wide_words_at(scores + j);
		wide_floats s;

		if (metric == QUIVER_L2)
			sum = wide_words_at(call->prepared->whole_square + j) + square - 2 * sum;
		if (dtype == QUIVER_I1 && metric != QUIVER_L2)
			s = __builtin_convertvector((wide_ints)sum, wide_floats);
		else
			s = __builtin_convertvector(sum, wide_floats);
		if (metric == QUIVER_COSINE)
			s *= wide_at(call->prepared->inverse + j) * inverse;
		if (metric != QUIVER_L2)
			s = -s;
		memcpy(scores + j, &s, sizeof(s));
	}
}

INLINE void score_bytes_in_columns(const struct call *call, enum quiver_dtype dtype)
{
	size_t dim = call->distance->dim, step = KERNEL_DEPTH * QUAD;
	uint32_t squares[DISTANCE_ROWS_MAX] = { 0 };
	struct parts parts;

	memset(parts.elements[call->count], 0, TILE_ROWS_MAX * sizeof(parts.elements[0]));
	for (size_t i = 0; i < call->count; i++)
		memcpy(call->scores + i * call->padded, call->prepared->start,
		       call->padded * sizeof(float));
	for (size_t first = 0; first < dim; first += step) {
		size_t count = least(step, dim - first);

		for (size_t i = 0; i < call->count; i++)
			squares[i] += make_byte_part(dtype, call->rows[i], first, count,
			                             parts.elements[i]);
		multiply_part(call, byte_kind(dtype), &parts, first / QUAD,
		              (count + QUAD - 1) / QUAD);
	}
	for (size_t i = 0; i < call->count; i++)
		finish_whole(call, dtype, call->scores + i * call->padded, squares[i]);
}

INLINE void score_bytes(const struct call *call, enum quiver_dtype dtype)
{
	if (call->prepared->columns)
		score_bytes_in_columns(call, dtype);
	else
		score_bytes_in_rows(call, dtype);
}

/* ---- bits ---- */

/* Bits that differ, or that both have. */
INLINE uint32_t bits_of(bool differ, const uint8_t *row, const uint8_t *question, size_t size)
{
	uint64_t sum = 0, x, q;
	size_t i = 0;

	for (; i + 8 <= size; i += 8) {
		memcpy(&x, row + i, 8);
		memcpy(&q, question + i, 8);
		sum += (uint64_t)__builtin_popcountll(differ ? x ^ q : x & q);
	}
	for (; i < size; i++)
		sum += (uint64_t)__builtin_popcount(differ ? row[i] ^ question[i]
		                                           : row[i] & question[i]);
	return (uint32_t)sum;
}

static void score_bits(const struct call *call)
{
	enum quiver_metric metric = call->distance->metric;
	size_t size = call->distance->vector_bytes;

	for (size_t i = 0; i < call->count; i++) {
		const uint8_t *row = call->rows[i];
		uint32_t square = 0;

		if (metric == QUIVER_COSINE || metric == QUIVER_IP)
			square = bits_of(false, row, row, size);
		for (size_t j = 0; j < call->questions; j++) {
			const uint8_t *question = row_of_question(call, j);
			float *score = &call->scores[i * call->padded + j];

			if (metric == QUIVER_COSINE || metric == QUIVER_IP)
				*score = score_of_whole_product(call, QUIVER_B1, j,
				                                bits_of(false, row, question, size),
				                                square);
			else
				*score = (float)bits_of(true, row, question, size);
		}
	}
}

/* ---- all ---- */

static void scores(const struct distance_questions *questions, const void *const *rows,
                   size_t count, const float *limits, float *scores, float *norm_max)
{
	struct call call = {
		.distance = questions->distance,
		.prepared = questions->prepared,
		.questions = questions->count,
		.padded = questions->padded,
		.rows = rows,
		.count = count,
		.limits = limits,
		.scores = scores,
		.norm_max = norm_max,
	};

	switch (call.distance->dtype) {
	case QUIVER_F4:
		score_floats(&call, QUIVER_F4);
		break;
	case QUIVER_F2:
		score_floats(&call, QUIVER_F2);
		break;
	case QUIVER_BF2:
		score_floats(&call, QUIVER_BF2);
		break;
	case QUIVER_F8:
		score_doubles(&call);
		break;
	case QUIVER_I1:
		score_bytes(&call, QUIVER_I1);
		break;
	case QUIVER_U1:
		if (call.distance->metric == QUIVER_HAMMING)
			score_bits(&call);
		else
			score_bytes(&call, QUIVER_U1);
		break;
	case QUIVER_B1:
		score_bits(&call);
		break;
	}
}

static uint64_t hits(const float *scores, const float *limits, size_t count)
{
	uint64_t hits = 0;
	size_t i = 0;

	for (; i + WIDE_LANES <= count; i += WIDE_LANES)
		hits |= not_above(wide_at(scores + i), wide_at(limits + i)) << i;
	for (; i < count; i++)
		hits |= (uint64_t) !(scores[i] > limits[i]) << i;
	return hits;
}

const struct distance_kernels KERNELS = {
	.isa = KERNELS_ISA,
	.lanes = LANES,
	.group_max = TILE_GROUP_MAX,
	.least_columns = WIDE_LANES,
	.byte_quad = QUAD > 1 ? QUAD : 0,
	.filters = QUAD == 4,
	.scores = scores,
	.hits = hits,
};
