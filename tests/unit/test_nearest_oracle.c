#include "unit.h"

#include "store_test.h"
#include "tests/common/nearest_oracle.h"

/* quiver_nearest is held to plain arithmetic (nearest_oracle.h): all dtypes, metrics and shapes, on
 * elements of which sums are exact, on ordinary ones, on such as single precision hardly tells apart, and
 * on any bits that there are. */
#define VECTORS_MAX 300u
#define LARGE_VECTORS 100u /* where each has more than LARGE_DIM elements */
#define LARGE_DIM 128u
#define LARGEST_VECTORS 12u
#define SPECIAL 6u /* of them are zeros, infinities and the like */
#define QUESTIONS_MAX 70u /* of one call: more than one tile of them */
#define SPARE_K 40u /* more than there are */
#define MANY_VECTORS 12000u /* more than are kept where single precision does not tell */
#define MANY_QUESTIONS 40u
#define ELEMENTS_OF_CALL (1u << 19) /* that plain arithmetic compares, about */
#define ROUNDS 3

enum elements { SMALL_INTEGERS, ORDINARY, ALIKE, ANY_BITS, ELEMENTS };

struct world {
	struct store_dir dir;
	double offset, scale; /* of many vectors: (offset + a small integer) * scale */
	struct nearest_set set;
	enum elements elements;
	struct quiver *store;
	uint64_t random;
};

/* ---- vectors ---- */

static uint16_t half_bits(double number)
{
	int exponent;
	double size = frexp(fabs(number), &exponent);
	uint16_t sign = signbit(number) ? 0x8000 : 0;

	if (size == 0 || exponent < -13)
		return sign;
	return (uint16_t)(sign | (uint16_t)((exponent + 14) << 10) |
	                  ((uint16_t)(size * 2048) & 1023));
}

static void put_number(enum quiver_dtype dtype, uint8_t *vector, uint32_t i, double number)
{
	float single = (float)number;
	uint32_t bits;
	uint64_t more;

	memcpy(&bits, &single, sizeof(bits));
	memcpy(&more, &number, sizeof(more));
	switch (dtype) {
	case QUIVER_F4:
		put_le32(vector + 4 * (size_t)i, bits);
		break;
	case QUIVER_F2:
		put_le16(vector + 2 * (size_t)i, half_bits(number));
		break;
	case QUIVER_F8:
		put_le64(vector + 8 * (size_t)i, more);
		break;
	case QUIVER_BF2:
		put_le16(vector + 2 * (size_t)i, (uint16_t)(bits >> 16));
		break;
	case QUIVER_I1:
	case QUIVER_U1:
		vector[i] = (uint8_t)(int)number;
		break;
	case QUIVER_B1:
		vector[i / 8] |= (uint8_t)((number > 0) << (7 - i % 8));
		break;
	}
}

static double any_number(struct world *w)
{
	if (w->elements == SMALL_INTEGERS)
		return (double)test_below(&w->random, 7) - (w->set.dtype == QUIVER_U1 ? 0 : 3);
	if (w->elements == ALIKE)
		return 1 + (double)test_below(&w->random, 1000) *
		                   (w->set.dtype == QUIVER_F8 ? 1e-10 : 0x1p-23);
	/* something like a bell */
	return (double)(test_below(&w->random, 64) + test_below(&w->random, 64)) / 0.97 -
	       (w->set.dtype == QUIVER_U1 ? 0 : 64);
}

static void make_vector(struct world *w, uint8_t *vector)
{
	memset(vector, 0, w->set.n);
	if (w->elements == ANY_BITS)
		for (uint32_t i = 0; i < w->set.n; i++)
			vector[i] = (uint8_t)test_random(&w->random);
	else
		for (uint32_t i = 0; i < w->set.dim; i++)
			put_number(w->set.dtype, vector, i, any_number(w));
}

