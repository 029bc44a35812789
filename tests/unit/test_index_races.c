/*
 * test_index_races.c - searches of the index beside its one writer, compared with a model: IDs whose
 * buckets of home are the same few, so that most of them lie behind their own.
 */
#include "unit.h"

#include <pthread.h>

#define XXH_INLINE_ALL
#include "engine/base/epoch.h"
#include "engine/disk/columns.h"
#include "engine/index/index.h"
#include "engine/index/index_pages.h"
#include "engine/index/index_table.h"
#include "store_test.h"

/* After some of the writer's stores, so that the readers come between each of them and the next. */
static void linger(void)
{
	static unsigned stores; /* the writer's */

	if (++stores % 4 == 0)
		for (volatile int i = 0; i < 300; i++)
			;
}

/* The writer's functions, with that. */
#undef atomic_store_explicit
#define atomic_store_explicit(at, value, order)                   \
	do {                                                      \
		(void)atomic_exchange_explicit(at, value, order); \
		linger();                                         \
	} while (0)
/* NOLINTNEXTLINE(bugprone-suspicious-include): its stores are to be told from those of others. */
#include "engine/index/index_change.c"

#define IDS 150u /* in HOMES buckets of twelve */
#define HOMES 6u
#define OTHERS 6000u /* which make the table grow, anywhere in it */
#define READERS 2
#define CHANGES 60000u /* and more, until searches lay within so many of them: */
#define WITHIN 3000u

/* Where an ID is: nowhere, or in one of the two slots that have its row. */
enum where { NOWHERE, FIRST, SECOND };

/* What the model says of an ID: how many changes of it have begun, where it was and will be; the
 * same of both where none is under way. */
static uint64_t say(uint64_t changes, enum where from, enum where to)
{
	return changes << 4 | (uint64_t)from << 2 | to;
}

struct races {
	struct unit_dir dir;
	struct columns columns;
	struct index index;
	uint64_t ids[IDS]; /* rows i and IDS + i */
	uint64_t others[OTHERS]; /* rows from 2 * IDS on */
	_Atomic uint64_t said[IDS];
	_Atomic uint64_t renames; /* of the one of the pair to the other and back; begun + ended */
	_Atomic uint64_t changing; /* the ID that is, or was last */
	_Atomic bool stop;
	_Atomic uint64_t wrong;
	_Atomic uint64_t within; /* changes within which a reader has searched from begin to end */
};

#define OTHERS_AT (2 * (uint64_t)IDS)
#define PAIR_AT (OTHERS_AT + OTHERS) /* two IDs of which one is there, in these slots */
#define ONE UINT64_C(1)
#define OTHER UINT64_C(2)

static void write_row(struct races *r, uint64_t slot, uint64_t id)
{
	static const struct meta_row row = { .lsn = 1 };

	assert_int_equal(columns_write_rows(&r->columns, slot, &id, &row, 1), 0);
}

/* One that begins its way in one of the few buckets. */
static uint64_t crowded_id(const struct races *r, uint64_t *random)
{
	const struct index_table *table = atomic_load(&r->index.table);

	for (;;) {
		uint64_t id = test_random(random) >> 2;

		if (id > OTHER && index_home(table, index_hash(id)) <= HOMES)
			return id;
	}
}

static int setup(void **state)
{
	static const struct quiver_geometry geometry = { .dim = 1,
		                                         .dtype = QUIVER_U1,
		                                         .vector_bytes = 1 };
	struct races *r = calloc(1, sizeof(*r));
	struct quiver_error error;
	uint64_t random = test_seed();

	assert_non_null(r);
	unit_dir_make(&r->dir);
	assert_int_equal(columns_create(quiver_io_posix(), r->dir.fd, &geometry), 0);
	assert_int_equal(columns_open(&r->columns, quiver_io_posix(), r->dir.fd, &geometry,
	                              QUIVER_FORMAT_VERSION, 0, false, &error),
	                 0);
	assert_int_equal(columns_grow(&r->columns, PAIR_AT + 2), 0);
	assert_int_equal(index_init(&r->index, &r->columns, 0), 0);
	for (uint64_t i = 0; i < IDS; i++) {
		r->ids[i] = crowded_id(r, &random);
		write_row(r, i, r->ids[i]);
		write_row(r, IDS + i, r->ids[i]);
	}
	for (uint64_t i = 0; i < OTHERS; i++) {
		r->others[i] = test_random(&random) >> 1 | UINT64_C(1) << 62;
		write_row(r, OTHERS_AT + i, r->others[i]);
	}
	write_row(r, PAIR_AT, ONE);
	write_row(r, PAIR_AT + 1, OTHER);
	index_insert(&r->index, ONE, PAIR_AT);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct races *r = *state;

	index_destroy(&r->index);
	assert_int_equal(columns_close(&r->columns), 0);
	unit_dir_remove(&r->dir);
	free(r);
	return 0;
}

/* ---- the writer ---- */

static uint64_t slot_of(uint64_t i, enum where where)
{
	return where == NOWHERE ? SLOT_NONE : where == FIRST ? i : IDS + i;
}

static void change_one(struct races *r, uint64_t i, uint64_t *random)
{
	uint64_t now = atomic_load(&r->said[i]);
	uint64_t changes = (now >> 4) + 1;
	enum where from = now & 3;
	enum where to = (from + 1 + test_below(random, 2)) % 3;

	assert_int_equal(index_make_room(&r->index, 1), 0);
	atomic_store(&r->changing, i);
	atomic_store(&r->said[i], say(changes, from, to));
	if (from == NOWHERE)
		index_insert(&r->index, r->ids[i], slot_of(i, to));
	else if (to == NOWHERE)
		index_remove(&r->index, r->ids[i], slot_of(i, from));
	else
		index_replace(&r->index, r->ids[i], slot_of(i, from), slot_of(i, to));
	atomic_store(&r->said[i], say(changes, to, to));
}

