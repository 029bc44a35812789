/* QUIVER_NOWAIT: nobody who asks so waits for the disk, to read or to change. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

#include "engine/store/store.h"
#include "store_test.h"

#define COUNT 60000u
#define BATCH 1000u
/* Far enough apart that rows read ahead for one are seldom those of the next. */
#define STEP 997u

struct cold {
	struct unit_dir dir; /* on a disk: in memory nothing is ever cold */
	char path[UNIT_PATH_BYTES + 32];
	struct quiver *store;
};

static const struct quiver_options options = { .size = sizeof(struct quiver_options),
	                                       .durability = QUIVER_FSYNC };

static void drop_pages(const char *path, const char *name)
{
	char file[UNIT_PATH_BYTES + 64];
	int fd;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	fd = open(file, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0); /* only clean pages go */
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(close(fd), 0);
}

static void fill(struct quiver *store)
{
	static const uint8_t data[8] = { 1 };
	const struct quiver_attr attr = { .mode = 0644 };
	struct quiver_record records[BATCH];

	for (uint64_t id = 0; id < COUNT; id += BATCH) {
		for (uint64_t i = 0; i < BATCH; i++)
			records[i] = (struct quiver_record){ .id = id + i, .data = data };
		assert_int_equal(
			quiver_put_batch(store, records, BATCH, &attr, QUIVER_ATTR_ALL, 0, NULL),
			0);
	}
}

static void open_cold(struct cold *cold)
{
	const struct quiver_geometry geometry = { .dim = 8, .dtype = QUIVER_U1 };

	cold->dir = (struct unit_dir){ .path = "/var/tmp/quiver-unit-XXXXXX" };
	assert_non_null(mkdtemp(cold->dir.path));
	cold->dir.fd = open(cold->dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(cold->dir.fd >= 0);
	snprintf(cold->path, sizeof(cold->path), "%s/store", cold->dir.path);
	assert_int_equal(quiver_create(cold->path, &geometry, NULL, NULL, NULL), 0);
	assert_int_equal(quiver_open(cold->path, &options, &cold->store, NULL), 0);
	fill(cold->store);
	assert_int_equal(quiver_close(cold->store), 0);
	drop_pages(cold->path, "ids.npy");
	drop_pages(cold->path, "meta.npy");
	drop_pages(cold->path, "vectors.npy");
	assert_int_equal(quiver_open(cold->path, &options, &cold->store, NULL), 0);
}

static void close_cold(struct cold *cold)
{
	assert_int_equal(quiver_close(cold->store), 0);
	unit_dir_remove(&cold->dir);
}

static long major_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_majflt;
}

/* Ask for every STEPth vector; how many answers were -EAGAIN, after which it is waited for. */
static uint64_t pass(struct quiver *store, bool stat)
{
	uint64_t again = 0;

	for (uint64_t id = 0; id < COUNT; id += STEP) {
		long before = major_faults();
		struct quiver_ref ref;
		int r = stat ? quiver_stat(store, id, QUIVER_NOWAIT, NULL, NULL)
		             : quiver_get(store, id, QUIVER_NOWAIT, &ref);

		assert_int_equal(major_faults(), before);
		if (r == -EAGAIN) {
			again++;
			r = stat ? quiver_stat(store, id, 0, NULL, NULL)
			         : quiver_get(store, id, 0, &ref);
		}
		assert_int_equal(r, 0);
		if (!stat)
			quiver_unref(store, &ref);
	}
	return again;
}

/* Have the kernel drop the rows although they are mapped, and what was seen of them be past. */
static void make_rows_cold(struct cold *cold)
{
	const struct columns *columns = &cold->store->catalog.columns;
	const struct column *rows[] = { &columns->ids, &columns->meta };

	for (int i = 0; i < 2; i++)
		assert_int_equal(madvise((void *)(uintptr_t)rows[i]->map,
		                         atomic_load(&rows[i]->mapped_bytes), MADV_DONTNEED),
		                 0);
	drop_pages(cold->path, "ids.npy");
	drop_pages(cold->path, "meta.npy");
	usleep(1100000);
}

