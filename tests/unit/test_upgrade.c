/*
 * Stores of format 1, as the released program made them, become stores of format 2: whatever
 * call the process dies at, and whatever call fails.
 */
#include "store_test.h"

#include <sys/mman.h>

#include "tests/common/random.h"
#include "tests/old/old_store.h"

#ifdef UNIT_SLOW_FORK
#define CALLS_AT_A_TIME 36
#else
#define CALLS_AT_A_TIME 12
#endif

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);

/* A process that dies joins nobody, and waits for nobody. */
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0:atexit_sleep_ms=0";
}
#endif

static const char *const names[] = {
	"bad-row",
	"bad-superblock-newer",
	"bad-superblock-older",
	"bad-vector",
	"clean-f2",
	"clean-f4",
	"clean-f8",
	"clean-holes",
	"clean-i1",
	"clean-u1",
	"emptied",
	"empty",
	"killed-always",
	"killed-flush",
	"killed-freeing",
	"killed-fresh",
	"killed-fsync",
	"killed-moves",
	"killed-none",
	"killed-slots",
	"killed-torn",
	"without-index",
	"killed-writing",
};
#define COUNT (sizeof(names) / sizeof(names[0]))

static int open_old(const struct old_store *s, bool read_only, const struct quiver_io *io,
                    struct quiver **store, struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(options),
		                          .read_only = read_only,
		                          .io = io };

	return quiver_open(s->path, &options, store, error);
}

/* It opens, and all is as it was. */
static struct quiver *open_and_compare(const struct old_store *s, bool read_only)
{
	struct quiver_error error = { "" };
	struct quiver *store;
	const char *wrong;

	if (open_old(s, read_only, NULL, &store, &error) != 0)
		fail_msg("%s", error.text);
	wrong = truth_compare(&s->truth, store, true);
	if (wrong)
		fail_msg("%s", wrong);
	return store;
}

static void assert_upgraded(const struct old_store *s)
{
	assert_int_equal(old_store_superblock(s).version, 2);
	assert_false(old_store_has(s, "meta.npy.new"));
}

static void print_line(void *arg, const char *line)
{
	(void)arg;
	print_message("%s\n", line);
}

/* In a store that was not closed a bad row is damage, in either version. */
static void assert_refused_for_its_row(const struct old_store *s)
{
	struct quiver_error error = { "" };
	struct quiver *store;

	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(open_old(s, read_only, NULL, &store, &error), -EUCLEAN);
		assert_non_null(strstr(error.text, "row 2 (ID 2)"));
	}
}

/* Read, then upgraded and closed, then checked. */
static void assert_all_there(const struct old_store *s, bool read_first)
{
	struct quiver_check_result result;
	struct superblock sb = old_store_superblock(s);

	if (s->truth.lacks_row && !sb.clean) {
		assert_refused_for_its_row(s);
		return;
	}
	if (read_first) {
		bool was_new = old_store_has(s, "meta.npy.new");

		assert_int_equal(quiver_close(open_and_compare(s, true)), 0);
		assert_int_equal(old_store_superblock(s).version, sb.version);
		if (sb.clean || sb.version == 1) /* else it is recovered, and may be written */
			assert_int_equal(old_store_has(s, "meta.npy.new"), was_new);
	}
	assert_int_equal(quiver_close(open_and_compare(s, false)), 0);
	assert_upgraded(s);
	if (s->truth.has_damage)
		return;
	assert_int_equal(quiver_check(s->path, false, print_line, NULL, &result, NULL), 0);
	assert_int_equal(result.damage, 0);
	assert_true(result.clean);
}

/* ---- an upgrade that goes through ---- */

static void test_read_only_leaves_version_1(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		struct old_store *s = old_store_make(names[i]);

		for (int life = 0; life < 2; life++) {
			assert_int_equal(quiver_close(open_and_compare(s, true)), 0);
			assert_int_equal(old_store_superblock(s).version, 1);
			assert_false(old_store_has(s, "meta.npy.new"));
		}
		old_store_free(s);
	}
}

