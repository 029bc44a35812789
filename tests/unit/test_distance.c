/*
 * Fast scores are as near to the exact ones as distance_error says, and the exact ones are right. Which
 * instruction set is used QUIVERFS_ISA says: meson.build runs this with each.
 */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "engine/distance/distance.h"

static const enum quiver_dtype dtypes[] = { QUIVER_F4, QUIVER_F2, QUIVER_BF2, QUIVER_F8,
	                                    QUIVER_I1, QUIVER_U1, QUIVER_B1 };
static const enum quiver_metric metrics[] = { QUIVER_L2, QUIVER_COSINE, QUIVER_IP, QUIVER_HAMMING };
#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define QUESTIONS_MAX 200u

/* ---- vectors ---- */

static uint64_t state_of_random = 1;

static uint32_t next_random(void)
{
	state_of_random = state_of_random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state_of_random >> 33);
}

static double next_fraction(void)
{
	return (double)next_random() / 0x1p31;
}

/* What vectors are made of. */
enum kind {
	SPREAD, /* around 0 */
	SHIFTED, /* far from 0, and near each other */
	SAME, /* the same number everywhere, which rounds the same way every time */
	KINDS
};

static double element_of(enum kind kind, double same)
{
	switch (kind) {
	case SPREAD:
		return next_fraction() + next_fraction() + next_fraction() - 1.5;
	case SHIFTED:
		return 100 + next_fraction();
	default:
		return same;
	}
}

/* What a float16 is, and the nearest below (good enough to make one). */
static long double number_of_half(uint16_t bits)
{
	int exponent = bits >> 10 & 31;
	long double fraction = bits & 1023, number;

	if (exponent == 31)
		number = fraction == 0 ? (long double)INFINITY : (long double)NAN;
	else
		number = exponent == 0 ? ldexpl(fraction, -24)
		                       : ldexpl(1024 + fraction, exponent - 25);
	return bits & 0x8000 ? -number : number;
}

static uint16_t half_below(double number)
{
	double size = fabs(number);
	int exponent;
	uint16_t bits;

	if (size < 0x1p-14) {
		bits = (uint16_t)(size * 0x1p24);
	} else {
		exponent = ilogb(size);
		bits = (uint16_t)((exponent + 15) << 10 |
		                  ((int)(size * ldexp(1, 10 - exponent)) & 1023));
	}
	return signbit(number) ? bits | 0x8000 : bits;
}

static void put_element(enum quiver_dtype dtype, uint8_t *vector, size_t i, double number)
{
	float single = (float)number;
	uint32_t bits;
	uint16_t half;

	memcpy(&bits, &single, 4);
	switch (dtype) {
	case QUIVER_F4:
		memcpy(vector + 4 * i, &single, 4);
		break;
	case QUIVER_F8:
		memcpy(vector + 8 * i, &number, 8);
		break;
	case QUIVER_F2:
		half = half_below(number);
		memcpy(vector + 2 * i, &half, 2);
		break;
	case QUIVER_BF2:
		half = (uint16_t)(bits >> 16);
		memcpy(vector + 2 * i, &half, 2);
		break;
	default:
		fail();
	}
}

static long double element_at(enum quiver_dtype dtype, const uint8_t *vector, size_t i)
{
	uint16_t half;
	uint32_t bits;
	float single;
	double number;

	switch (dtype) {
	case QUIVER_F4:
		memcpy(&single, vector + 4 * i, 4);
		return single;
	case QUIVER_F8:
		memcpy(&number, vector + 8 * i, 8);
		return number;
	case QUIVER_F2:
		memcpy(&half, vector + 2 * i, 2);
		return number_of_half(half);
	case QUIVER_BF2:
		memcpy(&half, vector + 2 * i, 2);
		bits = (uint32_t)half << 16;
		memcpy(&single, &bits, 4);
		return single;
	case QUIVER_I1:
		return (int8_t)vector[i];
	case QUIVER_U1:
		return vector[i];
	default:
		return vector[i / 8] & 128 >> i % 8 ? 1 : 0;
	}
}

