#include "unit.h"

#include <dirent.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "engine/base/fault.h"
#include "engine/disk/columns.h"
#include "failing_io.h"

#define DIM 3u
#define N (DIM * 4) /* so that rows of every column cross sectors and pages */
#define NAMES 3

static const char *const names[NAMES] = { "vectors.npy", "ids.npy", "meta.npy" };
static const uint32_t row_bytes[NAMES] = { N, 8, META_ROW_BYTES };

static const struct quiver_geometry geometry = { .dim = DIM,
	                                         .dtype = QUIVER_F4,
	                                         .vector_bytes = N };

static int create(struct unit_dir *dir)
{
	return columns_create(quiver_io_posix(), dir->fd, &geometry);
}

static void reopen(struct unit_dir *dir, struct columns *columns, uint64_t slots_used)
{
	struct quiver_error error = { "" };

	if (columns_open(columns, quiver_io_posix(), dir->fd, &geometry, QUIVER_FORMAT_VERSION,
	                 slots_used, false, &error) != 0)
		fail_msg("%s", error.text);
}

static void make(struct unit_dir *dir, struct columns *columns, uint64_t rows)
{
	assert_int_equal(create(dir), 0);
	reopen(dir, columns, 0);
	assert_int_equal(columns_grow(columns, rows), 0);
}

/* New ones, on a table of which calls can fail. */
static void make_failing(struct unit_dir *dir, struct columns *columns, struct failing_io *io)
{
	assert_int_equal(create(dir), 0);
	failing_io_init(io);
	assert_int_equal(columns_open(columns, &io->table, dir->fd, &geometry,
	                              QUIVER_FORMAT_VERSION, 0, false, NULL),
	                 0);
}

/* The files have what was written. */
static void finish(struct columns *columns)
{
	assert_int_equal(columns_sync(columns, false, true), 0);
	assert_int_equal(columns_close(columns), 0);
}

static uint64_t rows_of(struct columns *columns)
{
	return atomic_load(&columns->rows);
}

static struct meta_row row_of(uint64_t slot)
{
	return (struct meta_row){
		.lsn = slot * 1000 + 1,
		.sum = ~slot,
		.attr_lsn = slot * 1000 + 3,
		.attr = { .mtime_ns = -(int64_t)slot,
		          .ctime_ns = INT64_MAX - (int64_t)slot,
		          .uid = UINT32_MAX - (uint32_t)slot,
		          .gid = (uint32_t)slot + 7,
		          .mode = (uint16_t)(slot % 010000) },
	};
}

static bool same_row(const struct meta_row *a, const struct meta_row *b)
{
	return a->lsn == b->lsn && a->sum == b->sum && a->attr.mtime_ns == b->attr.mtime_ns &&
	       a->attr.uid == b->attr.uid && a->attr.gid == b->attr.gid &&
	       a->attr.mode == b->attr.mode && a->attr.ctime_ns == b->attr.ctime_ns &&
	       a->attr_lsn == b->attr_lsn;
}

static uint64_t id_of(uint64_t slot)
{
	return slot * UINT64_C(0x9e3779b97f4a7c15) % QUIVER_ID_MAX;
}

static void vector_of(uint64_t slot, uint8_t bytes[N])
{
	for (unsigned i = 0; i < N; i++)
		bytes[i] = (uint8_t)(slot * 31 + i);
}

static void write_slot(struct columns *columns, uint64_t slot)
{
	struct meta_row row = row_of(slot);
	uint64_t id = id_of(slot);
	uint8_t bytes[N];
	struct iovec part = { bytes, N };

	vector_of(slot, bytes);
	assert_int_equal(columns_write_vectors(columns, slot, &part, 1), 0);
	assert_int_equal(columns_write_rows(columns, slot, &id, &row, 1), 0);
}

/* Slots from `first` up to `end`. */
static void write_slots(struct columns *columns, uint64_t first, uint64_t end)
{
	for (uint64_t slot = first; slot < end; slot++)
		write_slot(columns, slot);
}

static void check_slot(struct columns *columns, uint64_t slot)
{
	struct meta_row expected = row_of(slot), row;
	uint8_t bytes[N];

	vector_of(slot, bytes);
	assert_memory_equal(columns_vector(columns, slot), bytes, N);
	assert_true(columns_id(columns, slot) == id_of(slot));
	assert_int_equal(columns_meta(columns, slot, id_of(slot), &row), 0);
	assert_true(same_row(&row, &expected));
}

static void check_slots(struct columns *columns, uint64_t first, uint64_t end)
{
	for (uint64_t slot = first; slot < end; slot++)
		check_slot(columns, slot);
}

static void check_free(struct columns *columns, uint64_t slot)
{
	struct meta_row row = row_of(slot);

	assert_true(columns_id(columns, slot) == QUIVER_ID_NONE);
	assert_int_equal(columns_meta(columns, slot, 5, &row), 0);
	assert_true(row.lsn == 0);
}

