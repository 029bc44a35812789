/* Questions beside others who change the store: what is there all the time is found, once, and what is
 * not there, or damaged, never. What distances are is in test_distance.c. */
#include "unit.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "engine/index/published.h"
#include "store_test.h"

#define DIM 32u /* of f4 */
#define COUNT 3000u
#define K 10u
#define WRITES 12000u

static int setup_floats(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	store_create(s, DIM, QUIVER_F4);
	*state = s;
	return 0;
}

/* Vector `id`: the distance of two is that of their IDs, squared. */
static void line_vector(float *to, uint64_t id)
{
	memset(to, 0, DIM * sizeof(*to));
	to[3] = (float)id;
}

static void put_line(struct quiver *store, uint64_t id)
{
	const struct quiver_attr attr = attr_of(id);
	float vector[DIM];

	line_vector(vector, id);
	assert_int_equal(quiver_put(store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

static void fill_line(struct quiver *store, uint64_t count)
{
	for (uint64_t id = 0; id < count; id++)
		put_line(store, id);
}

static int ask_line(struct quiver *store, uint64_t id, uint32_t k, struct quiver_neighbour *answers,
                    uint32_t *found)
{
	float vector[DIM];
	struct quiver_question question = { .size = sizeof(question),
		                            .metric = QUIVER_METRIC_OF_STORE,
		                            .flags = QUIVER_NEAREST_EXACT,
		                            .vectors = vector,
		                            .count = 1,
		                            .k = k };

	line_vector(vector, id);
	return quiver_nearest(store, &question, answers, found);
}

/* The nearest of an ID in the middle: itself, then by twos, the lower first. */
static void check_line(struct quiver *store, uint64_t id)
{
	struct quiver_neighbour answers[K];
	uint32_t found;

	assert_int_equal(ask_line(store, id, K, answers, &found), 0);
	assert_int_equal(found, K);
	for (uint32_t i = 0; i < K; i++) {
		int64_t far = (i + 1) / 2;
		uint64_t want = i % 2 ? id - (uint64_t)far : id + (uint64_t)far;

		if (answers[i].id != want || answers[i].distance != (double)(far * far))
			fail_msg("question %" PRIu64 ": answer %u is %" PRIu64
			         " at %g, not %" PRIu64 " at %" PRId64,
			         id, i, answers[i].id, answers[i].distance, want, far * far);
	}
}

/* ---- beside writers ---- */

struct writer {
	struct quiver *store;
	_Atomic bool stop;
	uint64_t seed;
	uint64_t writes;
};

/* Each vector is there at every moment, in another slot each time. */
static void *rewrite(void *arg)
{
	struct writer *writer = arg;

	for (; !atomic_load(&writer->stop) && writer->writes < WRITES; writer->writes++) {
		put_line(writer->store, test_random(&writer->seed) % COUNT);
		if (writer->writes % 1500 == 0)
			assert_int_equal(quiver_checkpoint(writer->store), 0);
	}
	return NULL;
}

static void *ask_on(void *arg)
{
	struct writer *writer = arg;

	while (!atomic_load(&writer->stop))
		check_line(writer->store, K + test_random(&writer->seed) % (COUNT - 2 * K));
	return NULL;
}

static void test_what_is_rewritten_meanwhile_is_found_once(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct writer writer = { .store = store, .seed = 7 }, asker = { .store = store, .seed = 8 };
	pthread_t writing, asking;

	fill_line(store, COUNT);
	assert_int_equal(pthread_create(&writing, NULL, rewrite, &writer), 0);
	assert_int_equal(pthread_create(&asking, NULL, ask_on, &asker), 0);
	for (int i = 0; i < 300; i++) {
		check_line(store, K + (uint64_t)i);
		if (i % 100 == 50)
			assert_in_range(-quiver_job_start(store, QUIVER_COMPACT), 0, EBUSY);
	}
	atomic_store(&writer.stop, true);
	atomic_store(&asker.stop, true);
	assert_int_equal(pthread_join(writing, NULL), 0);
	assert_int_equal(pthread_join(asking, NULL), 0);
	assert_true(writer.writes > 0);
	close_store(store);
}

/* One vector goes to and fro between two IDs, so that one of them is there at every moment. */
static void *rename_on(void *arg)
{
	struct writer *writer = arg;
	uint64_t from = COUNT, to = COUNT + 1;

	while (!atomic_load(&writer->stop)) {
		uint64_t was = from;

		assert_int_equal(quiver_rename(writer->store, from, to, 0, NULL), 0);
		from = to;
		to = was;
		writer->writes++;
	}
	return NULL;
}

static void test_what_is_renamed_meanwhile_has_one_of_its_names(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct writer writer = { .store = store };
	struct quiver_neighbour answers[2];
	uint32_t found;
	pthread_t writing;

	fill_line(store, 500);
	put_line(store, COUNT);
	assert_int_equal(pthread_create(&writing, NULL, rename_on, &writer), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(ask_line(store, COUNT, 2, answers, &found), 0);
		assert_int_equal(found, 2);
		/* Which of them it is may change between two looks: then both are found, or none. */
		if (answers[0].id != 499)
			assert_in_range(answers[0].id, COUNT, COUNT + 1);
	}
	atomic_store(&writer.stop, true);
	assert_int_equal(pthread_join(writing, NULL), 0);
	close_store(store);
}

/* ---- what is no answer ---- */

static void test_what_was_removed_is_no_answer(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_neighbour answers[K];
	uint32_t found;

	assert_int_equal(ask_line(store, 1, K, answers, &found), 0);
	assert_int_equal(found, 0); /* an empty store */
	fill_line(store, 100);
	for (uint64_t id = 0; id < 100; id++)
		if (id % 25 != 0)
			assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
		assert_int_equal(ask_line(store, 24, K, answers, &found), 0);
		assert_int_equal(found, 4);
		assert_int_equal(answers[0].id, 25);
		assert_int_equal(answers[3].id, 75);
		assert_int_equal(quiver_checkpoint(store), 0);
	}
	close_store(store);
}

/* Bytes of vectors.npy from `slot` on, in the file. */
static int open_vectors(const struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/vectors.npy", s->path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void test_what_is_damaged_is_no_answer(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_neighbour answers[K];
	float vector[DIM];
	uint32_t found;
	int fd;

	fill_line(store, 200);
	close_store(store);
	/* Slots are taken in order: 50 gets the bytes of 150, which its checksum does not fit. */
	fd = open_vectors(s);
	line_vector(vector, 150);
	assert_int_equal(pwrite(fd, vector, s->n, 4096 + 50 * s->n), s->n);
	assert_int_equal(close(fd), 0);
	store = open_with(s, NULL);
	assert_int_equal(ask_line(store, 150, K, answers, &found), 0);
	assert_int_equal(found, K);
	for (uint32_t i = 0; i < found; i++)
		assert_int_not_equal(answers[i].id, 50);
	assert_int_equal(answers[0].id, 150);
	assert_int_equal(answers[1].id, 149);
	close_store(store);
}

/* Whether the K nearest of `id` are there, and all below `end`. */
static bool are_below(struct quiver *store, uint64_t id, uint64_t end)
{
	struct quiver_neighbour answers[K];
	uint32_t found;

	if (ask_line(store, id, K, answers, &found) != 0 || found != K)
		return false;
	for (uint32_t i = 0; i < found; i++)
		if (answers[i].id >= end)
			return false;
	return true;
}

/* A disk that fails under the map, which a file that somebody cuts does, too. */
static void ask_what_cannot_be_read(const struct store_dir *s)
{
	struct quiver *store = open_with(s, NULL);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = open_vectors(s);

	fill_line(store, COUNT);
	if (quiver_checkpoint(store) != 0 ||
	    ftruncate(fd, (off_t)((4096 + 1000 * s->n) / page * page)) != 0)
		_exit(1);
	if (!are_below(store, 900, 1000) || !are_below(store, COUNT - 1, 1000))
		_exit(2);
	_exit(0); /* the store has lost its vectors */
}

/* In a process of its own: here SIGBUS is cmocka's. */
static void test_what_cannot_be_read_is_no_answer(void **state)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		ask_what_cannot_be_read(*state);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- what single precision cannot tell apart ---- */

#define POINTS 20000u
#define ASKED 64u

struct point {
	float at[2];
};

static double squared(const struct point *a, const struct point *b)
{
	double x = (double)a->at[0] - (double)b->at[0], y = (double)a->at[1] - (double)b->at[1];

	return x * x + y * y;
}

/* The nearest of all in double: none of those answered is farther than the one that comes after. */
static void check_points(const struct point *points, const struct point *question,
                         const struct quiver_neighbour *answers)
{
	for (uint32_t i = 0; i < K; i++) {
		uint64_t nearer = 0, id = answers[i].id;
		double far = squared(&points[id], question);

		assert_true(answers[i].distance == far);
		for (uint64_t other = 0; other < POINTS; other++) {
			double d = squared(&points[other], question);

			nearer += d < far || (d == far && other < id);
		}
		assert_int_equal(nearer, i);
	}
}

/* Of 64 questions the last is asked alone, too. */
static void ask_points(const struct store_dir *s, const struct point *points)
{
	static struct quiver_neighbour answers[ASKED * K];
	struct quiver *store = open_with(s, NULL);
	const struct quiver_attr attr = attr_of(1);
	struct quiver_question question = {
		.size = sizeof(question), .vectors = points, .count = ASKED, .k = K
	};
	uint32_t found[ASKED];

	for (uint64_t id = 0; id < POINTS; id++)
		assert_int_equal(
			quiver_put(store, id, &points[id], &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
	assert_int_equal(quiver_nearest(store, &question, answers, found), 0);
	for (uint32_t j = 0; j < ASKED; j++)
		check_points(points, &points[j], answers + j * K);
	question.count = 1;
	assert_int_equal(quiver_nearest(store, &question, answers, found), 0);
	check_points(points, &points[0], answers);
	close_store(store);
}

static int setup_points(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	store_create(s, 2, QUIVER_F4);
	*state = s;
	return 0;
}

static void make_points(struct point *points, double from, double scale, uint64_t steps)
{
	uint64_t seed = 5;

	for (uint64_t id = 0; id < POINTS; id++)
		for (size_t i = 0; i < 2; i++)
			points[id].at[i] =
				(float)(from + scale * (double)(test_random(&seed) % steps));
}

/* Metres on a map, 500 km from its origin: squares of their coordinates have no digits left for the
 * metres. */
static void test_points_far_from_the_origin(void **state)
{
	static struct point points[POINTS];

	make_points(points, 5e5, 0.5, 20000);
	ask_points(*state, points);
}

/* Squares below the smallest float. */
static void test_points_next_to_the_origin(void **state)
{
	static struct point points[POINTS];

	make_points(points, -1e-25, 1e-29, 20000);
	ask_points(*state, points);
}

/* A third of them are one point: their IDs alone tell them apart. */
static void test_more_points_at_one_distance_than_are_kept(void **state)
{
	static struct point points[POINTS];

	make_points(points, 0.1, 0.7, 50);
	for (uint64_t id = 2; id < POINTS; id += 3)
		points[id] = points[2];
	ask_points(*state, points);
}

/* ---- many at once, and no more ---- */

struct caller {
	struct quiver *store;
	uint64_t id;
};

static void *call_some(void *arg)
{
	const struct caller *caller = arg;

	for (uint64_t i = 0; i < 20; i++)
		check_line(caller->store, caller->id + i);
	return NULL;
}

static void test_threads_share_passes_and_each_gets_its_own_answer(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	pthread_t threads[16];
	struct caller callers[16];

	fill_line(store, COUNT);
	for (uint64_t i = 0; i < 16; i++) {
		callers[i] = (struct caller){ .store = store, .id = K + 100 * i };
		assert_int_equal(pthread_create(&threads[i], NULL, call_some, &callers[i]), 0);
	}
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	close_store(store);
}

#define LARGE 256u /* questions of one call */
#define LARGES 40u

struct large {
	struct quiver *store;
	_Atomic uint32_t *begun, *ended;
};

static void *ask_large(void *arg)
{
	static const struct quiver_question none;
	const struct large *large = arg;
	struct quiver_question question = none;
	struct quiver_neighbour *answers = calloc(LARGE, sizeof(*answers));
	float *vectors = calloc(LARGE * DIM, sizeof(*vectors));
	uint32_t found[LARGE];

	assert_true(answers && vectors);
	question.size = sizeof(question);
	question.vectors = vectors;
	question.count = LARGE;
	question.k = 1;
	atomic_fetch_add(large->begun, 1);
	assert_int_equal(quiver_nearest(large->store, &question, answers, found), 0);
	atomic_fetch_add(large->ended, 1);
	free(vectors);
	free(answers);
	return NULL;
}

/* Of 40 large questions that came before it at most those of the pass that is under way, and of its own
 * pass, are answered before it; each pass has four. */
static void test_a_small_question_does_not_wait_for_all_large_ones(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	_Atomic uint32_t begun = 0, ended = 0;
	struct large large = { .store = store, .begun = &begun, .ended = &ended };
	pthread_t threads[LARGES];
	uint32_t before;

	fill_line(store, 40000);
	for (size_t i = 0; i < LARGES; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_large, &large), 0);
	while (atomic_load(&begun) < LARGES)
		(void)sched_yield();
	before = atomic_load(&ended);
	check_line(store, 777);
	assert_in_range(atomic_load(&ended) - before, 0, LARGES / 2);
	for (size_t i = 0; i < LARGES; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	close_store(store);
}

static bool always(void *arg)
{
	(void)arg;
	return true;
}

static void test_who_is_interrupted_gets_no_answer(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_neighbour answers[K];
	uint32_t found;

	fill_line(store, 100);
	quiver_set_interrupt(always, NULL);
	assert_int_equal(ask_line(store, 50, K, answers, &found), -EINTR);
	quiver_set_interrupt(NULL, NULL);
	check_line(store, 50);
	close_store(store);
}

static void test_a_follower_who_is_too_slow_is_told(void **state)
{
	struct published published = { .ring = NULL };
	uint32_t slots[4];
	uint64_t at = 0;

	(void)state;
	published_add(&published, 1); /* nobody has asked: it goes nowhere */
	assert_int_equal(published_open(&published), 0);
	assert_int_equal(published_take(&published, &at, slots, 4), 0);
	for (uint64_t i = 0; i < PUBLISHED_SLOTS - 1; i++)
		published_add(&published, 100 + i);
	assert_int_equal(published_take(&published, &at, slots, 4), 4);
	assert_int_equal(slots[3], 103);
	assert_int_equal(at, 4);
	for (uint64_t i = 0; i < 5; i++)
		published_add(&published, 7);
	assert_int_equal(published_take(&published, &at, slots, 4), -EOVERFLOW);
	at = atomic_load(&published.count) - 2;
	assert_int_equal(published_take(&published, &at, slots, 4), 2);
	assert_int_equal(slots[1], 7);
	published_free(&published);
}

static void test_questions_out_of_bounds(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_neighbour answers[2];
	float vectors[2 * DIM] = { 1 };
	uint32_t found[2];
	const struct quiver_question good = {
		.size = sizeof(good), .vectors = vectors, .count = 1, .k = 1
	};
	struct quiver_question bad = good;

	assert_int_equal(quiver_nearest(store, &good, answers, found), 0);
	bad.size = 8;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.k = 0;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.count = 0;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.metric = QUIVER_HAMMING;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.metric = 4;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.flags = 4;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.flags = QUIVER_NEAREST_WITHIN, bad.within = NAN;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.k = QUIVER_NEAREST_MAX + 1;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -E2BIG);
	bad = good, bad.count = QUIVER_QUESTIONS_MAX + 1;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -E2BIG);
	bad = good, bad.count = 2, vectors[DIM] = NAN;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	bad = good, bad.metric = QUIVER_COSINE, vectors[0] = 0;
	assert_int_equal(quiver_nearest(store, &bad, answers, found), -EINVAL);
	close_store(store);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		/* First: its process takes SIGBUS from cmocka. */
		cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_no_answer, setup_floats,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_what_is_rewritten_meanwhile_is_found_once,
		                                setup_floats, teardown_store),
		cmocka_unit_test_setup_teardown(test_what_is_renamed_meanwhile_has_one_of_its_names,
		                                setup_floats, teardown_store),
		cmocka_unit_test_setup_teardown(test_what_was_removed_is_no_answer, setup_floats,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_what_is_damaged_is_no_answer, setup_floats,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_points_far_from_the_origin, setup_points,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_points_next_to_the_origin, setup_points,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_more_points_at_one_distance_than_are_kept,
		                                setup_points, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_threads_share_passes_and_each_gets_its_own_answer, setup_floats,
			teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_small_question_does_not_wait_for_all_large_ones, setup_floats,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_who_is_interrupted_gets_no_answer,
		                                setup_floats, teardown_store),
		cmocka_unit_test(test_a_follower_who_is_too_slow_is_told),
		cmocka_unit_test_setup_teardown(test_questions_out_of_bounds, setup_floats,
		                                teardown_store),
	};

	test_in_memory();
	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
