#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "engine/base/epoch.h"
#include "engine/disk/columns.h"
#include "engine/index/index.h"
#include "engine/index/index_keep.h"
#include "engine/index/index_table.h"
#include "engine/media/bytes.h"
#include "store_test.h"

#define ROWS 30000u

struct table {
	struct unit_dir dir;
	struct columns columns;
	struct index index;
	uint64_t ids[ROWS];
};

/* A made-up ID for each slot, and columns that say so. */
static int setup(void **state)
{
	static const struct quiver_geometry geometry = { .dim = 1,
		                                         .dtype = QUIVER_U1,
		                                         .vector_bytes = 1 };
	static const struct meta_row row = { .lsn = 1 };
	struct table *t = calloc(1, sizeof(*t));
	struct quiver_error error;
	uint64_t random = test_seed();

	assert_non_null(t);
	unit_dir_make(&t->dir);
	assert_int_equal(columns_create(quiver_io_posix(), t->dir.fd, &geometry), 0);
	assert_int_equal(columns_open(&t->columns, quiver_io_posix(), t->dir.fd, &geometry,
	                              QUIVER_FORMAT_VERSION, 0, false, &error),
	                 0);
	assert_int_equal(columns_grow(&t->columns, ROWS), 0);
	for (uint64_t s = 0; s < ROWS; s++) {
		t->ids[s] = s < 1000 ? s : test_random(&random) >> 1;
		assert_int_equal(columns_write_rows(&t->columns, s, &t->ids[s], &row, 1), 0);
	}
	assert_int_equal(index_init(&t->index, &t->columns, 0), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct table *t = *state;

	index_destroy(&t->index);
	assert_int_equal(columns_close(&t->columns), 0);
	unit_dir_remove(&t->dir);
	free(t);
	return 0;
}

static void insert_one(struct table *t, uint64_t s)
{
	assert_int_equal(index_make_room(&t->index, 1), 0);
	index_insert(&t->index, t->ids[s], s);
}

/* As a checkpoint does. */
static void free_former(struct index *index)
{
	struct index_table *former = index_take_former(index);

	epoch_wait();
	index_free_former(index, former);
}

static void insert(struct table *t, uint64_t from, uint64_t to)
{
	for (uint64_t s = from; s < to; s++)
		insert_one(t, s);
	free_former(&t->index);
}

static void check_all(struct table *t, const struct index *index, uint64_t from, uint64_t to)
{
	for (uint64_t s = 0; s < ROWS; s++)
		assert_true(index_find(index, t->ids[s]) == (s >= from && s < to ? s : SLOT_NONE));
}

static void test_the_table_grows_with_what_is_in_it(void **state)
{
	struct table *t = *state;
	uint64_t before = index_bytes(&t->index);

	insert(t, 0, ROWS);
	check_all(t, &t->index, 0, ROWS);
	assert_int_equal(atomic_load(&t->index.count), ROWS);
	assert_true(index_bytes(&t->index) > before);
	assert_true(index_bytes(&t->index) < ROWS * 16u);
}

static void test_removed_ids_are_gone_and_the_others_found(void **state)
{
	struct table *t = *state;

	insert(t, 0, ROWS);
	for (uint64_t s = 0; s < ROWS / 2; s++)
		index_remove(&t->index, t->ids[s], s);
	check_all(t, &t->index, ROWS / 2, ROWS);
	insert(t, 0, ROWS / 2);
	check_all(t, &t->index, 0, ROWS);
}

static void test_coming_and_going_does_not_grow_the_table(void **state)
{
	struct table *t = *state;
	uint64_t most = 0;

	for (int round = 0; round < 50; round++) {
		insert(t, 0, 2000);
		for (uint64_t s = 0; s < 2000; s++)
			index_remove(&t->index, t->ids[s], s);
		most = index_bytes(&t->index) > most ? index_bytes(&t->index) : most;
	}
	assert_true(most < 2000 * 32);
	check_all(t, &t->index, 0, 0);
}

#define LIVE_WORDS (ROWS / 64 + 1)

/* All but the first hundred. */
static void make_live(uint64_t live[LIVE_WORDS])
{
	memset(live, 0, LIVE_WORDS * 8);
	for (uint64_t i = 100; i < ROWS; i++)
		live[i / 64] |= UINT64_C(1) << i % 64;
}

static void copy_live(const void *owner, uint64_t page, uint8_t *to)
{
	const uint64_t *live = owner;
	uint64_t first = page * INDEX_LIVE_WORDS;

	memset(to, 0, INDEX_PAGE_BYTES);
	for (uint64_t i = 0; i < INDEX_LIVE_WORDS && first + i < LIVE_WORDS; i++)
		put_le64(to + INDEX_LINE_BYTES + i * 8, live[first + i]);
}

/* Write the file whole; what it is of. */
static struct index_stamp save(struct table *t)
{
	struct index_keep_as as = { .uuid = { 3 },
		                    .generation = 5,
		                    .lsn = 17,
		                    .slots_used = ROWS,
		                    .count = atomic_load(&t->index.count),
		                    .ctime_max_ns = -7 };
	uint64_t live[LIVE_WORDS];
	struct index_pages pages;
	struct index_keep keep;
	struct index_stamp s = { .uuid = { 3 },
		                 .generation = 5,
		                 .lsn = 17,
		                 .slots_used = ROWS,
		                 .count = as.count,
		                 .ctime_max_ns = as.ctime_max_ns };

	make_live(live);
	assert_int_equal(index_pages_init(&pages, index_live_pages(ROWS), live, copy_live), 0);
	index_keep_init(&keep, quiver_io_posix(), t->dir.fd, &pages);
	assert_int_equal(index_keep_begin(&keep, &t->index, &as), 0);
	assert_int_equal(index_keep_write(&keep, t->columns.ids.fd), 0);
	index_keep_end(&keep, INDEX_NAMED);
	assert_int_equal(index_keep_name(&keep), 0);
	s.salt = keep.header.salt;
	index_pages_destroy(&pages);
	return s;
}

static int load(struct table *t, const struct index_stamp *s, struct index *index)
{
	uint64_t *live = calloc(1, index_live_bytes(ROWS) + 8);
	int r;

	assert_non_null(live);
	r = index_load(index, &t->columns, quiver_io_posix(), t->dir.fd, s, live, NULL);

	if (r == 0)
		for (uint64_t i = 0; i < ROWS; i++)
			assert_int_equal(live[i / 64] >> i % 64 & 1, i >= 100);
	free(live);
	return r;
}

static void test_a_file_is_read_as_it_was_written(void **state)
{
	struct table *t = *state;
	struct index_stamp s = { .uuid = { 3 }, .generation = 5, .lsn = 17, .slots_used = ROWS };
	uint64_t live[LIVE_WORDS];
	struct index_stamp other;
	struct index again;

	make_live(live);
	assert_int_equal(load(t, &s, &again), -ENOENT);
	insert(t, 0, ROWS);
	for (uint64_t i = 0; i < 100; i++)
		index_remove(&t->index, t->ids[i], i);
	s = save(t);
	assert_int_equal(load(t, &s, &again), 0);
	assert_false(index_is_whole(&again));
	check_all(t, &again, 100, ROWS);
	assert_int_equal(atomic_load(&again.count), ROWS - 100);
	assert_int_equal(index_load_rest(&again, live, ROWS), 0);
	assert_true(index_is_whole(&again));
	check_all(t, &again, 100, ROWS);
	index_insert(&again, t->ids[0], 0);
	assert_int_equal(index_find(&again, t->ids[0]), 0);
	index_destroy(&again);
	for (int i = 0; i < 7; i++) {
		other = s;
		other.lsn += i == 0;
		other.slots_used += i == 1;
		other.uuid[0] += i == 2;
		other.generation += i == 3;
		other.salt += i == 4;
		other.count += i == 5;
		other.ctime_max_ns += i == 6;
		assert_int_equal(load(t, &other, &again), -ESTALE);
	}
	/* The columns were cut since, but not where there are vectors. */
	other = s;
	other.slots_used--;
	assert_int_equal(load(t, &other, &again), -EBADMSG);
}

#define CROWD 60u /* more than the bucket and its neighbours have places */

/* IDs whose ways all begin in one bucket, for the slots that are free. */
static void crowd(struct table *t, const struct index *index, uint64_t begin, uint64_t *begins)
{
	static const struct meta_row row = { .lsn = 1 };
	uint64_t random = test_seed() + begin;

	for (uint64_t s = 0; s < CROWD;) {
		t->ids[s] = test_random(&random) >> 1;
		if (index_way_begins(index, t->ids[s]) != begin)
			continue;
		assert_int_equal(columns_write_rows(&t->columns, s, &t->ids[s], &row, 1), 0);
		begins[s++] = begin;
	}
}

/* What goes on from the last bucket of a page is in the next, and from the last of all in the first. */
static void crowds_into_the_next_page(struct table *t, const struct index_stamp *stamp,
                                      uint64_t page)
{
	uint64_t begins[CROWD];
	uint64_t live[LIVE_WORDS];
	struct index again;

	make_live(live);
	assert_int_equal(load(t, stamp, &again), 0);
	crowd(t, &again, (page + 1) * INDEX_PAGE_LINES - 1, begins);
	for (uint64_t s = 0; s < CROWD; s++)
		assert_int_equal(index_ready(&again, t->ids[s], 1), 0);
	assert_int_equal(index_ready_all(&again, begins, CROWD), 0);
	assert_true(index_is_ready(&again, t->ids[0], CROWD));
	assert_false(index_is_whole(&again));
	for (uint64_t s = 0; s < CROWD; s++) {
		index_insert(&again, t->ids[s], s);
		live[s / 64] |= UINT64_C(1) << s % 64;
	}
	assert_int_equal(index_load_rest(&again, live, ROWS), 0);
	for (uint64_t s = 0; s < CROWD; s++)
		assert_int_equal(index_find(&again, t->ids[s]), s);
	for (uint64_t s = 100; s < ROWS; s++)
		assert_int_equal(index_find(&again, t->ids[s]), s);
	index_destroy(&again);
}

static void test_many_that_are_added_together_find_their_pages_read(void **state)
{
	struct table *t = *state;
	struct index_stamp s;

	insert(t, 0, ROWS);
	for (uint64_t i = 0; i < 100; i++)
		index_remove(&t->index, t->ids[i], i);
	s = save(t);
	crowds_into_the_next_page(t, &s, 3);
	crowds_into_the_next_page(t, &s, index_pages(&t->index) - 1);
}

/* A snapshot with a flipped bit, opened all the same: no search may come to anything wrong, and
 * one that finds nothing must say why. */
static void check_damaged(struct table *t, struct index *index)
{
	uint64_t live[LIVE_WORDS];

	make_live(live);
	for (uint64_t s = 100; s < ROWS; s++) {
		uint64_t found = index_find(index, t->ids[s]);

		assert_true(found == s || (found == SLOT_NONE && index_damage(index)));
	}
	assert_int_equal(index_damage(index), -EBADMSG);
	assert_false(index_is_whole(index));
	assert_int_equal(index_load_rest(index, live, ROWS), -EBADMSG);
	assert_false(index_is_whole(index));
}

/* Whether byte `at` of the file is of a page in place 0, in which all are. */
static bool is_of_a_page(const struct table *t, uint64_t at)
{
	uint64_t pages = index_pages(&t->index) + index_live_pages(ROWS);

	for (uint64_t page = 0; page < pages; page++)
		if (at >= index_place_at(page, false) &&
		    at < index_place_at(page, false) + INDEX_PAGE_BYTES)
			return true;
	return false;
}

static void test_failure_13_every_flipped_bit_of_the_file_is_refused(void **state)
{
	struct table *t = *state;
	struct index_stamp s;
	uint64_t random = test_seed();
	struct index again;
	uint64_t bits;

	insert(t, 0, ROWS);
	for (uint64_t i = 0; i < 100; i++)
		index_remove(&t->index, t->ids[i], i);
	s = save(t);
	bits = unit_size(&t->dir, "index") * 8;
	for (int i = 0; i < 200; i++) {
		/* The header more often than by chance. */
		uint64_t bit = test_below(&random, i < 100 ? 4096 * 8 : bits);
		bool matters;
		int r;

		unit_flip(&t->dir, "index", bit);
		r = load(t, &s, &again);
		/* The other header, and places where nothing was written. */
		matters = bit / 8 < 4096 || is_of_a_page(t, bit / 8);
		assert_true(r == -EBADMSG || r == -ESTALE ||
		            (r == 0 && (!matters || bit / 8 >= 4096)));
		if (r == 0 && matters)
			check_damaged(t, &again);
		if (r == 0)
			index_destroy(&again);
		unit_flip(&t->dir, "index", bit);
	}
	unit_truncate(&t->dir, "index", (off_t)(bits / 8 - 1));
	assert_int_equal(load(t, &s, &again), -EBADMSG);
	unit_truncate(&t->dir, "index", 100);
	assert_int_equal(load(t, &s, &again), -EBADMSG);
}

/* Each page of it matches its checksum. */
static void test_a_table_that_does_not_name_the_live_slots_is_refused(void **state)
{
	struct table *t = *state;
	struct index_stamp s;
	uint64_t live[LIVE_WORDS];
	struct index again;

	insert(t, 0, ROWS);
	for (uint64_t i = 0; i < 100; i++)
		index_remove(&t->index, t->ids[i], i);
	s = save(t);
	assert_int_equal(load(t, &s, &again), 0);
	make_live(live);
	live[0] |= 2; /* slot 1, which has no entry */
	assert_int_equal(index_load_rest(&again, live, ROWS), -EBADMSG);
	make_live(live);
	live[200 / 64] &= ~(UINT64_C(1) << 200 % 64); /* an entry of a slot that is free */
	assert_int_equal(index_load_rest(&again, live, ROWS), -EBADMSG);
	assert_int_equal(index_damage(&again), -EBADMSG);
	assert_false(index_is_whole(&again));
	make_live(live);
	assert_int_equal(index_load_rest(&again, live, ROWS), 0);
	index_destroy(&again);
	/* An entry in the place of another: one slot twice, another not at all. */
	index_replace(&t->index, t->ids[300], 300, 301);
	s = save(t);
	assert_int_equal(load(t, &s, &again), 0);
	assert_int_equal(index_load_rest(&again, live, ROWS), -EBADMSG);
	index_destroy(&again);
	/* Each of them once, but for one that is there twice. */
	index_replace(&t->index, t->ids[300], 301, 300);
	index_insert(&t->index, t->ids[0], 301);
	atomic_fetch_sub(&t->index.count, 1);
	s = save(t);
	assert_int_equal(load(t, &s, &again), 0);
	assert_int_equal(index_load_rest(&again, live, ROWS), -EBADMSG);
	index_destroy(&again);
}

struct looker {
	struct table *t;
	_Atomic bool stop;
	_Atomic int wrong;
};

static void *look(void *arg)
{
	struct looker *l = arg;
	uint64_t random = test_seed();

	while (!atomic_load(&l->stop)) {
		uint64_t s = test_below(&random, 1000);

		epoch_enter();
		if (index_find(&l->t->index, l->t->ids[s]) != s)
			atomic_store(&l->wrong, 1);
		epoch_leave();
	}
	return NULL;
}

static void test_readers_find_what_is_there_while_the_table_is_replaced(void **state)
{
	struct looker l = { .t = *state };
	pthread_t threads[2];

	insert(l.t, 0, 1000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look, &l), 0);
	for (int round = 0; round < 2; round++) {
		insert(l.t, 1000, ROWS / 2);
		for (uint64_t s = 1000; s < ROWS / 2; s++)
			index_remove(&l.t->index, l.t->ids[s], s);
		free_former(&l.t->index);
	}
	atomic_store(&l.stop, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&l.wrong), 0);
}