static void check_free_slots(struct columns *columns, uint64_t first, uint64_t end)
{
	for (uint64_t slot = first; slot < end; slot++)
		check_free(columns, slot);
}

/* Files, headers, rows and maps all say `rows`. */
static void check_sizes(struct unit_dir *dir, struct columns *columns, uint64_t rows)
{
	struct column *all[NAMES] = { &columns->vectors, &columns->ids, &columns->meta };

	assert_true(rows_of(columns) == rows);
	for (int i = 0; i < NAMES; i++) {
		uint64_t bytes = COLUMN_HEADER_BYTES + rows * row_bytes[i];
		char header[512], expected[64];

		assert_true(unit_size(dir, names[i]) == bytes);
		assert_true(all[i]->file_bytes == bytes);
		assert_true(atomic_load(&all[i]->mapped_bytes) == (bytes + 4095) / 4096 * 4096);
		unit_read(dir, names[i], header, sizeof(header) - 1, 0);
		header[511] = '\0';
		snprintf(expected, sizeof(expected), "'shape': (%llu,%s), }",
		         (unsigned long long)rows, i == 0 ? " 3" : "");
		assert_non_null(strstr(header + 10, expected));
	}
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	assert_int_equal(closedir(dir), 0);
	return count;
}

/* ---- making and opening ------------------------------------------------- */

static void a_new_store_has_headers_and_no_rows(void **state)
{
	static const char ids_text[] = "\x93NUMPY\1\0\xf6\x0f{'descr': '<u8', "
				       "'fortran_order': False, 'shape': (0,), }   ";
	char header[COLUMN_HEADER_BYTES];
	struct columns columns;

	assert_int_equal(create(*state), 0);
	reopen(*state, &columns, 0);
	check_sizes(*state, &columns, 0);
	for (int i = 0; i < NAMES; i++) {
		unit_read(*state, names[i], header, sizeof(header), 0);
		assert_int_equal(header[COLUMN_HEADER_BYTES - 1], '\n');
		for (unsigned at = 512; at < COLUMN_HEADER_BYTES - 1; at++)
			assert_int_equal(header[at], ' ');
	}
	unit_read(*state, "ids.npy", header, sizeof(header), 0);
	assert_memory_equal(header, ids_text, sizeof(ids_text) - 1);
	finish(&columns);
	assert_int_equal(create(*state), -EEXIST);
	reopen(*state, &columns, 0);
	finish(&columns);
}

static void making_cleans_up_wherever_it_fails(void **state)
{
	struct unit_dir *dir = *state;
	struct failing_io io;
	int before = open_descriptors();
	char *list;
	size_t count;
	long skip;
	int r;

	failing_io_init(&io);
	for (skip = 0;; skip++) {
		failing_io_arm(&io, skip, -ENOSPC);
		r = columns_create(&io.table, dir->fd, &geometry);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOSPC);
		assert_int_equal(open_descriptors(), before);
		assert_int_equal(io.table.list(&io.table, dir->fd, &list, &count), 0);
		free(list);
		assert_int_equal(count, 0);
	}
	assert_int_equal(skip, 12); /* open, write, sync and close of three */
	assert_int_equal(open_descriptors(), before);
}

static void opening_lets_go_of_everything_wherever_it_fails(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;
	int before;
	long skip;

	make(dir, &columns, 100);
	finish(&columns);
	before = open_descriptors();
	failing_io_init(&io);
	for (skip = 0;; skip++) {
		struct quiver_error error = { "" };
		int r;

		unit_write(dir, "ids.npy", "", 0, 0);
		unit_truncate(dir, "ids.npy", 4096 + 101 * 8); /* to be put right */
		failing_io_arm(&io, skip, -EIO);
		r = columns_open(&columns, &io.table, dir->fd, &geometry, QUIVER_FORMAT_VERSION,
		                 100, false, &error);
		if (r == 0)
			break;
		assert_int_equal(r, -EIO);
		assert_non_null(strstr(error.text, ".npy"));
		assert_int_equal(open_descriptors(), before);
	}
	assert_true(skip >= 10);
	failing_io_disarm(&io);
	finish(&columns);
	assert_int_equal(open_descriptors(), before);
}

static void refuse(struct unit_dir *dir, const struct quiver_geometry *other, uint64_t slots_used,
                   const char *file)
{
	struct quiver_error error = { "" };
	struct columns columns;
	int before = open_descriptors();

	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(columns_open(&columns, quiver_io_posix(), dir->fd, other,
		                              QUIVER_FORMAT_VERSION, slots_used, read_only, &error),
		                 -EUCLEAN);
		assert_memory_equal(error.text, file, strlen(file));
		assert_int_equal(columns_open(&columns, quiver_io_posix(), dir->fd, other,
		                              QUIVER_FORMAT_VERSION, slots_used, read_only, NULL),
		                 -EUCLEAN);
	}
	assert_int_equal(open_descriptors(), before);
}