static void rename_one(struct races *r)
{
	uint64_t number = atomic_fetch_add(&r->renames, 1) / 2;

	assert_int_equal(index_make_room(&r->index, 1), 0);
	if (number % 2)
		index_rename(&r->index, OTHER, PAIR_AT + 1, ONE, SLOT_NONE, PAIR_AT);
	else
		index_rename(&r->index, ONE, PAIR_AT, OTHER, SLOT_NONE, PAIR_AT + 1);
	atomic_fetch_add(&r->renames, 1);
}

/* The others come, all of them, and go again: one with each call. */
static void grow_or_shrink(struct races *r, uint64_t step)
{
	uint64_t i = step % OTHERS;

	if (step / OTHERS % 2 == 0) {
		assert_int_equal(index_make_room(&r->index, 1), 0);
		index_insert(&r->index, r->others[i], OTHERS_AT + i);
	} else {
		index_remove(&r->index, r->others[i], OTHERS_AT + i);
	}
}

static void free_former(struct index *index)
{
	struct index_table *former = index_take_former(index);

	epoch_wait();
	index_free_former(index, former);
}

/* ---- the readers ---- */

/* Whether the index may say so of an ID of which the model has said `before` before the search and
 * `after` after it. */
static bool may_be(uint64_t i, uint64_t before, uint64_t after, uint64_t slot)
{
	uint64_t changes = (after >> 4) - (before >> 4);
	bool under_way = (before >> 2 & 3) != (before & 3);

	if (slot == slot_of(i, before & 3) || slot == slot_of(i, before >> 2 & 3))
		return true;
	/* Of what has begun meanwhile only the first change is known. */
	return changes > 1 || (changes == 1 && (under_way || slot == slot_of(i, after & 3)));
}

/* *last: what the model said when the last such change was under way. */
static void look(struct races *r, uint64_t *random, uint64_t *last)
{
	uint64_t i = test_below(random, 2) ? test_below(random, IDS) : atomic_load(&r->changing);
	uint64_t before = atomic_load(&r->said[i]);
	uint64_t slot = index_find(&r->index, r->ids[i]);
	uint64_t after = atomic_load(&r->said[i]);

	if (!may_be(i, before, after, slot))
		atomic_fetch_add(&r->wrong, 1);
	if (after == before && before != *last && (before >> 2 & 3) != (before & 3)) {
		atomic_fetch_add(&r->within, 1);
		*last = before;
	}
}

/* Who has seen the one side of a rename sees the other. */
static void look_at_pair(struct races *r)
{
	uint64_t before = atomic_load(&r->renames);
	bool back = before / 2 % 2; /* the one that is under way, or the next */
	bool one, other;

	index_settle(&r->index);
	one = index_find(&r->index, ONE) != SLOT_NONE;
	index_settle(&r->index);
	other = index_find(&r->index, OTHER) != SLOT_NONE;
	if (atomic_load(&r->renames) - before <= 1 && one == other && one == back)
		atomic_fetch_add(&r->wrong, 1);
}

static void *read_on(void *arg)
{
	struct races *r = arg;
	uint64_t random = test_seed() + (uintptr_t)&random;
	uint64_t last = 0;

	while (!atomic_load(&r->stop)) {
		epoch_enter();
		for (int i = 0; i < 16; i++)
			look(r, &random, &last);
		epoch_leave();
		epoch_enter();
		look_at_pair(r);
		epoch_leave();
	}
	return NULL;
}

static void check_all(struct races *r)
{
	for (uint64_t i = 0; i < IDS; i++)
		assert_true(index_find(&r->index, r->ids[i]) ==
		            slot_of(i, atomic_load(&r->said[i]) & 3));
}

/* How often the table was replaced. */
static uint64_t run(struct races *r, bool grows)
{
	pthread_t threads[READERS];
	uint64_t random = test_seed();
	struct index_table *table = atomic_load(&r->index.table);
	uint64_t replaced = 0;
	uint64_t i = 0;

	for (int t = 0; t < READERS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, read_on, r), 0);
	for (uint64_t step = 0; step < CHANGES || atomic_load(&r->within) < WITHIN; step++) {
		/* Often the same once more, which finds the place that it has left. */
		if (test_below(&random, 3) == 0)
			i = test_below(&random, IDS);
		change_one(r, i, &random);
		if (step % 16 == 0)
			rename_one(r);
		if (grows)
			grow_or_shrink(r, step);
		replaced += atomic_load(&r->index.table) != table;
		table = atomic_load(&r->index.table);
		if (step % 4096 == 0)
			free_former(&r->index);
		if (step % 1024 == 0)
			check_all(r);
	}
	atomic_store(&r->stop, true);
	for (int t = 0; t < READERS; t++)
		assert_int_equal(pthread_join(threads[t], NULL), 0);
	assert_int_equal(atomic_load(&r->wrong), 0);
	check_all(r);
	free_former(&r->index);
	return replaced;
}

static void test_searches_beside_changes_in_crowded_buckets(void **state)
{
	assert_int_equal(run(*state, false), 0);
}

static void test_searches_beside_changes_while_the_table_is_replaced(void **state)
{
	assert_true(run(*state, true) >= 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_searches_beside_changes_in_crowded_buckets),
		TEST(test_searches_beside_changes_while_the_table_is_replaced),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
