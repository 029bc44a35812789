/* test_map_store.c - ranges of a file that are stored in; and tables that take that over. */
#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "engine/base/fault.h"
#include "engine/disk/map_store.h"

#define PAGE 65536u /* of any machine */
#define PAGES 4u
#define NO_ADVICE 9999 /* of madvise(2) */

static const uint64_t words[] = { 0x0102030405060708, 0x1112131415161718, 0x2122232425262728 };

static char letters[] = "abcde";

static int make_file(struct unit_dir *dir)
{
	int fd = openat(dir->fd, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE), 0);
	return fd;
}

static void what_is_stored_is_in_the_file(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = make_file(*state);
	struct iovec parts[] = { { .iov_base = letters, .iov_len = 2 },
		                 { .iov_base = letters, .iov_len = 0 },
		                 { .iov_base = letters + 2, .iov_len = 3 } };
	struct map_store store;
	uint64_t got[3];
	char text[6] = "";

	assert_true(map_store_open(&store, io, fd, PAGE, 2 * PAGE));
	assert_int_equal(map_store_populate(&store), 0);
	assert_int_equal(map_store_words(&store, io, 3 * PAGE - 24, words, 24), 0);
	assert_int_equal(map_store_fill(&store, io, PAGE + 1, 5, parts, 3), 0);
	map_store_drop(&store, PAGE, 2 * PAGE);
	unit_read(*state, "file", got, sizeof(got), 3 * PAGE - 24);
	assert_memory_equal(got, words, sizeof(got));
	unit_read(*state, "file", text, 5, PAGE + 1);
	assert_string_equal(text, "abcde");
	/* Also in pages that are not mapped any more. */
	assert_int_equal(map_store_words(&store, io, PAGE + 8, words, 8), 0);
	unit_read(*state, "file", got, 8, PAGE + 8);
	assert_true(got[0] == words[0]);
	assert_int_equal(map_store_close(&store, io), 0);
	assert_int_equal(close(fd), 0);
}

static void what_is_not_mapped_is_for_calls(void **state)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = make_file(*state);
	struct iovec part = { .iov_base = letters, .iov_len = 2 };
	struct map_store store = { .map = NULL };

	assert_int_equal(map_store_words(&store, io, 0, words, 8), -EAGAIN);
	assert_int_equal(map_store_close(&store, io), 0);
	assert_true(map_store_open(&store, io, fd, PAGE, PAGE));
	assert_int_equal(map_store_words(&store, io, PAGE - 8, words, 16), -EAGAIN);
	assert_int_equal(map_store_words(&store, io, 2 * PAGE - 8, words, 16), -EAGAIN);
	assert_int_equal(map_store_fill(&store, io, 2 * PAGE - 1, 2, &part, 1), -EAGAIN);
	assert_int_equal(map_store_close(&store, io), 0);
	assert_int_equal(map_store_words(&store, io, PAGE, words, 8), -EAGAIN);
	map_store_drop(&store, PAGE, PAGE);
	assert_int_equal(close(fd), 0);
}

/* In a process of its own, where nobody else handles SIGBUS. */
static int store_past_the_end(void *arg)
{
	const struct quiver_io *io = quiver_io_posix();
	int fd = make_file(arg);
	struct iovec part = { .iov_base = letters, .iov_len = 2 };
	struct map_store store;

	if (fault_init() != 0 || !map_store_open(&store, io, fd, 0, PAGES * PAGE) ||
	    ftruncate(fd, PAGE) != 0)
		return 9;
	if (map_store_words(&store, io, 2 * PAGE, words, 24) != -EIO)
		return 1;
	if (map_store_fill(&store, io, 2 * PAGE + 1, 2, &part, 1) != -EIO)
		return 2;
	/* An emulator takes any advice, and does nothing. */
	if (madvise(store.map, PAGE, NO_ADVICE) != 0 && map_store_populate(&store) >= 0)
		return 3;
	if (map_store_words(&store, io, PAGE - 24, words, 24) != 0)
		return 4;
	return map_store_close(&store, io) == 0 && close(fd) == 0 ? 0 : 5;
}

static void a_page_that_is_not_there_is_an_error(void **state)
{
	assert_int_equal(unit_in_child(store_past_the_end, *state), 0);
}

/* ---- a table of the test's own ---- */

struct table {
	struct quiver_io io; /* first */
	int maps; /* made and not unmapped */
	int stores; /* so far */
	int fails_at; /* that one */
};

static struct table *table_of(const struct quiver_io *self)
{
	return (struct table *)(uintptr_t)self;
}

static void *own_map(const struct quiver_io *self, int fd, uint64_t offset, size_t length)
{
	table_of(self)->maps++;
	return quiver_io_posix()->map_to_store(quiver_io_posix(), fd, offset, length);
}

static int own_unmap(const struct quiver_io *self, void *map, size_t length)
{
	table_of(self)->maps--;
	return quiver_io_posix()->unmap(quiver_io_posix(), map, length);
}

static int own_store(const struct quiver_io *self, void *to, const void *from, size_t length)
{
	if (++table_of(self)->stores == table_of(self)->fails_at)
		return -EIO;
	memcpy(to, from, length);
	return 0;
}

static void a_table_takes_every_store_over(void **state)
{
	struct table table = { .io = *quiver_io_posix() };
	int fd = make_file(*state);
	struct iovec parts[] = { { .iov_base = letters, .iov_len = 2 },
		                 { .iov_base = letters + 2, .iov_len = 2 } };
	struct map_store store;
	char text[5] = "";

	table.io.map_to_store = own_map;
	table.io.unmap = own_unmap;
	table.io.store = own_store;
	assert_true(map_store_open(&store, &table.io, fd, 0, PAGE));
	assert_int_equal(map_store_words(&store, &table.io, 8, words, 24), 0);
	assert_int_equal(table.stores, 1);
	assert_int_equal(map_store_fill(&store, &table.io, 64, 4, parts, 2), 0);
	assert_int_equal(table.stores, 3);
	table.fails_at = 5;
	assert_int_equal(map_store_fill(&store, &table.io, 96, 4, parts, 2), -EIO);
	unit_read(*state, "file", text, 4, 96);
	assert_string_equal(text, "ab"); /* some may be stored */
	assert_int_equal(table.maps, 1);
	assert_int_equal(map_store_close(&store, &table.io), 0);
	assert_int_equal(table.maps, 0);
	assert_int_equal(close(fd), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, unit_setup_dir, unit_teardown_dir)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_stored_is_in_the_file),
		TEST(what_is_not_mapped_is_for_calls),
		TEST(a_page_that_is_not_there_is_an_error),
		TEST(a_table_takes_every_store_over),
	};

	return cmocka_run_group_tests_name("map_store", tests, NULL, NULL);
}