static void files_that_do_not_fit_are_refused(void **state)
{
	struct quiver_geometry other;
	struct unit_dir *dir = *state;
	struct columns columns;

	make(dir, &columns, 10);
	finish(&columns);
	other = geometry;
	other.dim = 4;
	refuse(dir, &other, 0, "vectors.npy");
	other = geometry;
	other.dtype = QUIVER_F8;
	refuse(dir, &other, 0, "vectors.npy");
	refuse(dir, &geometry, 11, "vectors.npy");
	for (int i = 0; i < NAMES; i++) {
		unit_truncate(dir, names[i], COLUMN_HEADER_BYTES + 10 * row_bytes[i] - 1);
		refuse(dir, &geometry, 10, names[i]);
		reopen(dir, &columns, 9); /* cuts the others */
		assert_true(rows_of(&columns) == 9);
		assert_int_equal(columns_grow(&columns, 10), 0);
		finish(&columns);
	}
	assert_int_equal(renameat(dir->fd, "ids.npy", dir->fd, "x"), 0);
	refuse(dir, &geometry, 0, "ids.npy");
	assert_int_equal(renameat(dir->fd, "meta.npy", dir->fd, "ids.npy"), 0);
	assert_int_equal(renameat(dir->fd, "x", dir->fd, "meta.npy"), 0);
	refuse(dir, &geometry, 0, "ids.npy");
	unit_truncate(dir, "vectors.npy", COLUMN_HEADER_BYTES - 1);
	refuse(dir, &geometry, 0, "vectors.npy");
	unit_truncate(dir, "vectors.npy", 0);
	refuse(dir, &geometry, 0, "vectors.npy");
}

static void a_flipped_bit_in_a_header_is_noticed(void **state)
{
	uint8_t sound[COLUMN_HEADER_BYTES], header[COLUMN_HEADER_BYTES];
	struct unit_dir *dir = *state;
	struct quiver_error error;
	struct columns columns;

	make(dir, &columns, 10);
	finish(&columns);
	for (int i = 0; i < NAMES; i++) {
		unit_read(dir, names[i], sound, sizeof(sound), 0);
		/* All of the first 512 bytes, some of the rest. */
		for (uint64_t bit = 0; bit < COLUMN_HEADER_BYTES * 8; bit += bit < 4096 ? 1 : 97) {
			int r;

			unit_flip(dir, names[i], bit);
			r = columns_open(&columns, quiver_io_posix(), dir->fd, &geometry,
			                 QUIVER_FORMAT_VERSION, 10, true, &error);
			/* Another row count is what a crash leaves. */
			if (r == 0) {
				assert_true(rows_of(&columns) == 10);
				finish(&columns);
				reopen(dir, &columns, 10);
				finish(&columns);
				unit_read(dir, names[i], header, sizeof(header), 0);
				assert_memory_equal(header, sound, sizeof(header));
				continue;
			}
			assert_int_equal(r, -EUCLEAN);
			unit_flip(dir, names[i], bit);
		}
	}
}

static void a_header_of_nothing_but_digits_is_refused(void **state)
{
	struct unit_dir *dir = *state;
	char header[COLUMN_HEADER_BYTES];
	struct columns columns;

	make(dir, &columns, 1);
	finish(&columns);
	unit_read(dir, "ids.npy", header, sizeof(header), 0);
	for (int digit = '0'; digit <= '9'; digit += 9) {
		char *at = strstr(header + 10, "shape': (");

		assert_non_null(at);
		memset(at + 9, digit, (size_t)(header + sizeof(header) - (at + 9)));
		unit_write(dir, "ids.npy", header, sizeof(header), 0);
		refuse(dir, &geometry, 0, "ids.npy");
		memcpy(at + 9, "1,", 2);
	}
}

static void what_a_crash_while_growing_leaves_is_put_right(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	char stale[512], fresh[512];

	make(dir, &columns, 50);
	unit_read(dir, "vectors.npy", stale, sizeof(stale), 0);
	assert_int_equal(columns_grow(&columns, 7000), 0);
	unit_read(dir, "vectors.npy", fresh, sizeof(fresh), 0);
	write_slots(&columns, 0, 60);
	finish(&columns);
	unit_truncate(dir, "meta.npy", COLUMN_HEADER_BYTES + 60 * META_ROW_BYTES + 39);
	unit_truncate(dir, "ids.npy", COLUMN_HEADER_BYTES + 70 * 8);
	unit_write(dir, "vectors.npy", stale, sizeof(stale), 0);

	/* Only looked at: nothing changes. */
	assert_int_equal(columns_open(&columns, quiver_io_posix(), dir->fd, &geometry,
	                              QUIVER_FORMAT_VERSION, 60, true, NULL),
	                 0);
	assert_true(rows_of(&columns) == 60);
	check_slots(&columns, 0, 60);
	finish(&columns);
	assert_true(unit_size(dir, "vectors.npy") == COLUMN_HEADER_BYTES + 7000 * N);
	unit_read(dir, "vectors.npy", fresh, sizeof(fresh), 0);
	assert_memory_equal(fresh, stale, sizeof(fresh));

	reopen(dir, &columns, 60);
	check_sizes(dir, &columns, 60);
	check_slots(&columns, 0, 60);
	/* And the next growth brings free rows, not what was cut. */
	assert_int_equal(columns_grow(&columns, 80), 0);
	check_free_slots(&columns, 60, 80);
	finish(&columns);
}

