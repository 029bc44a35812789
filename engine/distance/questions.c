/* Questions made ready for the kernels (kernels.h). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/distance/elements.h"
#include "engine/distance/kernels.h"

#define LINE 64u /* bytes: what things in memory are aligned to */
#define BLOCK 256u /* elements at once */

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/* What is computed at once: a power of two, or several times 64. */
static size_t padded(size_t count)
{
	size_t n = 1;

	while (n < 64 && n < count)
		n *= 2;
	return n < 64 ? n : round_up(count, 64);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- where things lie ---- */

static size_t element_bytes(enum arithmetic arithmetic)
{
	switch (arithmetic) {
	case ARITHMETIC_FLOATS:
		return sizeof(float);
	case ARITHMETIC_DOUBLES:
		return sizeof(double);
	case ARITHMETIC_BYTES:
		return sizeof(int16_t);
	default:
		return 0;
	}
}

static size_t row_bytes(const struct distance *distance, enum arithmetic arithmetic)
{
	size_t bytes = arithmetic == ARITHMETIC_BITS ? distance->vector_bytes
	                                             : distance->dim * element_bytes(arithmetic);

	return round_up(bytes, LINE);
}

/* Bytes of a group of columns. */
static size_t group_bytes(const struct distance *distance, enum arithmetic arithmetic, size_t group)
{
	size_t quad = distance->kernels->byte_quad;

	if (arithmetic == ARITHMETIC_BYTES && quad)
		return round_up(round_up(distance->dim, quad) * group, LINE);
	return round_up(distance->dim * group * sizeof(float), LINE);
}

/* Where numbers of each question begin, in floats: prepared->square and those after it. */
enum { NUMBERS = 7 };

/* All of it is one piece of memory: the struct, questions, what filter.h wants, then numbers. */
struct layout {
	struct prepared prepared; /* without its pointers */
	size_t head, body, filter, number, bytes;
};

static struct layout layout_of(const struct distance_questions *questions)
{
	const struct distance *distance = questions->distance;
	const struct distance_kernels *kernels = distance->kernels;
	enum arithmetic arithmetic = arithmetic_of(distance);
	size_t padded = questions->padded;
	struct layout layout = {
		.prepared = { .arithmetic = arithmetic },
		.head = round_up(sizeof(struct prepared), LINE),
		.number = round_up(padded * sizeof(float), LINE),
	};
	struct prepared *prepared = &layout.prepared;

	if (padded >= kernels->least_columns &&
	    (arithmetic == ARITHMETIC_FLOATS || arithmetic == ARITHMETIC_BYTES)) {
		prepared->group = least(padded, kernels->group_max);
		prepared->group_bytes = group_bytes(distance, arithmetic, prepared->group);
		layout.body = padded / prepared->group * prepared->group_bytes;
		if (kernels->filters && arithmetic == ARITHMETIC_FLOATS) {
			prepared->filter_bytes = filter_parts_of(distance->dim) *
			                         FILTER_BLOCK_BYTES * prepared->group;
			layout.filter = padded / prepared->group * prepared->filter_bytes;
		}
	} else {
		prepared->row_bytes = row_bytes(distance, arithmetic);
		layout.body = padded * prepared->row_bytes;
	}
	layout.bytes = layout.head + layout.body + layout.filter + NUMBERS * layout.number;
	return layout;
}

static struct prepared *allocate(const struct distance_questions *questions)
{
	struct layout layout = layout_of(questions);
	uint8_t *at = aligned_alloc(LINE, layout.bytes), *numbers;
	struct prepared *prepared = (void *)at;

	if (!at)
		return NULL;
	memset(at, 0, layout.bytes);
	*prepared = layout.prepared;
	at += layout.head;
	if (prepared->group)
		prepared->columns = at;
	else
		prepared->rows = at;
	at += layout.body;
	if (layout.filter)
		prepared->filter = at;
	numbers = at + layout.filter;
	prepared->square = (void *)numbers;
	prepared->whole_square = (void *)(numbers + layout.number);
	prepared->start = (void *)(numbers + 2 * layout.number);
	prepared->inverse = (void *)(numbers + 3 * layout.number);
	prepared->base = (void *)(numbers + 4 * layout.number);
	prepared->reach = (void *)(numbers + 5 * layout.number);
	prepared->slack = (void *)(numbers + 6 * layout.number);
	return prepared;
}

/* ---- what is put there ---- */

/* The sum of the squares of the elements times `scale`. */
static double square_of(const struct distance *distance, const void *vector, double scale)
{
	double x[BLOCK], sum = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = least(BLOCK, distance->dim - first);

		elements_doubles(distance->dtype, vector, first, n, x);
		for (size_t i = 0; i < n; i++)
			sum += x[i] * scale * (x[i] * scale);
	}
	return sum;
}

