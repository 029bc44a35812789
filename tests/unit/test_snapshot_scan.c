/* The rows of a snapshot from files alone, while they are taken from the columns. */
#include "snapshot_model.h"

#include "engine/recovery/snapshot_changes.h"
#include "engine/recovery/snapshot_scan.h"
#include "engine/store/store.h"

static struct snapshot_scan *open_scan(const struct store_dir *s, const char *name)
{
	struct quiver_error error = { "" };
	struct snapshot_scan *scan;

	if (snapshot_scan_open(s->path, name, NULL, &scan, &error) != 0)
		fail_msg("%s", error.text);
	return scan;
}

static void check_row(const struct model *model, struct snapshot_scan *scan,
                      const struct snapshot_row *row)
{
	const struct model_vector *want = &model->vectors[row->id];
	struct quiver_attr attr = attr_of(want->attr);
	struct quiver_error error = { "" };
	uint8_t bytes[STORE_BYTES_MAX];

	assert_true(row->id < MODEL_IDS && want->commit != 0);
	assert_true(attr_same(&row->row.attr, &attr));
	assert_int_equal(snapshot_scan_vector(scan, row, bytes, &error), 0);
	assert_int_equal(
		vector_version(bytes, snapshot_scan_geometry(scan)->vector_bytes, want->bytes_id),
		want->version);
}

/* A store with a snapshot "a" of `model`, as it was then. */
static struct quiver *begin(const struct store_dir *s, struct model *model)
{
	struct quiver *store = open_with(s, NULL);

	for (unsigned i = 0; i < 400; i++)
		model_step(model, store);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	return store;
}

/* All of it, a few rows at a time, with `between` after each. */
static uint64_t scan_all(const struct model *model, struct snapshot_scan *scan, size_t at_once,
                         void (*between)(void *arg), void *arg)
{
	struct snapshot_row rows[MODEL_IDS];
	struct quiver_error error = { "" };
	uint64_t next = 0, found = 0, least = 0;
	int64_t n;

	while ((n = snapshot_scan_read(scan, &next, rows, at_once, &error)) > 0) {
		for (int64_t i = 0; i < n; i++) {
			assert_true(rows[i].slot >= least && rows[i].slot < next);
			least = rows[i].slot + 1;
			check_row(model, scan, &rows[i]);
		}
		found += (uint64_t)n;
		between(arg);
	}
	assert_int_equal(n, 0);
	assert_int_equal(found, model_count(model));
	assert_int_equal(snapshot_scan_whole(scan, found, &error), 0);
	return found;
}

struct beside {
	struct quiver *store;
	struct model model;
	unsigned round;
};

static void nothing(void *arg)
{
	(void)arg;
}

/* Rows end and reach the disk; now and then so many snapshots go that the versions are written anew. */
static void change(void *arg)
{
	struct beside *beside = arg;
	char name[16];

	for (unsigned i = 0; i < 40; i++)
		model_step(&beside->model, beside->store);
	snprintf(name, sizeof(name), "b%u", beside->round % 3);
	if (beside->round >= 3)
		assert_int_equal(quiver_snapshot_remove(beside->store, name), 0);
	assert_int_equal(quiver_snapshot_create(beside->store, name, NULL), 0);
	beside->round++;
}

static void test_rows_are_found_while_they_go(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 7 };
	struct beside beside = { .store = begin(s, &model) };
	uint64_t generation;

	beside.model = model;
	for (size_t at_once = 1; at_once <= MODEL_IDS; at_once *= 3) {
		struct snapshot_scan *scan = open_scan(s, "a");

		(void)scan_all(&model, scan, at_once, change, &beside);
		snapshot_scan_close(scan);
	}
	generation = beside.store->catalog.versions.file.generation;
	assert_true(generation > 1); /* it was written anew meanwhile */
	close_store(beside.store);
}

static void test_what_is_damaged_is_told(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 8 };
	struct quiver *store = begin(s, &model);
	struct snapshot_row rows[MODEL_IDS];
	struct quiver_error error = { "" };
	struct snapshot_change *changes;
	struct snapshot_scan *scan;
	uint64_t next = 0, found = 0;
	uint8_t bytes[STORE_DIM];
	int64_t n;
	size_t count;

	for (uint64_t id = 0; id < MODEL_IDS; id++)
		assert_int_equal(put_version(store, id, 5000, 0), 0);
	close_store(store);
	store_flip(s, "versions", (4096 + 96 * 5 + 30) * 8);
	scan = open_scan(s, "a");
	while ((n = snapshot_scan_read(scan, &next, rows, MODEL_IDS, &error)) > 0)
		found += (uint64_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(found, model_count(&model) - 1);
	assert_int_equal(snapshot_scan_whole(scan, found, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "snapshot a has"));
	assert_int_equal(snapshot_changes(NULL, scan, &changes, &count, &error), -EUCLEAN);
	store_flip(s, "vectors.npy", (4096 + rows[0].slot * STORE_DIM) * 8);
	assert_int_equal(snapshot_scan_vector(scan, &rows[0], bytes, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "vectors.npy"));
	snapshot_scan_close(scan);
	store_flip(s, "snapshots/a", 100);
	scan = open_scan(s, "a"); /* one copy is enough */
	snapshot_scan_close(scan);
	store_flip(s, "snapshots/a", 4096 * 8 + 100);
	assert_int_equal(snapshot_scan_open(s->path, "a", NULL, &scan, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "snapshots/a"));
}