static void make_vector(const struct distance *distance, enum kind kind, uint8_t *vector)
{
	double same = next_fraction() - 0.5;
	uint8_t byte = (uint8_t)next_random();

	switch (distance->dtype) {
	case QUIVER_I1:
	case QUIVER_U1:
	case QUIVER_B1:
		/* Of the last kind the largest that there are. */
		if (kind == SAME)
			byte = distance->dtype == QUIVER_I1 ? 128 : 255;
		for (size_t i = 0; i < distance->vector_bytes; i++)
			vector[i] = kind == SPREAD ? (uint8_t)next_random()
			                           : (uint8_t)(byte ^ (kind == SHIFTED &&
			                                               next_random() % 8 == 0));
		break;
	default:
		for (size_t i = 0; i < distance->dim; i++)
			put_element(distance->dtype, vector, i, element_of(kind, same));
	}
}

/* ---- a case ---- */

struct world {
	struct distance distance;
	struct distance_questions questions;
	uint8_t *question_bytes, *row_bytes;
	const void *vectors[QUESTIONS_MAX], *rows[DISTANCE_ROWS_MAX];
	size_t count, row_count;
	float *scores, norm_max;
};

/* Space for vectors, at addresses that are no multiples of anything. Where ASan can see it, what is read
 * beside the first and the last is a fault. */
static uint8_t *place(const struct distance *distance, const void **vectors, size_t count)
{
	size_t bytes = count * distance->vector_bytes + (count - 1) + 1;
	uint8_t *at = malloc(bytes);

	assert_non_null(at);
	for (size_t i = 0; i < count; i++)
		vectors[i] = at + 1 + i * distance->vector_bytes + (i > 0 ? i - 1 : 0);
	return at;
}

static void world_make(struct world *world, const struct distance *distance, size_t count,
                       size_t row_count, enum kind kind)
{
	*world = (struct world){ .distance = *distance, .count = count, .row_count = row_count };
	world->question_bytes = place(distance, world->vectors, count);
	world->row_bytes = place(distance, world->rows, row_count);
	for (size_t j = 0; j < count; j++)
		make_vector(distance, kind, (uint8_t *)(uintptr_t)world->vectors[j]);
	for (size_t i = 0; i < row_count; i++)
		make_vector(distance, kind, (uint8_t *)(uintptr_t)world->rows[i]);
}

static void world_score(struct world *world)
{
	size_t bytes;

	assert_int_equal(distance_questions_init(&world->questions, &world->distance,
	                                         world->vectors, world->count),
	                 0);
	assert_true(world->questions.padded >= world->count);
	bytes = world->row_count * world->questions.padded * sizeof(float);
	world->scores = aligned_alloc(64, (bytes + 63) / 64 * 64);
	assert_non_null(world->scores);
	world->norm_max = 0;
	distance_scores(&world->questions, world->rows, world->row_count, world->scores,
	                &world->norm_max);
}

static double exact_score(const struct world *world, size_t i, size_t j)
{
	return distance_score(&world->distance, world->vectors[j], world->rows[i]);
}

static float fast_score(const struct world *world, size_t i, size_t j)
{
	return world->scores[i * world->questions.padded + j];
}

static void say(const struct world *world, size_t i, size_t j)
{
	const struct distance *distance = &world->distance;

	print_error("%s %s dim %u, row %zu of %zu, question %zu of %zu: %.9g, exactly %.17g\n",
	            quiver_dtype_name(distance->dtype), quiver_metric_name(distance->metric),
	            distance->dim, i, world->row_count, j, world->count,
	            (double)fast_score(world, i, j), exact_score(world, i, j));
}

