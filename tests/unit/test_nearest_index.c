/*
 * test_nearest_index.c - the index of nearest neighbours: what it finds, what it follows, and what is left
 * of it after closing, dying, and damage. The files as such are in test_nearest_files.c.
 */
#include "unit.h"

#include <math.h>
#include <stdatomic.h>

#include "engine/media/nearest_page.h"
#include "engine/store/store.h"
#include "store_test.h"

#define DIM 64u
#define CLUSTERS 300u
/* A sanitizer looks at each access. */
#ifdef UNIT_SLOW_FORK
#define COUNT 10500u
#define QUESTIONS 40u
#define CHANGES 50u
#define DAMAGES 6u
#else
#define COUNT 16000u
#define QUESTIONS 200u
#define CHANGES 500u
#define DAMAGES 24u
#endif
#define K 10u
#define WAIT_SECONDS 3600 /* for what would never come */

/* ---- vectors ---- */

static double uniform(uint64_t *state)
{
	return (double)(test_random(state) >> 11) * 0x1p-53;
}

static double normal(uint64_t *state)
{
	return sqrt(-2 * log(uniform(state) + 1e-300)) * cos(6.283185307179586 * uniform(state));
}

/* How a set of vectors is spread. */
struct spread {
	enum quiver_dtype dtype;
	enum quiver_metric metric;
	double noise; /* around the centre of a cluster; 0: copies of it */
	double size; /* what all is multiplied by; 0: nothing */
	bool isotropic; /* no clusters */
};

static void fill_numbers(double *to, const struct spread *spread, uint64_t number)
{
	uint64_t state = number * 977 + 5;
	uint64_t centre = test_below(&state, CLUSTERS) + 1000000;

	for (unsigned i = 0; i < DIM; i++)
		to[i] = spread->isotropic ? normal(&state) : 0;
	if (spread->isotropic)
		return;
	for (unsigned i = 0; i < DIM; i++)
		to[i] = normal(&centre);
	for (unsigned i = 0; i < DIM; i++)
		to[i] += spread->noise * normal(&state);
}

/* Vector `number` of a set; those of questions have other numbers. */
static void make_vector(uint8_t *to, const struct spread *spread, uint64_t number)
{
	double numbers[DIM];
	float floats[DIM];

	fill_numbers(numbers, spread, number);
	if (spread->dtype == QUIVER_F4) {
		for (unsigned i = 0; i < DIM; i++)
			floats[i] = (float)(numbers[i] * (spread->size > 0 ? spread->size : 1));
		memcpy(to, floats, sizeof(floats));
	} else if (spread->dtype == QUIVER_F8) {
		for (unsigned i = 0; i < DIM; i++)
			numbers[i] *= spread->size;
		memcpy(to, numbers, sizeof(numbers));
	} else if (spread->dtype == QUIVER_B1) {
		memset(to, 0, DIM / 8);
		for (unsigned i = 0; i < DIM; i++)
			to[i / 8] = (uint8_t)(to[i / 8] | (numbers[i] > 0) << (7 - i % 8));
	} else {
		for (unsigned i = 0; i < DIM; i++)
			to[i] = (uint8_t)(int8_t)(numbers[i] * 30);
	}
}

