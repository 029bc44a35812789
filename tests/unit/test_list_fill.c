/* A listing whose copy takes long, as that of a large store on a cold disk does: nobody waits for
 * it, and it has what there was when it began. A damaged row stops it, at the line about that. All of
 * it also for one whose IDs are read as they are asked for, as those of many vectors are. */
#include "unit.h"

#include <semaphore.h>

#include "engine/base/epoch.h"
#include "engine/store/store.h"
#include "store_test.h"
#include "tests/common/listed.h"

#define COUNT 500u
/* So many of their slots are taken anew: when few are left new ones are. */
#define TAKEN (COUNT / 3 * 2)
#define NEW UINT64_C(100000) /* IDs from here on come while the listing is made */
#define PATIENCE_MS 120000

static bool in_pieces; /* of the tests that run */

struct slow_list {
	struct quiver *store;
	struct listed list;
	int result;
	pthread_t thread;
	sem_t stopped, go;
	_Atomic bool armed;
};

static void on_report(void *arg, const char *line)
{
	struct slow_list *slow = arg;

	if (!strstr(line, "does not match") || !atomic_exchange(&slow->armed, false))
		return;
	(void)sem_post(&slow->stopped);
	while (sem_wait(&slow->go) != 0)
		continue;
}

static void *lister(void *arg)
{
	struct slow_list *slow = arg;

	slow->result = listed_all(slow->store, &slow->list);
	return NULL;
}

/* Of the first slot. */
static void damage_a_row(struct quiver *store, uint64_t id)
{
	struct columns *columns = &store->catalog.columns;
	static const uint8_t junk[8] = { 0xde, 0xad };
	struct quiver_ref ref;

	assert_int_equal(quiver_get(store, id, 0, &ref), 0);
	assert_int_equal(ref.slot, 0);
	assert_int_equal(pwrite(columns->meta.fd, junk, sizeof(junk), COLUMN_HEADER_BYTES + 16),
	                 sizeof(junk));
	quiver_unref(store, &ref);
}

static void begin(struct slow_list *slow, struct store_dir *s)
{
	struct quiver_options options = { .size = sizeof(options),
		                          .durability = QUIVER_FSYNC,
		                          .on_report = on_report,
		                          .on_report_arg = slow };

	memset(slow, 0, sizeof(*slow));
	assert_int_equal(sem_init(&slow->stopped, 0, 0), 0);
	assert_int_equal(sem_init(&slow->go, 0, 0), 0);
	assert_int_equal(quiver_open(s->path, &options, &slow->store, NULL), 0);
	if (in_pieces)
		slow->store->catalog.list_whole_max = 0;
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(put_version(slow->store, id, 1, 0), 0);
	damage_a_row(slow->store, 0);
	atomic_store(&slow->armed, true);
	assert_int_equal(pthread_create(&slow->thread, NULL, lister, slow), 0);
	assert_int_equal(sem_wait(&slow->stopped), 0);
}

static void go_on(struct slow_list *slow)
{
	assert_int_equal(sem_post(&slow->go), 0);
	assert_int_equal(pthread_join(slow->thread, NULL), 0);
	assert_int_equal(slow->result, 0);
}

/* It has all IDs below COUNT but the damaged one, each once. */
static void check_list(struct slow_list *slow)
{
	bool seen[COUNT] = { false };

	assert_int_equal(slow->list.count, COUNT - 1);
	for (size_t i = 0; i < slow->list.count; i++) {
		assert_true(slow->list.ids[i] > 0 && slow->list.ids[i] < COUNT);
		assert_false(seen[slow->list.ids[i]]);
		seen[slow->list.ids[i]] = true;
	}
	listed_free(&slow->list);
}

/* So many milliseconds, for what must not wait. */
struct call {
	struct quiver *store;
	int (*function)(struct quiver *store);
	int result;
	_Atomic bool done;
	pthread_t thread;
};

static void *run_call(void *arg)
{
	struct call *call = arg;

	call->result = call->function(call->store);
	atomic_store(&call->done, true);
	return NULL;
}

/* That it returns while the listing stands. Where it does not, the listing goes on, so that the
 * test ends. */
static void must_return(struct slow_list *slow, int (*function)(struct quiver *store))
{
	struct call call = { .store = slow->store, .function = function };
	bool in_time;

	assert_int_equal(pthread_create(&call.thread, NULL, run_call, &call), 0);
	for (int ms = 0; ms < PATIENCE_MS && !atomic_load(&call.done); ms++)
		usleep(1000);
	in_time = atomic_load(&call.done);
	if (!in_time)
		(void)sem_post(&slow->go);
	assert_int_equal(pthread_join(call.thread, NULL), 0);
	assert_true(in_time);
	assert_int_equal(call.result, 0);
}

