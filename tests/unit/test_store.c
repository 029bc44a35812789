#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "engine/base/sizes.h"
#include "engine/store/store.h"
#include "store_test.h"
#include "tests/common/listed.h"

#define PREFETCH_BYTES 65536u /* of a vector: several pages */
#define PREFETCH_ID 40u /* far behind what is read of the file when it is opened */

static int open_in_process(void *arg)
{
	struct quiver_error error = { "" };
	struct quiver *store;
	char pid[32];
	int r = open_result(arg, NULL, &store, &error);

	snprintf(pid, sizeof(pid), "process %ld", (long)getppid());
	return r == -EBUSY && strstr(error.text, pid) ? 0 : 1;
}

static void test_failure_14_a_second_open_is_refused_and_names_the_process(void **state)
{
	struct quiver *store = open_with(*state, NULL);

	die_in_child(open_in_process, *state);
	close_store(store);
}

static void test_what_is_not_a_store_is_refused_with_a_reason(void **state)
{
	struct store_dir *s = *state;
	struct quiver_options options = { .size = sizeof(struct quiver_options) };
	struct quiver_geometry geometry = { .dim = 4 };
	struct quiver_error error = { "" };
	struct quiver *store;

	assert_int_equal(quiver_open("/nonexistent/store", &options, &store, &error), -ENOENT);
	assert_true(error.text[0]);
	assert_int_equal(quiver_open(s->dir.path, &options, &store, &error), -EINVAL);
	assert_non_null(strstr(error.text, "superblock"));
	assert_int_equal(quiver_create(s->path, &geometry, NULL, NULL, &error), -ENOTEMPTY);
	geometry.dim = 0;
	assert_int_equal(quiver_create("/tmp/never-made", &geometry, NULL, NULL, &error), -EINVAL);
	geometry.dim = QUIVER_DIM_MAX + 1;
	assert_int_equal(quiver_create("/tmp/never-made", &geometry, NULL, NULL, &error), -EINVAL);
}

static void test_failure_13_files_of_another_store_are_refused(void **state)
{
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver *store = open_with(s, NULL);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	close_store(store);
	assert_int_equal(renameat(s->dir.fd, STORE_NAME "/vectors.npy", s->dir.fd, "v"), 0);
	assert_int_equal(open_result(s, NULL, &store, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "vectors.npy"));
	assert_int_equal(renameat(s->dir.fd, "v", s->dir.fd, STORE_NAME "/vectors.npy"), 0);
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 1), 1);
	close_store(store);
}

static void test_creating_fails_at_any_call_and_leaves_nothing(void **state)
{
	struct store_dir *s = *state;
	struct quiver_geometry geometry = { .dim = 4 };
	char path[UNIT_PATH_BYTES + 16];
	struct trouble_io io;
	int r = -1;
	long at;

	snprintf(path, sizeof(path), "%s/other", s->dir.path);
	trouble_init(&io);
	for (at = 1; r != 0; at++) {
		struct stat st;

		trouble_arm(&io, at, TROUBLE_ONCE,
		            TROUBLE_CREATE | TROUBLE_WRITE | TROUBLE_SYNC | TROUBLE_ALLOCATE, 0,
		            -EIO);
		r = quiver_create(path, &geometry, NULL, &io.table, NULL);
		assert_true(r == 0 || r == -EIO);
		if (r)
			assert_int_equal(stat(path, &st), -1);
	}
	assert_true(at > 10);
}