static void put_numbered(struct quiver *store, const struct spread *spread, uint64_t id,
                         uint64_t number)
{
	const struct quiver_attr attr = attr_of(id);
	uint8_t vector[DIM * 8];

	make_vector(vector, spread, number);
	assert_int_equal(quiver_put(store, id, vector, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
}

/* ---- stores ---- */

static void make_store(struct store_dir *s, const struct spread *spread)
{
	struct quiver_geometry geometry = { .dim = DIM, .dtype = spread->dtype };
	struct quiver_description description = { .metric = spread->metric };
	struct quiver_error error = { "" };

	snprintf(s->path, sizeof(s->path), "%s/" STORE_NAME, s->dir.path);
	if (quiver_create(s->path, &geometry, &description, NULL, &error) != 0)
		fail_msg("%s", error.text);
}

static struct quiver *make_full_store(struct store_dir *s, const struct spread *spread,
                                      uint64_t count)
{
	struct quiver *store;

	make_store(s, spread);
	store = open_mode(s, QUIVER_FLUSH);
	for (uint64_t id = 0; id < count; id++)
		put_numbered(store, spread, id, id);
	return store;
}

static struct quiver_nearest_status status_of(struct quiver *store)
{
	struct quiver_nearest_status status = { .size = sizeof(status) };

	quiver_nearest_status(store, &status);
	return status;
}

static struct quiver_nearest_status wait_for_build(struct quiver *store)
{
	struct quiver_nearest_status status;
	unsigned ms = 0;

	for (status = status_of(store); status.building; status = status_of(store)) {
		usleep(1000);
		assert_true(++ms < WAIT_SECONDS * 1000);
	}
	return status;
}

static struct quiver_nearest_status build(struct quiver *store)
{
	struct quiver_nearest_status status;

	assert_int_equal(quiver_nearest_index_start(store), 0);
	status = wait_for_build(store);
	assert_int_equal(status.result, 0);
	return status;
}

/* Until the index is loaded, and all vectors are in it. */
static struct quiver_nearest_status wait_until_ready(struct quiver *store)
{
	struct quiver_nearest_status status;
	unsigned ms = 0;

	for (status = status_of(store);
	     status.state != QUIVER_NEAREST_READY || status.pending > 0 || status.building;
	     status = status_of(store)) {
		usleep(1000);
		assert_true(++ms < WAIT_SECONDS * 1000);
	}
	return status;
}

/* ---- questions ---- */

static uint32_t ask_one(struct quiver *store, const void *vector, unsigned flags,
                        struct quiver_neighbour *answers, uint32_t k)
{
	struct quiver_question question = { .size = sizeof(question),
		                            .metric = QUIVER_METRIC_OF_STORE,
		                            .flags = flags,
		                            .vectors = vector,
		                            .count = 1,
		                            .k = k };
	uint32_t found;

	assert_int_equal(quiver_nearest(store, &question, answers, &found), 0);
	return found;
}

/* What share of the k nearest is found; each answer is at its distance, in order, and there once. */
static double recall_of(struct quiver *store, const struct spread *spread, uint32_t k)
{
	struct quiver_neighbour *exact = calloc(k, sizeof(*exact));
	struct quiver_neighbour *found = calloc(k, sizeof(*found));
	uint8_t vector[DIM * 8];
	uint64_t hits = 0;

	assert_non_null(exact);
	assert_non_null(found);
	for (uint64_t j = 0; j < QUESTIONS; j++) {
		make_vector(vector, spread, 5000000 + j);
		assert_int_equal(ask_one(store, vector, QUIVER_NEAREST_EXACT, exact, k), k);
		assert_int_equal(ask_one(store, vector, 0, found, k), k);
		for (uint32_t i = 0, at = 0; i < k; i++) {
			assert_true(i == 0 || spread->metric == QUIVER_IP ||
			            found[i - 1].distance < found[i].distance ||
			            (found[i - 1].distance == found[i].distance &&
			             found[i - 1].id < found[i].id));
			while (at < k && exact[at].id != found[i].id &&
			       (spread->metric == QUIVER_IP
			                ? exact[at].distance >= found[i].distance
			                : exact[at].distance <= found[i].distance))
				at++;
			if (at == k || exact[at].id != found[i].id)
				continue;
			assert_true(exact[at].distance == found[i].distance);
			hits++;
		}
	}
	free(found);
	free(exact);
	return (double)hits / (k * QUESTIONS);
}

/* Whether the nearest one is found as often as ten are. A share of so few answers, one a question, has a
 * deviation of a few percent, and each build draws another sample: four of them less. */
static bool is_found_as_promised(double recall)
{
	return recall >= 0.95 - 4 * sqrt(0.95 * 0.05 / QUESTIONS);
}

static void check_recall(void **state, const struct spread *spread)
{
	struct quiver *store = make_full_store(*state, spread, COUNT);
	struct quiver_nearest_status status = build(store);

	assert_true(status.recall >= 0.95);
	assert_true(status.lists >= 100 && status.probes >= 1);
	assert_int_equal(status.metric, spread->metric);
	assert_true(recall_of(store, spread, K) >= 0.95);
	assert_true(recall_of(store, spread, 100) >= 0.95);
	assert_true(is_found_as_promised(recall_of(store, spread, 1)));
	close_store(store);
}

static void clustered_vectors_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F4, .noise = 0.4 };

	check_recall(state, &spread);
}