static bool row_is_there(const struct cold *cold, uint64_t slot)
{
	const struct column *meta = &cold->store->catalog.columns.meta;
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t at = (uintptr_t)meta->map + COLUMN_HEADER_BYTES + slot * meta->row_bytes;
	unsigned char there;

	assert_int_equal(mincore((void *)(at & ~(page - 1)), 1, &there), 0);
	return there & 1;
}

static void check_pass(bool stat)
{
	struct cold cold;
	uint64_t left;
	bool dropped;

	open_cold(&cold);
	/* The first that comes to a page of the index waits for it. */
	assert_true(pass(cold.store, stat) > 0);
	make_rows_cold(&cold);
	dropped = !row_is_there(&cold, COUNT / 2);
	left = pass(cold.store, stat);
	assert_true(left > 0 || !dropped);
	/* All is there now, unless the kernel has taken it back. */
	assert_true(pass(cold.store, stat) == 0 || pass(cold.store, stat) == 0);
	close_cold(&cold);
	if (!dropped)
		skip(); /* this filesystem keeps its pages, so only the index was shown */
}

static void test_get_asks_first_whether_rows_are_in_memory(void **state)
{
	(void)state;
	check_pass(false);
}

static void test_stat_asks_first_whether_rows_are_in_memory(void **state)
{
	(void)state;
	check_pass(true);
}

/* ---- changes ---- */

#define ABSENT UINT64_C(1000000) /* such IDs and those above are not there */

static int look_for_nothing(struct quiver *store, uint64_t id, unsigned flags)
{
	int r = quiver_stat(store, ABSENT + id, flags, NULL, NULL);

	return r == -ENOENT ? 0 : r;
}

static int put(struct quiver *store, uint64_t id, unsigned flags)
{
	static const uint8_t data[8] = { 2 };
	const struct quiver_attr attr = { .mode = 0600 };

	return quiver_put(store, id, data, &attr, QUIVER_ATTR_MODE, flags, NULL);
}

static int set_mode(struct quiver *store, uint64_t id, unsigned flags)
{
	const struct quiver_attr attr = { .mode = 0640 };

	return quiver_set_attr(store, id, &attr, QUIVER_ATTR_MODE, flags);
}

static int take_away(struct quiver *store, uint64_t id, unsigned flags)
{
	return quiver_remove(store, id, flags, NULL);
}

static int rename_new(struct quiver *store, uint64_t id, unsigned flags)
{
	return quiver_rename(store, id, ABSENT + id, flags, NULL);
}

static int rename_over(struct quiver *store, uint64_t id, unsigned flags)
{
	return quiver_rename(store, id, (id + COUNT / 2) % COUNT, flags, NULL);
}