static void test_opened_for_writing_it_is_version_2(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		struct old_store *s = old_store_make(names[i]);

		assert_int_equal(old_store_superblock(s).version, 1);
		for (int life = 0; life < 3; life++) {
			assert_int_equal(quiver_close(open_and_compare(s, life == 1)), 0);
			assert_upgraded(s);
		}
		assert_all_there(s, true);
		old_store_free(s);
	}
}

static int upgrade_and_die(void *arg)
{
	struct old_store *s = arg;
	struct quiver *store;

	return open_old(s, false, NULL, &store, NULL) == 0 ? 0 : 1;
}

static void test_killed_after_the_upgrade(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		struct old_store *s = old_store_make(names[i]);

		assert_int_equal(unit_in_child(upgrade_and_die, s), 0);
		assert_upgraded(s);
		assert_all_there(s, i % 2);
		old_store_free(s);
	}
}

/* ---- one that does not ---- */

struct attempt {
	struct old_store *s;
	struct trouble_io io;
	enum trouble_how how;
	int error;
	long at;
	bool maps; /* rows are stored through maps, else each by a call */
};

enum {
	DIED = 0,
	THROUGH = 7, /* it was open before it came to that call */
	FAILED,
	STAYED, /* it is open all the same */
	REFUSED, /* for damage */
	WRONG,
};

static int attempt_upgrade(void *arg)
{
	struct attempt *a = arg;
	struct quiver *store;
	int r;

	trouble_init(&a->io);
	if (a->maps)
		a->io.table.map_to_store = quiver_io_posix()->map_to_store;
	trouble_arm(&a->io, a->at, a->how, TROUBLE_ANY, 0, a->error);
	r = open_old(a->s, false, &a->io.table, &store, NULL);
	if (r == 0)
		return atomic_load(&a->io.calls) < a->at ? THROUGH : STAYED;
	if (r == a->error)
		return FAILED;
	return r == -EUCLEAN ? REFUSED : WRONG;
}

static char last[64]; /* what at_each_call was at */

/* Long runs take each call of each store, others each of one that was closed and of one that was
 * killed, and of the rest some, which differ from store to store. */
static long calls_at_a_time(const char *name)
{
	const char *is_long = getenv("QUIVERFS_TEST_LONG");

	if (is_long && is_long[0] != '\0' && strcmp(is_long, "0") != 0)
		return 1;
	if (strcmp(name, "clean-i1") == 0 || strcmp(name, "killed-torn") == 0)
		return CALLS_AT_A_TIME / 12;
	return CALLS_AT_A_TIME;
}

static int tell_last(void **state)
{
	(void)state;
	print_message("# the last was %s\n", last);
	return 0;
}

/* Trouble at each call in turn, until the store opens before it comes to that. */
static void at_each_call(size_t number, enum trouble_how how, int error, bool twice)
{
	const char *name = names[number];
	long step = calls_at_a_time(name);
	struct attempt a = { .s = old_store_make(name), .how = how, .error = error };
	uint64_t chance = 1;
	int ended = DIED;

	for (long at = 1 + (long)number % step; ended != THROUGH; at += step) {
		old_store_renew(a.s, name);
		snprintf(last, sizeof(last), "%s, call %ld", name, at);
		a.at = at;
		a.maps = at % 4 < 2;
		ended = unit_in_child(attempt_upgrade, &a);
		if (how == TROUBLE_ONCE)
			assert_true(ended == THROUGH || ended == FAILED || ended == STAYED);
		else
			assert_true(ended == THROUGH || ended == DIED);
		if (twice && ended == DIED) {
			a.at = 1 + (long)(test_random(&chance) % (uint64_t)(at + 8));
			a.maps = !a.maps;
			ended = unit_in_child(attempt_upgrade, &a);
			assert_true(ended == THROUGH || ended == DIED ||
			            (ended == REFUSED && a.s->truth.lacks_row));
			ended = DIED;
		}
		assert_all_there(a.s, at % 2);
	}
	old_store_free(a.s);
}

static void test_killed_at_each_call(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		at_each_call(i, TROUBLE_EXIT, 0, false);
}

static void test_killed_amid_each_write_and_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		at_each_call(i, TROUBLE_HALF_EXIT, 0, true);
}