/* Squares that single precision does not hold. */
static void small_vectors_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F4, .noise = 0.4, .size = 1e-25 };

	check_recall(state, &spread);
}

static void huge_vectors_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F8, .noise = 0.4, .size = 1e100 };

	check_recall(state, &spread);
}

static void by_their_angle(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F4, .metric = QUIVER_COSINE, .noise = 0.4 };

	check_recall(state, &spread);
}

static void by_their_product(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F4, .metric = QUIVER_IP, .noise = 0.4 };

	check_recall(state, &spread);
}

static void bits_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_B1, .metric = QUIVER_HAMMING, .noise = 0.4 };

	check_recall(state, &spread);
}

static void bits_of_bytes_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_U1,
		                       .metric = QUIVER_HAMMING,
		                       .noise = 0.02 };

	check_recall(state, &spread);
}

static void copies_are_found(void **state)
{
	const struct spread spread = { .dtype = QUIVER_I1, .noise = 0 };

	check_recall(state, &spread);
}

static void what_has_no_clusters_is_found_all_the_same(void **state)
{
	const struct spread spread = { .dtype = QUIVER_F4, .isotropic = true };

	check_recall(state, &spread);
}

/* ---- words ---- */

#define WORD_DIM 25u
#define WORDS_MAX 20000u

/* The rows of the NPY file of 4-byte numbers: how many; 0 where there is no such file. */
static size_t read_words(float *to)
{
	FILE *file = fopen(GLOVE, "rb");
	uint8_t start[10];
	size_t rows;

	if (!file)
		return 0;
	assert_int_equal(fread(start, 1, sizeof(start), file), sizeof(start));
	assert_int_equal(fseek(file, (long)sizeof(start) + get_le16(start + 8), SEEK_SET), 0);
	rows = fread(to, sizeof(float) * WORD_DIM, WORDS_MAX, file);
	assert_int_equal(fclose(file), 0);
	return rows;
}

static uint64_t hits_of(struct quiver *store, const float *word, uint64_t id)
{
	struct quiver_neighbour exact[K], found[K];
	struct quiver_question question = { .size = sizeof(question),
		                            .metric = QUIVER_METRIC_OF_STORE,
		                            .flags = QUIVER_NEAREST_EXACT,
		                            .vectors = word,
		                            .count = 1,
		                            .k = K,
		                            .except = &id };
	uint64_t hits = 0;
	uint32_t count;

	assert_int_equal(quiver_nearest(store, &question, exact, &count), 0);
	assert_int_equal(count, K);
	question.flags = 0;
	assert_int_equal(quiver_nearest(store, &question, found, &count), 0);
	assert_int_equal(count, K);
	for (uint32_t i = 0; i < K; i++)
		for (uint32_t j = 0; j < K; j++)
			hits += exact[i].id == found[j].id;
	return hits;
}

/* Real ones: GloVe's of tweets. */
static void words_are_found(void **state)
{
	struct quiver_geometry geometry = { .dim = WORD_DIM, .dtype = QUIVER_F4 };
	struct quiver_description description = { .metric = QUIVER_COSINE };
	struct quiver_attr attr = attr_of(1);
	float *words = malloc(WORDS_MAX * WORD_DIM * sizeof(*words));
	struct store_dir *s = *state;
	struct quiver *store;
	uint64_t hits = 0, asked = 0;
	size_t count;

	assert_non_null(words);
	count = read_words(words);
	if (count == 0) {
		free(words);
		print_message("# no %s\n", GLOVE);
		skip();
	}
	snprintf(s->path, sizeof(s->path), "%s/" STORE_NAME, s->dir.path);
	assert_int_equal(quiver_create(s->path, &geometry, &description, NULL, NULL), 0);
	store = open_mode(s, QUIVER_FLUSH);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(
			quiver_put(store, i, words + i * WORD_DIM, &attr, QUIVER_ATTR_ALL, 0, NULL),
			0);
	assert_true(build(store).recall >= 0.95);
	for (size_t i = 3; i < count; i += 17, asked++)
		hits += hits_of(store, words + i * WORD_DIM, i);
	print_message("# recall %.4f of %" PRIu64 " words, state %d\n",
	              (double)hits / (double)(asked * K), asked, status_of(store).state);
	assert_true((double)hits / (double)(asked * K) >= 0.95);
	close_store(store);
	free(words);
}

