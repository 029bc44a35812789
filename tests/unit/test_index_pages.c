#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/index/index_pages.h"
#include "engine/media/index_layout.h"
#include "store_test.h"

#define PAGES 300u

/* Pages of which each is one number. */
struct book {
	struct index_pages pages;
	_Atomic uint64_t numbers[PAGES];
};

static void copy_number(const void *owner, uint64_t page, uint8_t *to)
{
	const struct book *book = owner;
	uint64_t number = atomic_load(&book->numbers[page]);

	memset(to, 0, INDEX_PAGE_BYTES);
	memcpy(to + INDEX_LINE_BYTES, &number, sizeof(number));
}

static int setup(void **state)
{
	struct book *book = calloc(1, sizeof(*book));

	assert_non_null(book);
	assert_int_equal(index_pages_init(&book->pages, PAGES, book, copy_number), 0);
	*state = book;
	return 0;
}

static int teardown(void **state)
{
	struct book *book = *state;

	index_pages_destroy(&book->pages);
	index_pages_destroy(&book->pages); /* of all zeros */
	free(book);
	return 0;
}

static void write_number(struct book *book, uint64_t page, uint64_t number)
{
	index_pages_touch(&book->pages, page);
	atomic_store(&book->numbers[page], number);
}

/* The number of the next page that is taken, which must be this one, in the other place than what
 * counts. */
static uint64_t take(struct book *book, uint64_t page, bool second)
{
	uint8_t bytes[INDEX_PAGE_BYTES];
	uint64_t number;
	uint64_t at = 0;
	bool is_second = !second;

	assert_true(index_pages_take(&book->pages, &at, bytes, &is_second));
	assert_int_equal(at, page);
	assert_int_equal(is_second, second);
	memcpy(&number, bytes + INDEX_LINE_BYTES, sizeof(number));
	return number;
}

static void take_none(struct book *book)
{
	uint8_t bytes[INDEX_PAGE_BYTES];
	uint64_t at = 0;
	bool second;

	assert_false(index_pages_take(&book->pages, &at, bytes, &second));
	assert_int_equal(index_pages_error(&book->pages), 0);
}

static void take_all(struct book *book)
{
	for (uint64_t page = 0; page < PAGES; page++)
		assert_int_equal(take(book, page, false), atomic_load(&book->numbers[page]));
	take_none(book);
}

static void test_what_was_never_written_has_changed(void **state)
{
	struct book *book = *state;

	assert_int_equal(index_pages_count(&book->pages, PAGES), PAGES);
	assert_int_equal(index_pages_count(&book->pages, 65), 65);
	index_pages_begin(&book->pages, PAGES, false);
	assert_int_equal(index_pages_count(&book->pages, PAGES), 0);
	take_all(book);
	index_pages_end(&book->pages, true, true);
	index_pages_begin(&book->pages, PAGES, false);
	take_none(book);
	index_pages_end(&book->pages, true, false);
}

static void test_pages_are_written_in_turn_to_both_places(void **state)
{
	struct book *book = *state;

	index_pages_begin(&book->pages, PAGES, true);
	take_all(book);
	index_pages_end(&book->pages, true, true);
	for (uint64_t turn = 0; turn < 4; turn++) {
		write_number(book, 63, turn);
		write_number(book, 64, turn);
		index_pages_begin(&book->pages, PAGES, false);
		assert_int_equal(take(book, 63, turn % 2), turn);
		assert_int_equal(take(book, 64, turn % 2), turn);
		take_none(book);
		index_pages_end(&book->pages, true, false);
	}
	/* As a file says that was read. */
	index_pages_read(&book->pages, 63, true);
	index_pages_read(&book->pages, 64, false);
	write_number(book, 63, 9);
	write_number(book, 64, 9);
	index_pages_begin(&book->pages, PAGES, false);
	assert_int_equal(take(book, 63, true), 9);
	assert_int_equal(take(book, 64, false), 9);
	index_pages_end(&book->pages, true, false);
}

static void test_what_changes_meanwhile_is_written_as_it_was(void **state)
{
	struct book *book = *state;

	for (uint64_t page = 0; page < PAGES; page++)
		write_number(book, page, page);
	index_pages_begin(&book->pages, PAGES, true);
	assert_int_equal(take(book, 0, false), 0);
	for (uint64_t turn = 1; turn < 3; turn++)
		for (uint64_t page = 0; page < PAGES; page += 2)
			write_number(book, page, 1000 * turn + page);
	for (uint64_t page = 1; page < PAGES; page++)
		assert_int_equal(take(book, page, false), page);
	take_none(book);
	index_pages_end(&book->pages, true, true);
	assert_int_equal(index_pages_count(&book->pages, PAGES), PAGES / 2);
	index_pages_begin(&book->pages, PAGES, false);
	for (uint64_t page = 0; page < PAGES; page += 2)
		assert_int_equal(take(book, page, false), 2000 + page);
	take_none(book);
	index_pages_end(&book->pages, true, false);
}