/* Zeros, less than zero, the largest, infinities, the smallest, and no number. */
static void make_special(struct world *w, unsigned which, uint8_t *vector)
{
	static const double numbers[SPECIAL] = { 0, -0.0, 3e38, INFINITY, 0x1p-149, NAN };
	double number = numbers[which];

	memset(vector, 0, w->set.n);
	if (oracle_is_integer(w->set.dtype)) {
		memset(vector, which % 2 ? 0xff : 0x80, which == 0 ? 0 : w->set.n);
		return;
	}
	if (w->set.dtype == QUIVER_F8 && isfinite(number) && number != 0)
		number = number > 1 ? 1e300 : 0x1p-1074;
	if (w->set.dtype == QUIVER_F2 && number != 0) {
		put_le16(vector, isnan(number)   ? 0x7e00
		                 : isinf(number) ? 0x7c00
		                 : number > 1    ? 0x7bff
		                                 : 0x0001);
		return;
	}
	put_number(w->set.dtype, vector, w->set.dim - 1, number);
}

/* A third are the same as another one, so that there are more than are asked for. */
static void make_vectors(struct world *w)
{
	struct nearest_set *set = &w->set;

	for (size_t i = 0; i < set->count; i++) {
		uint8_t *vector = set->vectors + i * set->n;

		if (i < SPECIAL && w->elements != SMALL_INTEGERS)
			make_special(w, (unsigned)i, vector);
		else if (i > SPECIAL && test_below(&w->random, 3) == 0)
			memcpy(vector, set->vectors + SPECIAL * (size_t)set->n, set->n);
		else
			make_vector(w, vector);
		set->ids[i] = test_random(&w->random) >> test_below(&w->random, 60);
		if (set->ids[i] > QUIVER_ID_MAX || oracle_place(set, set->ids[i]) < i)
			set->ids[i] = UINT64_C(1) << 50 | i;
	}
	set->ids[0] = QUIVER_ID_MAX;
}

/* ---- the store ---- */