static bool is_near_enough(const struct world *world, size_t i, size_t j)
{
	double exact = exact_score(world, i, j);
	double error = distance_error(&world->distance, world->vectors[j], exact, world->norm_max);

	return fabs((double)fast_score(world, i, j) - exact) <= error;
}

static void world_free(struct world *world)
{
	distance_questions_free(&world->questions);
	free(world->scores);
	free(world->question_bytes);
	free(world->row_bytes);
}

/* ---- fast scores ---- */

static void check_case(const struct distance *distance, size_t count, size_t row_count,
                       enum kind kind)
{
	struct world world;

	world_make(&world, distance, count, row_count, kind);
	world_score(&world);
	for (size_t i = 0; i < row_count; i++) {
		for (size_t j = 0; j < count; j++) {
			double exact = exact_score(&world, i, j);
			bool right = isnan(exact) ? isnan(fast_score(&world, i, j))
			                          : is_near_enough(&world, i, j);

			if (!right)
				say(&world, i, j);
			assert_true(right);
		}
	}
	world_free(&world);
}

/* All metrics of one dtype and dim, with each number of questions; each of them with one kind of vectors. */
static void check_dim(enum quiver_dtype dtype, uint32_t dim, const size_t *counts,
                      size_t count_of_counts, size_t row_count)
{
	struct distance distance;

	for (size_t m = 0; m < LENGTH(metrics); m++) {
		if (distance_init(&distance, metrics[m], dtype, dim) != 0)
			continue;
		for (size_t c = 0; c < count_of_counts; c++)
			check_case(&distance, counts[c], row_count,
			           (enum kind)((dim + c + row_count) % KINDS));
	}
}

static void test_small_vectors(void **state)
{
	static const size_t counts[] = { 1, 2, 3, 5, 8, 9, 33, 64, 65, 200 };

	(void)state;
	for (size_t t = 0; t < LENGTH(dtypes); t++) {
		uint32_t step = dtypes[t] == QUIVER_B1 ? 8 : 1;

		for (uint32_t dim = step; dim <= 70; dim += step)
			check_dim(dtypes[t], dim, counts, LENGTH(counts), 1 + dim % 13);
	}
}

static void test_more_elements_than_are_computed_at_once(void **state)
{
	static const uint32_t dims[] = { 127, 128, 129, 255, 256, 257, 768, 4099, 65536 };
	static const size_t counts[] = { 1, 4, 16, 65 };

	(void)state;
	for (size_t t = 0; t < LENGTH(dtypes); t++) {
		for (size_t d = 0; d < LENGTH(dims); d++) {
			if (dtypes[t] == QUIVER_B1 && dims[d] % 8 != 0)
				continue;
			check_dim(dtypes[t], dims[d], counts, dims[d] > 4000 ? 3 : LENGTH(counts),
			          dims[d] > 4000 ? 2 : 7);
		}
	}
}

static void test_every_number_of_rows(void **state)
{
	static const size_t counts[] = { 1, 7, 20, 64 };

	(void)state;
	for (size_t t = 0; t < LENGTH(dtypes); t++)
		for (size_t rows = 1; rows <= DISTANCE_ROWS_MAX; rows += rows < 20 ? 1 : 11)
			check_dim(dtypes[t], 72, counts, LENGTH(counts), rows);
}

/* ---- scores within limits ---- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The limit of question j: such that `near` of the rows are not above it. */
static float limit_of(const struct world *world, size_t j, size_t near)
{
	double exact[DISTANCE_ROWS_MAX], room;

	for (size_t i = 0; i < world->row_count; i++) {
		exact[i] = exact_score(world, i, j);
		if (isnan(exact[i])) /* a row of zeros, of few elements */
			exact[i] = INFINITY;
	}
	qsort(exact, world->row_count, sizeof(*exact), compare_doubles);
	if (near > 0)
		return nextafterf((float)exact[near - 1], INFINITY);
	/* Far below the nearest, for scores of these vectors. */
	room = (exact[world->row_count - 1] - exact[0]) / 2;
	return (float)(exact[0] - room - fabs(exact[0]) / 64);
}

