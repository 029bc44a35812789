#include "unit.h"

#include <math.h>
#include <stdatomic.h>

#include "store_test.h"

/*
 * Questions beside writers, removals, renames, batches, checkpoints and compaction. Of each vector that
 * changes all states are noted, with how many of them had begun and how many were done. So it is known what
 * each may have been at some moment of a question: an answer must be at the distance of one of those, and
 * who was there in all of them, and nearer in all of them than the last answer, must be an answer.
 */
#define ELEMENTS 4u /* f8, that are not 0 */
#define DIM_MAX 600u /* a pass takes several threads */
#define INDEXED_DIM 64u /* for which an index is faster */
#define WRITERS 3u
#define OF_WRITER 60u /* vectors */
#define STILL 700u /* vectors that nobody changes */
#define STILL_MAX 10000u /* the same where there is an index */
#define IDS_MAX (WRITERS * OF_WRITER + STILL_MAX)
#define BATCH 8u
#define ASKERS 3u
#define WORKERS (WRITERS + ASKERS + 2) /* one disturbs, one keeps snapshots */
#define QUESTIONS_MAX 20u
#define K_MAX (WRITERS * OF_WRITER + STILL + 5)
#define STATES 1024u /* that are kept of each vector */
#define CONTENT_BITS 24 /* of an element: squares and their sums are exact */
#define COMMON 6u /* contents that many vectors have */
#define RUN_MS_DEFAULT 2000

/* What a vector is: a number that its elements follow from; 0: it is not there. */
struct life {
	_Atomic uint64_t states[STATES]; /* state n at n % STATES */
	_Atomic uint64_t begun, done; /* the last state that may be, and that is there for all */
};

struct shared {
	struct quiver *store;
	uint32_t dim;
	uint64_t ids; /* that there are */
	bool has_index;
	struct life *lives; /* of each */
	_Atomic bool stop;
	_Atomic uint64_t questions, misses_looked_at;
	_Atomic int wrong; /* the line of the first thing that was wrong */
};

struct worker {
	struct shared *shared;
	unsigned number;
	uint64_t random;
	uint64_t contents; /* made by this writer */
	pthread_t thread;
};

#define MUST(condition)                                                                            \
	do {                                                                                       \
		int none_ = 0;                                                                     \
		if (!(condition))                                                                  \
			(void)atomic_compare_exchange_strong(&w->shared->wrong, &none_, __LINE__); \
	} while (0)

/* ---- contents ---- */

static void elements_of(uint64_t content, double *to)
{
	uint64_t state = content;

	for (unsigned i = 0; i < ELEMENTS; i++)
		to[i] = (double)(test_random(&state) >> (64 - CONTENT_BITS));
}

static void vector_of(const struct shared *sh, uint64_t content, uint8_t *to)
{
	double elements[ELEMENTS];

	memset(to, 0, (size_t)sh->dim * 8);
	elements_of(content, elements);
	for (unsigned i = 0; i < ELEMENTS; i++) {
		uint64_t bits;

		memcpy(&bits, &elements[i], sizeof(bits));
		put_le64(to + 8 * (size_t)i, bits);
	}
}

static double distance_of(uint64_t content, const double *question)
{
	double elements[ELEMENTS], sum = 0;

	elements_of(content, elements);
	for (unsigned i = 0; i < ELEMENTS; i++)
		sum += (elements[i] - question[i]) * (elements[i] - question[i]);
	return sum;
}

/* A fifth are the same as others. */
static uint64_t new_content(struct worker *w)
{
	if (test_below(&w->random, 5) == 0)
		return 1 + test_below(&w->random, COMMON);
	return (uint64_t)(w->number + 1) << 40 | ++w->contents;
}

/* ---- writers ---- */

static uint64_t state_of(const struct life *life, uint64_t number)
{
	return atomic_load(&life->states[number % STATES]);
}

