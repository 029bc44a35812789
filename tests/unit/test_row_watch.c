/* Whoever watches the columns is told of every row that changes, before the change returns. */
#include "store_test.h"

#define COUNT 200u
#define ROWS_MAX 8192u
#define HEADER QUIVER_COLUMN_HEADER_BYTES

/* The columns as they were, and what was told since. */
struct mirror {
	struct quiver *store;
	uint32_t n;
	uint64_t rows;
	uint8_t vectors[ROWS_MAX * STORE_DIM];
	uint64_t ids[ROWS_MAX];
	bool told[ROWS_MAX];
	uint64_t settles;
	bool unsettled; /* told since the last settle */
};

static void on_changed(void *arg, uint64_t first, uint64_t count)
{
	struct mirror *m = arg;

	for (uint64_t row = first; row < first + count && row < ROWS_MAX; row++)
		m->told[row] = true;
	m->unsettled = true;
}

static void on_settle(void *arg)
{
	struct mirror *m = arg;

	m->settles++;
	m->unsettled = false;
}

static void look(struct mirror *m, uint8_t *vectors, uint64_t *ids)
{
	m->rows = (quiver_column_bytes(m->store, QUIVER_COLUMN_IDS) - HEADER) / 8;
	if (m->rows > ROWS_MAX)
		m->rows = ROWS_MAX;
	assert_int_equal(quiver_column_read(m->store, QUIVER_COLUMN_VECTORS, HEADER, m->rows * m->n,
	                                    vectors),
	                 m->rows * m->n);
	assert_int_equal(quiver_column_read(m->store, QUIVER_COLUMN_IDS, HEADER, m->rows * 8, ids),
	                 m->rows * 8);
}

/* All that is another row than it was has been told, and settled. How many those are. */
static unsigned changed_rows(struct mirror *m)
{
	static uint8_t vectors[ROWS_MAX * STORE_DIM];
	static uint64_t ids[ROWS_MAX];
	uint64_t before = m->rows;
	unsigned changed = 0;

	look(m, vectors, ids);
	assert_false(m->unsettled);
	for (uint64_t row = 0; row < m->rows; row++) {
		bool same = row < before && ids[row] == m->ids[row] &&
		            memcmp(vectors + row * m->n, m->vectors + row * m->n, m->n) == 0;

		if (!same)
			assert_true(m->told[row]);
		changed += !same;
	}
	memcpy(m->vectors, vectors, sizeof(vectors));
	memcpy(m->ids, ids, sizeof(ids));
	memset(m->told, 0, sizeof(m->told));
	return changed;
}

static struct mirror *watched(const struct store_dir *s, enum quiver_durability mode)
{
	struct mirror *m = calloc(1, sizeof(*m));
	struct quiver_watcher watcher = { m, on_changed, on_settle };
	uint64_t size;
	int fd;

	assert_non_null(m);
	m->store = open_mode(s, mode);
	m->n = s->n;
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(put_version(m->store, id, 1, 0), 0);
	assert_int_equal(quiver_column_watch(m->store, &watcher), 0);
	/* So that all rows stay. */
	assert_int_equal(quiver_column_hold(m->store, QUIVER_COLUMN_IDS, &fd, &size), 0);
	look(m, m->vectors, m->ids);
	return m;
}

static void done(struct mirror *m)
{
	uint64_t settles;

	quiver_column_unwatch(m->store, true);
	settles = m->settles;
	assert_int_equal(put_version(m->store, 1, 99, 0), 0);
	assert_int_equal(quiver_checkpoint(m->store), 0);
	assert_int_equal(m->settles, settles);
	quiver_column_release(m->store, QUIVER_COLUMN_IDS);
	close_store(m->store);
	free(m);
}

static void put_many(struct quiver *store, uint64_t first, uint64_t count, uint64_t version)
{
	struct quiver_record *records = calloc(count, sizeof(*records));
	uint8_t *bytes = malloc(count * STORE_DIM);
	const struct quiver_attr attr = { .mode = 0644 };

	assert_non_null(records);
	assert_non_null(bytes);
	for (uint64_t i = 0; i < count; i++) {
		vector_fill(bytes + i * STORE_DIM, STORE_DIM, first + i, version);
		records[i] =
			(struct quiver_record){ .id = first + i, .data = bytes + i * STORE_DIM };
	}
	assert_int_equal(quiver_put_batch(store, records, count, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
	free(records);
	free(bytes);
}

static void changes(const struct store_dir *s, enum quiver_durability mode)
{
	struct mirror *m = watched(s, mode);

	assert_int_equal(put_version(m->store, 5000, 1, 0), 0);
	assert_int_equal(changed_rows(m), 1);
	assert_int_equal(put_version(m->store, 3, 2, QUIVER_SYNC), 0);
	assert_true(changed_rows(m) >= 1);
	put_many(m->store, 100, 300, 2);
	assert_true(changed_rows(m) >= 300);
	assert_int_equal(quiver_rename(m->store, 7, 7000, 0, NULL), 0);
	assert_true(changed_rows(m) >= 1);
	for (uint64_t id = 20; id < 60; id++)
		assert_int_equal(quiver_remove(m->store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(m->store), 0);
	assert_true(changed_rows(m) >= 40);
	put_many(m->store, 8000, 1500, 1);
	for (uint64_t id = 8000; id < 9400; id++)
		assert_int_equal(quiver_remove(m->store, id, 0, NULL), 0);
	assert_int_equal(quiver_reserve(m->store, 2 * m->rows), 0);
	(void)changed_rows(m);
	run_job(m->store, QUIVER_COMPACT);
	assert_true(changed_rows(m) > 1000);
	assert_true(stats_of(m->store).moved > 0);
	assert_int_equal(put_version(m->store, 4, 9, QUIVER_NOREPLACE), -EEXIST);
	(void)changed_rows(m);
	assert_int_equal(quiver_set_durability(m->store, QUIVER_NONE), 0);
	assert_int_equal(put_version(m->store, 4, 10, 0), 0);
	assert_true(changed_rows(m) >= 1);
	done(m);
}

static void test_every_changed_row_is_told(void **state)
{
	changes(*state, QUIVER_FSYNC);
}

static void test_also_where_nothing_is_logged(void **state)
{
	changes(*state, QUIVER_NONE);
}

static void test_also_where_the_log_is_synced(void **state)
{
	changes(*state, QUIVER_ALWAYS);
}

static void test_who_does_not_wait_is_turned_away(void **state)
{
	struct mirror *m = watched(*state, QUIVER_FSYNC);
	unsigned served = 0;

	assert_int_equal(put_version(m->store, 1, 2, QUIVER_NOWAIT), -EAGAIN);
	assert_int_equal(version_of(m->store, 1), 1);
	assert_int_equal(quiver_rename(m->store, 1, 9000, QUIVER_NOWAIT, NULL), -EAGAIN);
	assert_int_equal(changed_rows(m), 0);
	quiver_column_unwatch(m->store, false);
	/* Now and then also because a page is not in memory. */
	for (uint64_t id = 0; id < COUNT; id++)
		if (put_version(m->store, id, 3, QUIVER_NOWAIT) == 0)
			served++;
	assert_true(served > COUNT / 2);
	done(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_every_changed_row_is_told),
		TEST(test_also_where_nothing_is_logged),
		TEST(test_also_where_the_log_is_synced),
		TEST(test_who_does_not_wait_is_turned_away),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