static void test_each_call_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		at_each_call(i, TROUBLE_ONCE, i % 2 ? -EIO : -ENOSPC, false);
}

/* A disk that cannot read the IDs, whoever asks for them. */
struct ids_io {
	struct quiver_io table;
	int ids_fd;
	int empty_fd; /* maps of it have no pages */
};

static struct ids_io *ids_of(const struct quiver_io *self)
{
	return (struct ids_io *)(uintptr_t)self;
}

static int ids_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                    mode_t mode)
{
	int fd = quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);

	if (strcmp(name, "ids.npy") == 0)
		ids_of(self)->ids_fd = fd;
	return fd;
}

static ssize_t ids_pread(const struct quiver_io *self, int fd, void *to, size_t length,
                         uint64_t offset)
{
	if (fd == ids_of(self)->ids_fd && offset >= 4096)
		return -EIO;
	return quiver_io_posix()->pread(quiver_io_posix(), fd, to, length, offset);
}

static int ids_map_at(const struct quiver_io *self, int fd, void *at, size_t length,
                      uint64_t offset)
{
	if (fd == ids_of(self)->ids_fd)
		fd = ids_of(self)->empty_fd;
	return quiver_io_posix()->map_at(quiver_io_posix(), fd, at, length, offset);
}

static int upgrade_without_ids(void *arg)
{
	struct old_store *s = arg;
	struct ids_io io = { .table = *quiver_io_posix(), .ids_fd = -1 };
	struct quiver *store;
	int r;

	io.table.open = ids_open;
	io.table.pread = ids_pread;
	io.table.map_at = ids_map_at;
	io.empty_fd = memfd_create("empty", MFD_CLOEXEC);
	r = open_old(s, false, &io.table, &store, NULL);
	return r == -EIO ? FAILED : r == 0 ? THROUGH : WRONG;
}

/* Its rows are not those of no IDs: they are there again when the disk has been copied. */
static void test_ids_that_cannot_be_read_stop_it(void **state)
{
	struct old_store *s = old_store_make("clean-f4");

	(void)state;
	assert_int_equal(unit_in_child(upgrade_without_ids, s), FAILED);
	assert_int_equal(old_store_superblock(s).version, 1);
	assert_all_there(s, true);
	old_store_free(s);
}

/* ---- what comes after it ---- */

static int64_t ctime_of(struct quiver *store, uint64_t id)
{
	struct quiver_attr attr;

	assert_int_equal(quiver_stat(store, id, 0, &attr, NULL), 0);
	return attr.ctime_ns;
}

/* Also of one that says it was changed last in 2262, where 64 bits of nanoseconds end. */
static void test_a_change_moves_the_ctime(void **state)
{
	struct old_store *s = old_store_make("clean-f8");
	struct quiver *store = open_and_compare(s, false);

	(void)state;
	for (size_t i = 0; i < s->truth.count; i++) {
		const struct truth_vector *v = &s->truth.vectors[i];
		struct quiver_attr attr = { .mode = 0604 };

		assert_int_equal(ctime_of(store, v->id), v->attr.mtime_ns);
		assert_int_equal(quiver_set_attr(store, v->id, &attr, QUIVER_ATTR_MODE, 0), 0);
		if (v->attr.mtime_ns < INT64_MAX)
			assert_true(ctime_of(store, v->id) > v->attr.mtime_ns);
		else
			assert_int_equal(ctime_of(store, v->id), INT64_MAX);
	}
	assert_int_equal(quiver_close(store), 0);
	old_store_free(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		/* First: its process takes SIGBUS from cmocka. */
		cmocka_unit_test(test_ids_that_cannot_be_read_stop_it),
		cmocka_unit_test(test_read_only_leaves_version_1),
		cmocka_unit_test(test_opened_for_writing_it_is_version_2),
		cmocka_unit_test(test_killed_after_the_upgrade),
		cmocka_unit_test_teardown(test_killed_at_each_call, tell_last),
		cmocka_unit_test_teardown(test_killed_amid_each_write_and_again, tell_last),
		cmocka_unit_test_teardown(test_each_call_fails, tell_last),
		cmocka_unit_test(test_a_change_moves_the_ctime),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