static void put_bytes(struct world *w, uint64_t id, const uint8_t *vector)
{
	static const struct quiver_attr attr = { .mode = 0644 };

	assert_int_equal(quiver_put(w->store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

/* As vectors come to be: some were others before, or were called otherwise. */
static void put_set(struct world *w)
{
	const uint64_t away = QUIVER_ID_MAX - 1;
	struct nearest_set *set = &w->set;

	for (size_t i = 0; i < set->count; i++) {
		const uint8_t *vector = nearest_vector(set, i);
		uint64_t way = test_below(&w->random, 6);

		if (way == 0)
			put_bytes(w, set->ids[i],
			          nearest_vector(set, test_below(&w->random, i + 1)));
		if (way == 1) {
			put_bytes(w, away, vector);
			assert_int_equal(quiver_rename(w->store, away, set->ids[i], 0, NULL), 0);
			continue;
		}
		put_bytes(w, set->ids[i], vector);
		if (way == 2) {
			put_bytes(w, away, vector);
			assert_int_equal(quiver_remove(w->store, away, 0, NULL), 0);
		}
	}
}

static void world_open(struct world *w, enum quiver_dtype dtype, uint32_t dim,
                       enum elements elements, size_t count)
{
	unit_dir_make(&w->dir.dir);
	store_create(&w->dir, dim, dtype);
	w->store = open_mode(&w->dir, QUIVER_NONE);
	w->elements = elements;
	w->set = (struct nearest_set){ .dtype = dtype, .dim = dim, .n = w->dir.n, .count = count };
	w->set.ids = calloc(count + 1, sizeof(*w->set.ids));
	w->set.vectors = calloc(count + 1, w->set.n);
	assert_non_null(w->set.ids);
	assert_non_null(w->set.vectors);
	if (count > 0)
		make_vectors(w);
	put_set(w);
	if (test_below(&w->random, 2)) {
		close_store(w->store);
		w->store = open_mode(&w->dir, QUIVER_NONE);
	}
}

static void world_close(struct world *w)
{
	close_store(w->store);
	unit_dir_remove(&w->dir.dir);
	free(w->set.ids);
	free(w->set.vectors);
}

/* ---- questions ---- */

/* One call, and what it says. */
struct call {
	struct quiver_question question;
	uint8_t *vectors; /* one byte behind its begin: with any alignment */
	uint64_t ids[2 * VECTORS_MAX], except[QUESTIONS_MAX];
	struct quiver_neighbour *answers;
	uint32_t found[QUESTIONS_MAX];
};

static bool has_distances(const struct world *w, int metric, const uint8_t *vector)
{
	struct oracle_distance self = oracle_distance(&w->set, metric, vector, vector);

	return !isnan(self.distance) && !isinf(self.slack);
}

/* One that has distances, of the store or none of it. */
static void make_question(struct world *w, int metric, uint8_t *to)
{
	for (int tries = 0; tries < 1000; tries++) {
		if (w->set.count > 0 && test_below(&w->random, 2))
			memcpy(to, nearest_vector(&w->set, test_below(&w->random, w->set.count)),
			       w->set.n);
		else
			make_vector(w, to);
		if (has_distances(w, metric, to))
			return;
	}
	memset(to, 0, w->set.n); /* among many any bits one is always no number */
	put_number(w->set.dtype, to, 0, 1);
}

/* Some that are there, in no order, some of them twice, and some that are not. */
static void make_filter(struct world *w, struct call *call)
{
	size_t count = test_below(&w->random, 2 * VECTORS_MAX);

	if (test_below(&w->random, 8) == 0)
		count = 0;
	for (size_t i = 0; i < count; i++)
		call->ids[i] = w->set.count > 0 && test_below(&w->random, 8) > 0
		                       ? w->set.ids[test_below(&w->random, w->set.count)]
		                       : test_random(&w->random);
	call->question.ids = call->ids;
	call->question.id_count = count;
}

static void make_limits(struct world *w, struct call *call, int metric)
{
	struct quiver_question *question = &call->question;

	if (test_below(&w->random, 3) == 0)
		make_filter(w, call);
	if (test_below(&w->random, 3) == 0) {
		for (size_t j = 0; j < question->count; j++)
			call->except[j] = w->set.count > 0 && test_below(&w->random, 4) > 0
			                          ? w->set.ids[test_below(&w->random, w->set.count)]
			                          : QUIVER_ID_NONE;
		question->except = call->except;
	}
	if (test_below(&w->random, 3) == 0 && w->set.count > 0) {
		const uint8_t *other =
			nearest_vector(&w->set, test_below(&w->random, w->set.count));

		question->within =
			oracle_distance(&w->set, metric, call->vectors + 1, other).distance;
		if (!isnan(question->within))
			question->flags |= QUIVER_NEAREST_WITHIN;
	}
}

static void make_call(struct world *w, struct call *call, int metric)
{
	static const uint32_t ks[] = { 1, 2, 10, 33 };
	struct quiver_question *question = &call->question;
	size_t most = ELEMENTS_OF_CALL / ((w->set.count + 1) * w->set.dim) + 1;
	uint64_t k = test_below(&w->random, 5);

	*call = (struct call){ .question = { .size = sizeof(*question), .metric = metric } };
	question->count = 1 + test_below(&w->random, most < QUESTIONS_MAX ? most : QUESTIONS_MAX);
	question->k = k < 4 ? ks[k] : (uint32_t)w->set.count + SPARE_K;
	question->flags = test_below(&w->random, 2) ? QUIVER_NEAREST_EXACT : 0;
	call->vectors = malloc(1 + question->count * w->set.n);
	call->answers = calloc(question->count * question->k, sizeof(*call->answers));
	assert_non_null(call->vectors);
	assert_non_null(call->answers);
	for (size_t j = 0; j < question->count; j++)
		make_question(w, metric, call->vectors + 1 + j * w->set.n);
	question->vectors = call->vectors + 1;
	make_limits(w, call, metric);
}

static void free_call(struct call *call)
{
	free(call->vectors);
	free(call->answers);
}

static void judge_call(struct world *w, const struct call *call, int metric)
{
	static struct oracle_distance truth[MANY_VECTORS];
	static bool meant[MANY_VECTORS];
	struct nearest_case c = { .set = &w->set,
		                  .question = &call->question,
		                  .metric = metric,
		                  .is_exact = w->elements == SMALL_INTEGERS,
		                  .meant = meant,
		                  .truth = truth };

	oracle_filter(&w->set, &call->question, meant);
	for (c.at = 0; c.at < call->question.count; c.at++) {
		const char *why;

		oracle_measure(&c);
		why = oracle_judge(&c, call->answers + c.at * call->question.k, call->found[c.at],
		                   false);
		if (why)
			fail_msg("%s of %s, dim %u, elements %d, %zu vectors, question %zu of %zu, "
			         "k %u, flags %u%s%s: %s",
			         quiver_metric_name((enum quiver_metric)metric),
			         quiver_dtype_name(w->set.dtype), w->set.dim, (int)w->elements,
			         w->set.count, c.at, call->question.count, call->question.k,
			         call->question.flags, call->question.ids ? ", filter" : "",
			         call->question.except ? ", except" : "", why);
	}
}

static void ask_and_judge(struct world *w, int metric)
{
	struct call *call = malloc(sizeof(*call));

	assert_non_null(call);
	make_call(w, call, metric);
	assert_int_equal(quiver_nearest(w->store, &call->question, call->answers, call->found), 0);
	judge_call(w, call, metric);
	free_call(call);
	free(call);
}

static void check_set(struct world *w)
{
	bool has_bits = w->set.dtype == QUIVER_B1 || w->set.dtype == QUIVER_U1;

	for (int metric = QUIVER_L2; metric <= (has_bits ? QUIVER_HAMMING : QUIVER_IP); metric++)
		for (int round = 0; round < ROUNDS; round++)
			ask_and_judge(w, metric);
}

static void check_dtype(enum quiver_dtype dtype)
{
	static const uint32_t dims[] = { 1, 3, 17, 128, 768, QUIVER_DIM_MAX };
	struct world w = { .random = test_seed() + dtype };

	for (size_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++) {
		uint32_t dim = dtype == QUIVER_B1 ? (dims[i] + 7) / 8 * 8 : dims[i];

		for (int elements = 0; elements < ELEMENTS; elements++) {
			world_open(&w, dtype, dim, (enum elements)elements,
			           dim <= LARGE_DIM        ? VECTORS_MAX
			           : dim == QUIVER_DIM_MAX ? LARGEST_VECTORS
			                                   : LARGE_VECTORS);
			check_set(&w);
			world_close(&w);
		}
	}
}

static void f4_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_F4);
}

static void f2_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_F2);
}

