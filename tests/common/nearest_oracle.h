/*
 * nearest_oracle.h - which vectors are nearest, as plain arithmetic finds it: one after the other, each
 * from its bytes, with nothing of the engine's. And whether an answer says so.
 */
#ifndef NEAREST_ORACLE_H
#define NEAREST_ORACLE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/media/bytes.h"
#include "engine/quiver.h"

/* How far a distance may be from the truth, as a share of the sum of what it is added up from, without
 * signs: as quiver(3) says. Of integers and bits nothing. */
#define ORACLE_ROUNDING 1e-12

/* What a store should hold. */
struct nearest_set {
	enum quiver_dtype dtype;
	uint32_t dim;
	uint32_t n; /* bytes of a vector */
	size_t count;
	uint64_t *ids;
	uint8_t *vectors; /* count * n */
};

struct oracle_distance {
	double distance; /* NaN: none */
	double slack; /* that is allowed; INFINITY: any distance, or none */
};

static inline const uint8_t *nearest_vector(const struct nearest_set *set, size_t i)
{
	return set->vectors + i * set->n;
}

static inline double oracle_float(uint32_t bits)
{
	float number;

	memcpy(&number, &bits, sizeof(number));
	return (double)number;
}

/* IEEE 754 binary16, by its definition. */
static inline double oracle_half(uint16_t bits)
{
	int exponent = bits >> 10 & 31, fraction = bits & 1023;
	double size = exponent == 0 ? fraction * 0x1p-24
	                            : (1024 + fraction) * (double)(1u << exponent) * 0x1p-25;

	if (exponent == 31)
		size = fraction == 0 ? INFINITY : NAN;
	return bits & 0x8000 ? -size : size;
}

static inline double oracle_element(enum quiver_dtype dtype, const uint8_t *vector, uint32_t i)
{
	uint64_t bits;
	double number;

	switch (dtype) {
	case QUIVER_F4:
		return oracle_float(get_le32(vector + 4 * (size_t)i));
	case QUIVER_F2:
		return oracle_half(get_le16(vector + 2 * (size_t)i));
	case QUIVER_F8:
		bits = get_le64(vector + 8 * (size_t)i);
		memcpy(&number, &bits, sizeof(number));
		return number;
	case QUIVER_I1:
		return vector[i] < 128 ? vector[i] : vector[i] - 256;
	case QUIVER_U1:
		return vector[i];
	case QUIVER_BF2:
		return oracle_float((uint32_t)get_le16(vector + 2 * (size_t)i) << 16);
	case QUIVER_B1:
		return vector[i / 8] >> (7 - i % 8) & 1;
	}
	return NAN;
}

static inline bool oracle_is_integer(enum quiver_dtype dtype)
{
	return dtype == QUIVER_I1 || dtype == QUIVER_U1 || dtype == QUIVER_B1;
}

static inline double oracle_hamming(const struct nearest_set *set, const uint8_t *a,
                                    const uint8_t *b)
{
	unsigned bits = 0;

	for (uint32_t i = 0; i < set->n * 8; i++)
		bits += (unsigned)(a[i / 8] ^ b[i / 8]) >> i % 8 & 1;
	return bits;
}

/* Products are rounded to double, and so overflow as in double; they are added up in more. Where the sum
 * may overflow on the way, nothing is known. The squares of a cosine have room for any double. */
static inline struct oracle_distance oracle_distance(const struct nearest_set *set, int metric,
                                                     const uint8_t *a, const uint8_t *b)
{
	long double sum = 0, sizes = 0, xy = 0, xx = 0, yy = 0;
	struct oracle_distance found = { .slack = 0 };

	if (metric == QUIVER_HAMMING)
		return (struct oracle_distance){ .distance = oracle_hamming(set, a, b) };
	for (uint32_t i = 0; i < set->dim; i++) {
		double x = oracle_element(set->dtype, a, i), y = oracle_element(set->dtype, b, i);
		volatile double term = metric == QUIVER_L2 ? (x - y) * (x - y) : x * y;

		sum += (long double)term;
		sizes += fabsl((long double)term);
		if (metric == QUIVER_COSINE) {
			xy += (long double)x * y;
			xx += (long double)x * x;
			yy += (long double)y * y;
		}
	}
	if (metric == QUIVER_COSINE) {
		found.distance = xx > 0 && yy > 0 ? (double)(1 - xy / (sqrtl(xx) * sqrtl(yy)))
		                                  : NAN;
		found.slack = ORACLE_ROUNDING;
		return found;
	}
	found.distance = (double)sum;
	if (isfinite(sizes) && !oracle_is_integer(set->dtype))
		found.slack = (double)(ORACLE_ROUNDING * sizes);
	if (isfinite(sizes) && isinf((double)sizes))
		found.slack = INFINITY;
	return found;
}

/* ---- questions ---- */

/* One question of a call. */
struct nearest_case {
	const struct nearest_set *set;
	const struct quiver_question *question;
	int metric; /* that is meant */
	size_t at; /* which */
	bool is_exact; /* the elements are small integers: nothing is rounded */
	const bool *meant; /* which vectors of the set it is about (oracle_filter) */
	struct oracle_distance *truth; /* of each vector of the set; NaN: may not be answered */
};

static inline bool oracle_is_nearer(int metric, double a, double b)
{
	return metric == QUIVER_IP ? a > b : a < b;
}

static inline size_t oracle_place(const struct nearest_set *set, uint64_t id)
{
	size_t i = 0;

	while (i < set->count && set->ids[i] != id)
		i++;
	return i;
}