static void test_put_get_stat_remove_and_list(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_attr want = attr_of(5);
	struct quiver_attr attr;
	struct listed list;
	struct quiver_ref ref;
	uint64_t lsn = 0;

	assert_int_equal(quiver_get(store, 1, 0, &ref), -ENOENT);
	assert_int_equal(quiver_stat(store, 1, 0, NULL, NULL), -ENOENT);
	assert_int_equal(quiver_remove(store, 1, 0, NULL), -ENOENT);
	assert_int_equal(quiver_set_attr(store, 1, &want, QUIVER_ATTR_ALL, 0), -ENOENT);
	for (uint64_t id = 10; id > 0; id--)
		assert_int_equal(put_version(store, id, 5, 0), 0);
	assert_int_equal(quiver_stat(store, 3, 0, &attr, &lsn), 0);
	assert_true(attr_same(&attr, &want) && lsn > 0);
	assert_int_equal(quiver_get(store, 3, 0, &ref), 0);
	assert_true(ref.lsn == lsn && ref.id == 3 && attr_same(&ref.attr, &want));
	assert_int_equal(vector_version(ref.data, s->n, 3), 5);
	quiver_unref(store, &ref);
	assert_int_equal(quiver_remove(store, 4, 0, NULL), 0);
	assert_int_equal(listed_all(store, &list), 0);
	assert_int_equal(list.count, 9);
	for (size_t i = 0; i < 9; i++) /* in slot order, so as they were put */
		assert_int_equal(list.ids[i], 10 - i - (10 - i <= 4));
	listed_free(&list);
	assert_int_equal(put_version(store, 3, 6, QUIVER_NOREPLACE), -EEXIST);
	assert_int_equal(put_version(store, 4, 6, QUIVER_NOREPLACE), 0);
	assert_int_equal(version_of(store, 3), 5);
	assert_int_equal(quiver_count(store), 10);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_set_id_bits_are_dropped_where_that_is_asked_for(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_attr attr = { .mtime_ns = 1, .mode = 06755 };
	uint8_t bytes[STORE_DIM] = { 0 };

	/* What is not there has the mode that it is given, and so has one that is set. */
	assert_int_equal(quiver_put(store, 1, bytes, &attr, QUIVER_ATTR_DROP_SETID, 0, NULL), 0);
	assert_int_equal(quiver_stat(store, 1, 0, &attr, NULL), 0);
	assert_int_equal(attr.mode, 06755);
	assert_int_equal(quiver_put(store, 1, bytes, &attr,
	                            QUIVER_ATTR_MODE | QUIVER_ATTR_DROP_SETID, 0, NULL),
	                 0);
	assert_int_equal(quiver_put(store, 1, bytes, &attr, 0, 0, NULL), 0);
	assert_int_equal(quiver_stat(store, 1, 0, &attr, NULL), 0);
	assert_int_equal(attr.mode, 06755);
	assert_int_equal(quiver_put(store, 1, bytes, &attr, QUIVER_ATTR_DROP_SETID, 0, NULL), 0);
	assert_int_equal(quiver_stat(store, 1, 0, &attr, NULL), 0);
	assert_int_equal(attr.mode, 0755);
	attr.mode = 02711;
	attr.uid = 7;
	assert_int_equal(quiver_set_attr(store, 1, &attr, QUIVER_ATTR_MODE, 0), 0);
	assert_int_equal(
		quiver_set_attr(store, 1, &attr, QUIVER_ATTR_UID | QUIVER_ATTR_DROP_SETID, 0), 0);
	assert_int_equal(quiver_stat(store, 1, 0, &attr, NULL), 0);
	assert_int_equal(attr.mode, 0711);
	assert_int_equal(attr.uid, 7);
	close_store(store);
}

static void test_rename_takes_the_attributes_along_and_replaces(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_attr want = attr_of(1);
	struct quiver_attr attr;
	uint8_t bytes[STORE_DIM];

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(put_version(store, 2, 2, 0), 0);
	assert_int_equal(quiver_rename(store, 1, 2, QUIVER_NOREPLACE, NULL), -EEXIST);
	assert_int_equal(quiver_rename(store, 9, 2, 0, NULL), -ENOENT);
	assert_int_equal(quiver_rename(store, 1, QUIVER_ID_MAX + 1, 0, NULL), -EINVAL);
	assert_int_equal(quiver_rename(store, 1, 1, 0, NULL), 0);
	assert_int_equal(quiver_rename(store, 1, 2, 0, NULL), 0);
	assert_int_equal(version_of(store, 1), 0);
	assert_int_equal(quiver_get_copy(store, 2, bytes, &attr, NULL), 0);
	assert_int_equal(vector_version(bytes, s->n, 1), 1);
	assert_true(attr_same(&attr, &want));
	assert_int_equal(quiver_count(store), 1);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_attributes_are_inherited_set_and_kept_with_their_lsn(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_attr set = { .mtime_ns = -5, .uid = 77, .gid = 88, .mode = 0444 };
	struct quiver_attr attr;
	uint8_t bytes[STORE_DIM] = { 0 };
	uint64_t lsn;
	uint64_t same;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_put(store, 1, bytes, &set, QUIVER_ATTR_MTIME, 0, NULL), 0);
	assert_int_equal(quiver_stat(store, 1, 0, &attr, &lsn), 0);
	assert_true(attr.mtime_ns == -5 && attr.uid == 2 && attr.gid == 3 && attr.mode == 1);
	assert_int_equal(quiver_set_attr(store, 1, &set, QUIVER_ATTR_UID | QUIVER_ATTR_MODE, 0), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(quiver_stat(store, 1, 0, &attr, &same), 0);
		assert_true(attr.uid == 77 && attr.gid == 3 && attr.mode == 0444 && same == lsn);
		if (i == 0)
			assert_int_equal(quiver_checkpoint(store), 0);
		if (i == 1) {
			close_store(store);
			store = open_with(s, NULL);
		}
	}
	close_store(store);
}

static void test_the_directory_keeps_its_attributes_and_notes_changes(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	/* With bits of a file type, as stat has them: only permissions are kept. */
	struct quiver_attr set = { .mtime_ns = 5, .uid = 1, .gid = 2, .mode = 040755 };
	struct quiver_attr attr;

	assert_int_equal(quiver_set_dir_attr(store, &set, QUIVER_ATTR_ALL, 0), 0);
	(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
	assert_true(attr.mtime_ns == 5 && attr.uid == 1 && attr.gid == 2);
	assert_int_equal(quiver_checkpoint(store), 0);
	close_store(store);
	store = open_with(s, NULL);
	(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
	assert_true(attr.mtime_ns == 5 && attr.mode == 0755);
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
	assert_true(attr.mtime_ns > 5);
	assert_int_equal(quiver_set_dir_attr(store, &set, QUIVER_ATTR_ALL, 0), 0);
	assert_int_equal(put_version(store, 1, 2, 0), 0); /* no new name */
	(void)quiver_dir_attr(store, 0, &attr); /* of a local folder: does not fail */
	assert_int_equal(attr.mtime_ns, 5);
	close_store(store);
}

static void test_failure_7_a_batch_leaks_no_slot_and_its_last_record_counts(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_record records[6];
	uint8_t bytes[6][STORE_DIM];
	struct quiver_attr attr = attr_of(1);

	for (uint64_t i = 0; i < 6; i++) {
		vector_fill(bytes[i], s->n, i % 2, i + 1);
		records[i] = (struct quiver_record){ .id = i % 2, .data = bytes[i] };
	}
	for (int round = 0; round < 3; round++) {
		assert_int_equal(
			quiver_put_batch(store, records, 6, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
		assert_int_equal(version_of(store, 0), 5);
		assert_int_equal(version_of(store, 1), 6);
		assert_int_equal(quiver_count(store), 2);
		assert_int_equal(leaked_slots(store), 0);
	}
	assert_int_equal(
		quiver_put_batch(store, records, 6, &attr, QUIVER_ATTR_ALL, QUIVER_NOREPLACE, NULL),
		-EEXIST);
	records[3].id = QUIVER_ID_MAX + 1;
	assert_int_equal(quiver_put_batch(store, records, 6, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 -EINVAL);
	assert_int_equal(quiver_put_batch(store, records, QUIVER_BATCH_BYTES_MAX, &attr,
	                                  QUIVER_ATTR_ALL, 0, NULL),
	                 -E2BIG);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

/* What is one commit is one piece of the log, with 128 bytes beside each vector. */
static void test_a_batch_of_small_vectors_is_bounded_by_their_number(void **state)
{
	struct store_dir *s = *state;
	size_t count = QUIVER_BATCH_VECTORS_MAX + 1;
	struct quiver_record *records = calloc(count, sizeof(*records));
	struct quiver_attr attr = attr_of(1);
	struct store_dir small = *s;
	struct quiver *store;

	assert_non_null(records);
	unit_dir_make(&small.dir);
	store_create(&small, 1, QUIVER_U1);
	store = open_with(&small, NULL);
	for (size_t i = 0; i < count; i++)
		records[i] = (struct quiver_record){ .id = i, .data = "x" };
	assert_int_equal(quiver_put_batch(store, records, count, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 -E2BIG);
	assert_int_equal(quiver_put_batch(store, records, 1000, &attr, QUIVER_ATTR_ALL, 0, NULL),
	                 0);
	assert_int_equal(quiver_count(store), 1000);
	close_store(store);
	unit_dir_remove(&small.dir);
	free(records);
}

static void test_structs_of_another_size_are_those_of_another_library(void **state)
{
	struct store_dir *s = *state;
	struct {
		struct quiver_options options;
		uint64_t later;
	} newer = { .options = { .size = sizeof(newer) } };
	struct {
		struct quiver_stats stats;
		uint64_t later;
	} more = { .stats = { .size = sizeof(more) }, .later = 7 };
	struct quiver_stats fewer = { .size = offsetof(struct quiver_stats, slots) };
	struct quiver_error error;
	struct quiver *store;

	/* A newer caller who does not use what is new, one who does, and one who says nothing. */
	store = open_with(s, &newer.options);
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	quiver_stats(store, &more.stats);
	assert_true(more.stats.size == sizeof(more) && more.stats.count == 1 && more.later == 0);
	/* An older one. */
	fewer.slots = 99;
	quiver_stats(store, &fewer);
	assert_true(fewer.count == 1 && fewer.slots == 99);
	close_store(store);
	newer.later = 1;
	assert_int_equal(open_result(s, &newer.options, &store, &error), -E2BIG);
	newer.options.size = 0;
	assert_int_equal(open_result(s, &newer.options, &store, &error), -EINVAL);
	assert_non_null(strstr(error.text, "size"));
}

static void test_records_of_a_batch_can_have_attributes_of_their_own(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	const struct quiver_attr call = { .mtime_ns = 1, .uid = 2, .gid = 3, .mode = 04 };
	const struct quiver_attr own = { .mtime_ns = 10, .uid = 20, .gid = 30, .mode = 040 };
	uint8_t bytes[STORE_DIM];
	struct quiver_record records[] = {
		{ .id = 1, .data = bytes },
		{ .id = 2, .data = bytes, .attr = &own, .attr_mask = QUIVER_ATTR_ALL },
		{ .id = 3, .data = bytes, .attr = &own, .attr_mask = QUIVER_ATTR_MODE },
		{ .id = 4, .data = bytes, .attr = &own },
	};
	const struct quiver_attr want[] = {
		call, own, { .mtime_ns = 1, .uid = 2, .gid = 3, .mode = 040 }, call
	};
	struct quiver_attr attr;

	vector_fill(bytes, s->n, 1, 1);
	assert_int_equal(quiver_put_batch(store, records, 4, &call, QUIVER_ATTR_MTIME, 0, NULL), 0);
	for (uint64_t id = 1; id <= 4; id++) {
		assert_int_equal(quiver_stat(store, id, 0, &attr, NULL), 0);
		assert_true(attr_same(&attr, &want[id - 1]));
	}
	/* Now that they are there, what nobody means stays. */
	records[2].attr_mask = QUIVER_ATTR_UID;
	assert_int_equal(quiver_put_batch(store, records, 4, &own, 0, 0, NULL), 0);
	assert_int_equal(quiver_stat(store, 3, 0, &attr, NULL), 0);
	assert_true(attr.mode == 040 && attr.uid == 20 && attr.gid == 3 && attr.mtime_ns == 1);
	close_store(store);
}

static void test_every_dtype_and_size_at_both_ends_of_the_ids(void **state)
{
	struct store_dir *s = *state;
	static const uint32_t dims[] = { 1, 3, 1000, QUIVER_DIM_MAX };
	static const uint64_t ids[] = { 0, 1, QUIVER_ID_MAX - 1, QUIVER_ID_MAX };
	uint8_t *bytes = malloc(QUIVER_VECTOR_BYTES_MAX);
	uint8_t *read = malloc(QUIVER_VECTOR_BYTES_MAX);
	struct quiver_attr attr = attr_of(1);

	assert_true(bytes && read);
	for (unsigned i = 0; i < 20; i++) {
		struct quiver *store;

		unit_dir_remove(&s->dir);
		unit_dir_make(&s->dir);
		store_create(s, dims[i % 4], (enum quiver_dtype)(i / 4));
		store = open_with(s, NULL);
		for (unsigned k = 0; k < 4; k++) {
			memset(bytes, (int)(k + 1), s->n);
			assert_int_equal(
				quiver_put(store, ids[k], bytes, &attr, QUIVER_ATTR_ALL, 0, NULL),
				0);
		}
		assert_int_equal(quiver_put(store, QUIVER_ID_MAX + 1, bytes, &attr, QUIVER_ATTR_ALL,
		                            0, NULL),
		                 -EINVAL);
		close_store(store);
		store = open_with(s, NULL);
		for (unsigned k = 0; k < 4; k++) {
			memset(bytes, (int)(k + 1), s->n);
			assert_int_equal(quiver_get_copy(store, ids[k], read, NULL, NULL), 0);
			assert_memory_equal(read, bytes, s->n);
		}
		close_store(store);
	}
	free(bytes);
	free(read);
}

static void test_failure_15_a_pinned_version_stays_whatever_happens(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_ref ref;
	uint8_t part[10];

	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_get(store, 99, 0, &ref), 0);
	assert_int_equal(put_version(store, 99, 2, 0), 0);
	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	(void)run_job(store, QUIVER_COMPACT); /* whether it moved much or not */
	for (uint64_t id = 0; id < 150; id++)
		assert_int_equal(put_version(store, id, 3, 0), 0);
	assert_int_equal(vector_version(ref.data, s->n, 99), 1);
	assert_int_equal(quiver_ref_verify(store, &ref, 0), 0);
	assert_int_equal(quiver_ref_read(store, &ref, 0, 10, 0, part), 0);
	assert_int_equal(get_le64(part), 99);
	assert_true(quiver_ref_resident(store, &ref));
	quiver_unref(store, &ref);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

/* Whether the pages of `data` behind the first are all in memory. */
static bool are_there(const uint8_t *data, uint32_t n)
{
	unsigned char pages[PREFETCH_BYTES / 4096];
	size_t count = (n + 4095) / 4096;

	assert_int_equal(mincore((void *)(uintptr_t)data, n, pages), 0);
	for (size_t i = 1; i < count; i++)
		if (!(pages[i] & 1))
			return false;
	return true;
}

/* A store of large vectors, of which the kernel has nothing cached. */
static void test_listings_of_the_same_ids_share_one_copy(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_list *first, *second, *third, *fourth;
	uint64_t ids[40];

	for (uint64_t id = 0; id < 32; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_list_open(store, QUIVER_NOWAIT, &first), 0);
	assert_int_equal(quiver_list_open(store, 0, &second), 0);
	assert_ptr_equal(first, second);
	/* The same IDs, one of them in another slot. */
	assert_int_equal(put_version(store, 7, 2, 0), 0);
	quiver_list_close(store, second);
	assert_int_equal(quiver_list_open(store, 0, &second), 0);
	assert_ptr_equal(first, second);
	/* Too many in other slots: the order would be lost. */
	for (uint64_t id = 0; id < 8; id++)
		assert_int_equal(put_version(store, id, 3, 0), 0);
	assert_int_equal(quiver_list_open(store, 0, &third), 0);
	assert_ptr_not_equal(first, third);
	assert_int_equal(quiver_list_read(store, third, 30, 0, ids, 40), 2);
	/* One more, and one less: those that are open stay as they are. */
	assert_int_equal(put_version(store, 100, 1, 0), 0);
	assert_int_equal(quiver_remove(store, 31, 0, NULL), 0);
	assert_int_equal(quiver_list_open(store, 0, &fourth), 0);
	assert_ptr_not_equal(third, fourth);
	assert_int_equal(quiver_list_count(store, first), 32);
	assert_int_equal(quiver_list_read(store, first, 30, 0, ids, 1), 1);
	assert_int_equal(ids[0], 30);
	assert_int_equal(quiver_list_read(store, first, 31, 0, ids, 40), 1);
	assert_int_equal(ids[0], 31);
	assert_int_equal(quiver_list_read(store, first, 32, 0, ids, 40), 0);
	assert_int_equal(quiver_list_read(store, first, UINT64_MAX, 0, ids, 40), 0);
	quiver_list_close(store, first);
	quiver_list_close(store, fourth);
	quiver_list_close(store, second);
	quiver_list_close(store, third);
	quiver_list_close(store, NULL);
	close_store(store);
}

static struct quiver *open_cold(const char *path)
{
	const struct quiver_geometry geometry = { .dim = PREFETCH_BYTES, .dtype = QUIVER_U1 };
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .durability = QUIVER_FSYNC };
	const struct quiver_attr attr = { .mode = 0644 };
	static uint8_t data[PREFETCH_BYTES];
	char file[UNIT_PATH_BYTES + 64];
	struct quiver *store;
	int fd;

	assert_int_equal(quiver_create(path, &geometry, NULL, NULL, NULL), 0);
	assert_int_equal(quiver_open(path, &options, &store, NULL), 0);
	for (uint64_t id = 0; id <= PREFETCH_ID; id++)
		assert_int_equal(quiver_put(store, id, data, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
	assert_int_equal(quiver_close(store), 0);
	snprintf(file, sizeof(file), "%s/vectors.npy", path);
	fd = open(file, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fsync(fd), 0); /* only clean pages go */
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(quiver_open(path, &options, &store, NULL), 0);
	return store;
}

static void test_prefetch_brings_the_pages_of_a_vector(void **state)
{
	/* The other tests are in memory, where nothing is ever cold. */
	struct unit_dir dir = { .path = "/var/tmp/quiver-unit-XXXXXX" };
	char path[UNIT_PATH_BYTES + 32];
	struct quiver *store;
	struct quiver_ref ref;
	bool cold;

	(void)state;
#ifdef QUIVER_SMALL_RESERVE
	skip(); /* tests/arm64: the emulator passes no advice on */
#endif
	assert_non_null(mkdtemp(dir.path));
	dir.fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir.fd >= 0);
	snprintf(path, sizeof(path), "%s/store", dir.path);
	store = open_cold(path);
	assert_int_equal(quiver_get(store, PREFETCH_ID, 0, &ref), 0);
	cold = !are_there(ref.data, PREFETCH_BYTES);
	quiver_ref_prefetch(store, &ref);
	for (int tries = 0; tries < 120000 && !are_there(ref.data, PREFETCH_BYTES); tries++)
		usleep(1000);
	assert_true(are_there(ref.data, PREFETCH_BYTES));
	assert_int_equal(quiver_ref_verify(store, &ref, 0), 0);
	quiver_unref(store, &ref);
	assert_int_equal(quiver_close(store), 0);
	unit_dir_remove(&dir);
	if (!cold)
		skip(); /* this filesystem keeps its pages, so nothing was shown */
}

static void test_failure_4_switching_the_log_off_does_not_bring_back_the_past(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(put_version(store, 2, 1, 0), 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_NONE), 0);
	assert_int_equal(quiver_durability(store), QUIVER_NONE);
	assert_int_equal(put_version(store, 1, 2, 0), 0);
	assert_int_equal(quiver_remove(store, 2, 0, NULL), 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_FSYNC), 0);
	close_store(store);
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 1), 2);
	assert_int_equal(version_of(store, 2), 0);
	close_store(store);
}

static int put_and_die(const struct store_dir *s, uint64_t count)
{
	struct quiver *store = open_mode(s, QUIVER_FLUSH);

	for (uint64_t id = 0; id < count; id++)
		if (put_version(store, id, 1, 0) != 0)
			return 1;
	return 0;
}

static int put_many_and_die(void *arg)
{
	return put_and_die(arg, 1000);
}

#define FEW (PUTSLOT_MIN_BYTES / STORE_DIM - 1) /* so that all bytes are in the log */

static int put_few_and_die(void *arg)
{
	return put_and_die(arg, FEW);
}

static void test_failure_5_what_was_handed_to_the_kernel_survives_a_kill(void **state)
{
	struct quiver *store;

	die_in_child(put_many_and_die, *state);
	store = open_with(*state, NULL);
	for (uint64_t id = 0; id < 1000; id++)
		assert_int_equal(version_of(store, id), 1);
	assert_int_equal(stats_of(store).replayed, 1000);
	close_store(store);
}

/* After a power loss the files may be as long as at the checkpoint: the log has it all. */
static void test_recovery_grows_files_that_a_crash_has_left_short(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	die_in_child(put_few_and_die, s);
	unit_truncate(&s->dir, STORE_NAME "/vectors.npy", 4096);
	unit_truncate(&s->dir, STORE_NAME "/ids.npy", 4096);
	unit_truncate(&s->dir, STORE_NAME "/meta.npy", 4096);
	die_in_child(put_few_and_die, s); /* recovers, overwrites everything once */
	unit_truncate(&s->dir, STORE_NAME "/vectors.npy", 4096 + FEW * STORE_DIM);
	unit_truncate(&s->dir, STORE_NAME "/ids.npy", 4096 + FEW * 8);
	unit_truncate(&s->dir, STORE_NAME "/meta.npy", 4096 + FEW * 56);
	store = open_with(s, NULL);
	assert_int_equal(quiver_count(store), FEW);
	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(version_of(store, id), 1);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static int overwrite_grown_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_FLUSH);

	for (uint64_t version = 1; version < 4; version++)
		for (uint64_t id = 0; id < 50; id++)
			if (put_version(store, id, version, 0) != 0)
				return 1;
	return 0;
}

static void test_recovery_frees_superseded_slots_beyond_short_files(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	die_in_child(overwrite_grown_and_die, s);
	unit_truncate(&s->dir, STORE_NAME "/vectors.npy", 4096);
	unit_truncate(&s->dir, STORE_NAME "/ids.npy", 4096);
	unit_truncate(&s->dir, STORE_NAME "/meta.npy", 4096);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < 50; id++)
		assert_int_equal(version_of(store, id), 3);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void
test_failure_6_a_checkpoint_shortens_the_log_and_a_clean_open_replays_nothing(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	char name[64];

	while (stats_of(store).wal_segments < 3)
		for (uint64_t id = 0; id < 500; id++)
			assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_true(stats_of(store).wal_bytes > 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_true(stats_of(store).wal_segments <= 2);
	assert_int_equal(stats_of(store).wal_bytes, 0);
	close_store(store);
	assert_false(store_segment(s, 0, name, sizeof(name)));
	store = open_with(s, NULL);
	assert_int_equal(stats_of(store).replayed, 0);
	assert_int_equal(quiver_count(store), 500);
	close_store(store);
}

static void test_a_read_only_store_reads_and_changes_nothing(void **state)
{
	struct store_dir *s = *state;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = true };
	struct quiver_attr attr = attr_of(1);
	struct quiver *store;

	die_in_child(put_many_and_die, s); /* it is recovered first */
	for (int i = 0; i < 2; i++) {
		store = open_with(s, &options);
		assert_int_equal(quiver_count(store), 1000);
		assert_int_equal(version_of(store, 5), 1);
		assert_int_equal(put_version(store, 1, 2, 0), -EROFS);
		assert_int_equal(quiver_remove(store, 1, 0, NULL), -EROFS);
		assert_int_equal(quiver_rename(store, 1, 2, 0, NULL), -EROFS);
		assert_int_equal(quiver_set_attr(store, 1, &attr, QUIVER_ATTR_ALL, 0), -EROFS);
		assert_int_equal(quiver_set_dir_attr(store, &attr, QUIVER_ATTR_ALL, 0), -EROFS);
		assert_int_equal(quiver_reserve(store, 10), -EROFS);
		assert_int_equal(quiver_set_durability(store, QUIVER_NONE), -EROFS);
		assert_int_equal(quiver_job_start(store, QUIVER_COMPACT), -EROFS);
		assert_int_equal(quiver_checkpoint(store), 0);
		assert_int_equal(quiver_flush(store), 0);
		assert_true(stats_of(store).read_only);
		close_store(store);
		close_store(open_with(s, NULL)); /* cleanly, this time */
	}
}

static uint64_t column_bytes(const struct store_dir *s, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(s->dir.fd, name, &st, 0), 0);
	return (uint64_t)st.st_size;
}

/* Of 16 MiB for a byte each there were 800 MiB of rows. */
static void test_the_first_vector_of_one_byte_makes_no_large_store(void **state)
{
	static const struct quiver_geometry geometry = { .dim = 1, .dtype = QUIVER_U1 };
	struct quiver_options options = { .size = sizeof(struct quiver_options) };
	struct quiver_attr attr = { .mode = 0644 };
	struct quiver_error error = { "" };
	struct store_dir *s = *state;
	char path[sizeof(s->path) + 8];
	struct quiver *store;

	(void)snprintf(path, sizeof(path), "%s/small", s->dir.path);
	assert_int_equal(quiver_create(path, &geometry, NULL, NULL, &error), 0);
	assert_int_equal(quiver_open(path, &options, &store, &error), 0);
	assert_int_equal(quiver_put(store, 7, "x", &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
	assert_in_range(column_bytes(s, "small/vectors.npy") + column_bytes(s, "small/ids.npy") +
	                        column_bytes(s, "small/meta.npy"),
	                3 * 4096 + 49, (16 << 20) + 3 * 4096);
	close_store(store);
}

static void test_failure_11_reserved_room_has_its_blocks(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_space space;
	struct stat st;

	assert_int_equal(quiver_reserve(store, 300000), 0);
	assert_int_equal(quiver_space(store, 0, &space), 0);
	assert_true(space.slots_free >= 300000);
	assert_true(space.total_bytes >= space.free_bytes && space.free_bytes > 0);
	assert_int_equal(fstatat(s->dir.fd, STORE_NAME "/vectors.npy", &st, 0), 0);
	assert_true(st.st_blocks * 512 >= st.st_size - 4096);
	close_store(store);
}

static size_t address_space_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%zu", &pages), 1);
	assert_int_equal(fclose(file), 0);
	return pages * 4;
}

static void test_opening_and_closing_leaks_no_address_space(void **state)
{
	size_t before;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(QUIVER_SMALL_RESERVE)
	skip(); /* their own mappings come and go, and the store reserves little then */
#endif
	close_store(open_with(*state, NULL));
	before = address_space_kib();
	for (int i = 0; i < 20; i++)
		close_store(open_with(*state, NULL));
	assert_true(address_space_kib() < before + 20000); /* threads' stacks are kept by libc */
}

static void test_stats_tell_what_happened(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	struct quiver_stats stats = { .size = sizeof(stats) };

	for (uint64_t id = 0; id < 10; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_remove(store, 1, 0, NULL), 0);
	assert_int_equal(quiver_rename(store, 2, 1, 0, NULL), 0);
	stats = stats_of(store);
	assert_true(stats.puts == 10 && stats.removes == 1 && stats.renames == 1);
	assert_true(stats.count == 9 && stats.slots_used == 11 && stats.slots_retired == 2);
	assert_true(stats.wal_bytes > 0 && stats.wal_segments == 1 && stats.growths == 1);
	assert_true(stats.commit.count == 12 && stats.vector_bytes == STORE_DIM);
	assert_true(stats.lsn == 12 && stats.lsn_checkpoint == 0);
	assert_int_equal(quiver_flush(store), 0);
	assert_int_equal(stats_of(store).lsn_durable, 12);
	assert_int_equal(quiver_checkpoint(store), 0);
	stats = stats_of(store);
	assert_true(stats.lsn_checkpoint == 12 && stats.wal_bytes == 0 && stats.checkpoints == 1);
	assert_true(stats.slots_retired == 0 && stats.slots_free == 2);
	assert_true(stats.fragmentation > 0.18 && stats.fragmentation < 0.19);
	assert_true(stats.errors == 0 && !stats.failed && stats.index_bytes > 0);
	close_store(store);
}

static void test_flipped_bits_are_errors_never_bytes(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	uint8_t bytes[STORE_DIM];

	for (uint64_t id = 0; id < 3; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_checkpoint(store), 0); /* the files have it all */
	store_flip(s, "vectors.npy", (4096 + STORE_DIM + 3) * 8);
	store_flip(s, "meta.npy", (4096 + 2 * 56 + 20) * 8);
	assert_int_equal(version_of(store, 0), 1);
	assert_int_equal(quiver_get_copy(store, 1, bytes, NULL, NULL), -EIO);
	assert_int_equal(quiver_stat(store, 2, 0, NULL, NULL), -EIO);
	assert_true(store_said(store, "vector 1") && store_said(store, "vector 2"));
	assert_int_equal(stats_of(store).checksum_errors, 2);
	assert_int_equal(put_version(store, 2, 2, 0), 0); /* overwriting mends it */
	assert_int_equal(version_of(store, 2), 2);
	assert_int_equal(quiver_remove(store, 1, 0, NULL), 0);
	close_store(store);
}

#define DAMAGED 10u

/* Vectors whose rows are damaged are in no listing. */
static void test_verification_counts_what_no_listing_has(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_job_status status;
	struct quiver_list *list;

	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	for (uint64_t slot = 20; slot < 20 + DAMAGED; slot++)
		store_flip(s, "meta.npy", (4096 + slot * 56 + 8) * 8);
	store_flip(s, "vectors.npy", (4096 + 50 * STORE_DIM + 3) * 8);
	store = open_with(s, NULL);
	status = run_job(store, QUIVER_VERIFY);
	assert_int_equal(status.total, 100);
	assert_int_equal(status.done, 100);
	assert_int_equal(status.mismatches, DAMAGED + 1);
	assert_int_equal(status.result, -EIO);
	assert_int_equal(quiver_list_open(store, 0, &list), 0);
	assert_int_equal(quiver_list_count(store, list), 100 - DAMAGED);
	quiver_list_close(store, list);
	assert_int_equal(put_version(store, 20, 2, 0), 0);
	status = run_job(store, QUIVER_VERIFY);
	assert_int_equal(status.mismatches, DAMAGED);
	close_store(store);
}

static void test_a_mended_vector_is_listed_again(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct quiver_list *before, *after;

	for (uint64_t id = 0; id < 100; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	store_flip(s, "meta.npy", (4096 + 20 * 56 + 8) * 8);
	assert_int_equal(quiver_list_open(store, 0, &before), 0);
	assert_int_equal(quiver_list_count(store, before), 99);
	assert_int_equal(put_version(store, 20, 2, 0), 0);
	assert_int_equal(quiver_list_open(store, 0, &after), 0);
	assert_int_equal(quiver_list_count(store, after), 100);
	quiver_list_close(store, before);
	quiver_list_close(store, after);
	close_store(store);
}

static void test_what_has_no_addresses_is_refused_and_says_so(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	char *text;
	size_t length;
	uint64_t id = 0;
	int r;

	assert_int_equal(put_version(store, id++, 1, 0), 0);
	/* As under a limit of this process. */
	store->catalog.columns.rows_max = atomic_load(&store->catalog.columns.rows);
	while ((r = put_version(store, id, 1, 0)) == 0)
		id++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(put_version(store, id, 1, 0), -ENOSPC);
	assert_int_equal(quiver_errors(store, &text, &length), 0);
	assert_non_null(strstr(text, "addresses"));
	assert_null(strstr(strstr(text, "addresses") + 1, "addresses"));
	free(text);
	assert_int_equal(quiver_remove(store, 0, 0, NULL), 0);
	assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
}

/* Slot numbers have 32 bits: there the disk may have room, and the process addresses. */
static void test_a_store_that_has_all_rows_it_can_have_says_so(void **state)
{
	struct quiver *store = open_with(*state, NULL);
	char *text;
	size_t length;
	uint64_t id = 0;
	int r;

	assert_true(store->catalog.columns.rows_max <= store->space.slots_max);
	assert_int_equal(store->space.slots_max, UINT32_MAX - UINT64_C(1));
	assert_int_equal(put_version(store, id++, 1, 0), 0);
	store->space.slots_max = atomic_load(&store->catalog.columns.rows);
	while ((r = put_version(store, id, 1, 0)) == 0)
		id++;
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(put_version(store, id, 1, QUIVER_NOWAIT), -EAGAIN); /* it may come free */
	assert_int_equal(put_version(store, id, 1, 0), -ENOSPC);
	assert_int_equal(quiver_errors(store, &text, &length), 0);
	assert_non_null(strstr(text, "a store can have at most"));
	assert_null(strstr(strstr(text, "a store can have") + 1, "a store can have"));
	free(text);
	assert_int_equal(quiver_count(store), store->space.slots_max);
	/* What is there can be read, overwritten in turn with a removal, and removed. */
	assert_int_equal(version_of(store, id - 1), 1);
	assert_int_equal(quiver_remove(store, 0, 0, NULL), 0);
	assert_int_equal(put_version(store, 1, 2, 0), 0);
	assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

/* A disk with as much room, which notes how much a column has asked for at once. */
#define SMALL_DISK_BYTES (UINT64_C(8) << 10)

static _Atomic int watched_fd = -1;
static _Atomic uint64_t most_bytes;

static int small_space(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free_bytes,
                       uint64_t *available)
{
	(void)self, (void)fd;
	*total = *free_bytes = *available = SMALL_DISK_BYTES;
	return 0;
}

static int small_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	struct stat st;

	(void)self;
	if (fd == atomic_load(&watched_fd) && fstat(fd, &st) == 0 &&
	    offset + length > (uint64_t)st.st_size && length > atomic_load(&most_bytes))
		atomic_store(&most_bytes, length);
	return quiver_io_posix()->allocate(quiver_io_posix(), fd, offset, length);
}

/* ext4 gives what it has before it says that it has not enough; meanwhile the log met a full disk. */
static void test_growing_ahead_leaves_others_half_of_the_disk(void **state)
{
	struct quiver_io io = *quiver_io_posix();
	struct quiver_options options = { .size = sizeof(options), .io = &io };
	struct quiver *store;

	io.space = small_space;
	io.allocate = small_allocate;
	store = open_with(*state, &options);
	atomic_store(&watched_fd, store->catalog.columns.vectors.fd);
	for (uint64_t id = 0;
	     id < 4 * SMALL_DISK_BYTES / store->catalog.columns.geometry.vector_bytes; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0); /* it has more than it says */
	close_store(store);
	atomic_store(&watched_fd, -1);
	assert_in_range(atomic_load(&most_bytes), 1, SMALL_DISK_BYTES / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_has_no_addresses_is_refused_and_says_so),
		TEST(test_a_store_that_has_all_rows_it_can_have_says_so),
		TEST(test_growing_ahead_leaves_others_half_of_the_disk),
		TEST(test_failure_14_a_second_open_is_refused_and_names_the_process),
		TEST(test_what_is_not_a_store_is_refused_with_a_reason),
		TEST(test_failure_13_files_of_another_store_are_refused),
		TEST(test_creating_fails_at_any_call_and_leaves_nothing),
		TEST(test_put_get_stat_remove_and_list),
		TEST(test_listings_of_the_same_ids_share_one_copy),
		TEST(test_rename_takes_the_attributes_along_and_replaces),
		TEST(test_set_id_bits_are_dropped_where_that_is_asked_for),
		TEST(test_attributes_are_inherited_set_and_kept_with_their_lsn),
		TEST(test_the_directory_keeps_its_attributes_and_notes_changes),
		TEST(test_failure_7_a_batch_leaks_no_slot_and_its_last_record_counts),
		TEST(test_a_batch_of_small_vectors_is_bounded_by_their_number),
		TEST(test_structs_of_another_size_are_those_of_another_library),
		TEST(test_records_of_a_batch_can_have_attributes_of_their_own),
		TEST(test_every_dtype_and_size_at_both_ends_of_the_ids),
		TEST(test_failure_15_a_pinned_version_stays_whatever_happens),
		TEST(test_prefetch_brings_the_pages_of_a_vector),
		TEST(test_failure_4_switching_the_log_off_does_not_bring_back_the_past),
		TEST(test_failure_5_what_was_handed_to_the_kernel_survives_a_kill),
		TEST(test_recovery_grows_files_that_a_crash_has_left_short),
		TEST(test_recovery_frees_superseded_slots_beyond_short_files),
		TEST(test_failure_6_a_checkpoint_shortens_the_log_and_a_clean_open_replays_nothing),
		TEST(test_a_read_only_store_reads_and_changes_nothing),
		TEST(test_the_first_vector_of_one_byte_makes_no_large_store),
		TEST(test_failure_11_reserved_room_has_its_blocks),
		TEST(test_opening_and_closing_leaks_no_address_space),
		TEST(test_stats_tell_what_happened),
		TEST(test_flipped_bits_are_errors_never_bytes),
		TEST(test_verification_counts_what_no_listing_has),
		TEST(test_a_mended_vector_is_listed_again),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