/* ---- growing and cutting ------------------------------------------------- */

static void growth_brings_free_rows_backed_by_blocks(void **state)
{
	static const uint64_t steps[] = { 1, 2, 100, 341, 5000, 300000 };
	struct unit_dir *dir = *state;
	const void *vectors, *ids, *meta;
	struct columns columns;
	uint64_t rows = 0;
	struct stat st;

	assert_int_equal(create(dir), 0);
	reopen(dir, &columns, 0);
	vectors = columns.vectors.map;
	ids = columns.ids.map;
	meta = columns.meta.map;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_int_equal(columns_grow(&columns, steps[i]), 0);
		check_sizes(dir, &columns, steps[i]);
		for (uint64_t slot = rows; slot < steps[i]; slot++)
			check_free(&columns, slot);
		for (uint64_t slot = rows ? rows - 1 : 0; slot < steps[i] && slot < 6000; slot++)
			write_slot(&columns, slot);
		rows = steps[i];
		assert_ptr_equal(vectors, columns.vectors.map);
		assert_ptr_equal(ids, columns.ids.map);
		assert_ptr_equal(meta, columns.meta.map);
		for (uint64_t slot = 0; slot < rows && slot < 6000; slot++)
			check_slot(&columns, slot);
	}
	assert_int_equal(columns_grow(&columns, 7), 0); /* not a cut */
	assert_true(rows_of(&columns) == 300000);
	for (int i = 0; i < NAMES; i++) {
		assert_int_equal(fstatat(dir->fd, names[i], &st, 0), 0);
		assert_true(st.st_blocks * 512 >= st.st_size);
	}
	finish(&columns);
	reopen(dir, &columns, 300000);
	check_slots(&columns, 0, 6000);
	finish(&columns);
}

static void more_rows_than_the_reserve_holds_is_a_full_store(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;

	make_failing(dir, &columns, &io);
	assert_int_equal(columns_grow(&columns, 3), 0);
#ifndef QUIVER_SMALL_RESERVE
	assert_true(columns.rows_max >= (UINT64_C(1) << 30));
#endif
	assert_true(columns.rows_max <= SLOT_MAX + 1);
	io.calls = 0;
	assert_int_equal(columns_grow(&columns, columns.rows_max + 1), -ENOSPC);
	assert_int_equal(io.calls, 0); /* the disk was not even asked */
	check_sizes(*state, &columns, 3);
	finish(&columns);
}

static void growth_that_fails_leaves_what_was(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;
	long skip;

	make_failing(dir, &columns, &io);
	assert_int_equal(columns_grow(&columns, 400), 0);
	write_slots(&columns, 0, 400);
	for (skip = 0;; skip++) {
		int r;

		failing_io_arm(&io, skip, -ENOSPC);
		r = columns_grow(&columns, 2000);
		failing_io_disarm(&io);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOSPC);
		check_sizes(dir, &columns, 400);
		check_slots(&columns, 0, 400);
	}
	assert_true(skip >= 10); /* allocate, fill, map, header */
	check_sizes(dir, &columns, 2000);
	check_slots(&columns, 0, 400);
	check_free_slots(&columns, 400, 2000);
	finish(&columns);
}

/* The disk fails and cannot even be cut back: that is made up for later. */
static void growth_that_cannot_be_undone_is_cut_before_the_next(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;

	make_failing(dir, &columns, &io);
	assert_int_equal(columns_grow(&columns, 400), 0);
	assert_int_equal(columns_grow(&columns, 2000), 0);
	write_slots(&columns, 0, 2000);
	assert_int_equal(columns_sync(&columns, false, true), 0);
	failing_io_arm(&io, 1, -EIO); /* the truncation of the vectors */
	assert_int_equal(columns_cut(&columns, 400), -EIO);
	failing_io_disarm(&io);
	assert_true(rows_of(&columns) == 400);
	assert_true(unit_size(dir, "vectors.npy") == COLUMN_HEADER_BYTES + 2000 * N);
	assert_int_equal(columns_grow(&columns, 1000), 0);
	check_sizes(dir, &columns, 1000);
	check_slots(&columns, 0, 400);
	for (uint64_t slot = 400; slot < 1000; slot++) {
		static const uint8_t zeros[N];

		check_free(&columns, slot);
		assert_memory_equal(columns_vector(&columns, slot), zeros, N);
	}
	finish(&columns);
}