/* ---- what is asked of it ---- */

static const struct spread plain = { .dtype = QUIVER_F4, .noise = 0.4 };

static void few_vectors_need_none(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, 9999);
	struct quiver_options to_read = { .size = sizeof(to_read), .read_only = true };

	assert_int_equal(quiver_nearest_index_start(store), -ENODATA);
	assert_int_equal(status_of(store).state, QUIVER_NEAREST_NONE);
	assert_int_equal(quiver_nearest_index_stop(store), 0);
	assert_int_equal(quiver_nearest_index_off(store), 0);
	put_numbered(store, &plain, 10000, 10000);
	assert_int_equal(quiver_nearest_index_start(store), 0);
	assert_int_equal(wait_for_build(store).result, 0);
	close_store(store);
	store = open_with(*state, &to_read);
	assert_int_equal(quiver_nearest_index_start(store), -EROFS);
	assert_int_equal(quiver_nearest_index_off(store), -EROFS);
	close_store(store);
}

static void a_build_is_stopped_and_the_index_removed(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = make_full_store(s, &plain, COUNT);
	struct quiver_nearest_status status;

	assert_int_equal(quiver_nearest_index_start(store), 0);
	assert_int_equal(quiver_nearest_index_start(store), -EBUSY);
	assert_int_equal(quiver_nearest_index_stop(store), 0);
	status = wait_for_build(store);
	assert_int_equal(status.result, -EINTR);
	assert_int_equal(status.state, QUIVER_NEAREST_NONE);
	status = build(store);
	assert_int_equal(status.state, QUIVER_NEAREST_READY);
	assert_int_equal(status.assigned, COUNT);
	assert_int_equal(status.file_bytes, store_size(s, "nearest/centroids.npy") +
	                                            store_size(s, "nearest/cells.npy"));
	assert_true(status.memory_bytes > COUNT * 8 && status.memory_bytes < COUNT * 64);
	/* While one is being built the other goes on. */
	assert_int_equal(quiver_nearest_index_start(store), 0);
	assert_int_equal(status_of(store).state, QUIVER_NEAREST_READY);
	assert_int_equal(quiver_nearest_index_off(store), 0);
	status = status_of(store);
	assert_int_equal(status.state, QUIVER_NEAREST_NONE);
	assert_int_equal(status.file_bytes + status.memory_bytes + status.building, 0);
	assert_int_equal(faccessat(s->dir.fd, STORE_NAME "/nearest/cells.npy", F_OK, 0), -1);
	assert_int_equal(faccessat(s->dir.fd, STORE_NAME "/nearest/centroids.npy", F_OK, 0), -1);
	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	close_store(store);
}

/* A store that is closed amid a build closes, and has none. */
static void a_build_ends_with_the_store(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);

	assert_int_equal(quiver_nearest_index_start(store), 0);
	close_store(store);
	store = open_with(*state, NULL);
	assert_int_equal(status_of(store).building, 0);
	close_store(store);
}

/* ---- what it follows ---- */

static void check_found(struct quiver *store, uint64_t id, uint64_t number)
{
	struct quiver_neighbour answers[K];
	uint8_t vector[DIM * 8];

	make_vector(vector, &plain, number);
	assert_int_equal(ask_one(store, vector, 0, answers, K), K);
	assert_int_equal(answers[0].id, id);
	assert_true(answers[0].distance == 0);
}

static void check_gone(struct quiver *store, uint64_t number)
{
	struct quiver_neighbour answers[K];
	uint8_t vector[DIM * 8];

	make_vector(vector, &plain, number);
	assert_int_equal(ask_one(store, vector, 0, answers, K), K);
	assert_true(answers[0].distance > 0);
}

