#include "unit.h"

#include "store_test.h"
#include "tests/common/listed.h"

/* Everybody at once on one store. IDs below STEADY always exist and only get newer; those above
 * come in pairs whose vector is renamed to and fro, removed and written anew. Each ID has one
 * writer, so that it is known which versions may be seen. */
#define WRITERS 4
#define READERS 3
#define STEADY 64u
#define PAIRS 32u
#define HELD 16
#define RUN_MS_DEFAULT 2000

struct shared {
	struct quiver *store;
	uint32_t n;
	_Atomic bool stop;
	_Atomic uint64_t started[STEADY + PAIRS]; /* version about to be committed */
	_Atomic uint64_t committed[STEADY + PAIRS];
	_Atomic uint64_t reads, writes, lists;
	_Atomic int wrong; /* the line of the first thing that was wrong */
	uint64_t final[PAIRS][2]; /* version at the end, 0 none; by the writer of the pair */
};

struct worker {
	struct shared *shared;
	unsigned number;
	uint64_t random;
	pthread_t thread;
};

#define MUST(condition)                                                                            \
	do {                                                                                       \
		int none_ = 0;                                                                     \
		if (!(condition))                                                                  \
			(void)atomic_compare_exchange_strong(&w->shared->wrong, &none_, __LINE__); \
	} while (0)

static void write_steady(struct worker *w)
{
	struct shared *sh = w->shared;
	uint64_t id = test_below(&w->random, STEADY / WRITERS) * WRITERS + w->number;
	uint64_t version = atomic_load(&sh->committed[id]) + 1;
	struct quiver_attr attr = attr_of(version);

	if (test_below(&w->random, 4) == 0) {
		MUST(quiver_set_attr(sh->store, id, &attr, QUIVER_ATTR_UID, 0) == 0);
		return;
	}
	atomic_store(&sh->started[id], version);
	MUST(put_version(sh->store, id, version, 0) == 0);
	atomic_store(&sh->committed[id], version);
}

static void write_batch(struct worker *w)
{
	struct shared *sh = w->shared;
	uint8_t bytes[4][STORE_BYTES_MAX];
	struct quiver_record records[4];
	struct quiver_attr attr = attr_of(1);

	for (unsigned i = 0; i < 4; i++) {
		uint64_t id = (uint64_t)i * WRITERS + w->number;
		uint64_t version = atomic_load(&sh->committed[id]) + 1;

		atomic_store(&sh->started[id], version);
		vector_fill(bytes[i], sh->n, id, version);
		records[i] = (struct quiver_record){ .id = id, .data = bytes[i] };
	}
	MUST(quiver_put_batch(sh->store, records, 4, &attr, QUIVER_ATTR_ALL, 0, NULL) == 0);
	for (unsigned i = 0; i < 4; i++)
		atomic_fetch_add(&sh->committed[records[i].id], 1);
}

/* The vector of a pair carries the ID of the pair's first. */
static void write_pair(struct worker *w)
{
	struct shared *sh = w->shared;
	unsigned pair = (unsigned)test_below(&w->random, PAIRS / WRITERS) * WRITERS + w->number;
	uint64_t first = STEADY + 2 * pair;
	uint64_t side = test_below(&w->random, 2);
	uint64_t *final = sh->final[pair];
	uint8_t bytes[STORE_BYTES_MAX];
	struct quiver_attr attr = attr_of(9);
	int r;

	switch (test_below(&w->random, 3)) {
	case 0:
		r = quiver_rename(sh->store, first + side, first + !side, 0, NULL);
		MUST(r == (final[side] ? 0 : -ENOENT));
		if (final[side])
			final[!side] = final[side];
		final[side] = 0;
		break;
	case 1:
		r = quiver_remove(sh->store, first + side, 0, NULL);
		MUST(r == (final[side] ? 0 : -ENOENT));
		final[side] = 0;
		break;
	default:
		final[side] = atomic_fetch_add(&sh->started[STEADY + pair], 1) + 1;
		vector_fill(bytes, sh->n, first, final[side]);
		MUST(quiver_put(sh->store, first + side, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL) ==
		     0);
	}
}

static void *writer(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&w->shared->stop)) {
		uint64_t what = test_below(&w->random, 8);

		if (what == 0)
			write_batch(w);
		else if (what < 4)
			write_pair(w);
		else
			write_steady(w);
		atomic_fetch_add(&w->shared->writes, 1);
	}
	return NULL;
}

static void read_steady(struct worker *w, struct quiver_ref *held)
{
	struct shared *sh = w->shared;
	uint64_t id = test_below(&w->random, STEADY);
	uint64_t least = atomic_load(&sh->committed[id]);
	uint64_t version;
	struct quiver_ref ref;

	MUST(quiver_get(sh->store, id, 0, &ref) == 0);
	version = vector_version(ref.data, sh->n, id);
	MUST(version >= least && version <= atomic_load(&sh->started[id]));
	MUST(quiver_ref_verify(sh->store, &ref, 0) == 0);
	/* Whoever was held the longest is as it was. */
	if (held->data) {
		MUST(vector_version(held->data, sh->n, held->id) != UINT64_MAX);
		MUST(quiver_ref_verify(sh->store, held, 0) == 0);
		quiver_unref(sh->store, held);
	}
	*held = ref;
}