/* Whether memory can be read: the kernel says so without a fault. */
static bool readable(const void *at)
{
	int ends[2];
	bool yes;

	assert_int_equal(pipe(ends), 0);
	yes = write(ends[1], at, 1) == 1;
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	return yes;
}

static void a_cut_takes_the_rows_above_and_no_others(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;

	make(dir, &columns, 5000);
	write_slots(&columns, 0, 5000);
	assert_true(readable(columns_vector(&columns, 4999)));
	assert_int_equal(columns_cut(&columns, 6000), 0);
	check_sizes(dir, &columns, 5000);
	assert_int_equal(columns_cut(&columns, 777), 0);
	check_sizes(dir, &columns, 777);
	check_slots(&columns, 0, 777);
	assert_false(readable(columns.vectors.map + COLUMN_HEADER_BYTES + 4999 * N));
	assert_false(readable(columns.ids.map + COLUMN_HEADER_BYTES + 4999 * 8));
	assert_false(readable(columns.meta.map + COLUMN_HEADER_BYTES + 4999 * META_ROW_BYTES));
	assert_int_equal(columns_grow(&columns, 5000), 0);
	check_slots(&columns, 0, 777);
	check_free_slots(&columns, 777, 5000);
	assert_int_equal(columns_cut(&columns, 0), 0);
	check_sizes(dir, &columns, 0);
	finish(&columns);
	reopen(dir, &columns, 0);
	check_sizes(dir, &columns, 0);
	finish(&columns);
}

static void syncs_are_those_asked_for(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;

	make_failing(dir, &columns, &io);
	for (int vectors = 0; vectors < 2; vectors++) {
		for (int rows = 0; rows < 2; rows++) {
			io.syncs = 0;
			assert_int_equal(columns_sync(&columns, vectors, rows), 0);
			assert_int_equal(io.syncs, vectors + 2 * rows);
		}
	}
	finish(&columns);
}

/* The kernel tells of pages that it could not write, and has dropped, once. */
static void a_failed_sync_is_told_to_whoever_syncs_next(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	struct failing_io io;

	assert_int_equal(create(dir), 0);
	for (long skip = 0; skip < 4; skip++) {
		failing_io_init(&io);
		assert_int_equal(columns_open(&columns, &io.table, dir->fd, &geometry,
		                              QUIVER_FORMAT_VERSION, 0, false, NULL),
		                 0);
		failing_io_arm(&io, skip, -EIO);
		if (skip == 3) {
			failing_io_arm(&io, 0, -EIO);
			assert_int_equal(columns_write_out(&columns), -EIO);
		}
		assert_int_equal(columns_sync(&columns, true, true), -EIO);
		assert_int_equal(columns_sync_slots(&columns), -EIO);
		assert_int_equal(columns_sync(&columns, false, true), -EIO);
		assert_int_equal(columns_write_out(&columns), -EIO);
		assert_int_equal(columns_close(&columns), 0);
	}
}

/* ---- rows ---------------------------------------------------------------- */

static void many_neighbours_are_written_at_once(void **state)
{
	enum { COUNT = 700, FROM = 13 }; /* more than one buffer of rows */
	static struct meta_row rows[COUNT];
	static uint8_t bytes[COUNT][N];
	static struct iovec parts[COUNT];
	static uint64_t ids[COUNT];
	struct columns columns;

	make(*state, &columns, COUNT + 20);
	for (uint64_t i = 0; i < COUNT; i++) {
		ids[i] = id_of(FROM + i);
		rows[i] = row_of(FROM + i);
		vector_of(FROM + i, bytes[i]);
		parts[i] = (struct iovec){ bytes[i], N };
	}
	assert_int_equal(columns_write_vectors(&columns, FROM, parts, COUNT), 0);
	assert_int_equal(columns_write_rows(&columns, FROM, ids, rows, COUNT), 0);
	for (uint64_t i = 0; i < COUNT; i++)
		check_slot(&columns, FROM + i);
	check_free(&columns, FROM - 1);
	check_free(&columns, FROM + COUNT);
	/* Every third is freed; for that no rows are needed. */
	for (uint64_t i = 0; i < COUNT; i += 3) {
		uint64_t none = QUIVER_ID_NONE;

		assert_int_equal(columns_write_rows(&columns, FROM + i, &none, NULL, 1), 0);
	}
	for (uint64_t i = 0; i < COUNT; i++) {
		if (i % 3 == 0)
			check_free(&columns, FROM + i);
		else
			check_slot(&columns, FROM + i);
	}
	/* In a mixed run the row of a NONE is not looked at. */
	for (uint64_t i = 0; i < COUNT; i++)
		ids[i] = i % 2 ? QUIVER_ID_NONE : id_of(FROM + i);
	assert_int_equal(columns_write_rows(&columns, FROM, ids, rows, COUNT), 0);
	for (uint64_t i = 0; i < COUNT; i++) {
		if (i % 2)
			check_free(&columns, FROM + i);
		else
			check_slot(&columns, FROM + i);
	}
	finish(&columns);
}