static void test_only_an_older_one_is_compared(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 9 };
	struct quiver *store = begin(s, &model);
	struct quiver_error error = { "" };
	struct snapshot_change *changes;
	struct snapshot_scan *a = open_scan(s, "a"), *b;
	size_t count;

	assert_int_equal(put_version(store, 1, 5000, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "b", NULL), 0);
	b = open_scan(s, "b");
	assert_int_equal(snapshot_changes(b, a, &changes, &count, &error), -EINVAL);
	assert_int_equal(snapshot_changes(a, b, &changes, &count, &error), 0);
	assert_int_equal(count, 1);
	assert_int_equal(changes[0].id, 1);
	free(changes);
	snapshot_scan_close(a);
	snapshot_scan_close(b);
	close_store(store);
}

/* One that holds a snapshot keeps the slots, too: also the store that is opened next does. */
static void test_a_store_that_is_opened_again(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 10 };
	struct beside beside = { .store = begin(s, &model) };
	struct snapshot_scan *scan = open_scan(s, "a");

	beside.model = model;
	change(&beside);
	close_store(beside.store);
	beside.store = open_with(s, NULL);
	change(&beside);
	(void)scan_all(&model, scan, 10, change, &beside);
	close_store(beside.store);
	(void)scan_all(&model, scan, 10, nothing, NULL);
	snapshot_scan_close(scan);
}

/* ---- calls that fail ---- */

/* The real table, of which one reading call fails. */
struct failing_reads {
	struct quiver_io table; /* first: `self` of the functions */
	const struct quiver_io *real;
	long at, calls; /* from 1; 0 = never */
	long open; /* descriptors */
};

static struct failing_reads *reads_of(const struct quiver_io *self)
{
	return (struct failing_reads *)(uintptr_t)self;
}

static bool fails_now(const struct quiver_io *self)
{
	struct failing_reads *reads = reads_of(self);

	return ++reads->calls == reads->at;
}

static int failing_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                        mode_t mode)
{
	const struct quiver_io *real = reads_of(self)->real;
	int fd = fails_now(self) ? -EIO : real->open(real, dir_fd, name, flags, mode);

	reads_of(self)->open += fd >= 0;
	return fd;
}

static int counted_close(const struct quiver_io *self, int fd)
{
	const struct quiver_io *real = reads_of(self)->real;

	reads_of(self)->open--;
	return real->close(real, fd);
}

static ssize_t failing_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                             uint64_t offset)
{
	const struct quiver_io *real = reads_of(self)->real;

	return fails_now(self) ? -EIO : real->pread(real, fd, to, length, offset);
}

static int failing_stat(const struct quiver_io *self, int fd, struct stat *st)
{
	const struct quiver_io *real = reads_of(self)->real;

	return fails_now(self) ? -EIO : real->stat(real, fd, st);
}

static int failing_share(const struct quiver_io *self, int fd)
{
	const struct quiver_io *real = reads_of(self)->real;

	return fails_now(self) ? -ENOLCK : real->share(real, fd);
}

static int failing_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                          uint64_t offset)
{
	const struct quiver_io *real = reads_of(self)->real;

	return fails_now(self) ? -ENODEV : real->map_at(real, fd, at, length, offset);
}

/* Either it says what is wrong, or all of it is there. */
static void test_each_call_fails(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 11 };
	struct beside beside = { .store = begin(s, &model) };
	struct failing_reads reads = { .real = quiver_io_posix() };
	struct quiver_options options = { .size = sizeof(options),
		                          .read_only = true,
		                          .io = &reads.table };
	char path[UNIT_PATH_BYTES + 64];
	long failed = 0;
	bool ended = false;

	beside.model = model;
	change(&beside);
	snprintf(path, sizeof(path), "%s@a", s->path);
	reads.table = *reads.real;
	reads.table.open = failing_open;
	reads.table.close = counted_close;
	reads.table.pread = failing_pread;
	reads.table.stat = failing_stat;
	reads.table.share = failing_share;
	reads.table.map_at = failing_map_at;
	for (reads.at = 1; !ended; reads.at++) {
		struct quiver_error error = { "" };
		struct quiver *store;
		int r;

		reads.calls = 0;
		r = quiver_open(path, &options, &store, &error);
		ended = reads.calls < reads.at;
		if (r == 0) {
			model_check(&model, store);
			close_store(store);
		} else {
			assert_true(error.text[0] != '\0');
			failed++;
		}
		assert_int_equal(reads.open, 0);
	}
	assert_true(failed > 10);
	close_store(beside.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_are_found_while_they_go, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_what_is_damaged_is_told, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_only_an_older_one_is_compared, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_a_store_that_is_opened_again, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_each_call_fails, setup_store, teardown_store),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