static void what_is_written_is_found_at_once(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);

	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	for (uint64_t i = 0; i < CHANGES; i++) {
		put_numbered(store, &plain, COUNT + i, 7000000 + i);
		check_found(store, COUNT + i, 7000000 + i);
		put_numbered(store, &plain, i, 8000000 + i);
		check_found(store, i, 8000000 + i);
		check_gone(store, i);
		assert_int_equal(quiver_remove(store, 1000 + i, 0, NULL), 0);
		check_gone(store, 1000 + i);
		assert_int_equal(quiver_rename(store, 2000 + i, 3000000 + i, 0, NULL), 0);
		check_found(store, 3000000 + i, 2000 + i);
	}
	(void)wait_until_ready(store);
	for (uint64_t i = 0; i < CHANGES; i++) {
		check_found(store, COUNT + i, 7000000 + i);
		check_found(store, i, 8000000 + i);
		check_gone(store, 1000 + i);
		check_found(store, 3000000 + i, 2000 + i);
	}
	assert_true(recall_of(store, &plain, K) >= 0.95);
	close_store(store);
}

static void what_compaction_moves_is_found(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);

	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	for (uint64_t id = 0; id < COUNT / 4; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(run_job(store, QUIVER_COMPACT).result, 0);
	for (uint64_t id = COUNT / 4; id < COUNT; id += 7)
		check_found(store, id, id);
	(void)wait_until_ready(store);
	for (uint64_t id = COUNT / 4; id < COUNT; id += 7)
		check_found(store, id, id);
	close_store(store);
}

/* ---- beside writers ---- */

struct writer {
	struct quiver *store;
	uint64_t base;
	_Atomic bool stop;
};

/* Rewrites vectors of its own, and asks for each. */
static void *write_and_ask(void *arg)
{
	struct writer *writer = arg;

	for (uint64_t i = 0; !atomic_load(&writer->stop); i++) {
		uint64_t id = writer->base + i % 100;

		put_numbered(writer->store, &plain, id, writer->base * 1000 + i);
		check_found(writer->store, id, writer->base * 1000 + i);
		if (i % 500 == 0)
			assert_int_equal(quiver_checkpoint(writer->store), 0);
	}
	return NULL;
}

/* An index that is built, and built anew, while vectors come and go. */
static void it_is_built_beside_writers(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);
	struct writer writers[2] = { { .store = store, .base = 100000 },
		                     { .store = store, .base = 200000 } };
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_and_ask, &writers[i]), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	assert_int_equal(quiver_nearest_index_off(store), 0);
	(void)build(store);
	for (unsigned i = 0; i < 2; i++)
		atomic_store(&writers[i].stop, true);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(recall_of(store, &plain, K) >= 0.95);
	close_store(store);
}

/* ---- from one life to the next ---- */

static void it_is_there_when_the_store_is_opened_again(void **state)
{
	struct store_dir *s = *state;
	struct quiver_options to_read = { .size = sizeof(to_read), .read_only = true };
	struct quiver *store = make_full_store(s, &plain, COUNT);
	struct quiver_nearest_status built = build(store), status;
	uint64_t bytes;

	assert_int_equal(built.state, QUIVER_NEAREST_READY);
	put_numbered(store, &plain, COUNT, COUNT);
	close_store(store);
	store = open_with(s, NULL);
	status = wait_until_ready(store);
	assert_int_equal(status.started_ns, built.started_ns);
	assert_int_equal(status.lists, built.lists);
	assert_int_equal(status.probes, built.probes);
	assert_int_equal(status.assigned, COUNT + 1);
	assert_true(recall_of(store, &plain, K) >= 0.95);
	check_found(store, COUNT, COUNT);
	close_store(store);
	/* Who only reads writes nothing. */
	bytes = store_size(s, "nearest/cells.npy");
	store = open_with(s, &to_read);
	status = status_of(store);
	assert_int_equal(status.state, QUIVER_NEAREST_READY);
	assert_int_equal(status.started_ns, built.started_ns);
	assert_int_equal(status.lists, built.lists);
	check_found(store, COUNT, COUNT);
	assert_int_equal(status_of(store).assigned, COUNT + 1);
	assert_true(recall_of(store, &plain, K) >= 0.95);
	close_store(store);
	assert_int_equal(store_size(s, "nearest/cells.npy"), bytes);
}

/* Only the thread that opens the store can open files of the index, until `others_may`. */
struct late_io {
	struct quiver_io io;
	pthread_t first;
	_Atomic bool others_may;
};

static int open_late(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                     mode_t mode)
{
	const struct late_io *late = (const struct late_io *)(const void *)self;
	const struct quiver_io *real = quiver_io_posix();

	while (strncmp(name, "nearest/", 8) == 0 && !pthread_equal(pthread_self(), late->first) &&
	       !atomic_load(&late->others_may))
		usleep(1000);
	return real->open(real, dir_fd, name, flags, mode);
}