/* ---- growing ---- */

static void test_no_insert_waits_for_the_copying_of_the_table(void **state)
{
	struct table *t = *state;
	uint64_t replaced = 0;

	for (uint64_t s = 0; s < ROWS; s++) {
		bool growing = t->index.next;
		uint64_t copied = growing ? t->index.copied : 0;

		insert_one(t, s);
		replaced += growing && !t->index.next;
		/* Two buckets, however large the table is, and the first line of a page. */
		if (t->index.next)
			assert_true(t->index.copied - copied <= 3);
	}
	assert_true(replaced >= 3);
	check_all(t, &t->index, 0, ROWS);
}

struct grower {
	struct table *t;
	sem_t inside, leave, grown;
};

static void *stay_inside(void *arg)
{
	struct grower *g = arg;

	epoch_enter();
	sem_post(&g->inside);
	while (sem_wait(&g->leave) != 0)
		;
	epoch_leave();
	return NULL;
}

static void *grow(void *arg)
{
	struct grower *g = arg;

	for (uint64_t s = 0; s < ROWS; s++)
		insert_one(g->t, s);
	sem_post(&g->grown);
	return NULL;
}

/* A listing of very many vectors is one, for seconds. */
static void test_growing_waits_for_no_reader(void **state)
{
	struct grower g = { .t = *state };
	pthread_t reader, writer;
	struct timespec until;
	int late;

	assert_true(sem_init(&g.inside, 0, 0) == 0 && sem_init(&g.leave, 0, 0) == 0 &&
	            sem_init(&g.grown, 0, 0) == 0);
	assert_int_equal(pthread_create(&reader, NULL, stay_inside, &g), 0);
	while (sem_wait(&g.inside) != 0)
		;
	assert_int_equal(pthread_create(&writer, NULL, grow, &g), 0);
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_sec += 600;
	do
		late = sem_timedwait(&g.grown, &until);
	while (late && errno == EINTR);
	sem_post(&g.leave);
	assert_int_equal(pthread_join(reader, NULL), 0);
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(late, 0);
	check_all(g.t, &g.t->index, 0, ROWS);
	sem_destroy(&g.inside);
	sem_destroy(&g.leave);
	sem_destroy(&g.grown);
}