static void f8_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_F8);
}

static void i1_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_I1);
}

static void u1_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_U1);
}

static void bf2_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_BF2);
}

static void b1_is_as_plain_arithmetic_finds(void **state)
{
	(void)state;
	check_dtype(QUIVER_B1);
}

static void an_empty_store_has_no_neighbours_and_one_vector_is_one(void **state)
{
	struct world w = { .random = test_seed() };

	(void)state;
	for (size_t count = 0; count < 3; count++) {
		world_open(&w, QUIVER_F4, 17, ORDINARY, count);
		check_set(&w);
		world_close(&w);
	}
}

/* ---- many vectors, far from zero ---- */

static void make_far_vector(struct world *w, uint8_t *to)
{
	for (uint32_t i = 0; i < w->set.dim; i++)
		put_number(w->set.dtype, to, i,
		           (w->offset + (double)test_below(&w->random, 4096)) * w->scale);
}

static void open_far(struct world *w, enum quiver_dtype dtype, uint32_t dim)
{
	world_open(w, dtype, dim, SMALL_INTEGERS, 0);
	w->set.count = MANY_VECTORS;
	w->set.ids = realloc(w->set.ids, MANY_VECTORS * sizeof(*w->set.ids));
	w->set.vectors = realloc(w->set.vectors, (size_t)MANY_VECTORS * w->set.n);
	assert_non_null(w->set.ids);
	assert_non_null(w->set.vectors);
	for (size_t i = 0; i < MANY_VECTORS; i++) {
		w->set.ids[i] = MANY_VECTORS - i;
		make_far_vector(w, w->set.vectors + i * w->set.n);
		put_bytes(w, w->set.ids[i], nearest_vector(&w->set, i));
	}
}