/* From here on the vector may be `content`. */
static void begin(struct worker *w, uint64_t id, uint64_t content)
{
	struct life *life = &w->shared->lives[id];
	uint64_t next = atomic_load(&life->begun) + 1;

	atomic_store(&life->states[next % STATES], content);
	atomic_store(&life->begun, next);
}

/* And from here on it is. */
static void end(struct worker *w, uint64_t id)
{
	struct life *life = &w->shared->lives[id];

	atomic_store(&life->done, atomic_load(&life->begun));
}

static uint64_t content_now(struct worker *w, uint64_t id)
{
	struct life *life = &w->shared->lives[id];

	return state_of(life, atomic_load(&life->begun));
}

static void put_one(struct worker *w, uint64_t id)
{
	const struct quiver_attr attr = attr_of(id);
	uint64_t content = new_content(w);
	uint8_t bytes[DIM_MAX * 8];

	vector_of(w->shared, content, bytes);
	begin(w, id, content);
	MUST(quiver_put(w->shared->store, id, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
	end(w, id);
}

static void put_some(struct worker *w, uint64_t first)
{
	const struct quiver_attr attr = attr_of(first);
	struct quiver_record records[BATCH];
	uint8_t bytes[BATCH][DIM_MAX * 8];

	for (uint64_t i = 0; i < BATCH; i++) {
		uint64_t content = new_content(w);

		vector_of(w->shared, content, bytes[i]);
		records[i] = (struct quiver_record){ .id = first + i, .data = bytes[i] };
		begin(w, first + i, content);
	}
	MUST(quiver_put_batch(w->shared->store, records, BATCH, &attr, QUIVER_ATTR_ALL, 0, NULL) ==
	     0);
	for (uint64_t i = 0; i < BATCH; i++)
		end(w, first + i);
}

static void remove_one(struct worker *w, uint64_t id)
{
	bool there = content_now(w, id) != 0;

	if (there)
		begin(w, id, 0);
	MUST(quiver_remove(w->shared->store, id, 0, NULL) == (there ? 0 : -ENOENT));
	if (there)
		end(w, id);
}

static void rename_one(struct worker *w, uint64_t from, uint64_t to)
{
	uint64_t content = content_now(w, from);
	bool moves = content != 0 && from != to;

	if (moves) {
		begin(w, from, 0);
		begin(w, to, content);
	}
	MUST(quiver_rename(w->shared->store, from, to, 0, NULL) == (content ? 0 : -ENOENT));
	if (moves) {
		end(w, from);
		end(w, to);
	}
}

static void *writer(void *arg)
{
	struct worker *w = arg;
	uint64_t first = w->number * OF_WRITER;

	while (!atomic_load(&w->shared->stop)) {
		uint64_t id = first + test_below(&w->random, OF_WRITER);
		uint64_t what = test_below(&w->random, 10);

		if (what < 5)
			put_one(w, id);
		else if (what < 6)
			put_some(w, first + test_below(&w->random, OF_WRITER - BATCH + 1));
		else if (what < 8)
			rename_one(w, id, first + test_below(&w->random, OF_WRITER));
		else
			remove_one(w, id);
	}
	return NULL;
}

static void *disturber(void *arg)
{
	struct worker *w = arg;
	struct quiver *store = w->shared->store;

	while (!atomic_load(&w->shared->stop)) {
		int r = 0;

		switch (test_below(&w->random, w->shared->has_index ? 5 : 4)) {
		case 0:
			r = quiver_checkpoint(store);
			break;
		case 1:
			r = quiver_flush(store);
			break;
		case 2:
			r = quiver_set_durability(
				store, (enum quiver_durability)test_below(&w->random, 4));
			break;
		case 3:
			r = quiver_job_start(store, QUIVER_COMPACT);
			break;
		default:
			r = quiver_nearest_index_start(store);
		}
		MUST(r == 0 || r == -EBUSY);
		usleep(500);
	}
	return NULL;
}

/* ---- questions ---- */

/* One call, and what each vector may have been meanwhile. */
struct call {
	struct quiver_question question;
	double elements[QUESTIONS_MAX][ELEMENTS];
	uint8_t vectors[QUESTIONS_MAX * DIM_MAX * 8];
	uint64_t ids[IDS_MAX], except[QUESTIONS_MAX];
	bool meant[IDS_MAX];
	uint64_t least[IDS_MAX], most[IDS_MAX];
	struct quiver_neighbour answers[QUESTIONS_MAX * K_MAX];
	uint32_t found[QUESTIONS_MAX];
};

static void make_call(struct worker *w, struct call *call)
{
	static const uint32_t ks[] = { 1, 5, 30, 200, K_MAX };
	struct quiver_question *question = &call->question;
	size_t few = test_below(&w->random, 3) == 0 ? QUESTIONS_MAX : 1;

	*question = (struct quiver_question){ .size = sizeof(*question),
		                              .metric = QUIVER_L2,
		                              .flags = QUIVER_NEAREST_EXACT,
		                              .vectors = call->vectors,
		                              .count = 1 + test_below(&w->random, few) };
	question->k = ks[test_below(&w->random, 5)];
	for (size_t j = 0; j < question->count; j++) {
		uint64_t content = 1 + test_below(&w->random, 4 * COMMON);

		elements_of(content, call->elements[j]);
		vector_of(w->shared, content, call->vectors + j * w->shared->dim * 8);
		call->except[j] = test_below(&w->random, w->shared->ids);
	}
	if (w->shared->has_index && test_below(&w->random, 3) > 0)
		question->flags = 0;
	if (test_below(&w->random, 3) == 0)
		question->except = call->except;
	if (test_below(&w->random, 3) == 0) {
		question->flags |= QUIVER_NEAREST_WITHIN;
		question->within =
			ldexp((double)(1 + test_below(&w->random, 1024)), 2 * CONTENT_BITS - 9);
	}
	memset(call->meant, test_below(&w->random, 3) > 0, sizeof(call->meant));
	if (call->meant[0])
		return;
	question->ids = call->ids;
	question->id_count = test_below(&w->random, w->shared->ids);
	for (size_t i = 0; i < question->id_count; i++) {
		call->ids[i] = test_below(&w->random, w->shared->ids);
		call->meant[call->ids[i]] = true;
	}
}

static void ask(struct worker *w, struct call *call)
{
	struct life *lives = w->shared->lives;

	for (size_t id = 0; id < w->shared->ids; id++)
		call->least[id] = atomic_load(&lives[id].done);
	MUST(quiver_nearest(w->shared->store, &call->question, call->answers, call->found) == 0);
	for (size_t id = 0; id < w->shared->ids; id++)
		call->most[id] = atomic_load(&lives[id].begun);
}

/* What a vector may have been: at these distances, or not there. */
struct range {
	bool may_be_gone, has_told;
	double farthest;
};

static struct range range_of(const struct worker *w, const struct call *call, size_t id,
                             const double *question, double told)
{
	const struct life *life = &w->shared->lives[id];
	struct range range = { .farthest = -1 };

	for (uint64_t n = call->least[id]; n <= call->most[id]; n++) {
		uint64_t content = state_of(life, n);
		double distance = content ? distance_of(content, question) : 0;

		if (content == 0)
			range.may_be_gone = true;
		else if (distance > range.farthest)
			range.farthest = distance;
		if (content && distance == told)
			range.has_told = true;
	}
	return range;
}

/* Once what was noted has been read. */
static bool is_known(const struct worker *w, const struct call *call, size_t id)
{
	return atomic_load(&w->shared->lives[id].begun) - call->least[id] < STATES;
}

static void check_answers(struct worker *w, const struct call *call, size_t j, bool *taken)
{
	const struct quiver_question *question = &call->question;
	const struct quiver_neighbour *answers = call->answers + j * question->k;

	MUST(call->found[j] <= question->k);
	for (uint32_t i = 0; i < call->found[j]; i++) {
		uint64_t id = answers[i].id;
		bool right;

		MUST(id < w->shared->ids);
		if (id >= w->shared->ids)
			return;
		MUST(!taken[id] && call->meant[id]);
		MUST(!question->except || question->except[j] != id);
		MUST(!(question->flags & QUIVER_NEAREST_WITHIN) ||
		     answers[i].distance <= question->within);
		MUST(i == 0 || answers[i - 1].distance < answers[i].distance ||
		     (answers[i - 1].distance == answers[i].distance && answers[i - 1].id < id));
		right = range_of(w, call, id, call->elements[j], answers[i].distance).has_told;
		MUST(right || !is_known(w, call, id));
		taken[id] = true;
	}
}

/* Vectors that were there all the time, at distances at which they had to be answered. */
static void look_for_missed(struct worker *w, const struct call *call, size_t j, const bool *taken)
{
	const struct quiver_question *question = &call->question;
	uint32_t found = call->found[j];
	struct quiver_neighbour last = { .id = QUIVER_ID_NONE, .distance = INFINITY };

	if (found == question->k)
		last = call->answers[j * question->k + found - 1];
	else if (question->flags & QUIVER_NEAREST_WITHIN)
		last.distance = question->within;
	for (size_t id = 0; id < w->shared->ids; id++) {
		struct range range;
		bool nearer;

		if (taken[id] || !call->meant[id] ||
		    (question->except && question->except[j] == id))
			continue;
		range = range_of(w, call, id, call->elements[j], -1);
		nearer = range.farthest < last.distance ||
		         (range.farthest == last.distance && id < last.id);
		MUST(range.may_be_gone || !nearer || !is_known(w, call, id));
		atomic_fetch_add(&w->shared->misses_looked_at, 1);
	}
}

static void *asker(void *arg)
{
	struct worker *w = arg;
	struct call *call = malloc(sizeof(*call));
	bool taken[IDS_MAX];

	assert_non_null(call);
	while (!atomic_load(&w->shared->stop) && !atomic_load(&w->shared->wrong)) {
		make_call(w, call);
		ask(w, call);
		for (size_t j = 0; j < call->question.count; j++) {
			memset(taken, 0, sizeof(taken));

			check_answers(w, call, j, taken);
			/* An index may miss some. */
			if (call->question.flags & QUIVER_NEAREST_EXACT)
				look_for_missed(w, call, j, taken);
			atomic_fetch_add(&w->shared->questions, 1);
		}
	}
	free(call);
	return NULL;
}

/* ---- snapshots ---- */

static bool same(const struct quiver_neighbour *a, const struct quiver_neighbour *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (a[i].id != b[i].id || a[i].distance != b[i].distance)
			return false;
	return true;
}

/* A question to a snapshot has the same answer for ever. */
static void *keeper(void *arg)
{
	struct worker *w = arg;
	struct quiver_neighbour first[30], again[30];
	uint8_t vector[DIM_MAX * 8];
	struct quiver_question question = {
		.size = sizeof(question), .vectors = vector, .count = 1, .k = 30
	};

	while (!atomic_load(&w->shared->stop) && !atomic_load(&w->shared->wrong)) {
		struct quiver *view = NULL;
		struct quiver_snapshot made;
		uint32_t found = 0, found_again = 0;

		vector_of(w->shared, 1 + test_below(&w->random, COMMON), vector);
		MUST(quiver_snapshot_create(w->shared->store, "kept", &made) == 0);
		MUST(quiver_snapshot_open(w->shared->store, "kept", &view) == 0);
		if (!view)
			break;
		MUST(quiver_nearest(view, &question, first, &found) == 0);
		MUST(found == 30);
		for (int i = 0; i < 5; i++) {
			usleep((useconds_t)test_below(&w->random, 10000));
			MUST(quiver_nearest(view, &question, again, &found_again) == 0);
			MUST(found_again == found && same(first, again, found));
		}
		MUST(quiver_close(view) == 0);
		MUST(quiver_snapshot_remove(w->shared->store, "kept") == 0);
	}
	return NULL;
}

/* ---- all of them ---- */

static unsigned run_ms(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && text[0] == '1' ? 30 * RUN_MS_DEFAULT : RUN_MS_DEFAULT;
}

static void start(struct worker *w, struct shared *sh, unsigned number, void *(*body)(void *))
{
	w->shared = sh;
	w->number = number;
	w->random = test_seed() + number * 77u + (body == asker);
	assert_int_equal(pthread_create(&w->thread, NULL, body, w), 0);
}

static void fill_still(struct shared *sh)
{
	struct worker w = { .shared = sh, .number = WRITERS, .random = test_seed() };

	for (uint64_t id = WRITERS * OF_WRITER; id < sh->ids; id++)
		put_one(&w, id);
	assert_int_equal(atomic_load(&sh->wrong), 0);
}

static void start_all(struct worker *workers, struct shared *sh)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WRITERS; i++)
		start(&workers[n++], sh, i, writer);
	for (unsigned i = 0; i < ASKERS; i++)
		start(&workers[n++], sh, i, asker);
	start(&workers[n++], sh, WRITERS + 1, disturber);
	start(&workers[n++], sh, WRITERS + 2, keeper);
}