static int compact(struct quiver *store)
{
	struct quiver_job_status status = { .running = true };
	int r = quiver_job_start(store, QUIVER_COMPACT);

	while (r == 0 && status.running) {
		usleep(1000);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	}
	return r ? r : status.result;
}

static void test_a_checkpoint_does_not_wait_for_a_listing(void **state)
{
	struct slow_list slow;

	begin(&slow, *state);
	assert_int_equal(put_version(slow.store, 7, 2, 0), 0);
	must_return(&slow, quiver_checkpoint);
	go_on(&slow);
	check_list(&slow);
	close_store(slow.store);
}

/* The slots of the vectors that are replaced become free and are taken by others, before the
 * listing has read whose they were. */
static void test_a_listing_has_what_there_was_although_slots_are_taken_anew(void **state)
{
	struct quiver_stats before = { .size = sizeof(before) }, after = before;
	struct slow_list slow;

	begin(&slow, *state);
	for (uint64_t id = 1; id < COUNT; id++)
		assert_int_equal(put_version(slow.store, id, 2, 0), 0);
	must_return(&slow, quiver_checkpoint);
	quiver_stats(slow.store, &before);
	for (uint64_t id = 1; id < TAKEN; id++)
		assert_int_equal(put_version(slow.store, NEW + id, 1, 0), 0);
	quiver_stats(slow.store, &after);
	assert_int_equal(after.slots_used, before.slots_used);
	must_return(&slow, quiver_checkpoint);
	for (uint64_t id = 1; id < COUNT; id += 2)
		assert_int_equal(quiver_rename(slow.store, id, 2 * NEW + id, 0, NULL), 0);
	for (uint64_t id = 1; id < TAKEN; id++)
		assert_int_equal(quiver_remove(slow.store, NEW + id, 0, NULL), 0);
	must_return(&slow, quiver_checkpoint);
	go_on(&slow);
	check_list(&slow);
	assert_int_equal(leaked_slots(slow.store), 0);
	close_store(slow.store);
}

/* What it has not read yet it was told. */
static void test_a_file_is_cut_under_a_listing(void **state)
{
	struct slow_list slow;

	begin(&slow, *state);
	for (uint64_t id = 1; id < COUNT; id++)
		assert_int_equal(quiver_remove(slow.store, id, 0, NULL), 0);
	must_return(&slow, compact);
	assert_true(atomic_load(&slow.store->catalog.columns.rows) < COUNT);
	go_on(&slow);
	check_list(&slow);
	close_store(slow.store);
}

/* ---- in pieces, whatever others do between ---- */

#define IDS 300u
#define LISTS 4u
#define STEPS 3000u

/* A listing, and what there was when it was opened. */
struct held {
	struct quiver_list *list;
	bool present[IDS];
	uint64_t count;
	uint64_t read;
	bool seen[IDS];
};

static void open_held(struct quiver *store, struct held *held, const bool *present)
{
	memset(held, 0, sizeof(*held));
	assert_int_equal(quiver_list_open(store, 0, &held->list), 0);
	memcpy(held->present, present, sizeof(held->present));
	for (unsigned i = 0; i < IDS; i++)
		held->count += present[i];
	assert_int_equal(quiver_list_count(store, held->list), held->count);
	assert_true(held->count == 0 || quiver_list_bytes(store, held->list) > 0);
}

/* A few more of it; true at its end, where all that there was has come once. */
static bool read_held(struct quiver *store, struct held *held, size_t max)
{
	uint64_t ids[64], again[64];
	int64_t n = quiver_list_read(store, held->list, held->read, 0, ids, max);

	assert_true(n >= 0);
	for (int64_t i = 0; i < n; i++) {
		assert_true(ids[i] < IDS && held->present[ids[i]] && !held->seen[ids[i]]);
		held->seen[ids[i]] = true;
	}
	assert_int_equal(quiver_list_read(store, held->list, held->read, 0, again, max), n);
	assert_memory_equal(ids, again, (size_t)n * sizeof(ids[0]));
	held->read += (uint64_t)n;
	if (n > 0)
		return false;
	assert_int_equal(held->read, held->count);
	return true;
}