static void read_pair(struct worker *w)
{
	struct shared *sh = w->shared;
	uint64_t pair = test_below(&w->random, PAIRS);
	uint64_t first = STEADY + 2 * pair;
	uint8_t bytes[STORE_BYTES_MAX];
	uint64_t version;
	int r = quiver_get_copy(sh->store, first + test_below(&w->random, 2), bytes, NULL, NULL);

	MUST(r == 0 || r == -ENOENT);
	if (r)
		return;
	version = vector_version(bytes, sh->n, first);
	MUST(version <= atomic_load(&sh->started[STEADY + pair]));
}

static void *reader(void *arg)
{
	struct worker *w = arg;
	struct quiver_ref held[HELD] = { { 0 } };
	unsigned at = 0;

	while (!atomic_load(&w->shared->stop)) {
		read_steady(w, &held[at++ % HELD]);
		read_pair(w);
		MUST(quiver_stat(w->shared->store, test_below(&w->random, STEADY), 0, NULL, NULL) ==
		     0);
		atomic_fetch_add(&w->shared->reads, 3);
	}
	for (unsigned i = 0; i < HELD; i++)
		if (held[i].data)
			quiver_unref(w->shared->store, &held[i]);
	return NULL;
}

static void *lister(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&w->shared->stop)) {
		unsigned seen[STEADY + 2 * PAIRS] = { 0 };
		struct listed list;

		MUST(listed_all(w->shared->store, &list) == 0);
		for (size_t i = 0; i < list.count; i++) {
			MUST(list.ids[i] < STEADY + 2 * PAIRS);
			if (list.ids[i] < STEADY + 2 * PAIRS)
				seen[list.ids[i]]++;
		}
		for (unsigned id = 0; id < STEADY + 2 * PAIRS; id++)
			MUST(id < STEADY ? seen[id] == 1 : seen[id] <= 1);
		listed_free(&list);
		atomic_fetch_add(&w->shared->lists, 1);
		usleep(200);
	}
	return NULL;
}

static void hold_a_column(struct worker *w)
{
	struct quiver *store = w->shared->store;
	uint8_t header[6];
	uint64_t size;
	int fd;

	MUST(quiver_column_hold(store, QUIVER_COLUMN_IDS, &fd, &size) == 0);
	MUST(quiver_column_read(store, QUIVER_COLUMN_IDS, 0, 6, header) == 6);
	usleep(300);
	MUST(quiver_column_bytes(store, QUIVER_COLUMN_IDS) >= size);
	quiver_column_release(store, QUIVER_COLUMN_IDS);
}

static void *keeper(void *arg)
{
	struct worker *w = arg;
	struct quiver *store = w->shared->store;
	struct quiver_stats stats = { .size = sizeof(stats) };

	while (!atomic_load(&w->shared->stop)) {
		int r = 0;

		switch (test_below(&w->random, 7)) {
		case 0:
			r = quiver_checkpoint(store);
			break;
		case 1:
			r = quiver_flush(store);
			break;
		case 2:
			r = quiver_job_start(store, QUIVER_VERIFY);
			break;
		case 3:
			r = quiver_set_durability(
				store, (enum quiver_durability)test_below(&w->random, 4));
			break;
		case 4:
			hold_a_column(w);
			break;
		case 5:
			quiver_stats(store, &stats);
			MUST(stats.count >= STEADY && stats.slots_used >= stats.count);
			break;
		default:
			r = quiver_job_start(store, QUIVER_COMPACT);
		}
		MUST(r == 0 || r == -EBUSY);
		usleep(500);
	}
	return NULL;
}

static unsigned run_ms(void)
{
	const char *text = getenv("QUIVERFS_TEST_LONG");

	return text && text[0] == '1' ? 30 * RUN_MS_DEFAULT : RUN_MS_DEFAULT;
}

static void check_end(struct shared *sh)
{
	uint64_t count = STEADY;
	struct quiver_job_status status;

	assert_int_equal(atomic_load(&sh->wrong), 0);
	for (uint64_t id = 0; id < STEADY; id++)
		assert_int_equal(version_of(sh->store, id), atomic_load(&sh->committed[id]));
	for (unsigned pair = 0; pair < PAIRS; pair++) {
		for (unsigned side = 0; side < 2; side++) {
			uint8_t bytes[STORE_BYTES_MAX];
			uint64_t want = sh->final[pair][side];
			int r = quiver_get_copy(sh->store, STEADY + 2 * pair + side, bytes, NULL,
			                        NULL);

			count += want != 0;
			assert_int_equal(r, want ? 0 : -ENOENT);
			if (want)
				assert_int_equal(vector_version(bytes, sh->n, STEADY + 2 * pair),
				                 want);
		}
	}
	assert_int_equal(quiver_count(sh->store), count);
	quiver_job_status(sh->store, QUIVER_VERIFY, &status);
	assert_int_equal(status.mismatches, 0);
}

