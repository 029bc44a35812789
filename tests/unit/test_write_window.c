/* Windows over vectors.npy, through which vectors are written. */
#include "unit.h"

#include <pthread.h>

#include "engine/base/fault.h"
#include "engine/base/sizes.h"
#include "engine/disk/columns.h"
#include "engine/disk/write_window.h"
#include "failing_io.h"

#define N 48u
#define ROWS (12 * WRITE_WINDOW_BYTES / N)
#define THREADS 3u

static const struct quiver_geometry geometry = { .dim = N, .dtype = QUIVER_U1, .vector_bytes = N };

static void make(struct unit_dir *dir, struct columns *columns, const struct quiver_io *io)
{
	assert_int_equal(columns_create(quiver_io_posix(), dir->fd, &geometry), 0);
	assert_int_equal(columns_open(columns, io, dir->fd, &geometry, QUIVER_FORMAT_VERSION, 0,
	                              false, NULL),
	                 0);
	assert_int_equal(columns_grow(columns, ROWS), 0);
}

static int write_slot(struct columns *columns, uint64_t slot, unsigned version)
{
	uint8_t bytes[N];
	struct iovec parts[2] = { { bytes, 5 }, { bytes + 5, N - 5 } };

	memset(bytes, (int)(slot * 7 + version), sizeof(bytes));
	return columns_write_vectors(columns, slot, parts, 2);
}

static bool shown(const struct columns *columns, uint64_t slot, unsigned version)
{
	const uint8_t *bytes = columns_vector(columns, slot);

	for (unsigned i = 0; i < N; i++)
		if (bytes[i] != (uint8_t)(slot * 7 + version))
			return false;
	return true;
}

static uint64_t slot_at(uint64_t offset)
{
	return (offset - COLUMN_HEADER_BYTES) / N;
}

static bool follow(struct columns *columns, uint64_t offset)
{
	return write_windows_follow(columns, offset, COLUMN_HEADER_BYTES + ROWS * N);
}

static void vectors_in_and_beside_windows_are_in_the_file(void **state)
{
	struct columns columns;
	uint8_t bytes[N];
	int fd;

	make(*state, &columns, quiver_io_posix());
	for (uint64_t at = WRITE_WINDOW_BYTES; at < 4 * WRITE_WINDOW_BYTES;
	     at += WRITE_WINDOW_BYTES / 2) {
		assert_true(follow(&columns, at));
		for (uint64_t slot = 0; slot < ROWS; slot += 3)
			assert_int_equal(write_slot(&columns, slot, (unsigned)(at >> 10)), 0);
		for (uint64_t slot = 0; slot < ROWS; slot += 3)
			assert_true(shown(&columns, slot, (unsigned)(at >> 10)));
	}
	assert_true(shown(&columns, 3, (unsigned)(7 * WRITE_WINDOW_BYTES / 2 >> 10)));
	assert_int_equal(columns_close(&columns), 0);
	fd = openat(((struct unit_dir *)*state)->fd, "vectors.npy", O_RDONLY | O_CLOEXEC);
	for (uint64_t slot = 0; slot < ROWS; slot++) {
		uint8_t first = slot % 3 ? 0
		                         : (uint8_t)(slot * 7 + (7 * WRITE_WINDOW_BYTES / 2 >> 10));

		assert_int_equal(pread(fd, bytes, N, (off_t)(COLUMN_HEADER_BYTES + slot * N)), N);
		assert_int_equal(bytes[0], first);
		assert_int_equal(bytes[N - 1], first);
	}
	assert_int_equal(close(fd), 0);
}

static void windows_are_where_slots_are_taken_and_end_with_the_rows(void **state)
{
	struct columns columns;
	uint64_t end = COLUMN_HEADER_BYTES + ROWS * N;

	make(*state, &columns, quiver_io_posix());
	assert_true(follow(&columns, WRITE_WINDOWS * WRITE_WINDOW_BYTES + 5));
	assert_null(atomic_load(&columns.windows[0])); /* there somebody is already */
	for (unsigned i = 1; i < WRITE_WINDOWS; i++)
		assert_non_null(atomic_load(&columns.windows[i]));
	assert_false(write_windows_follow(&columns, end, end));
	assert_int_equal(columns_close(&columns), 0);
}

/* Without windows where nothing can be mapped: all goes through the calls, and fails there. */
static void what_is_not_mapped_is_written(void **state)
{
	struct failing_io io;
	struct columns columns;

	failing_io_init(&io);
	make(*state, &columns, &io.table);
	assert_false(follow(&columns, WRITE_WINDOW_BYTES));
	assert_int_equal(write_slot(&columns, 5, 1), 0);
	assert_true(shown(&columns, 5, 1));
	assert_int_equal(columns_close(&columns), 0);
}

/* The file was cut under a window. */
static int write_past_the_end(void *arg)
{
	struct unit_dir *dir = arg;
	uint64_t slot = slot_at(5 * WRITE_WINDOW_BYTES / 2);
	struct columns columns;

	if (fault_init() != 0)
		return 9;
	make(dir, &columns, quiver_io_posix());
	if (!follow(&columns, WRITE_WINDOW_BYTES) || write_slot(&columns, slot, 1) != 0)
		return 1;
	unit_truncate(dir, "vectors.npy", 2 * WRITE_WINDOW_BYTES);
	if (write_slot(&columns, slot, 2) != 0 || !shown(&columns, slot, 2))
		return 2;
	if (write_slot(&columns, slot + 1, 3) != 0 || !shown(&columns, slot + 1, 3))
		return 3;
	return columns_close(&columns) == 0 ? 0 : 4;
}

static void what_cannot_be_stored_is_written(void **state)
{
	assert_int_equal(unit_in_child(write_past_the_end, *state), 0);
}

struct writer {
	struct columns *columns;
	_Atomic uint64_t *next; /* slot to be taken */
	pthread_t thread;
	bool failed; /* its own until it is joined */
};

static void *take_and_write(void *arg)
{
	struct writer *writer = arg;
	uint64_t slot;

	while ((slot = atomic_fetch_add(writer->next, 1)) < ROWS)
		if (write_slot(writer->columns, slot, 9) != 0)
			writer->failed = true;
	return NULL;
}

static void windows_move_on_under_their_writers(void **state)
{
	struct writer writers[THREADS];
	_Atomic uint64_t next = 0;
	struct columns columns;

	make(*state, &columns, quiver_io_posix());
	for (unsigned i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ .columns = &columns, .next = &next };
		assert_int_equal(
			pthread_create(&writers[i].thread, NULL, take_and_write, &writers[i]), 0);
	}
	while (atomic_load(&next) < ROWS)
		(void)follow(&columns, COLUMN_HEADER_BYTES + atomic_load(&next) * N);
	for (unsigned i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		assert_false(writers[i].failed);
	}
	for (uint64_t slot = 0; slot < ROWS; slot++)
		assert_true(shown(&columns, slot, 9));
	assert_int_equal(columns_close(&columns), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(vectors_in_and_beside_windows_are_in_the_file),
		TEST(windows_are_where_slots_are_taken_and_end_with_the_rows),
		TEST(what_is_not_mapped_is_written),
		TEST(what_cannot_be_stored_is_written),
		TEST(windows_move_on_under_their_writers),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