static void ask_far(struct world *w, int metric, uint32_t k)
{
	struct call *call = calloc(1, sizeof(*call));
	struct quiver_question *question = &call->question;

	assert_non_null(call);
	*question = (struct quiver_question){
		.size = sizeof(*question), .metric = metric, .count = MANY_QUESTIONS, .k = k
	};
	call->vectors = malloc((size_t)MANY_QUESTIONS * w->set.n);
	call->answers = calloc((size_t)MANY_QUESTIONS * k, sizeof(*call->answers));
	assert_non_null(call->vectors);
	assert_non_null(call->answers);
	for (size_t j = 0; j < MANY_QUESTIONS; j++)
		make_far_vector(w, call->vectors + j * w->set.n);
	question->vectors = call->vectors;
	assert_int_equal(quiver_nearest(w->store, question, call->answers, call->found), 0);
	judge_call(w, call, metric);
	free_call(call);
	free(call);
}

/* Sums and squares are exact in double, and of the distances single precision has no digit. */
static void many_vectors_far_from_zero_are_told_apart(void **state)
{
	static const struct {
		enum quiver_dtype dtype;
		double offset, scale;
	} cases[] = {
		{ QUIVER_F4, 0x1p20, 1 },      { QUIVER_F4, 0x1p20, 0x1p-100 },
		{ QUIVER_F4, 0x1p20, 0x1p80 }, { QUIVER_F8, 0x1p38, 1 },
		{ QUIVER_F8, 0, 0x1p-200 },
	};
	struct world w = { .random = test_seed() };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.offset = cases[i].offset;
		w.scale = cases[i].scale;
		open_far(&w, cases[i].dtype, 2);
		ask_far(&w, QUIVER_L2, 10);
		ask_far(&w, QUIVER_L2, 1);
		world_close(&w);
	}
}

/* ---- what is no question ---- */

static int answer_of(struct world *w, const struct quiver_question *question)
{
	struct quiver_neighbour answers[4];
	uint32_t found[4];

	return quiver_nearest(w->store, question, answers, found);
}

static void what_is_no_question_is_refused(void **state)
{
	static const struct {
		struct quiver_question question;
		int want;
	} cases[] = {
		{ { .count = 0, .k = 1 }, -EINVAL },
		{ { .count = 1, .k = 0 }, -EINVAL },
		{ { .count = 1, .k = 1, .metric = QUIVER_HAMMING }, -EINVAL },
		{ { .count = 1, .k = 1, .metric = QUIVER_HAMMING + 1 }, -EINVAL },
		{ { .count = 1, .k = 1, .metric = QUIVER_METRIC_OF_STORE - 1 }, -EINVAL },
		{ { .count = 1, .k = 1, .flags = 4 }, -EINVAL },
		{ { .count = 1, .k = 1, .flags = QUIVER_NEAREST_WITHIN, .within = NAN }, -EINVAL },
		{ { .count = 1, .k = QUIVER_NEAREST_MAX + 1 }, -E2BIG },
		{ { .count = QUIVER_QUESTIONS_MAX + 1, .k = 1 }, -E2BIG },
		{ { .count = 5, .k = QUIVER_NEAREST_MAX }, -E2BIG },
	};
	struct world w = { .random = test_seed() };
	float vector[17] = { 1 };
	struct quiver_question question = { .size = sizeof(question), .count = 1, .k = 1 };

	(void)state;
	world_open(&w, QUIVER_F4, 17, ORDINARY, 3);
	assert_int_equal(answer_of(&w, &question), -EINVAL); /* no vector */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		question = cases[i].question;
		question.size = sizeof(question);
		question.vectors = vector;
		assert_int_equal(answer_of(&w, &question), cases[i].want);
	}
	world_close(&w);
}