static void attributes_change_without_the_rest(void **state)
{
	struct columns columns;
	struct meta_row row, read;
	uint64_t slot;

	make(*state, &columns, 20);
	write_slots(&columns, 0, 20);
	row = row_of(12);
	row.attr = (struct quiver_attr){ INT64_MIN, 0, 0, UINT32_MAX, 07777 };
	slot = 12;
	assert_int_equal(columns_write_meta(&columns, &slot, &row, 1), 0);
	assert_int_equal(columns_meta(&columns, 12, id_of(12), &read), 0);
	assert_true(same_row(&row, &read));
	assert_true(columns_id(&columns, 12) == id_of(12));
	check_slot(&columns, 11);
	check_slot(&columns, 13);
	finish(&columns);
}

/* A table on which a row gets there in two parts, the second long after the first: as where the
 * thread that stores it waits for a page. */
struct slow_rows {
	struct quiver_io io; /* first: `self` */
	_Atomic int meta_fd;
	_Atomic bool half; /* of a row is there */
};

#define HALF_ROW 24u
#define SLOW_US 100000

static ssize_t slow_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                            int count, uint64_t offset)
{
	struct slow_rows *slow = (struct slow_rows *)(uintptr_t)self;
	const struct quiver_io *real = quiver_io_posix();
	struct iovec first = *parts;

	if (fd != atomic_load(&slow->meta_fd) || count != 1 || first.iov_len != META_ROW_BYTES)
		return real->pwritev(real, fd, parts, count, offset);
	first.iov_len = HALF_ROW;
	if (real->pwritev(real, fd, &first, 1, offset) != (ssize_t)HALF_ROW)
		return -EIO;
	atomic_store(&slow->half, true);
	usleep(SLOW_US);
	return HALF_ROW;
}

static void *write_slowly(void *arg)
{
	struct columns *columns = arg;
	struct meta_row row = row_of(12);
	uint64_t slot = 12;

	row.attr = (struct quiver_attr){ 1, 2, 3, 4, 0600 };
	return columns_write_meta(columns, &slot, &row, 1) == 0 ? columns : NULL;
}

static void a_row_that_is_slowly_written_is_not_damaged(void **state)
{
	struct slow_rows slow = { .io = *quiver_io_posix() };
	struct columns columns;
	struct meta_row read;
	pthread_t thread;
	void *done;

	assert_int_equal(create(*state), 0);
	slow.io.pwritev = slow_pwritev;
	slow.io.map_to_store = io_map_nothing;
	assert_int_equal(columns_open(&columns, &slow.io, ((struct unit_dir *)*state)->fd,
	                              &geometry, QUIVER_FORMAT_VERSION, 0, false, NULL),
	                 0);
	assert_int_equal(columns_grow(&columns, 20), 0);
	write_slots(&columns, 0, 20);
	atomic_store(&slow.meta_fd, columns.meta.fd);
	assert_int_equal(pthread_create(&thread, NULL, write_slowly, &columns), 0);
	while (!atomic_load(&slow.half))
		usleep(100);
	assert_int_equal(columns_meta(&columns, 12, id_of(12), &read), 0);
	assert_int_equal(read.attr.mode, 0600);
	assert_int_equal(pthread_join(thread, &done), 0);
	assert_non_null(done);
	finish(&columns);
}

static void a_row_of_another_id_or_slot_does_not_pass(void **state)
{
	uint8_t bytes[META_ROW_BYTES];
	struct columns columns;
	struct meta_row row;

	make(*state, &columns, 20);
	write_slot(&columns, 3);
	assert_int_equal(columns_sync(&columns, false, true), 0);
	assert_int_equal(columns_meta(&columns, 3, id_of(3) + 1, &row), -EBADMSG);
	assert_int_equal(columns_meta(&columns, 3, QUIVER_ID_NONE, &row), -EBADMSG);
	unit_read(*state, "meta.npy", bytes, sizeof(bytes), 4096 + 3 * META_ROW_BYTES);
	unit_write(*state, "meta.npy", bytes, sizeof(bytes), 4096 + 4 * META_ROW_BYTES);
	assert_int_equal(columns_meta(&columns, 4, id_of(3), &row), -EBADMSG);
	finish(&columns);
}

static void a_flipped_bit_in_a_row_is_noticed(void **state)
{
	struct columns columns;
	struct meta_row row;

	make(*state, &columns, 20);
	write_slot(&columns, 5);
	assert_int_equal(columns_sync(&columns, false, true), 0);
	for (uint64_t bit = 0; bit < META_ROW_BYTES * 8; bit++) {
		uint64_t at = (4096 + 5 * META_ROW_BYTES) * 8 + bit;

		unit_flip(*state, "meta.npy", at);
		assert_int_equal(columns_meta(&columns, 5, id_of(5), &row), -EBADMSG);
		unit_flip(*state, "meta.npy", at);
		unit_flip(*state, "meta.npy", at + META_ROW_BYTES * 8); /* of a free row */
		assert_int_equal(columns_meta(&columns, 6, 5, &row), -EBADMSG);
		unit_flip(*state, "meta.npy", at + META_ROW_BYTES * 8);
	}
	check_slot(&columns, 5);
	finish(&columns);
}