/* What is told of the scores. */
struct told {
	size_t untold; /* to be computed exactly */
	size_t above; /* only that they are above the limit */
};

static struct told check_within(struct world *world, size_t near)
{
	float limits[256];
	struct told told = { 0 };

	for (size_t j = 0; j < 256; j++)
		limits[j] = j < world->count ? limit_of(world, j, near) : (float)NAN;
	distance_scores_within(&world->questions, world->rows, world->row_count, limits,
	                       world->scores, &world->norm_max);
	for (size_t i = 0; i < world->row_count; i++) {
		for (size_t j = 0; j < world->count; j++) {
			double exact = exact_score(world, i, j);
			float score = fast_score(world, i, j);
			bool is_score = is_near_enough(world, i, j);
			bool right = isnan(score) || is_score ||
			             (score > limits[j] && exact > (double)limits[j]);

			told.untold += isnan(score) && !isnan(exact);
			told.above += !isnan(score) && !is_score;
			if (!right)
				say(world, i, j);
			assert_true(right);
		}
	}
	return told;
}

/* Whether there is another way than to compute them all. */
static bool is_filtered(const struct distance *distance, size_t count)
{
	return strcmp(distance_isa(), "v4i") == 0 && count > 8 && distance->dim >= 64 &&
	       (distance->dtype == QUIVER_F4 || distance->dtype == QUIVER_F2 ||
	        distance->dtype == QUIVER_BF2);
}

static void check_limits(const struct distance *distance, size_t count, enum kind kind)
{
	struct world world;

	for (size_t near = 0; near < 3; near++) {
		struct told told;

		world_make(&world, distance, count, DISTANCE_ROWS_MAX, kind);
		world_score(&world);
		told = check_within(&world, near);
		/* No more than is worth the while. */
		assert_true(told.untold <= count * DISTANCE_ROWS_MAX / 64);
		if (near == 0 && kind == SPREAD && is_filtered(distance, count))
			assert_true(told.above > count * DISTANCE_ROWS_MAX / 2);
		world_free(&world);
	}
}

static void test_scores_that_are_not_above_limits(void **state)
{
	static const enum quiver_dtype of[] = { QUIVER_F4, QUIVER_F2, QUIVER_BF2, QUIVER_F8,
		                                QUIVER_I1 };
	static const uint32_t dims[] = { 1, 3, 17, 64, 100, 256, 257 };
	static const size_t counts[] = { 3, 16, 20, 65, 16 };
	struct distance distance;

	(void)state;
	for (size_t t = 0; t < LENGTH(of); t++)
		for (size_t m = 0; m < 3; m++)
			for (size_t d = 0; d < LENGTH(dims); d++)
				for (int kind = 0; kind < KINDS; kind++) {
					assert_int_equal(distance_init(&distance, metrics[m], of[t],
					                               dims[d]),
					                 0);
					check_limits(&distance, counts[d % LENGTH(counts)],
					             (enum kind)kind);
				}
}

/* ---- numbers that floats cannot hold ---- */

static const double special[] = { NAN,   INFINITY, -INFINITY, 1e30,   -3e38, 1e19,   1e-40,
	                          1e-30, 1e-20,    0,         -1e-45, 1e-7,  6.2e-5, 65504 };

static void check_special(const struct distance *distance, size_t count)
{
	struct world world;

	world_make(&world, distance, count, LENGTH(special), SPREAD);
	/* One element of each row in its middle, or all of them. */
	for (size_t i = 0; i < LENGTH(special); i++)
		for (size_t k = 0; k < distance->dim; k++)
			if (k == distance->dim / 2 || next_random() % 2 == 0 || i % 2 == 0)
				put_element(distance->dtype, (uint8_t *)(uintptr_t)world.rows[i], k,
				            distance->dtype == QUIVER_F2 &&
				                            !(fabs(special[i]) < 65504)
				                    ? 65504
				                    : special[i]);
	world_score(&world);
	for (size_t i = 0; i < world.row_count; i++) {
		for (size_t j = 0; j < count; j++) {
			bool right = isnan(fast_score(&world, i, j)) ||
			             is_near_enough(&world, i, j);

			if (!right)
				say(&world, i, j);
			assert_true(right);
		}
	}
	world_free(&world);
}

