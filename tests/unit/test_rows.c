/* Rows of ids.npy and meta.npy are stored in the files, through a map or by calls. */
#include "unit.h"

#include "engine/base/fault.h"
#include "engine/disk/columns.h"
#include "engine/media/bytes.h"
#include "failing_io.h"

#define ROWS 5000u
#define IDS_IN_PAGE (4096 / 8)

static const struct quiver_geometry geometry = { .dim = 1, .dtype = QUIVER_U1, .vector_bytes = 1 };

static void reopen_io(struct unit_dir *dir, struct columns *columns, const struct quiver_io *io)
{
	assert_int_equal(columns_open(columns, io, dir->fd, &geometry, QUIVER_FORMAT_VERSION, 0,
	                              false, NULL),
	                 0);
}

static void make(struct unit_dir *dir, struct columns *columns, uint64_t rows)
{
	assert_int_equal(columns_create(quiver_io_posix(), dir->fd, &geometry), 0);
	reopen_io(dir, columns, quiver_io_posix());
	assert_int_equal(columns_grow(columns, rows), 0);
}

static int write_row(struct columns *columns, uint64_t slot)
{
	struct meta_row row = { .lsn = slot + 1, .sum = slot * 3 };
	uint64_t id = slot + 100;

	return columns_write_rows(columns, slot, &id, &row, 1);
}

static bool shown(struct columns *columns, uint64_t slot)
{
	struct meta_row row;

	return columns_id(columns, slot) == slot + 100 &&
	       columns_meta(columns, slot, slot + 100, &row) == 0 && row.lsn == slot + 1 &&
	       row.sum == slot * 3;
}

static bool shown_free(struct columns *columns, uint64_t slot)
{
	struct meta_row row;

	return columns_id(columns, slot) == QUIVER_ID_NONE &&
	       columns_meta(columns, slot, QUIVER_ID_NONE, &row) == 0 && row.lsn == 0;
}

static uint64_t id_in_file(struct unit_dir *dir, uint64_t slot)
{
	uint8_t bytes[8];

	unit_read(dir, "ids.npy", bytes, sizeof(bytes), (off_t)(COLUMN_HEADER_BYTES + slot * 8));
	return get_le64(bytes);
}

static uint64_t lsn_in_file(struct unit_dir *dir, uint64_t slot)
{
	uint8_t bytes[8];

	unit_read(dir, "meta.npy", bytes, sizeof(bytes),
	          (off_t)(COLUMN_HEADER_BYTES + slot * META_ROW_BYTES));
	return get_le64(bytes);
}

static void store_rows_and_look(struct unit_dir *dir, const struct quiver_io *io)
{
	struct columns columns;

	make(dir, &columns, ROWS);
	assert_int_equal(columns_close(&columns), 0);
	reopen_io(dir, &columns, io);
	for (int i = 0; i < 3; i++) { /* before a sync, and in pages that one has unmapped */
		for (uint64_t slot = (uint64_t)i; slot < ROWS; slot += 7)
			assert_int_equal(write_row(&columns, slot), 0);
		for (uint64_t slot = 0; slot < ROWS; slot++) {
			bool there = slot % 7 <= (uint64_t)i;

			assert_true(there ? shown(&columns, slot) : shown_free(&columns, slot));
			assert_true(id_in_file(dir, slot) == (there ? slot + 100 : QUIVER_ID_NONE));
			assert_true(lsn_in_file(dir, slot) == (there ? slot + 1 : 0));
		}
		assert_int_equal(columns_sync(&columns, false, true), 0);
	}
	assert_int_equal(columns_close(&columns), 0);
}

static void rows_are_shown_and_in_the_files_at_once(void **state)
{
	store_rows_and_look(*state, quiver_io_posix());
}

static void so_they_are_where_nothing_can_be_mapped(void **state)
{
	struct failing_io io;

	failing_io_init(&io);
	store_rows_and_look(*state, &io.table);
}