static void the_bytes_of_a_row_are_those_of_the_format(void **state)
{
	static const uint8_t expected[52] = {
		8,    7,    6,    5,    4,    3,    2,    1, /* LSN */
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* sum */
		0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* mtime */
		0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x61, /* ctime */
		0x58, 0x57, 0x56, 0x55, 0x54, 0x53, 0x52, 0x51, /* LSN of the attributes */
		0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31, /* uid, gid */
		0xed, 0x09, 1,    0, /* mode, flags */
	};
	const struct meta_row row = { 0x0102030405060708,
		                      0x1112131415161718,
		                      { -2, 0x6132333435363738, 0x21222324, 0x31323334, 04755 },
		                      0x5152535455565758 };
	const uint64_t id = 0x4142434445464748, slot = 2;
	uint8_t bytes[META_ROW_BYTES], covered[56], ids[8];
	struct columns columns;
	uint32_t crc;

	make(*state, &columns, 4);
	assert_int_equal(columns_write_rows(&columns, slot, &id, &row, 1), 0);
	assert_int_equal(columns_sync(&columns, false, true), 0);
	unit_read(*state, "meta.npy", bytes, sizeof(bytes), 4096 + 2 * META_ROW_BYTES);
	assert_memory_equal(bytes, expected, sizeof(expected));
	memcpy(covered, expected, 52);
	memcpy(covered + 52, "\2\0\0\0", 4);
	crc = (uint32_t)XXH3_64bits_withSeed(covered, sizeof(covered), id);
	for (int i = 0; i < 4; i++)
		assert_int_equal(bytes[52 + i], crc >> (8 * i) & 0xff);
	unit_read(*state, "ids.npy", ids, sizeof(ids), 4096 + 2 * 8);
	assert_memory_equal(ids, "\x48\x47\x46\x45\x44\x43\x42\x41", 8);
	finish(&columns);
}

static void the_sum_covers_id_lsn_and_bytes(void **state)
{
	(void)state;
	assert_true(vector_sum(0x0102030405060708, 0x1112131415161718, 0x2122232425262728) ==
	            XXH3_64bits("\x08\x07\x06\x05\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11"
	                        "\x28\x27\x26\x25\x24\x23\x22\x21",
	                        24));
	assert_true(vector_sum(1, 2, 3) != vector_sum(2, 1, 3));
}

/* Every mixture of the words of a free row and of a live one. */
static void a_row_that_is_torn_does_not_match(void **state)
{
	static const uint8_t zeros[META_ROW_BYTES];
	const unsigned all = (1u << (META_ROW_BYTES / 8)) - 1;
	uint8_t bytes[META_ROW_BYTES], torn[META_ROW_BYTES];
	struct columns columns;
	struct meta_row row;

	make(*state, &columns, 20);
	for (uint64_t slot = 0; slot < 20; slot++) {
		off_t at = 4096 + (off_t)slot * META_ROW_BYTES;

		write_slot(&columns, slot);
		assert_int_equal(columns_sync(&columns, false, true), 0);
		unit_read(*state, "meta.npy", bytes, sizeof(bytes), at);
		for (unsigned words = 0; words <= all; words++) {
			for (size_t i = 0; i < META_ROW_BYTES; i += 8)
				memcpy(torn + i, words >> (i / 8) & 1 ? bytes + i : zeros, 8);
			unit_write(*state, "meta.npy", torn, sizeof(torn), at);
			assert_int_equal(columns_meta(&columns, slot, id_of(slot), &row),
			                 memcmp(torn, zeros, sizeof(torn)) == 0 ||
			                                 memcmp(torn, bytes, sizeof(torn)) == 0
			                         ? 0
			                         : -EBADMSG);
		}
		check_slot(&columns, slot);
	}
	finish(&columns);
}

static int read_cut_rows(void *arg)
{
	struct unit_dir *dir = arg;
	struct columns columns;
	struct meta_row row;

	if (fault_init() != 0 || columns_open(&columns, quiver_io_posix(), dir->fd, &geometry,
	                                      QUIVER_FORMAT_VERSION, 5000, true, NULL) != 0)
		return 1;
	unit_truncate(dir, "meta.npy", 8192);
	if (columns_meta(&columns, 4999, id_of(4999), &row) != -EIO)
		return 2;
	return columns_meta(&columns, 0, id_of(0), &row) == 0 ? 0 : 3;
}

static void a_file_cut_behind_our_back_is_an_error(void **state)
{
	struct columns columns;

	make(*state, &columns, 5000);
	write_slot(&columns, 0);
	finish(&columns);
	assert_int_equal(unit_in_child(read_cut_rows, *state), 0);
}