/* It is loaded when nobody else wants the processor, which may take a while. */
static void it_is_told_of_before_it_is_loaded(void **state)
{
	struct late_io late = { .io = *quiver_io_posix(), .first = pthread_self() };
	struct quiver_options options = { .size = sizeof(options), .io = &late.io };
	struct quiver *store = make_full_store(*state, &plain, COUNT);
	struct quiver_nearest_status built = build(store), status;

	assert_int_equal(built.state, QUIVER_NEAREST_READY);
	close_store(store);
	late.io.open = open_late;
	store = open_with(*state, &options);
	status = status_of(store);
	assert_int_equal(status.state, QUIVER_NEAREST_READY);
	assert_int_equal(status.started_ns, built.started_ns);
	assert_int_equal(status.lists, built.lists);
	assert_int_equal(status.assigned, 0);
	assert_int_equal(status.pending, COUNT);
	check_found(store, 5, 5);
	atomic_store(&late.others_may, true);
	status = wait_until_ready(store);
	assert_int_equal(status.assigned, COUNT);
	assert_int_equal(status.file_bytes, built.file_bytes);
	close_store(store);
}

static int write_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	for (uint64_t i = 0; i < 300; i++) {
		put_numbered(store, &plain, i, 9000000 + i);
		put_numbered(store, &plain, 50000 + i, 9100000 + i);
		assert_int_equal(quiver_remove(store, 1000 + i, 0, NULL), 0);
	}
	return 0;
}

static void it_fits_after_a_crash(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);

	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	close_store(store);
	die_in_child(write_and_die, *state);
	store = open_with(*state, NULL);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (uint64_t i = 0; i < 300; i++) {
			check_found(store, i, 9000000 + i);
			check_found(store, 50000 + i, 9100000 + i);
			check_gone(store, 1000 + i);
		}
		(void)wait_until_ready(store);
	}
	assert_true(recall_of(store, &plain, K) >= 0.95);
	close_store(store);
}

/* Larger by more than half, which a later life finds. */
static void it_is_built_anew_when_the_store_has_grown(void **state)
{
	struct quiver *store = make_full_store(*state, &plain, COUNT);
	struct quiver_nearest_status built = build(store), status;
	unsigned ms = 0;

	assert_int_equal(built.state, QUIVER_NEAREST_READY);
	close_store(store);
	store = open_with(*state, NULL);
	(void)wait_until_ready(store);
	for (uint64_t id = COUNT; id <= COUNT + COUNT / 2; id++)
		put_numbered(store, &plain, id, id);
	for (status = status_of(store); status.started_ns == built.started_ns || status.building;
	     status = status_of(store)) {
		usleep(1000);
		assert_true(++ms < WAIT_SECONDS * 1000);
	}
	assert_int_equal(status.result, 0);
	assert_true(status.lists > built.lists);
	assert_true(recall_of(store, &plain, K) >= 0.95);
	close_store(store);
}

/* ---- damage ---- */

/* Whatever the files hold: what is answered is right, and there are as many answers as were asked for. */
static void check_right(struct quiver *store)
{
	struct quiver_neighbour answers[K];
	uint8_t question[DIM * 4], vector[DIM * 4];

	for (uint64_t j = 0; j < 20; j++) {
		make_vector(question, &plain, 5000000 + j);
		assert_int_equal(ask_one(store, question, 0, answers, K), K);
		for (uint32_t i = 0; i < K; i++) {
			double sum = 0;

			make_vector(vector, &plain, answers[i].id);
			for (unsigned a = 0; a < DIM; a++) {
				float x, y;

				memcpy(&x, question + a * 4, 4);
				memcpy(&y, vector + a * 4, 4);
				sum += ((double)x - (double)y) * ((double)x - (double)y);
			}
			assert_true(fabs(answers[i].distance - sum) <= sum * 1e-12);
			assert_true(i == 0 || answers[i - 1].distance <= answers[i].distance);
		}
	}
}

static void restore(struct store_dir *s, const char *name, const void *bytes, size_t length)
{
	char path[128];

	store_file(name, path, sizeof(path));
	unit_truncate(&s->dir, path, 0);
	unit_write(&s->dir, path, bytes, length, 0);
}