/* Each call for some vectors whose rows, bytes and holes between others are on the disk alone. */
static void check_call(int (*call)(struct quiver *, uint64_t, unsigned))
{
	struct cold cold;
	uint64_t again = 0;
	bool dropped;

	open_cold(&cold);
	assert_int_equal(put(cold.store, 1, 0), 0); /* has all of the index in memory */
	for (uint64_t id = 3; id < COUNT / 2; id += STEP)
		assert_int_equal(quiver_remove(cold.store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(cold.store), 0);
	make_rows_cold(&cold);
	drop_pages(cold.path, "vectors.npy");
	dropped = !row_is_there(&cold, COUNT / 2);
	for (uint64_t id = 7; id < COUNT / 2; id += STEP) {
		long before = major_faults();
		int r = call(cold.store, id, QUIVER_NOWAIT);

		assert_int_equal(major_faults(), before);
		again += r == -EAGAIN;
		assert_int_equal(r == -EAGAIN ? call(cold.store, id, 0) : r, 0);
	}
	assert_true(again > 0 || !dropped);
	close_cold(&cold);
	if (!dropped)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

static void test_a_search_for_nothing_asks_for_all_that_it_passes(void **state)
{
	(void)state;
	check_call(look_for_nothing);
}

static void test_put_asks_for_what_it_replaces_and_where_it_goes(void **state)
{
	(void)state;
	check_call(put);
}

static void test_set_attr_asks_for_the_row(void **state)
{
	(void)state;
	check_call(set_mode);
}

static void test_remove_asks_for_the_row(void **state)
{
	(void)state;
	check_call(take_away);
}

static void test_rename_asks_for_both_and_for_the_bytes(void **state)
{
	(void)state;
	check_call(rename_new);
	check_call(rename_over);
}

static void test_a_vector_that_is_not_there_is_no_reason_to_wait(void **state)
{
	struct quiver *store = open_with(*state, NULL);

	assert_int_equal(quiver_stat(store, 7, QUIVER_NOWAIT, NULL, NULL), -ENOENT);
	assert_int_equal(put_version(store, 7, 1, 0), 0);
	assert_int_equal(quiver_stat(store, 7, QUIVER_NOWAIT, NULL, NULL), 0);
	assert_int_equal(quiver_stat(store, 8, QUIVER_NOWAIT, NULL, NULL), -ENOENT);
	close_store(store);
}

static void test_verify_asks_first_whether_the_bytes_are_in_memory(void **state)
{
	struct quiver_ref ref;
	struct cold cold;
	bool there;
	int r;

	(void)state;
	open_cold(&cold);
	assert_int_equal(quiver_get(cold.store, COUNT - 1, 0, &ref), 0);
	there = quiver_ref_resident(cold.store, &ref);
	r = quiver_ref_verify(cold.store, &ref, QUIVER_NOWAIT);
	assert_int_equal(r, there ? 0 : -EAGAIN);
	assert_int_equal(quiver_ref_verify(cold.store, &ref, 0), 0);
	assert_int_equal(quiver_ref_verify(cold.store, &ref, QUIVER_NOWAIT), 0);
	quiver_unref(cold.store, &ref);
	close_cold(&cold);
	if (there)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

/* All of a listing whose IDs are read as they are asked for; how often one would have waited. */
static uint64_t list_all(struct quiver *store, struct quiver_list *list)
{
	uint64_t position = 0;
	uint64_t again = 0;
	uint64_t ids[100];
	int64_t n = 1;

	while (n != 0) {
		long before = major_faults();

		n = quiver_list_read(store, list, position, QUIVER_NOWAIT, ids, 100);
		assert_int_equal(major_faults(), before);
		if (n == -EAGAIN) {
			again++;
			n = quiver_list_read(store, list, position, 0, ids, 100);
		}
		assert_true(n >= 0);
		for (int64_t i = 0; i < n; i++)
			assert_int_equal(ids[i], position + (uint64_t)i);
		position += (uint64_t)n;
	}
	assert_int_equal(position, COUNT);
	return again;
}

static void test_a_listing_asks_first_whether_rows_are_in_memory(void **state)
{
	struct quiver_list *list;
	struct cold cold;
	uint64_t again;
	bool dropped;

	(void)state;
	open_cold(&cold);
	cold.store->catalog.list_whole_max = 0;
	assert_int_equal(quiver_list_open(cold.store, 0, &list), 0);
	make_rows_cold(&cold);
	dropped = !row_is_there(&cold, COUNT / 2);
	again = list_all(cold.store, list);
	assert_true(again > 0 || !dropped);
	assert_true(list_all(cold.store, list) == 0 || list_all(cold.store, list) == 0);
	quiver_list_close(cold.store, list);
	close_cold(&cold);
	if (!dropped)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_asks_first_whether_rows_are_in_memory),
		cmocka_unit_test(test_stat_asks_first_whether_rows_are_in_memory),
		cmocka_unit_test_setup_teardown(
			test_a_vector_that_is_not_there_is_no_reason_to_wait, setup_store,
			teardown_store),
		cmocka_unit_test(test_verify_asks_first_whether_the_bytes_are_in_memory),
		cmocka_unit_test(test_a_search_for_nothing_asks_for_all_that_it_passes),
		cmocka_unit_test(test_put_asks_for_what_it_replaces_and_where_it_goes),
		cmocka_unit_test(test_a_listing_asks_first_whether_rows_are_in_memory),
		cmocka_unit_test(test_set_attr_asks_for_the_row),
		cmocka_unit_test(test_remove_asks_for_the_row),
		cmocka_unit_test(test_rename_asks_for_both_and_for_the_bytes),
	};

	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
