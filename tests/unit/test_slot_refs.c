#include "direct_io.h"

#include <xxhash.h>

#include "engine/disk/columns.h"
#include "engine/recovery/slot_refs.h"

#define DIM 300u
#define N (DIM * 4) /* so that slots share pages */
#define ROWS 9000u /* more bytes than are read at once */
#define RECORDS 9000u

static const struct quiver_geometry geometry = { .dim = DIM,
	                                         .dtype = QUIVER_F4,
	                                         .vector_bytes = N };

/* What the disk has, and what is written to it. */
static struct {
	uint64_t lacks_from, lacks_end; /* bytes that are in the cache alone */
	uint64_t broken_from, broken_end; /* that cannot be read at all */
	bool forgotten; /* what is in the cache alone */
	uint64_t written_from, written_end;
} disk;

static bool meets(uint64_t from, uint64_t end, uint64_t offset, size_t length)
{
	return offset < end && offset + length > from;
}

static ssize_t disk_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                          uint64_t offset)
{
	const bool direct = direct_io.is_direct[fd];
	ssize_t n;

	if (!(direct && direct_io.no_read) &&
	    meets(disk.broken_from, disk.broken_end, offset, length))
		return -EIO;
	n = direct_pread(self, fd, to, length, offset);
	for (ssize_t i = 0; (direct || disk.forgotten) && i < n; i++)
		if (offset + (uint64_t)i >= disk.lacks_from &&
		    offset + (uint64_t)i < disk.lacks_end)
			((uint8_t *)to)[i] = 0;
	return n;
}

static ssize_t disk_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                            int count, uint64_t offset)
{
	ssize_t n = quiver_io_posix()->pwritev(quiver_io_posix(), fd, parts, count, offset);

	(void)self;
	assert_true(n > 0);
	if (disk.written_end == 0 || offset < disk.written_from)
		disk.written_from = offset;
	if (offset + (uint64_t)n > disk.written_end)
		disk.written_end = offset + (uint64_t)n;
	return n;
}

static int disk_forget(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	(void)self;
	(void)fd;
	if (offset <= disk.lacks_from && (length == 0 || offset + length >= disk.lacks_end))
		disk.forgotten = true;
	return 0;
}

static const struct quiver_io *table(void)
{
	static struct quiver_io io;

	memset(&disk, 0, sizeof(disk));
	io = direct_table();
	io.pread = disk_pread;
	io.pwritev = disk_pwritev;
	io.map_to_store = io_map_nothing;
	io.forget = disk_forget;
	return &io;
}

static void make(struct unit_dir *dir, struct columns *columns)
{
	struct quiver_error error = { "" };
	static uint8_t bytes[ROWS][N];
	struct iovec part = { bytes, sizeof(bytes) };

	assert_int_equal(columns_create(quiver_io_posix(), dir->fd, &geometry), 0);
	assert_int_equal(columns_open(columns, table(), dir->fd, &geometry, QUIVER_FORMAT_VERSION,
	                              0, false, &error),
	                 0);
	assert_int_equal(columns_grow(columns, ROWS), 0);
	for (uint64_t slot = 0; slot < ROWS; slot++)
		memset(bytes[slot], (int)(slot % 251 + 1), N);
	assert_int_equal(columns_write_vectors(columns, 0, &part, 1), 0);
	disk.written_from = disk.written_end = 0;
}

/* Every slot, or every `step`th, not in their order. */
static struct slot_ref_list names(uint64_t step)
{
	struct slot_ref_list list = { 0 };
	uint8_t bytes[N];

	for (uint64_t i = 0; i < RECORDS; i += step) {
		uint64_t slot = i * 7 % ROWS / step * step; /* 7 and ROWS share no factor */
		struct wal_record record = { .slot = slot, .id = slot + 5, .lsn = i + 1 };

		memset(bytes, (int)(slot % 251 + 1), N);
		record.sum = vector_sum(record.id, record.lsn, XXH3_64bits(bytes, N));
		assert_int_equal(slot_refs_add(&list, &record), 0);
	}
	return list;
}

/* Those of a list that hold all but [from, end), whose state is `state`. */
static void all_hold_but(const struct slot_ref_list *list, uint64_t from, uint64_t end, int state)
{
	for (size_t i = 0; i < list->count; i++) {
		uint64_t slot = list->items[i].slot;

		assert_int_equal(list->items[i].state, slot >= from && slot < end ? state : 0);
	}
}

