/*
 * test_nearest_files.c - the files of an index of nearest neighbours: what is written is read again, and
 * nothing is believed of what is damaged, cut, long, or made up.
 */
#include "unit.h"

#include <math.h>
#include <xxhash.h>

#include "engine/disk/nearest_files.h"
#include "engine/media/bytes.h"
#include "failing_io.h"
#include "tests/common/random.h"

#define LISTS 70u
#define WIDTH 33u
#define SLOTS 2500u /* two pages of cells, and a part of a third */
#define CENTROIDS "nearest/centroids.npy"
#define CELLS "nearest/cells.npy"

static struct nearest_page sample(enum nearest_array array)
{
	struct nearest_page page = {
		.array = array,
		.uuid = { 1, 2, 3 },
		.lsn = 77,
		.build = UINT64_C(0x123456789abcdef0),
		.rows = array == NEAREST_CELLS ? SLOTS : LISTS,
	};

	if (array == NEAREST_CELLS)
		return page;
	page.dim = WIDTH - 1;
	page.dtype = QUIVER_F2;
	page.metric = QUIVER_IP;
	page.width = WIDTH;
	for (uint32_t i = 0; i < NEAREST_PROBES; i++)
		page.probes[i] = 5 + i * i;
	page.probes[NEAREST_PROBES - 1] = LISTS;
	page.recall = 0.975;
	page.exact_ms = 12.5;
	page.index_ms = 0.25;
	page.vectors = 123456;
	page.started_ns = 1234567890;
	page.duration_ns = 5000;
	page.norm_max = 3.5;
	return page;
}

/* The array: each word tells its place. */
static uint32_t word_at(uint64_t offset)
{
	return (uint32_t)(offset / 4 * 2654435761u + 1);
}

static void fill(void *arg, uint64_t offset, size_t length, void *to)
{
	(void)arg;
	assert_int_equal(offset % 4 + length % 4, 0);
	for (size_t i = 0; i < length; i += 4)
		put_le32((uint8_t *)to + i, word_at(offset + i));
}

/* What was read: words that are right, and zeros. */
struct seen {
	uint64_t right, zero, end;
};

static int take(void *arg, uint64_t offset, size_t length, const void *from)
{
	struct seen *seen = arg;

	assert_int_equal(offset, seen->end);
	for (size_t i = 0; i < length; i += 4) {
		uint32_t word = get_le32((const uint8_t *)from + i);

		seen->right += word == word_at(offset + i);
		seen->zero += word == 0;
	}
	seen->end += length;
	return 0;
}

static void write_both(const struct quiver_io *io, struct unit_dir *dir)
{
	for (int array = NEAREST_CENTROIDS; array <= NEAREST_CELLS; array++) {
		struct nearest_page page = sample((enum nearest_array)array);
		uint64_t bytes = 0;

		assert_int_equal(
			nearest_file_write(io, dir->fd, dir->fd, &page, fill, NULL, &bytes), 0);
		assert_int_equal(bytes, unit_size(dir, array == NEAREST_CELLS ? CELLS : CENTROIDS));
	}
}

/* 0 with what was seen, or why it was not. */
static int read_it(const struct quiver_io *io, struct unit_dir *dir, enum nearest_array array,
                   struct seen *seen, uint64_t *bad)
{
	struct nearest_file file;
	int r = nearest_file_open(&file, io, dir->fd, array);

	*seen = (struct seen){ 0 };
	if (r)
		return r;
	r = nearest_file_read(&file, take, seen, bad);
	nearest_file_close(&file);
	return r;
}