/* Before anybody asks, or the run may be over sooner. */
static void build_index(struct shared *sh)
{
	struct quiver_nearest_status status = { .size = sizeof(status) };

	assert_int_equal(quiver_nearest_index_start(sh->store), 0);
	do {
		usleep(1000);
		quiver_nearest_status(sh->store, &status);
	} while (status.building);
	assert_int_equal(status.result, 0);
	printf("# state %d, %" PRIu64 " lists, %" PRIu64 " probes\n", (int)status.state,
	       status.lists, status.probes);
}

static void all_at_once(uint32_t dim, bool has_index)
{
	struct worker *workers = calloc(WORKERS, sizeof(*workers));
	struct shared *sh = calloc(1, sizeof(*sh));
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_true(workers && sh && s);
	unit_dir_make(&s->dir);
	store_create(s, dim, QUIVER_F8);
	sh->store = open_with(s, NULL);
	sh->dim = dim;
	sh->has_index = has_index;
	sh->ids = WRITERS * OF_WRITER + (has_index ? STILL_MAX : STILL);
	sh->lives = calloc(sh->ids, sizeof(*sh->lives));
	assert_non_null(sh->lives);
	fill_still(sh);
	if (has_index)
		build_index(sh);
	start_all(workers, sh);
	for (unsigned ms = 0; ms < run_ms() && !atomic_load(&sh->wrong); ms += 10)
		usleep(10000);
	atomic_store(&sh->stop, true);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	if (atomic_load(&sh->wrong))
		fail_msg("line %d", atomic_load(&sh->wrong));
	assert_true(atomic_load(&sh->questions) > 0 && atomic_load(&sh->misses_looked_at) > 0);
	printf("# %" PRIu64 " questions\n", atomic_load(&sh->questions));
	close_store(sh->store);
	unit_dir_remove(&s->dir);
	free(sh->lives);
	free(sh);
	free(workers);
	free(s);
}

static void answers_are_of_a_moment_of_the_question(void **state)
{
	(void)state;
	all_at_once(ELEMENTS, false);
}

static void answers_of_several_threads_are_of_a_moment_of_the_question(void **state)
{
	(void)state;
	all_at_once(DIM_MAX, false);
}

static void answers_by_an_index_are_of_a_moment_of_the_question(void **state)
{
	(void)state;
	all_at_once(INDEXED_DIM, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_of_a_moment_of_the_question),
		cmocka_unit_test(answers_of_several_threads_are_of_a_moment_of_the_question),
		cmocka_unit_test(answers_by_an_index_are_of_a_moment_of_the_question),
	};

	test_in_memory();
	return cmocka_run_group_tests_name("nearest_history", tests, NULL, NULL);
}