/* What makes the vector one of length 1: as two factors, since of f8 the first may be needed to have its
 * square in a double. */
static void scale_to_unit(const struct distance *distance, const void *vector, double scale[2])
{
	double x[BLOCK], most = 0;

	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = least(BLOCK, distance->dim - first);

		elements_doubles(distance->dtype, vector, first, n, x);
		for (size_t i = 0; i < n; i++)
			most = fmax(most, fabs(x[i]));
	}
	scale[0] = elements_scale(most);
	scale[1] = 1 / sqrt(square_of(distance, vector, scale[0]));
}

/* Element i of question j. */
static void put_element(const struct distance_questions *questions, size_t j, size_t i, double x)
{
	const struct prepared *prepared = questions->prepared;
	size_t quad = questions->distance->kernels->byte_quad, group = prepared->group;
	uint8_t *column = prepared->columns, *row = prepared->rows;

	if (column) {
		column += j / group * prepared->group_bytes;
		if (prepared->arithmetic == ARITHMETIC_BYTES && quad)
			column[(i / quad * group + j % group) * quad + i % quad] =
				(uint8_t)(int16_t)x;
		else
			((float *)(void *)column)[i * group + j % group] = (float)x;
		return;
	}
	row += j * prepared->row_bytes;
	if (prepared->arithmetic == ARITHMETIC_FLOATS)
		((float *)(void *)row)[i] = (float)x;
	else if (prepared->arithmetic == ARITHMETIC_DOUBLES)
		((double *)(void *)row)[i] = x;
	else
		((int16_t *)(void *)row)[i] = (int16_t)x;
}

static void put_elements(const struct distance_questions *questions, size_t j, const void *vector)
{
	const struct distance *distance = questions->distance;
	double x[BLOCK], scale[2] = { 1, 1 };

	if (distance->metric == QUIVER_COSINE &&
	    ((struct prepared *)questions->prepared)->arithmetic != ARITHMETIC_BYTES)
		scale_to_unit(distance, vector, scale);
	for (size_t first = 0; first < distance->dim; first += BLOCK) {
		size_t n = least(BLOCK, distance->dim - first);

		elements_doubles(distance->dtype, vector, first, n, x);
		for (size_t i = 0; i < n; i++)
			put_element(questions, j, first + i, x[i] * scale[0] * scale[1]);
	}
}

/* The elements of rows are 128 more than they are (i1), or less (u1): what that adds to the product, taken
 * away. */
static uint32_t start_of(const struct distance *distance, const void *vector)
{
	const uint8_t *bytes = vector;
	int64_t sum = 0;

	for (size_t i = 0; i < distance->dim; i++)
		sum += distance->dtype == QUIVER_I1 ? -(int8_t)bytes[i] : bytes[i];
	return (uint32_t)(128 * sum);
}

/* A part of question j as bytes, in proportion to the largest of its `count` elements. The sum of the squares
 * of what they leave. */