struct model {
	bool there[ROWS];
};

static void change_by_chance(struct table *t, struct model *m, uint64_t *random, bool more)
{
	uint64_t s = test_below(random, ROWS);

	if (!m->there[s] && (more || test_below(random, 3) == 0)) {
		insert_one(t, s);
		m->there[s] = true;
	} else if (m->there[s] && (!more || test_below(random, 3) == 0)) {
		index_remove(&t->index, t->ids[s], s);
		m->there[s] = false;
	}
}

static void test_all_changes_come_into_the_next_table(void **state)
{
	struct table *t = *state;
	struct model *m = calloc(1, sizeof(*m));
	uint64_t random = test_seed();
	uint64_t while_growing = 0;

	assert_non_null(m);
	for (uint64_t i = 0; i < 12 * ROWS; i++) {
		change_by_chance(t, m, &random, i / (2 * ROWS) % 2 == 0);
		while_growing += t->index.next != NULL;
		if (i % ROWS == 0)
			free_former(&t->index);
		if (i % 7919 == 0)
			for (uint64_t s = 0; s < ROWS; s++)
				assert_true(index_find(&t->index, t->ids[s]) ==
				            (m->there[s] ? s : SLOT_NONE));
	}
	assert_true(while_growing > ROWS / 10);
	free(m);
}