static void questions_without_distances_are_refused(void **state)
{
	static const float numbers[] = { NAN, INFINITY, 0 };
	static const int wants[QUIVER_HAMMING][3] = {
		{ -EINVAL, -EINVAL, 0 },
		{ -EINVAL, -EINVAL, -EINVAL },
		{ -EINVAL, 0, 0 },
	};
	struct world w = { .random = test_seed() };

	(void)state;
	world_open(&w, QUIVER_F4, 17, ORDINARY, 3);
	for (int metric = QUIVER_L2; metric < QUIVER_HAMMING; metric++)
		for (int i = 0; i < 3; i++) {
			float vectors[2][17] = { { 1 } };
			struct quiver_question question = { .size = sizeof(question),
				                            .metric = metric,
				                            .vectors = vectors,
				                            .count = 2,
				                            .k = 2 };

			/* Zeros beside an infinity would be no number with it. */
			for (int j = 0; j < 17; j++)
				vectors[1][j] = numbers[i];
			assert_int_equal(answer_of(&w, &question), wants[metric][i]);
		}
	world_close(&w);
}

/* ---- vectors that are damaged ---- */

static void a_damaged_vector_is_no_neighbour(void **state)
{
	struct world w = { .random = test_seed() };
	struct nearest_set *set = &w.set;

	(void)state;
	world_open(&w, QUIVER_F4, 17, ORDINARY, VECTORS_MAX);
	for (int i = 0; i < 20; i++) {
		size_t gone = SPECIAL + test_below(&w.random, set->count - SPECIAL);
		struct quiver_ref ref;
		uint64_t slot;

		assert_int_equal(quiver_get(w.store, set->ids[gone], 0, &ref), 0);
		slot = ref.slot;
		quiver_unref(w.store, &ref);
		close_store(w.store);
		store_flip(&w.dir, "vectors.npy",
		           (QUIVER_COLUMN_HEADER_BYTES + slot * set->n) * 8 +
		                   test_below(&w.random, (uint64_t)set->n * 8));
		w.store = open_mode(&w.dir, QUIVER_NONE);
		set->count--;
		set->ids[gone] = set->ids[set->count];
		memmove(set->vectors + gone * set->n, set->vectors + set->count * set->n, set->n);
		check_set(&w);
	}
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f4_is_as_plain_arithmetic_finds),
		cmocka_unit_test(f2_is_as_plain_arithmetic_finds),
		cmocka_unit_test(f8_is_as_plain_arithmetic_finds),
		cmocka_unit_test(i1_is_as_plain_arithmetic_finds),
		cmocka_unit_test(u1_is_as_plain_arithmetic_finds),
		cmocka_unit_test(bf2_is_as_plain_arithmetic_finds),
		cmocka_unit_test(b1_is_as_plain_arithmetic_finds),
		cmocka_unit_test(many_vectors_far_from_zero_are_told_apart),
		cmocka_unit_test(an_empty_store_has_no_neighbours_and_one_vector_is_one),
		cmocka_unit_test(what_is_no_question_is_refused),
		cmocka_unit_test(questions_without_distances_are_refused),
		cmocka_unit_test(a_damaged_vector_is_no_neighbour),
	};

	test_in_memory();
	return cmocka_run_group_tests_name("nearest_oracle", tests, NULL, NULL);
}