static void growing_and_cutting_keep_rows_and_bring_free_ones(void **state)
{
	static const uint64_t steps[] = { 50, 130, 2000, 90, 3000, 60, 61 };
	struct unit_dir *dir = *state;
	struct columns columns;

	make(dir, &columns, 50);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		static const uint64_t none = QUIVER_ID_NONE;
		uint64_t rows = atomic_load(&columns.rows);

		assert_int_equal(columns_grow(&columns, steps[i]), 0);
		assert_int_equal(columns_cut(&columns, steps[i]), 0);
		for (uint64_t slot = rows; slot < steps[i]; slot++)
			assert_true(shown_free(&columns, slot));
		for (uint64_t slot = 0; slot < 50; slot++)
			assert_true(i == 0 || shown(&columns, slot));
		for (uint64_t slot = 0; slot < steps[i]; slot++)
			assert_int_equal(write_row(&columns, slot), 0);
		for (uint64_t slot = 50; slot < steps[i]; slot++) /* only free ones are cut */
			assert_int_equal(columns_write_rows(&columns, slot, &none, NULL, 1), 0);
	}
	assert_int_equal(columns_sync(&columns, true, true), 0);
	assert_true(unit_size(dir, "ids.npy") == COLUMN_HEADER_BYTES + 61 * 8);
	assert_true(unit_size(dir, "meta.npy") == COLUMN_HEADER_BYTES + 61 * META_ROW_BYTES);
	assert_int_equal(columns_close(&columns), 0);
	reopen_io(dir, &columns, quiver_io_posix());
	for (uint64_t slot = 0; slot < 61; slot++)
		assert_true(slot < 50 ? shown(&columns, slot) : shown_free(&columns, slot));
	assert_int_equal(columns_close(&columns), 0);
}

static void what_could_not_be_written_is_an_error(void **state)
{
	struct unit_dir *dir = *state;
	struct failing_io io;
	struct columns columns;

	make(dir, &columns, ROWS);
	assert_int_equal(columns_close(&columns), 0);
	failing_io_init(&io);
	reopen_io(dir, &columns, &io.table);
	for (int at = 0; at < 2; at++) { /* the row of one column, of the other */
		failing_io_arm(&io, at, -ENOSPC);
		assert_int_equal(write_row(&columns, 77), -ENOSPC);
	}
	failing_io_disarm(&io);
	assert_int_equal(write_row(&columns, 77), 0);
	assert_true(shown(&columns, 77));
	assert_int_equal(columns_close(&columns), 0);
}

/* A search has met a page of ids.npy that could not be read, and sees 0xFF since. Later the disk
 * reads again: that page must not have been overwritten with 0xFF. */
static int write_to_a_blank_page(void *arg)
{
	uint64_t slot = 3 * IDS_IN_PAGE + 5;
	struct unit_dir *dir = arg;
	struct columns columns;

	if (fault_init() != 0 || columns_open(&columns, quiver_io_posix(), dir->fd, &geometry,
	                                      QUIVER_FORMAT_VERSION, ROWS, false, NULL) != 0)
		return 1;
	if (write_row(&columns, 2) != 0)
		return 2;
	unit_truncate(dir, "ids.npy", 4096 * 2);
	if (columns_id(&columns, slot) != QUIVER_ID_NONE || fault_covered() != 1)
		return 3;
	unit_truncate(dir, "ids.npy", COLUMN_HEADER_BYTES + ROWS * 8);
	if (write_row(&columns, slot) != 0 || write_row(&columns, 3) != 0 ||
	    columns_sync(&columns, false, true) != 0)
		return 4;
	if (id_in_file(dir, slot) != slot + 100 || id_in_file(dir, slot + 1) != 0)
		return 5;
	return id_in_file(dir, 2) == 102 && id_in_file(dir, 3) == 103 ? 0 : 6;
}

static void a_page_that_stands_for_another_does_not_get_into_the_file(void **state)
{
	struct columns columns;

	make(*state, &columns, ROWS);
	assert_int_equal(columns_close(&columns), 0);
	assert_int_equal(unit_in_child(write_to_a_blank_page, *state), 0);
}

/* Nor is a row stored where the rest of its page cannot be had. */
static int write_to_an_unreadable_page(void *arg)
{
	struct unit_dir *dir = arg;
	struct columns columns;

	if (fault_init() != 0 || columns_open(&columns, quiver_io_posix(), dir->fd, &geometry,
	                                      QUIVER_FORMAT_VERSION, ROWS, false, NULL) != 0)
		return 1;
	unit_truncate(dir, "meta.npy", 4096 * 2);
	if (write_row(&columns, 4000) != -EIO)
		return 2;
	unit_truncate(dir, "meta.npy", COLUMN_HEADER_BYTES + ROWS * META_ROW_BYTES);
	if (write_row(&columns, 4000) != 0 || columns_sync(&columns, false, true) != 0)
		return 3;
	return lsn_in_file(dir, 4000) == 4001 ? 0 : 4;
}

static void an_unreadable_page_is_an_error(void **state)
{
	struct columns columns;

	make(*state, &columns, ROWS);
	assert_int_equal(columns_close(&columns), 0);
	assert_int_equal(unit_in_child(write_to_an_unreadable_page, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(rows_are_shown_and_in_the_files_at_once),
		TEST(so_they_are_where_nothing_can_be_mapped),
		TEST(growing_and_cutting_keep_rows_and_bring_free_ones),
		TEST(what_could_not_be_written_is_an_error),
		TEST(a_page_that_stands_for_another_does_not_get_into_the_file),
		TEST(an_unreadable_page_is_an_error),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