static void test_what_floats_cannot_tell_is_no_number(void **state)
{
	static const enum quiver_dtype of[] = { QUIVER_F4, QUIVER_F2, QUIVER_BF2, QUIVER_F8 };
	static const uint32_t dims[] = { 1, 2, 7, 40, 200 };
	static const size_t counts[] = { 1, 6, 64 };
	struct distance distance;

	(void)state;
	for (size_t t = 0; t < LENGTH(of); t++)
		for (size_t m = 0; m < 3; m++)
			for (size_t d = 0; d < LENGTH(dims); d++)
				for (size_t c = 0; c < LENGTH(counts); c++) {
					assert_int_equal(distance_init(&distance, metrics[m], of[t],
					                               dims[d]),
					                 0);
					check_special(&distance, counts[c]);
				}
}

static void test_the_greatest_norm_is_told(void **state)
{
	static const size_t counts[] = { 1, 64 };
	static const enum quiver_dtype of[] = { QUIVER_F4, QUIVER_F2, QUIVER_F8 };
	struct distance distance, ip;

	(void)state;
	for (size_t t = 0; t < LENGTH(of); t++) {
		for (size_t c = 0; c < LENGTH(counts); c++) {
			struct world world;
			double most = 0;

			assert_int_equal(distance_init(&ip, QUIVER_IP, of[t], 100), 0);
			assert_int_equal(distance_init(&distance, QUIVER_IP, of[t], 100), 0);
			world_make(&world, &distance, counts[c], 20, SPREAD);
			world_score(&world);
			for (size_t i = 0; i < 20; i++)
				most = fmax(most, sqrt(-distance_score(&ip, world.rows[i],
				                                       world.rows[i])));
			assert_true(fabs((double)world.norm_max - most) < most * 1e-5);
			world_free(&world);
		}
	}
}

/* ---- hits ---- */

static void test_hits_are_those_not_above_their_limits(void **state)
{
	float scores[64], limits[64];

	(void)state;
	for (size_t count = 1; count <= 64; count++) {
		for (int turn = 0; turn < 20; turn++) {
			uint64_t hits = 0;

			for (size_t i = 0; i < count; i++) {
				scores[i] = (float)(next_random() % 5);
				limits[i] = (float)(next_random() % 5);
				if (next_random() % 7 == 0)
					scores[i] = next_random() % 2 ? NAN : INFINITY;
				if (next_random() % 7 == 0)
					limits[i] = next_random() % 2 ? -INFINITY : INFINITY;
				if (!(scores[i] > limits[i]))
					hits |= UINT64_C(1) << i;
			}
			assert_true(distance_hits(scores, limits, count) == hits);
		}
	}
}

/* ---- exact scores ---- */

struct reference {
	long double score, error; /* of the score in double */
};

static struct reference reference_of(const struct distance *distance, const void *a, const void *b)
{
	long double squares = 0, product = 0, size = 0, aa = 0, bb = 0, bits = 0;
	long double sum = (distance->dim + 8) * 0x1p-52L;

	for (size_t i = 0; i < distance->dim; i++) {
		long double x = element_at(distance->dtype, a, i);
		long double y = element_at(distance->dtype, b, i);

		squares += (x - y) * (x - y);
		product += x * y;
		size += fabsl(x * y);
		aa += x * x;
		bb += y * y;
		if (distance->metric == QUIVER_HAMMING)
			bits += __builtin_popcount((unsigned)x ^ (unsigned)y);
	}
	switch (distance->metric) {
	case QUIVER_L2:
		return (struct reference){ squares, squares * sum };
	case QUIVER_IP:
		return (struct reference){ -product, size * sum };
	case QUIVER_COSINE:
		return (struct reference){ -product / sqrtl(aa) / sqrtl(bb), 2 * sum };
	default:
		return (struct reference){ bits, 0 };
	}
}