static void damaged_files_cost_no_more_than_time(void **state)
{
	static const char *const names[] = { "nearest/centroids.npy", "nearest/cells.npy" };
	uint64_t random = test_seed();
	struct store_dir *s = *state;
	struct quiver *store = make_full_store(s, &plain, COUNT);
	uint8_t *whole[2];
	size_t lengths[2];

	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	close_store(store);
	for (unsigned i = 0; i < 2; i++) {
		lengths[i] = store_size(s, names[i]);
		whole[i] = malloc(lengths[i]);
		assert_non_null(whole[i]);
		unit_read(&s->dir,
		          i ? STORE_NAME "/nearest/cells.npy" : STORE_NAME "/nearest/centroids.npy",
		          whole[i], lengths[i], 0);
	}
	for (unsigned round = 0; round < DAMAGES; round++) {
		unsigned which = round % 2;
		char path[128];

		for (unsigned i = 0; i < 2; i++)
			restore(s, names[i], whole[i], lengths[i]);
		store_file(names[which], path, sizeof(path));
		if (round % 3 == 0)
			unit_truncate(&s->dir, path, (off_t)test_below(&random, lengths[which]));
		else if (round % 3 == 1)
			for (unsigned i = 0; i < 5; i++)
				store_flip(s, names[which],
				           test_below(&random, lengths[which] * 8));
		else
			unit_write(&s->dir, path, whole[!which], 8192,
			           (off_t)test_below(&random, lengths[which]));
		store = open_with(s, NULL);
		check_right(store);
		check_found(store, 5, 5);
		usleep(20000);
		check_right(store);
		close_store(store);
	}
	for (unsigned i = 0; i < 2; i++)
		free(whole[i]);
}

/* The files of another store, and of this one when its vectors were others. */
static void files_of_another_store_are_passed_over(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = make_full_store(s, &plain, COUNT);

	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	close_store(store);
	assert_int_equal(renameat(s->dir.fd, STORE_NAME, s->dir.fd, "other"), 0);
	store = make_full_store(s, &plain, COUNT);
	close_store(store);
	assert_int_equal(renameat(s->dir.fd, "other/nearest", s->dir.fd, STORE_NAME "/nearest"), 0);
	store = open_with(s, NULL);
	check_right(store);
	for (unsigned ms = 0; !store_said(store, "of another store"); ms++) {
		usleep(1000);
		assert_true(ms < WAIT_SECONDS * 1000);
	}
	assert_int_equal(status_of(store).state, QUIVER_NEAREST_NONE);
	assert_int_equal(status_of(store).file_bytes, 0);
	assert_int_equal(build(store).state, QUIVER_NEAREST_READY);
	assert_int_equal(quiver_set_metric(store, QUIVER_COSINE), 0);
	close_store(store);
	store = open_with(s, NULL);
	for (unsigned ms = 0; !store_said(store, "another metric"); ms++) {
		usleep(1000);
		assert_true(ms < WAIT_SECONDS * 1000);
	}
	close_store(store);
}

static int setup_folder(void **state)
{
	struct store_dir *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	unit_dir_make(&s->dir);
	*state = s;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_folder, teardown_store)
		TEST(clustered_vectors_are_found),
		TEST(small_vectors_are_found),
		TEST(huge_vectors_are_found),
		TEST(by_their_angle),
		TEST(by_their_product),
		TEST(bits_are_found),
		TEST(bits_of_bytes_are_found),
		TEST(copies_are_found),
		TEST(what_has_no_clusters_is_found_all_the_same),
		TEST(words_are_found),
		TEST(few_vectors_need_none),
		TEST(a_build_is_stopped_and_the_index_removed),
		TEST(a_build_ends_with_the_store),
		TEST(what_is_written_is_found_at_once),
		TEST(what_compaction_moves_is_found),
		TEST(it_is_built_beside_writers),
		TEST(it_is_there_when_the_store_is_opened_again),
		TEST(it_is_told_of_before_it_is_loaded),
		TEST(it_fits_after_a_crash),
		TEST(it_is_built_anew_when_the_store_has_grown),
		TEST(damaged_files_cost_no_more_than_time),
		TEST(files_of_another_store_are_passed_over),
#undef TEST
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