static void what_is_written_is_read(void **state)
{
	const struct quiver_io *io = quiver_io_posix();

	assert_int_equal(nearest_files_remove(io, ((struct unit_dir *)*state)->fd, false), 0);
	write_both(io, *state);
	for (int array = NEAREST_CENTROIDS; array <= NEAREST_CELLS; array++) {
		struct nearest_page page = sample((enum nearest_array)array);
		struct nearest_file file;
		struct unit_dir *dir = *state;
		struct seen seen = { 0 };
		uint64_t bad;

		assert_int_equal(nearest_file_open(&file, io, dir->fd, (enum nearest_array)array),
		                 0);
		page.sums_hash = file.page.sums_hash;
		assert_memory_equal(&file.page, &page, sizeof(page));
		assert_int_equal(nearest_file_read(&file, take, &seen, &bad), 0);
		assert_int_equal(bad, 0);
		assert_int_equal(seen.end, file.layout.data_bytes);
		assert_int_equal(seen.right, seen.end / 4);
		nearest_file_close(&file);
	}
}

static void both_are_removed(void **state)
{
	struct unit_dir *dir = *state;
	const struct quiver_io *io = quiver_io_posix();
	struct nearest_file file;

	write_both(io, dir);
	assert_int_equal(nearest_files_remove(io, dir->fd, true), 0);
	assert_int_equal(nearest_file_open(&file, io, dir->fd, NEAREST_CELLS), -ENOENT);
	assert_int_equal(nearest_file_open(&file, io, dir->fd, NEAREST_CENTROIDS), 0);
	nearest_file_close(&file);
	assert_int_equal(nearest_files_remove(io, dir->fd, false), 0);
	assert_int_equal(nearest_file_open(&file, io, dir->fd, NEAREST_CENTROIDS), -ENOENT);
}

/* Each bit of the file: of the array it costs a page, of sums and last page the file; in what NumPy reads
 * and what pads it changes nothing. */
static void a_flipped_bit_is_seen(void **state)
{
	struct unit_dir *dir = *state;
	const struct quiver_io *io = quiver_io_posix();
	struct nearest_page page = sample(NEAREST_CELLS);
	struct nearest_layout layout;
	struct seen seen;
	uint64_t bad;

	nearest_lay_out(&layout, &page);
	write_both(io, dir);
	for (uint64_t bit = 0; bit < layout.file_bytes * 8; bit += 61) {
		uint64_t at = bit / 8;
		int r;

		unit_flip(dir, CELLS, bit);
		r = read_it(io, dir, NEAREST_CELLS, &seen, &bad);
		if (at < layout.data_at)
			assert_true(r == 0 && bad == 0);
		else if (at < layout.sums_at)
			assert_true(r == 0 && bad == 1 && seen.zero >= SLOTS % 1024 &&
			            seen.right + seen.zero == SLOTS);
		else if (at < layout.sums_at + layout.pages * 8 || at >= layout.page_at)
			assert_int_equal(r, -EBADMSG);
		unit_flip(dir, CELLS, bit);
	}
	assert_int_equal(read_it(io, dir, NEAREST_CELLS, &seen, &bad), 0);
}

static void another_length_is_seen(void **state)
{
	struct unit_dir *dir = *state;
	const struct quiver_io *io = quiver_io_posix();
	uint64_t size;
	struct seen seen;
	uint64_t bad;

	write_both(io, dir);
	size = unit_size(dir, CENTROIDS);
	for (uint64_t length = 0; length < size; length += 509) {
		write_both(io, dir);
		unit_truncate(dir, CENTROIDS, (off_t)length);
		assert_int_equal(read_it(io, dir, NEAREST_CENTROIDS, &seen, &bad), -EBADMSG);
	}
	write_both(io, dir);
	unit_truncate(dir, CENTROIDS, (off_t)size + 1);
	assert_int_equal(read_it(io, dir, NEAREST_CENTROIDS, &seen, &bad), -EBADMSG);
	unit_truncate(dir, CENTROIDS, (off_t)size + 4096);
	assert_int_equal(read_it(io, dir, NEAREST_CENTROIDS, &seen, &bad), -EBADMSG);
	/* The last page of the one is none of the other. */
	write_both(io, dir);
	assert_int_equal(renameat(dir->fd, CELLS, dir->fd, CENTROIDS), 0);
	assert_int_equal(read_it(io, dir, NEAREST_CENTROIDS, &seen, &bad), -EBADMSG);
}