static void start(struct worker *w, struct shared *sh, unsigned number, void *(*body)(void *))
{
	w->shared = sh;
	w->number = number;
	w->random = test_seed() + number * 77u;
	assert_int_equal(pthread_create(&w->thread, NULL, body, w), 0);
}

static void all_at_once(struct store_dir *s, enum quiver_durability mode)
{
	struct worker workers[WRITERS + READERS + 2];
	struct shared *sh = calloc(1, sizeof(*sh));
	unsigned n = 0;

	assert_non_null(sh);
	sh->store = open_mode(s, mode);
	sh->n = s->n;
	for (uint64_t id = 0; id < STEADY; id++) {
		assert_int_equal(put_version(sh->store, id, 1, 0), 0);
		atomic_store(&sh->started[id], 1);
		atomic_store(&sh->committed[id], 1);
	}
	for (unsigned i = 0; i < WRITERS; i++, n++)
		start(&workers[n], sh, i, writer);
	for (unsigned i = 0; i < READERS; i++, n++)
		start(&workers[n], sh, i + 10, reader);
	start(&workers[n++], sh, 20, lister);
	start(&workers[n++], sh, 21, keeper);
	usleep(run_ms() * 1000);
	atomic_store(&sh->stop, true);
	while (n > 0)
		assert_int_equal(pthread_join(workers[--n].thread, NULL), 0);
	check_end(sh);
	printf("# %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " listings\n",
	       (uint64_t)sh->reads, (uint64_t)sh->writes, (uint64_t)sh->lists);
	close_store(sh->store);
	sh->store = open_mode(s, mode);
	assert_int_equal(leaked_slots(sh->store), 0);
	check_end(sh);
	close_store(sh->store);
	free(sh);
}

static void test_every_vector_is_whole_while_everyone_does_everything(void **state)
{
	all_at_once(*state, QUIVER_FSYNC);
}

static void test_the_same_starting_with_group_commit(void **state)
{
	all_at_once(*state, QUIVER_ALWAYS);
}

/* ---- a rename is seen whole ---- */

/* The two names of a vector that is renamed to and fro, and one that is replaced by it. */
#define NAME_A 1u
#define NAME_B 2u
#define REPLACED 3u
#define RENAMES 30000u

static int put_one(struct quiver *store, uint64_t id)
{
	return put_version(store, id, 1, 0);
}

static void *renamer(void *arg)
{
	struct worker *w = arg;
	struct quiver *store = w->shared->store;

	for (uint64_t i = 0; i < RENAMES; i++) {
		MUST(quiver_rename(store, NAME_A, NAME_B, 0, NULL) == 0);
		MUST(quiver_rename(store, NAME_B, REPLACED, 0, NULL) == 0);
		MUST(quiver_rename(store, REPLACED, NAME_A, 0, NULL) == 0);
		MUST(put_one(store, REPLACED) == 0);
	}
	atomic_store(&w->shared->stop, true);
	return NULL;
}

/* A vector that has come under the name `to`, with the LSN of that, has gone from under `from`, or
 * has come there with a later one. */
static bool is_half(struct quiver *store, uint64_t from, uint64_t to)
{
	uint64_t came, there;

	return quiver_stat(store, to, 0, NULL, &came) == 0 &&
	       quiver_stat(store, from, 0, NULL, &there) == 0 && there < came;
}

static void *watcher(void *arg)
{
	struct worker *w = arg;
	struct quiver *store = w->shared->store;

	while (!atomic_load(&w->shared->stop)) {
		uint64_t count = quiver_count(store);

		MUST(!is_half(store, NAME_A, NAME_B));
		MUST(!is_half(store, NAME_B, REPLACED));
		MUST(count == 1 || count == 2);
		atomic_fetch_add(&w->shared->reads, 1);
	}
	return NULL;
}

static void test_both_ids_of_a_rename_change_at_once(void **state)
{
	struct worker workers[3];
	struct shared *sh = calloc(1, sizeof(*sh));

	assert_non_null(sh);
	sh->store = open_mode(*state, QUIVER_NONE);
	sh->n = ((struct store_dir *)*state)->n;
	assert_int_equal(put_one(sh->store, NAME_A), 0);
	assert_int_equal(put_one(sh->store, REPLACED), 0);
	start(&workers[0], sh, 0, renamer);
	start(&workers[1], sh, 1, watcher);
	start(&workers[2], sh, 2, watcher);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
	assert_int_equal(atomic_load(&sh->wrong), 0);
	printf("# %" PRIu64 " looks at %u renames\n", (uint64_t)sh->reads, 3 * RENAMES);
	close_store(sh->store);
	free(sh);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_every_vector_is_whole_while_everyone_does_everything),
		TEST(test_the_same_starting_with_group_commit),
		TEST(test_both_ids_of_a_rename_change_at_once),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