static void change_one(struct quiver *store, bool *present, uint64_t *seed)
{
	uint64_t id = test_random(seed) % IDS;
	uint64_t to = test_random(seed) % IDS;

	switch (test_random(seed) % 8) {
	case 0:
		assert_int_equal(quiver_checkpoint(store), 0);
		break;
	case 1:
	case 2:
		assert_int_equal(quiver_remove(store, id, 0, NULL), present[id] ? 0 : -ENOENT);
		present[id] = false;
		break;
	case 3:
		if (!present[id] || id == to)
			break;
		assert_int_equal(quiver_rename(store, id, to, 0, NULL), 0);
		present[id] = false;
		present[to] = true;
		break;
	case 4:
		if (test_random(seed) % 8 == 0)
			assert_int_equal(compact(store), 0);
		break;
	default:
		assert_int_equal(put_version(store, id, test_random(seed) % 1000 + 1, 0), 0);
		present[id] = true;
	}
}

static void test_each_that_was_there_comes_once_whatever_is_changed(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	struct held held[LISTS] = { { NULL } };
	bool present[IDS] = { false };
	uint64_t seed = test_seed();

	store->catalog.list_whole_max = 0;
	for (unsigned i = 0; i < STEPS; i++) {
		struct held *one = &held[test_random(&seed) % LISTS];

		change_one(store, present, &seed);
		if (!one->list)
			open_held(store, one, present);
		if (read_held(store, one, 1 + test_random(&seed) % 63)) {
			quiver_list_close(store, one->list);
			one->list = NULL;
		}
	}
	for (unsigned i = 0; i < LISTS; i++)
		quiver_list_close(store, held[i].list);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void expect_ids(struct quiver *store, struct quiver_list *list, uint64_t position,
                       const uint64_t *want, size_t max, size_t count)
{
	uint64_t ids[IDS];

	assert_int_equal(quiver_list_read(store, list, position, 0, ids, max), count);
	assert_memory_equal(ids, want, count * sizeof(ids[0]));
}

/* Who goes to a position first finds there what who reads from the beginning does. */
static void test_damaged_ones_leave_no_gaps(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	static const uint8_t junk[8] = { 0xde, 0xad };
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver_list *list;
	uint64_t want[IDS];
	size_t count = 0;

	store->catalog.list_whole_max = 0;
	for (uint64_t id = 0; id < IDS; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	for (uint64_t id = 0; id < IDS; id++) {
		if (id % 7 == 3 || id > IDS - 10)
			assert_int_equal(
				pwrite(store->catalog.columns.meta.fd, junk, sizeof(junk),
			               (off_t)(COLUMN_HEADER_BYTES + id * META_ROW_BYTES + 16)),
				sizeof(junk));
		else
			want[count++] = id;
	}
	assert_int_equal(quiver_list_open(store, 0, &list), 0);
	assert_int_equal(quiver_list_count(store, list), IDS);
	expect_ids(store, list, 100, want + 100, 20, 20);
	expect_ids(store, list, 30, want + 30, 50, 50);
	expect_ids(store, list, 0, want, IDS, count);
	expect_ids(store, list, 100, want + 100, 20, 20);
	expect_ids(store, list, count, want, 5, 0);
	expect_ids(store, list, UINT64_MAX, want, 5, 0);
	assert_int_equal(quiver_list_count(store, list), count);
	quiver_list_close(store, list);
	quiver_stats(store, &stats);
	assert_int_equal(stats.checksum_errors, IDS - count); /* each was told once */
	close_store(store);
}

static int setup_in_pieces(void **state)
{
	in_pieces = true;
	return setup_store(state);
}

static int setup_whole(void **state)
{
	in_pieces = false;
	return setup_store(state);
}

#define WHOLE(name) cmocka_unit_test_setup_teardown(name, setup_whole, teardown_store)
#define IN_PIECES(name)                                                         \
	{                                                                       \
#name " in pieces", name, setup_in_pieces, teardown_store, NULL \
	}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WHOLE(test_a_checkpoint_does_not_wait_for_a_listing),
		WHOLE(test_a_listing_has_what_there_was_although_slots_are_taken_anew),
		WHOLE(test_a_file_is_cut_under_a_listing),
		IN_PIECES(test_a_checkpoint_does_not_wait_for_a_listing),
		IN_PIECES(test_a_listing_has_what_there_was_although_slots_are_taken_anew),
		IN_PIECES(test_a_file_is_cut_under_a_listing),
		IN_PIECES(test_each_that_was_there_comes_once_whatever_is_changed),
		IN_PIECES(test_damaged_ones_leave_no_gaps),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