/* Whatever was written last and whole is there, whichever call fails. */
static void a_failed_write_leaves_what_was_there(void **state)
{
	struct unit_dir *dir = *state;
	const struct quiver_io *io = quiver_io_posix();
	struct nearest_page page = sample(NEAREST_CELLS);
	struct failing_io failing;
	struct seen seen;
	uint64_t bad, bytes;
	int r = -1;

	write_both(io, dir);
	for (long at = 1; r != 0; at++) {
		failing_io_init(&failing);
		failing.fail_at = at;
		failing.error = -EIO;
		r = nearest_file_write(&failing.table, dir->fd, dir->fd, &page, fill, NULL, &bytes);
		assert_true(r == 0 || r == -EIO);
		assert_true(at < 100);
		assert_int_equal(read_it(io, dir, NEAREST_CELLS, &seen, &bad), 0);
		assert_int_equal(seen.right, SLOTS);
	}
}

static void a_failed_read_is_told_or_costs_a_page(void **state)
{
	struct unit_dir *dir = *state;
	struct failing_io failing;
	struct seen seen;
	uint64_t bad = 0;

	write_both(quiver_io_posix(), dir);
	for (long at = 1;; at++) {
		int r;

		failing_io_init(&failing);
		failing.fail_at = at;
		failing.error = -EIO;
		r = read_it(&failing.table, dir, NEAREST_CELLS, &seen, &bad);
		if (failing.calls < at)
			break;
		assert_true(r == -EIO || (r == 0 && seen.right + seen.zero >= SLOTS));
	}
}

/* A last page whose sum is right and whose fields are anything. */
static void made_up_numbers_are_refused(void **state)
{
	uint64_t random = test_seed();
	struct nearest_page page = sample(NEAREST_CENTROIDS), read;
	uint8_t whole[NEAREST_PAGE_BYTES], bytes[NEAREST_PAGE_BYTES];
	unsigned kept = 0;

	(void)state;
	nearest_page_encode(&page, whole);
	assert_int_equal(nearest_page_decode(whole, NEAREST_CENTROIDS, &read), 0);
	for (unsigned i = 0; i < 200000; i++) {
		memcpy(bytes, whole, sizeof(bytes));
		/* From the rows on; what stands before may be anything. */
		put_le64(bytes + 48 + test_below(&random, 15) * 8,
		         test_random(&random) >> test_below(&random, 64));
		put_le64(bytes + 4088, XXH3_64bits(bytes, 4088));
		if (nearest_page_decode(bytes, NEAREST_CENTROIDS, &read) != 0)
			continue;
		kept++;
		assert_true(read.rows * read.width <= NEAREST_NUMBERS_MAX && read.rows > 0);
		for (size_t p = 0; p < NEAREST_PROBES; p++)
			assert_true(read.probes[p] > 0 && read.probes[p] <= read.rows);
		assert_true(read.recall >= 0 && read.recall <= 1 && isfinite(read.exact_ms));
		assert_int_equal(read.width, nearest_width(read.metric, read.dtype, read.dim));
	}
	assert_true(kept > 0);
	memcpy(bytes, whole, sizeof(bytes));
	put_le32(bytes + 8, 2);
	put_le64(bytes + 4088, XXH3_64bits(bytes, 4088));
	assert_int_equal(nearest_page_decode(bytes, NEAREST_CENTROIDS, &read), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup_dir, unit_teardown_dir)
		TEST(what_is_written_is_read),
		TEST(both_are_removed),
		TEST(a_flipped_bit_is_seen),
		TEST(another_length_is_seen),
		TEST(a_failed_write_leaves_what_was_there),
		TEST(a_failed_read_is_told_or_costs_a_page),
		TEST(made_up_numbers_are_refused),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