/* ---- NumPy --------------------------------------------------------------- */

static const char numpy_program[] =
	"import sys\n"
	"try:\n"
	" import numpy as np\n"
	"except ImportError:\n"
	" sys.exit(77)\n"
	"v,i,m=[np.load(sys.argv[1]+'/'+n+'.npy',mmap_mode='r') for n in "
	"('vectors','ids','meta')]\n"
	"assert v.shape==(700,3) and v.dtype==np.dtype('<f4'), (v.shape,v.dtype)\n"
	"assert i.shape==(700,) and i.dtype==np.dtype('<u8')\n"
	"assert m.shape==(700,) and m.dtype.itemsize==56, m.dtype\n"
	"assert bytes(v[5])==bytes((5*31+k)%256 for k in range(12))\n"
	"assert i[5]==5*0x9e3779b97f4a7c15%2**64%(2**64-2**32), i[5]\n"
	"assert i[6]==2**64-1\n"
	"assert (m['lsn'][5],m['mtime_ns'][5],m['uid'][5],m['gid'][5],m['mode'][5],"
	"m['flags'][5])==(5001,-5,2**32-6,12,5,1), m[5]\n"
	"assert m['sum'][5]==2**64-6\n";

static int run_numpy(const char *python, const char *path)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unsetenv("LD_PRELOAD") == 0)
			execlp(python, python, "-c", numpy_program, path, (char *)NULL);
		_exit(77);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void numpy_reads_the_files(void **state)
{
	struct unit_dir *dir = *state;
	struct columns columns;
	int r;

	make(dir, &columns, 700);
	write_slot(&columns, 5);
	finish(&columns);
	r = run_numpy("python3", dir->path);
	if (r == 77)
		r = run_numpy("/usr/bin/python3", dir->path);
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

static void every_dtype_has_a_header(void **state)
{
	static const struct {
		const char *descr, *shape;
	} expected[] = { { "'<f4'", "(2, 65536)" }, { "'<f2'", "(2, 65536)" },
		         { "'<f8'", "(2, 65536)" }, { "'|i1'", "(2, 65536)" },
		         { "'|u1'", "(2, 65536)" }, { "'<u2'", "(2, 65536)" },
		         { "'|u1'", "(2, 8192)" } };
	struct unit_dir *dir = *state;

	for (int i = 0; i <= QUIVER_B1; i++) {
		struct quiver_geometry other = { .dim = QUIVER_DIM_MAX,
			                         .dtype = (enum quiver_dtype)i };
		struct columns columns;
		char header[513] = { 0 };

		assert_int_equal(columns_create(quiver_io_posix(), dir->fd, &other), 0);
		assert_int_equal(columns_open(&columns, quiver_io_posix(), dir->fd, &other,
		                              QUIVER_FORMAT_VERSION, 0, false, NULL),
		                 0);
		assert_int_equal(columns_grow(&columns, 2), 0);
		finish(&columns);
		unit_read(dir, "vectors.npy", header, 512, 0);
		assert_non_null(strstr(header + 10, expected[i].descr));
		assert_non_null(strstr(header + 10, expected[i].shape));
		for (int j = 0; j < NAMES; j++)
			assert_int_equal(unlinkat(dir->fd, names[j], 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(a_new_store_has_headers_and_no_rows),
		TEST(making_cleans_up_wherever_it_fails),
		TEST(opening_lets_go_of_everything_wherever_it_fails),
		TEST(files_that_do_not_fit_are_refused),
		TEST(a_flipped_bit_in_a_header_is_noticed),
		TEST(a_header_of_nothing_but_digits_is_refused),
		TEST(what_a_crash_while_growing_leaves_is_put_right),
		TEST(growth_brings_free_rows_backed_by_blocks),
		TEST(more_rows_than_the_reserve_holds_is_a_full_store),
		TEST(growth_that_fails_leaves_what_was),
		TEST(growth_that_cannot_be_undone_is_cut_before_the_next),
		TEST(a_cut_takes_the_rows_above_and_no_others),
		TEST(syncs_are_those_asked_for),
		TEST(a_failed_sync_is_told_to_whoever_syncs_next),
		TEST(many_neighbours_are_written_at_once),
		TEST(attributes_change_without_the_rest),
		TEST(a_row_that_is_slowly_written_is_not_damaged),
		TEST(a_row_of_another_id_or_slot_does_not_pass),
		TEST(a_flipped_bit_in_a_row_is_noticed),
		TEST(the_bytes_of_a_row_are_those_of_the_format),
		TEST(the_sum_covers_id_lsn_and_bytes),
		TEST(a_row_that_is_torn_does_not_match),
		TEST(a_file_cut_behind_our_back_is_an_error),
		TEST(numpy_reads_the_files),
		TEST(every_dtype_has_a_header),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