static double put_filter_part(const struct prepared *prepared, size_t j, size_t part,
                              const float *x, size_t count)
{
	size_t group = prepared->group, lane = j % group;
	uint8_t *column = prepared->filter + j / group * prepared->filter_bytes +
	                  part * FILTER_BLOCK_BYTES * group;
	int32_t *start = (void *)(column + FILTER_DEPTH * group);
	float *unit = (float *)(void *)start + group, most = 0, scale;
	double left = 0;

	for (size_t i = 0; i < count; i++)
		most = fmaxf(most, fabsf(x[i]));
	scale = most > FILTER_LARGEST_LEAST ? most / 127 : 0;
	for (size_t i = 0; i < count; i++) {
		double whole = scale > 0 ? fmin(fmax(rint((double)x[i] / (double)scale), -127), 127)
		                         : 0;
		double rest = (double)x[i] - whole * (double)scale;

		column[(i / 4 * group + lane) * 4 + i % 4] = (uint8_t)(int8_t)whole;
		start[lane] -= 128 * (int32_t)whole;
		left += rest * rest;
	}
	unit[lane] = scale;
	return left;
}

/* What a score is at least (kernels.h): `norm` and `left` are |q| and |r(q)|, of what was put. */
static void put_filter_bound(const struct distance *distance, const struct prepared *prepared,
                             size_t j, double norm, double left)
{
	double twice = distance->metric == QUIVER_L2 ? 2 : 1, more = 1 + 1e-4;
	double parts = (double)filter_parts_of(distance->dim);
	double rounding = FILTER_ROUNDING(parts), tiny = 0x1p-100 * (1 + parts);
	double base = -tiny, slack = twice * left * more;

	if (distance->metric == QUIVER_L2)
		base += norm * norm *
		        (1 - 4 * rounding); /* as of |x|^2: (a + b)^2 <= 2 (a^2 + b^2) */
	else if (distance->metric == QUIVER_COSINE)
		base -= rounding * more;
	else
		slack += rounding * norm * more;
	prepared->base[j] = norm * norm <= (double)FILTER_SQUARE_MOST ? (float)base : NAN;
	prepared->reach[j] = (float)(twice * (norm + left) * more);
	prepared->slack[j] = (float)slack;
}

static void put_filter(const struct distance_questions *questions, size_t j)
{
	const struct distance *distance = questions->distance;
	const struct prepared *prepared = questions->prepared;
	size_t group = prepared->group;
	const float *column = (const void *)(prepared->columns + j / group * prepared->group_bytes);
	double square = 0, left = 0;
	float x[FILTER_DEPTH];

	for (size_t first = 0; first < distance->dim; first += FILTER_DEPTH) {
		size_t n = least(FILTER_DEPTH, distance->dim - first);

		for (size_t i = 0; i < n; i++) {
			x[i] = column[(first + i) * group + j % group];
			square += (double)x[i] * (double)x[i];
		}
		left += put_filter_part(prepared, j, first / FILTER_DEPTH, x, n);
	}
	put_filter_bound(distance, prepared, j, sqrt(square), sqrt(left));
}

static void put_question(const struct distance_questions *questions, size_t j, const void *vector)
{
	const struct distance *distance = questions->distance;
	const struct prepared *prepared = questions->prepared;
	double square = square_of(distance, vector, 1);

	if (prepared->arithmetic == ARITHMETIC_BITS)
		memcpy(prepared->rows + j * prepared->row_bytes, vector, distance->vector_bytes);
	else
		put_elements(questions, j, vector);
	prepared->square[j] = (float)square;
	if (prepared->arithmetic == ARITHMETIC_BYTES || prepared->arithmetic == ARITHMETIC_BITS) {
		prepared->whole_square[j] = (uint32_t)square;
		prepared->inverse[j] = (float)(1 / sqrt(square));
	}
	if (prepared->columns && prepared->arithmetic == ARITHMETIC_BYTES &&
	    distance->kernels->byte_quad)
		prepared->start[j] = start_of(distance, vector);
	if (prepared->columns && prepared->filter)
		put_filter(questions, j);
}

int distance_questions_init(struct distance_questions *questions, const struct distance *distance,
                            const void *const *vectors, size_t count)
{
	*questions = (struct distance_questions){
		.distance = distance,
		.count = count,
		.padded = padded(count),
	};
	questions->prepared = allocate(questions);
	if (!questions->prepared)
		return -ENOMEM;
	for (size_t j = 0; j < count; j++)
		put_question(questions, j, vectors[j]);
	return 0;
}

void distance_questions_free(struct distance_questions *questions)
{
	free(questions->prepared);
	questions->prepared = NULL;
}