static void check_exact(const struct distance *distance, enum kind kind)
{
	bool whole = distance->dtype == QUIVER_I1 || distance->dtype == QUIVER_U1 ||
	             distance->dtype == QUIVER_B1;
	struct world world;

	world_make(&world, distance, 2, 3, kind);
	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 2; j++) {
			struct reference right =
				reference_of(distance, world.vectors[j], world.rows[i]);
			double score = exact_score(&world, i, j);

			if (isnan((double)right.score))
				assert_true(isnan(score));
			else if (whole && distance->metric != QUIVER_COSINE)
				assert_true((long double)score == right.score);
			else
				assert_true(fabsl((long double)score - right.score) <= right.error);
		}
	}
	world_free(&world);
}

static void test_exact_scores(void **state)
{
	static const uint32_t dims[] = {
		1, 2, 3, 8, 15, 16, 17, 64, 100, 255, 256, 257, 768, 65536
	};
	struct distance distance;

	(void)state;
	for (size_t t = 0; t < LENGTH(dtypes); t++)
		for (size_t m = 0; m < LENGTH(metrics); m++)
			for (size_t d = 0; d < LENGTH(dims); d++)
				for (int kind = 0; kind < KINDS; kind++)
					if ((dtypes[t] != QUIVER_B1 || dims[d] % 8 == 0) &&
					    distance_init(&distance, metrics[m], dtypes[t],
					                  dims[d]) == 0)
						check_exact(&distance, (enum kind)kind);
}

static void test_elements_of_all_float16_numbers(void **state)
{
	struct distance distance;
	uint16_t all[65536];
	float *numbers = malloc(sizeof(*numbers) * 65536);

	(void)state;
	assert_non_null(numbers);
	assert_int_equal(distance_init(&distance, QUIVER_L2, QUIVER_F2, 65536), 0);
	for (size_t i = 0; i < 65536; i++)
		all[i] = (uint16_t)i;
	distance_floats(&distance, all, numbers);
	for (size_t i = 0; i < 65536; i++)
		assert_true(isnan(numbers[i])
		                    ? isnan((double)number_of_half((uint16_t)i))
		                    : (long double)numbers[i] == number_of_half((uint16_t)i));
	free(numbers);
}

/* The kernels' own conversion: the product of each number and 1. */
static void test_scores_of_all_float16_numbers(void **state)
{
	static const uint8_t one[16] = { 0x00, 0x3c };
	const void *question = one;
	struct distance distance;
	struct distance_questions questions;
	_Alignas(64) float scores[DISTANCE_ROWS_MAX];

	(void)state;
	assert_int_equal(distance_init(&distance, QUIVER_IP, QUIVER_F2, 8), 0);
	assert_int_equal(distance_questions_init(&questions, &distance, &question, 1), 0);
	for (uint32_t bits = 0; bits < 65536; bits++) {
		uint16_t row[8] = { (uint16_t)bits };
		const void *rows = row;
		long double number = number_of_half((uint16_t)bits);
		float norm_max = 0;

		distance_scores(&questions, &rows, 1, scores, &norm_max);
		if (isfinite((double)number))
			assert_true((long double)scores[0] == -number);
		else
			assert_true(isnan(scores[0]));
	}
	distance_questions_free(&questions);
}

