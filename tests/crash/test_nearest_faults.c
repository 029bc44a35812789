/*
 * test_nearest_faults.c - each call for a file fails once while an index of nearest neighbours is built,
 * loaded, saved or removed: it costs the index at most, never the store, nor an answer.
 */
#include "tests/unit/unit.h"

#include "engine/quiver.h"
#include "manual_background.h"
#include "nearest.h"
#include "tests/unit/failing_io.h"
#include "tests/unit/store_test.h"

#define DIM 24u /* of u1 */
#define VECTORS 80u
#define WHY_BYTES 256
#define CALLS_MAX 2000 /* far more than any phase makes */

struct place {
	struct store_dir dir;
	struct failing_io io;
	struct quiver *store;
};

/* ---- calls that failing_io.h leaves alone ---- */

static int fail_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	const struct quiver_io *real = quiver_io_posix();
	int r = failing_trouble(failing_self(self));

	return r ? r : real->rename(real, dir_fd, from, to);
}

static int fail_unlink(const struct quiver_io *self, int dir_fd, const char *name)
{
	const struct quiver_io *real = quiver_io_posix();
	int r = failing_trouble(failing_self(self));

	return r ? r : real->unlink(real, dir_fd, name);
}

static int fail_mkdir(const struct quiver_io *self, int dir_fd, const char *name, mode_t mode)
{
	const struct quiver_io *real = quiver_io_posix();
	int r = failing_trouble(failing_self(self));

	return r ? r : real->mkdir(real, dir_fd, name, mode);
}

/* ---- the store ---- */

static void open_it(struct place *p)
{
	struct quiver_options options = { .size = sizeof(options), .io = &p->io.table };

	failing_io_init(&p->io);
	p->io.table.rename = fail_rename;
	p->io.table.unlink = fail_unlink;
	p->io.table.mkdir = fail_mkdir;
	p->store = open_with(&p->dir, &options);
}

static void put(struct place *p, uint64_t id, uint64_t version)
{
	assert_int_equal(put_version(p->store, id, version, 0), 0);
}

static void look(struct place *p, long n)
{
	uint64_t ids[VECTORS];
	char why[WHY_BYTES];

	for (uint64_t id = 0; id < VECTORS; id++)
		ids[id] = id;
	if (nearest_look(p->store, ids, VECTORS, (uint64_t)n, why, sizeof(why)) != 0)
		fail_msg("call %ld: %s", n, why);
}

/* One phase, in which call `n` fails; false where it makes fewer. */
static bool try_it(struct place *p, void (*phase)(struct place *p), long n, int error)
{
	bool failed;

	p->io.calls = 0;
	p->io.fail_at = n;
	p->io.error = error;
	phase(p);
	failed = p->io.calls >= n;
	p->io.fail_at = 0;
	return failed;
}

static void keep(struct place *p)
{
	manual_background_keep_lists(p->store);
}

static void build(struct place *p)
{
	assert_int_equal(quiver_nearest_index_start(p->store), 0);
	keep(p);
}

static void take_away(struct place *p)
{
	int r = quiver_nearest_index_off(p->store);

	assert_true(r == 0 || r == p->io.error);
}

/* Whatever has failed, the store takes vectors, and all are found. */
static void go_on(struct place *p, long n)
{
	look(p, n);
	for (uint64_t id = 0; id < 5; id++)
		put(p, id, (uint64_t)n + 100);
	keep(p);
	look(p, n + 1);
	close_store(p->store);
	open_it(p);
	keep(p);
	look(p, n + 2);
	/* And an index can be had. */
	build(p);
	look(p, n + 3);
}

static void setup_place(struct place *p)
{
	unit_dir_make(&p->dir.dir);
	store_create(&p->dir, DIM, QUIVER_U1);
	open_it(p);
	for (uint64_t id = 0; id < VECTORS; id++)
		put(p, id, 1);
}

static void take_down(struct place *p)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	close_store(p->store);
	assert_int_equal(quiver_check(p->dir.path, false, NULL, NULL, &result, &error), 0);
	assert_false(result.damage);
	unit_dir_remove(&p->dir.dir);
}

/* `has_index`: the phase is one of a store that has. With `reopens` it is the first after opening. */
static void every_call_fails(void (*phase)(struct place *p), bool has_index, bool reopens)
{
	static const int errors[] = { -EIO, -ENOSPC };
	struct place p;
	long n = 1;

	setup_place(&p);
	for (bool goes_on = true; goes_on; n++) {
		if (has_index)
			build(&p);
		else
			assert_int_equal(quiver_nearest_index_off(p.store), 0);
		if (reopens) {
			close_store(p.store);
			open_it(&p);
		}
		goes_on = try_it(&p, phase, n, errors[n % 2]);
		go_on(&p, n);
		assert_true(n < CALLS_MAX);
	}
	assert_true(n > 3);
	take_down(&p);
}

static void a_build_costs_no_more_than_the_index(void **state)
{
	(void)state;
	every_call_fails(build, false, false);
	every_call_fails(build, true, false);
}

static void loading_costs_no_more_than_the_index(void **state)
{
	(void)state;
	every_call_fails(keep, true, true);
}

static void removing_can_be_done_again(void **state)
{
	(void)state;
	every_call_fails(take_away, true, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_build_costs_no_more_than_the_index),
		cmocka_unit_test(loading_costs_no_more_than_the_index),
		cmocka_unit_test(removing_can_be_done_again),
	};

	test_in_memory();
	return cmocka_run_group_tests_name("nearest_faults", tests, NULL, NULL);
}