static void test_what_does_not_count_is_written_again(void **state)
{
	struct book *book = *state;

	index_pages_begin(&book->pages, PAGES, true);
	take_all(book);
	index_pages_end(&book->pages, true, true);
	write_number(book, 5, 1);
	write_number(book, 6, 1);
	index_pages_begin(&book->pages, PAGES, false);
	assert_int_equal(take(book, 5, false), 1);
	write_number(book, 6, 2); /* never taken */
	write_number(book, 7, 2);
	index_pages_end(&book->pages, false, false);
	assert_int_equal(index_pages_count(&book->pages, PAGES), 3);
	index_pages_begin(&book->pages, PAGES, false);
	assert_int_equal(take(book, 5, false), 1);
	assert_int_equal(take(book, 6, false), 2);
	assert_int_equal(take(book, 7, false), 2);
	index_pages_end(&book->pages, true, false);
}

/* The live map of fewer slots: what is behind them waits until it is wanted. */
static void test_pages_behind_the_end_stay_changed(void **state)
{
	struct book *book = *state;

	index_pages_begin(&book->pages, 100, true);
	for (uint64_t page = 0; page < 100; page++)
		(void)take(book, page, false);
	take_none(book);
	index_pages_end(&book->pages, true, true);
	assert_int_equal(index_pages_count(&book->pages, 100), 0);
	assert_int_equal(index_pages_count(&book->pages, PAGES), PAGES - 100);
	index_pages_begin(&book->pages, 102, false);
	assert_int_equal(take(book, 100, false), 0);
	assert_int_equal(take(book, 101, false), 0);
	index_pages_end(&book->pages, true, false);
	index_pages_all_read(&book->pages, 200);
	assert_int_equal(index_pages_count(&book->pages, 200), 0);
	assert_int_equal(index_pages_count(&book->pages, PAGES), PAGES - 200);
}

/* As where a table is so large, and changes so fast, that copies would take too much memory. */
static void test_without_room_for_copies_it_fails_and_goes_on(void **state)
{
	struct book *book = *state;
	uint8_t bytes[INDEX_PAGE_BYTES];
	uint64_t at = 0;
	bool second;

	book->pages.kept_max = 2;
	index_pages_begin(&book->pages, PAGES, true);
	for (uint64_t page = 10; page < 13; page++)
		write_number(book, page, 7);
	assert_false(index_pages_take(&book->pages, &at, bytes, &second));
	assert_int_equal(index_pages_error(&book->pages), -EAGAIN);
	index_pages_end(&book->pages, false, true);
	assert_int_equal(index_pages_count(&book->pages, PAGES), PAGES);
	index_pages_begin(&book->pages, PAGES, true);
	take_all(book);
	index_pages_end(&book->pages, true, true);
}

struct writer {
	struct book *book;
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *writer = arg;
	uint64_t random = test_seed();

	while (!atomic_load(&writer->stop))
		write_number(writer->book, test_below(&random, PAGES), test_random(&random));
	return NULL;
}

/* Changes beside the writing: they are stopped for the beginning and the end alone. */
static void test_beside_who_changes(void **state)
{
	struct book *book = *state;
	uint64_t then[PAGES];

	for (int round = 0; round < 20; round++) {
		struct writer writer = { .book = book };
		uint8_t bytes[INDEX_PAGE_BYTES];
		pthread_t thread;
		uint64_t at = 0;
		bool second;

		for (uint64_t page = 0; page < PAGES; page++)
			then[page] = atomic_load(&book->numbers[page]);
		index_pages_begin(&book->pages, PAGES, true);
		assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
		for (; index_pages_take(&book->pages, &at, bytes, &second); at++) {
			assert_memory_equal(bytes + INDEX_LINE_BYTES, &then[at], 8);
			then[at] ^= 1; /* once each */
		}
		atomic_store(&writer.stop, true);
		assert_int_equal(pthread_join(thread, NULL), 0);
		index_pages_end(&book->pages, true, true);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_was_never_written_has_changed),
		TEST(test_pages_are_written_in_turn_to_both_places),
		TEST(test_what_changes_meanwhile_is_written_as_it_was),
		TEST(test_what_does_not_count_is_written_again),
		TEST(test_pages_behind_the_end_stay_changed),
		TEST(test_without_room_for_copies_it_fails_and_goes_on),
		TEST(test_beside_who_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