/* Which vectors the filter of a question leaves: meant[0 ... set->count - 1]. */
static inline void oracle_filter(const struct nearest_set *set,
                                 const struct quiver_question *question, bool *meant)
{
	memset(meant, question->ids == NULL, set->count);
	for (size_t j = 0; question->ids && j < question->id_count; j++) {
		size_t i = oracle_place(set, question->ids[j]);

		if (i < set->count)
			meant[i] = true;
	}
}

static inline bool oracle_may(const struct nearest_case *c, size_t i)
{
	const uint64_t *except = c->question->except;

	return c->meant[i] && !(except && except[c->at] == c->set->ids[i]);
}

static inline void oracle_measure(struct nearest_case *c)
{
	const uint8_t *question = (const uint8_t *)c->question->vectors + c->at * (size_t)c->set->n;

	for (size_t i = 0; i < c->set->count; i++) {
		c->truth[i].distance = NAN;
		if (oracle_may(c, i))
			c->truth[i] = oracle_distance(c->set, c->metric, question,
			                              nearest_vector(c->set, i));
		if (c->is_exact && c->metric != QUIVER_COSINE)
			c->truth[i].slack = 0;
	}
}

/* Whether a vector at this distance is near enough to be asked for: 1, 0, or -1 where rounding may
 * decide either way. */
static inline int oracle_is_within(const struct nearest_case *c, struct oracle_distance truth)
{
	double within = c->question->within;

	if (isnan(truth.distance))
		return 0;
	if (isinf(truth.slack))
		return -1;
	if (!(c->question->flags & QUIVER_NEAREST_WITHIN))
		return 1;
	if (truth.slack > 0 && fabs(truth.distance - within) <= truth.slack)
		return -1;
	return !oracle_is_nearer(c->metric, within, truth.distance);
}

static inline bool oracle_same(struct oracle_distance truth, double told)
{
	return truth.distance == told || isinf(truth.slack) ||
	       fabs(truth.distance - told) <= truth.slack;
}

/* What was answered. */
struct oracle_answers {
	const struct quiver_neighbour *answers;
	uint32_t found;
	bool *taken; /* of each vector of the set: whether it is an answer */
	size_t *places; /* of each answer: which vector it is */
};

/* Why the answers in order are wrong, or NULL. */
static inline const char *oracle_look_at(const struct nearest_case *c, struct oracle_answers *told)
{
	const struct quiver_neighbour *answers = told->answers;

	for (uint32_t j = 0; j < told->found; j++) {
		size_t i = told->places[j] = oracle_place(c->set, answers[j].id);

		if (i == c->set->count)
			return "an answer that is not in the store";
		if (told->taken[i])
			return "one vector twice";
		if (oracle_is_within(c, c->truth[i]) == 0)
			return "an answer that may be none";
		if (!oracle_same(c->truth[i], answers[j].distance))
			return "a wrong distance";
		if (j > 0 &&
		    oracle_is_nearer(c->metric, answers[j].distance, answers[j - 1].distance))
			return "not in order";
		if (j > 0 && answers[j].distance == answers[j - 1].distance &&
		    answers[j].id < answers[j - 1].id)
			return "a tie not by the ID";
		told->taken[i] = true;
	}
	return NULL;
}

/* The answer with the same bytes as vector `i`, if there is one. */
static inline const struct quiver_neighbour *oracle_twin(const struct nearest_case *c, size_t i,
                                                         const struct oracle_answers *told)
{
	for (uint32_t j = 0; j < told->found; j++)
		if (memcmp(nearest_vector(c->set, i), nearest_vector(c->set, told->places[j]),
		           c->set->n) == 0)
			return &told->answers[j];
	return NULL;
}

/* Whether vector `i`, which is no answer, should have been one. */
static inline bool oracle_misses(const struct nearest_case *c, size_t i,
                                 const struct oracle_answers *told)
{
	const struct quiver_neighbour *last = &told->answers[told->found - 1];
	const struct quiver_neighbour *twin = oracle_twin(c, i, told);
	struct oracle_distance truth = c->truth[i];

	if (twin)
		truth = (struct oracle_distance){ .distance = twin->distance };
	if (truth.slack == 0 && truth.distance == last->distance)
		return c->set->ids[i] < last->id;
	return oracle_is_nearer(c->metric, truth.distance, last->distance) &&
	       (truth.slack == 0 || fabs(truth.distance - last->distance) > truth.slack);
}

/* Why one that is no answer should be one, or NULL. */
static inline const char *oracle_look_for(const struct nearest_case *c,
                                          const struct oracle_answers *told)
{
	for (size_t i = 0; i < c->set->count; i++) {
		if (told->taken[i] || oracle_is_within(c, c->truth[i]) != 1)
			continue;
		if (told->found < c->question->k)
			return "fewer than there are";
		if (oracle_misses(c, i, told))
			return "a nearer one is missed";
	}
	return NULL;
}

/* Why an answer is wrong, or NULL. With `some` it may miss vectors, as one by an index may. */
static inline const char *oracle_judge(const struct nearest_case *c,
                                       const struct quiver_neighbour *answers, uint32_t found,
                                       bool some)
{
	struct oracle_answers told = { .answers = answers,
		                       .found = found,
		                       .taken = calloc(c->set->count + 1, sizeof(bool)),
		                       .places = calloc((size_t)found + 1, sizeof(size_t)) };
	const char *why = "more than were asked for";

	if (!told.taken || !told.places)
		abort();
	if (found <= c->question->k)
		why = oracle_look_at(c, &told);
	if (!why && !some)
		why = oracle_look_for(c, &told);
	free(told.taken);
	free(told.places);
	return why;
}

#endif