static void test_vectors_that_have_no_distance(void **state)
{
	struct distance l2, cosine;
	float nothing[3] = { 0 }, infinite[3] = { 1, INFINITY, 1 }, no_number[3] = { NAN, 1, 1 };
	float some[3] = { 0, 1e-30f, 3e38f };
	double large[3] = { 1e300, -1e300, 1 }, small[3] = { 0, 5e-324, 0 }, none[3] = { 0 };

	(void)state;
	assert_int_equal(distance_init(&l2, QUIVER_L2, QUIVER_F4, 3), 0);
	assert_true(distance_has_any(&l2, nothing) && distance_has_any(&l2, some));
	assert_false(distance_has_any(&l2, infinite) || distance_has_any(&l2, no_number));
	assert_int_equal(distance_init(&cosine, QUIVER_COSINE, QUIVER_F4, 3), 0);
	assert_true(distance_has_any(&cosine, some));
	assert_false(distance_has_any(&cosine, nothing) || distance_has_any(&cosine, infinite) ||
	             distance_has_any(&cosine, no_number));
	assert_int_equal(distance_init(&cosine, QUIVER_COSINE, QUIVER_F8, 3), 0);
	assert_false(distance_has_any(&cosine, none));
	assert_true(fabs(distance_score(&cosine, large, large) + 1) < 1e-15);
	assert_true(fabs(distance_score(&cosine, small, small) + 1) < 1e-15);
	assert_true(fabs(distance_score(&cosine, large, small) - sqrt(0.5)) < 1e-15);
	assert_int_equal(distance_init(&l2, QUIVER_HAMMING, QUIVER_F4, 3), -EINVAL);
	assert_int_equal(distance_init(&l2, QUIVER_HAMMING, QUIVER_I1, 3), -EINVAL);
}

/* ---- the choice ---- */

static void child_says(int to, const char *wanted)
{
	const char *isa;

	if (setenv("QUIVERFS_ISA", wanted, 1) != 0)
		_exit(1);
	isa = distance_isa();
	_exit(write(to, isa, strlen(isa) + 1) == (ssize_t)strlen(isa) + 1 ? 0 : 1);
}

/* What a process uses that was told `wanted`. */
static void isa_of(const char *wanted, char *isa, size_t size)
{
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_says(ends[1], wanted);
	assert_true(read(ends[0], isa, size) > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
}

/* Before the first that computes. */
static void test_a_name_that_is_none_is_the_best_there_is(void **state)
{
	static const char *const names[] = { "base", "v2", "v3", "v4", "v4i" };
	char best[16], isa[16];

	(void)state;
	isa_of("", best, sizeof(best));
	isa_of("no such thing", isa, sizeof(isa));
	assert_string_equal(isa, best);
	for (size_t i = 0; i < LENGTH(names); i++) {
		isa_of(names[i], isa, sizeof(isa));
		assert_true(strcmp(isa, names[i]) == 0 || strcmp(isa, best) == 0);
	}
	isa_of("base", isa, sizeof(isa));
	assert_string_equal(isa, "base");
}

static void test_the_environment_is_heard(void **state)
{
	const char *wanted = getenv("QUIVERFS_ISA");

	(void)state;
	print_message("# computes with %s\n", distance_isa());
	if (wanted && strcmp(wanted, distance_isa()) != 0) {
		print_message("# this machine has no %s\n", wanted);
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_that_is_none_is_the_best_there_is),
		cmocka_unit_test(test_the_environment_is_heard),
		cmocka_unit_test(test_small_vectors),
		cmocka_unit_test(test_more_elements_than_are_computed_at_once),
		cmocka_unit_test(test_every_number_of_rows),
		cmocka_unit_test(test_scores_that_are_not_above_limits),
		cmocka_unit_test(test_what_floats_cannot_tell_is_no_number),
		cmocka_unit_test(test_the_greatest_norm_is_told),
		cmocka_unit_test(test_hits_are_those_not_above_their_limits),
		cmocka_unit_test(test_exact_scores),
		cmocka_unit_test(test_elements_of_all_float16_numbers),
		cmocka_unit_test(test_scores_of_all_float16_numbers),
		cmocka_unit_test(test_vectors_that_have_no_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