static void check(struct columns *columns, uint64_t step, uint64_t from, uint64_t end, int state)
{
	struct slot_ref_list list = names(step);

	assert_int_equal(slot_refs_check(&list, columns, true), 0);
	all_hold_but(&list, from, end, state);
	free(list.items);
}

static void test_slots_that_are_on_the_disk_are_not_written(void **state)
{
	struct columns columns;

	make(*state, &columns);
	check(&columns, 1, 0, 0, 0);
	check(&columns, 100, 0, 0, 0); /* with room between them */
	direct_io.short_reads = true;
	check(&columns, 1, 0, 0, 0);
	assert_int_equal(disk.written_end, 0);
	assert_int_equal(columns_close(&columns), 0);
}

static void test_slots_that_hold_something_else_are_told(void **state)
{
	struct columns columns;
	struct slot_ref_list list;
	struct slot_ref_list carried = { 0 };
	uint8_t bytes[3 * N] = { 0 };
	struct iovec part = { bytes, sizeof(bytes) };

	make(*state, &columns);
	assert_int_equal(columns_write_vectors(&columns, 4000, &part, 1), 0);
	disk.written_end = 0;
	list = names(1);
	list.items[0].slot = ROWS; /* there is no such slot */
	assert_int_equal(slot_refs_check(&list, &columns, true), 0);
	assert_int_equal(list.items[RECORDS - 1].state, -EBADMSG);
	assert_int_equal(slot_refs_split(&list, &carried), 0);
	assert_int_equal(carried.count, 0);
	assert_int_equal(list.count, 4);
	for (size_t i = 0; i + 1 < list.count; i++)
		assert_true(list.items[i].lsn < list.items[i + 1].lsn);
	assert_int_equal(disk.written_end, 0);
	free(list.items);
	assert_int_equal(columns_close(&columns), 0);
}

static void lack(const struct columns *columns, uint64_t from, uint64_t end)
{
	disk.lacks_from = columns_vector_offset(columns, from);
	disk.lacks_end = columns_vector_offset(columns, end);
}

static void test_slots_that_only_the_cache_has_are_written_to_new_pages(void **state)
{
	struct columns columns;
	struct slot_ref_list list;

	make(*state, &columns);
	lack(&columns, 6000, 6003);
	check(&columns, 1, 0, 0, 0);
	assert_true(disk.forgotten);
	assert_true(disk.written_from <= disk.lacks_from && disk.written_end >= disk.lacks_end);
	/* The check of a store writes nothing. */
	disk.forgotten = false;
	disk.written_end = 0;
	list = names(1);
	assert_int_equal(slot_refs_check(&list, &columns, false), 0);
	all_hold_but(&list, 0, 0, 0);
	assert_int_equal(disk.written_end, 0);
	free(list.items);
	assert_int_equal(columns_close(&columns), 0);
}

static void test_without_a_way_past_the_cache_all_are_written(void **state)
{
	struct columns columns;

	make(*state, &columns);
	for (int i = 0; i < 2; i++) {
		direct_io.no_open = i == 0;
		direct_io.no_read = i == 1;
		disk.written_end = 0;
		check(&columns, 1, 0, 0, 0);
		assert_true(disk.written_from <= columns_vector_offset(&columns, 0));
		assert_int_equal(disk.written_end, columns_vector_offset(&columns, ROWS));
	}
	assert_int_equal(columns_close(&columns), 0);
}

static void test_a_place_that_cannot_be_read_costs_no_slot_beside_it(void **state)
{
	struct columns columns;

	make(*state, &columns);
	disk.broken_from = columns_vector_offset(&columns, 5000) / 4096 * 4096;
	disk.broken_end = disk.broken_from + 4096;
	check(&columns, 1, (disk.broken_from - 4096) / N, (disk.broken_end - 4096 + N - 1) / N,
	      -EIO);
	assert_int_equal(columns_close(&columns), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup_dir, unit_teardown_dir)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_slots_that_are_on_the_disk_are_not_written),
		TEST(test_slots_that_hold_something_else_are_told),
		TEST(test_slots_that_only_the_cache_has_are_written_to_new_pages),
		TEST(test_without_a_way_past_the_cache_all_are_written),
		TEST(test_a_place_that_cannot_be_read_costs_no_slot_beside_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
