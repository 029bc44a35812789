#include "unit.h"

#include <pthread.h>
#include <sys/mman.h>
#include <xxhash.h>

#include "engine/base/fault.h"

/* Each test runs in a process of its own: the handler is installed once for each, and
 * cmocka sets its own for each test. */

#define PAGE 4096
#define PAGES 4

/* A file of PAGES pages of 'a', mapped. */
struct mapped {
	int fd;
	uint8_t *map;
};

static int map_file(struct unit_dir *dir, const char *name, struct mapped *file)
{
	uint8_t bytes[PAGES * PAGE];

	memset(bytes, 'a', sizeof(bytes));
	file->fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file->fd < 0 || pwrite(file->fd, bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -1;
	file->map = mmap(NULL, sizeof(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
	return file->map != MAP_FAILED ? 0 : -1;
}

static int sound_map(void *dir)
{
	uint8_t to[PAGES * PAGE] = { 0 };
	struct mapped file;
	uint64_t hash = 0;

	if (fault_init() != 0 || map_file(dir, "file", &file) != 0)
		return 1;
	file.map[5] = 'b';
	if (fault_copy(to, file.map, sizeof(to)) != 0 || memcmp(to, file.map, sizeof(to)) != 0)
		return 2;
	if (fault_copy(to, file.map, 0) != 0)
		return 3;
	if (fault_hash(file.map, PAGE + 7, &hash) != 0 || hash != XXH3_64bits(to, PAGE + 7))
		return 4;
	return 0;
}

static void a_sound_map_is_copied_and_hashed(void **state)
{
	assert_int_equal(unit_in_child(sound_map, *state), 0);
}

/* Cut, fail, repair, read, as often as asked: nothing may stick. */
static int read_cut_file(struct mapped *file, int times)
{
	uint8_t to[PAGES * PAGE];
	uint64_t hash;

	for (int i = 0; i < times; i++) {
		if (ftruncate(file->fd, PAGE) != 0)
			return 1;
		if (fault_copy(to, file->map, sizeof(to)) != -EIO)
			return 2;
		if (fault_hash(file->map + PAGE, 16, &hash) != -EIO)
			return 3;
		if (fault_copy(to, file->map, PAGE) != 0 || to[PAGE - 1] != 'a')
			return 4;
		if (fault_copy(to, file->map + 2 * PAGE - 1, 1) != -EIO)
			return 5;
		if (ftruncate(file->fd, PAGES * PAGE) != 0)
			return 6;
		if (fault_copy(to, file->map, sizeof(to)) != 0 || to[PAGES * PAGE - 1] != 0)
			return 7;
	}
	return 0;
}

static int cut_file(void *dir)
{
	struct mapped file;

	if (fault_init() != 0 || map_file(dir, "file", &file) != 0)
		return 10;
	if (fault_init() != 0) /* by a second store; the handler must not follow itself */
		return 11;
	return read_cut_file(&file, 3);
}

static void a_cut_file_is_an_error_every_time(void **state)
{
	assert_int_equal(unit_in_child(cut_file, *state), 0);
}

static void *read_in_thread(void *arg)
{
	return (void *)(intptr_t)read_cut_file(arg, 200);
}

static int cut_files_in_threads(void *dir)
{
	struct mapped files[2];
	pthread_t threads[2];
	int failed = 0;

	if (fault_init() != 0 || map_file(dir, "a", &files[0]) != 0 ||
	    map_file(dir, "b", &files[1]) != 0)
		return 10;
	for (int i = 0; i < 2; i++) {
		if (pthread_create(&threads[i], NULL, read_in_thread, &files[i]) != 0)
			return 11;
	}
	for (int i = 0; i < 2; i++) {
		void *result;

		if (pthread_join(threads[i], &result) != 0 || result)
			failed = 12;
	}
	return failed;
}

static void each_thread_has_its_own_faults(void **state)
{
	assert_int_equal(unit_in_child(cut_files_in_threads, *state), 0);
}

static int check_mask(void *dir)
{
	sigset_t before, after;
	struct mapped file;
	uint8_t to[PAGE];

	if (fault_init() != 0 || map_file(dir, "file", &file) != 0)
		return 1;
	if (sigemptyset(&before) != 0 || sigaddset(&before, SIGUSR1) != 0 ||
	    pthread_sigmask(SIG_SETMASK, &before, NULL) != 0)
		return 2;
	if (ftruncate(file.fd, 0) != 0 || fault_copy(to, file.map, sizeof(to)) != -EIO)
		return 3;
	if (pthread_sigmask(SIG_SETMASK, NULL, &after) != 0)
		return 4;
	for (int number = 1; number < SIGRTMIN; number++) {
		if (sigismember(&after, number) != (number == SIGUSR1))
			return 5;
	}
	return 0;
}

static void the_signal_mask_is_as_before(void **state)
{
	assert_int_equal(unit_in_child(check_mask, *state), 0);
}

/* ---- faults that are not ours ------------------------------------------- */

static void exit_seven(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	_exit(info->si_addr ? 7 : 8);
}

static void exit_nine(int number)
{
	(void)number;
	_exit(9);
}

enum previous { INFO, PLAIN, DEFAULT, IGNORED };
enum fault { OUTSIDE, AFTER_ONE, DESTINATION, BESIDE, SENT };

struct other {
	struct unit_dir *dir;
	enum previous previous; /* what the process had before */
	enum fault fault; /* what happens to it */
};

static int had(enum previous previous)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	if (previous == INFO) {
		action.sa_sigaction = exit_seven;
		action.sa_flags = SA_SIGINFO;
	} else if (previous == PLAIN) {
		action.sa_handler = exit_nine;
	} else if (previous == IGNORED) {
		action.sa_handler = SIG_IGN;
	}
	return sigaction(SIGBUS, &action, NULL);
}

static int fault_otherwise(void *arg)
{
	struct other *other = arg;
	volatile uint8_t *map;
	uint8_t to[PAGE] = { 0 };
	struct mapped file;

	if (had(other->previous) != 0 || fault_init() != 0 ||
	    map_file(other->dir, "file", &file) != 0 || ftruncate(file.fd, PAGE) != 0)
		return 1;
	map = file.map;
	if (other->fault == AFTER_ONE && fault_copy(to, file.map + PAGE, 1) != -EIO)
		return 2;
	if (other->fault == OUTSIDE || other->fault == AFTER_ONE)
		to[0] = map[PAGE];
	if (other->fault == DESTINATION) /* during the read, but not by it */
		return fault_copy(file.map + PAGE, to, 16) != 0 ? 4 : 5;
	if (other->fault == BESIDE) /* the bad page begins where the range ends */
		return fault_copy(file.map + PAGE, file.map, PAGE) != 0 ? 4 : 5;
	if (other->fault == SENT && kill(getpid(), SIGBUS) != 0)
		return 6;
	return 3;
}

static int end_of(struct unit_dir *dir, enum previous previous, enum fault fault)
{
	struct other other = { dir, previous, fault };

	return unit_in_child(fault_otherwise, &other);
}

/* The end of a process without a handler of ours: by the signal, or what a sanitizer
 * makes of that. */
static bool killed(int end)
{
	return end == -SIGBUS || end == -SIGABRT || end > 9;
}

static void others_go_to_the_previous_handler(void **state)
{
	static const enum fault faults[] = { OUTSIDE, AFTER_ONE, DESTINATION, BESIDE };

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		assert_int_equal(end_of(*state, INFO, faults[i]), 7);
		assert_int_equal(end_of(*state, PLAIN, faults[i]), 9);
		assert_true(killed(end_of(*state, DEFAULT, faults[i])));
		assert_true(killed(end_of(*state, IGNORED, faults[i])));
	}
}

static void a_signal_that_was_sent_is_not_a_fault(void **state)
{
	assert_in_range(end_of(*state, INFO, SENT), 7, 8); /* si_addr holds a pid */
	assert_int_equal(end_of(*state, PLAIN, SENT), 9);
	assert_true(killed(end_of(*state, DEFAULT, SENT)));
	assert_int_equal(end_of(*state, IGNORED, SENT), 3);
}

static int read_covered(void *dir)
{
	struct mapped file;
	const volatile uint8_t *map;

	if (fault_init() != 0 || map_file(dir, "file", &file) != 0 ||
	    fault_cover(file.map, PAGES * PAGE) != 0)
		return 1;
	map = file.map;
	if (ftruncate(file.fd, PAGE) != 0 || fault_covered() != 0 || map[PAGE - 1] != 'a')
		return 2;
	if (map[PAGE] != 0xFF || map[2 * PAGE - 1] != 0xFF || fault_covered() != 1)
		return 3;
	if (map[PAGES * PAGE - 1] != 0xFF || fault_covered() != 2 || map[0] != 'a')
		return 4;
	fault_uncover(file.map);
	return map[2 * PAGE]; /* of a page that was not replaced: as without us */
}

static void an_unreadable_page_of_a_covered_map_is_blank(void **state)
{
	assert_true(killed(unit_in_child(read_covered, *state)));
}

static int cover_many(void *arg)
{
	static uint8_t map[2];

	(void)arg;
	for (int i = 0; i < FAULT_COVERS_MAX; i++)
		if (fault_cover(map, 1) != 0)
			return 1;
	if (fault_cover(map, 1) != -EMFILE)
		return 2;
	fault_uncover(map);
	fault_uncover(NULL);
	return fault_cover(map, 1) == 0 ? 0 : 3;
}

static void covers_are_bounded_and_given_back(void **state)
{
	(void)state;
	assert_int_equal(unit_in_child(cover_many, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup_dir, unit_teardown_dir)
		TEST(a_sound_map_is_copied_and_hashed),
		TEST(a_cut_file_is_an_error_every_time),
		TEST(each_thread_has_its_own_faults),
		TEST(the_signal_mask_is_as_before),
		TEST(others_go_to_the_previous_handler),
		TEST(a_signal_that_was_sent_is_not_a_fault),
		TEST(an_unreadable_page_of_a_covered_map_is_blank),
		TEST(covers_are_bounded_and_given_back),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
