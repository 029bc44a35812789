/* A listing whose copy takes long, as that of a large store on a cold disk does: nobody waits for
 * it, and it has what there was when it began. A damaged row stops it, at the line about that. */
#include "unit.h"

#include <semaphore.h>

#include "engine/base/epoch.h"
#include "engine/store/store.h"
#include "store_test.h"
#include "tests/common/listed.h"

#define COUNT 500u
#define NEW UINT64_C(100000) /* IDs from here on come while the listing is made */
#define PATIENCE_MS 120000

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
	for (uint64_t id = 1; id < COUNT - 1; id++)
		assert_int_equal(put_version(slow.store, NEW + id, 1, 0), 0);
	quiver_stats(slow.store, &after);
	assert_int_equal(after.slots_used, before.slots_used);
	must_return(&slow, quiver_checkpoint);
	for (uint64_t id = 1; id < COUNT; id += 2)
		assert_int_equal(quiver_rename(slow.store, id, 2 * NEW + id, 0, NULL), 0);
	for (uint64_t id = 1; id < COUNT - 1; id++)
		assert_int_equal(quiver_remove(slow.store, NEW + id, 0, NULL), 0);
	must_return(&slow, quiver_checkpoint);
	go_on(&slow);
	check_list(&slow);
	assert_int_equal(leaked_slots(slow.store), 0);
	close_store(slow.store);
}

/* The rows that it has not read yet stay in the files. */
static void test_no_file_is_cut_under_a_listing(void **state)
{
	struct slow_list slow;

	begin(&slow, *state);
	for (uint64_t id = 1; id < COUNT; id++)
		assert_int_equal(quiver_remove(slow.store, id, 0, NULL), 0);
	must_return(&slow, compact);
	assert_true(atomic_load(&slow.store->catalog.columns.rows) >= COUNT);
	go_on(&slow);
	check_list(&slow);
	assert_int_equal(compact(slow.store), 0);
	assert_true(atomic_load(&slow.store->catalog.columns.rows) < COUNT);
	close_store(slow.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_checkpoint_does_not_wait_for_a_listing),
		TEST(test_a_listing_has_what_there_was_although_slots_are_taken_anew),
		TEST(test_no_file_is_cut_under_a_listing),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