static void test_moves_come_into_the_next_table(void **state)
{
	struct table *t = *state;
	struct meta_row row = { .lsn = 1 };

	insert(t, 0, 2000);
	for (uint64_t s = 2000; s < ROWS / 2; s++) {
		uint64_t from = s - 2000;
		uint64_t to = s - 2000 + ROWS / 2;

		insert_one(t, s);
		assert_int_equal(columns_write_rows(&t->columns, to, &t->ids[from], &row, 1), 0);
		index_replace(&t->index, t->ids[from], from, to);
		assert_int_equal(index_find(&t->index, t->ids[from]), to);
	}
	for (uint64_t s = 0; s < ROWS / 2; s++)
		assert_int_equal(index_find(&t->index, t->ids[s]),
		                 s < ROWS / 2 - 2000 ? s + ROWS / 2 : s);
	free_former(&t->index);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_table_grows_with_what_is_in_it),
		TEST(test_removed_ids_are_gone_and_the_others_found),
		TEST(test_coming_and_going_does_not_grow_the_table),
		TEST(test_a_file_is_read_as_it_was_written),
		TEST(test_many_that_are_added_together_find_their_pages_read),
		TEST(test_failure_13_every_flipped_bit_of_the_file_is_refused),
		TEST(test_a_table_that_does_not_name_the_live_slots_is_refused),
		TEST(test_readers_find_what_is_there_while_the_table_is_replaced),
		TEST(test_no_insert_waits_for_the_copying_of_the_table),
		TEST(test_growing_waits_for_no_reader),
		TEST(test_all_changes_come_into_the_next_table),
		TEST(test_moves_come_into_the_next_table),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
