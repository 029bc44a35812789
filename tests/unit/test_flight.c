/* Groups that are logged while another is synced: the disk stands still where the test wants. */
#include "unit.h"

#include "engine/commit/group.h"
#include "engine/store/store.h"
#include "store_test.h"
#include "tests/common/limit.h"

#define POLL_US 200u
/* Of a test, by the processor; by the clock ten minutes. What is waited for may never come. */
#define LIMIT_S 10u

/* Syncs of the log wait here while it is closed, and then end as it says. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed; /* lock */
	unsigned waiting; /* lock */
	int result; /* lock */
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static int gated_fdatasync(const struct quiver_io *self, int fd)
{
	int r = 0;

	if (atomic_load(&trouble_self(self)->letters[fd]) == 'l') {
		pthread_mutex_lock(&gate.lock);
		gate.waiting++;
		pthread_cond_broadcast(&gate.changed);
		while (gate.closed)
			pthread_cond_wait(&gate.changed, &gate.lock);
		gate.waiting--;
		r = gate.result;
		pthread_mutex_unlock(&gate.lock);
	}
	return r ? r : trouble_fdatasync(self, fd);
}

static void gate_close(void)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = true;
	gate.result = 0;
	pthread_mutex_unlock(&gate.lock);
}

static void gate_await(void)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting == 0)
		pthread_cond_wait(&gate.changed, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void gate_open(int result)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = false;
	gate.result = result;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.lock);
}

static struct quiver *open_gated(struct store_dir *s, enum quiver_durability mode,
                                 struct trouble_io *io)
{
	struct quiver *store;

	trouble_init(io);
	io->table.fdatasync = gated_fdatasync;
	gate_open(0);
	store = open_io(s, mode, io);
	/* However quick the disk is here: groups take turns. */
	store->commits.queue.gather_ns = UINT64_MAX / 1024;
	return store;
}

enum doing { PUT, BATCH, RENAME, SET_ATTR, SET_DIR, REMOVE, CHECKPOINT, SNAPSHOT };

struct client {
	struct quiver *store;
	enum doing doing;
	uint64_t id, to;
	uint64_t version;
	unsigned flags;
	pthread_t thread;
	int result;
	uint64_t lsn;
};

static int put_it(struct client *c)
{
	uint8_t bytes[STORE_DIM];
	struct quiver_attr attr = attr_of(c->version);
	struct quiver_record records[2] = { { .id = c->id, .data = bytes },
		                            { .id = c->to, .data = bytes } };

	vector_fill(bytes, STORE_DIM, c->id, c->version);
	if (c->doing == PUT)
		return quiver_put(c->store, c->id, bytes, &attr, QUIVER_ATTR_ALL, c->flags,
		                  &c->lsn);
	return quiver_put_batch(c->store, records, 2, &attr, QUIVER_ATTR_ALL, c->flags, &c->lsn);
}

static void *run_client(void *arg)
{
	struct client *c = arg;
	struct quiver_attr attr = attr_of(c->version);
	struct quiver_snapshot snapshot;

	switch (c->doing) {
	case PUT:
	case BATCH:
		c->result = put_it(c);
		break;
	case RENAME:
		c->result = quiver_rename(c->store, c->id, c->to, c->flags, &c->lsn);
		break;
	case SET_ATTR:
		c->result = quiver_set_attr(c->store, c->id, &attr, QUIVER_ATTR_MTIME, c->flags);
		break;
	case SET_DIR:
		c->result = quiver_set_dir_attr(c->store, &attr, QUIVER_ATTR_MTIME, c->flags);
		break;
	case REMOVE:
		c->result = quiver_remove(c->store, c->id, c->flags, &c->lsn);
		break;
	case CHECKPOINT:
		c->result = quiver_checkpoint(c->store);
		break;
	case SNAPSHOT:
		snapshot.lsn = 0;
		c->result = quiver_snapshot_create(c->store, "s", &snapshot);
		c->lsn = snapshot.lsn;
		break;
	}
	return NULL;
}

static void start(struct client *c, struct quiver *store)
{
	c->store = store;
	assert_int_equal(pthread_create(&c->thread, NULL, run_client, c), 0);
}

static void end(struct client *c, int wanted)
{
	assert_int_equal(pthread_join(c->thread, NULL), 0);
	assert_int_equal(c->result, wanted);
}

/* Groups under way, who waits for them to land, and requests in the queue. */
static size_t under_way(struct quiver *store, unsigned *settling)
{
	size_t n = 0;

	pthread_mutex_lock(&store->catalog.writer_lock);
	for (const struct commit_flight *f = store->commits.flights.first; f; f = f->next)
		n++;
	*settling = store->commits.flights.settling;
	pthread_mutex_unlock(&store->catalog.writer_lock);
	return n;
}

static void await_flights(struct quiver *store, size_t wanted)
{
	unsigned settling;

	while (under_way(store, &settling) < wanted)
		usleep(POLL_US);
}

static void await_settling(struct quiver *store)
{
	unsigned settling;

	do {
		usleep(POLL_US);
		(void)under_way(store, &settling);
	} while (settling == 0);
}

/* Until a leader has taken all that was in the queue, and is held up with it. */
static void await_taken(struct quiver *store)
{
	struct commit_queue *queue = &store->commits.queue;
	bool taken;

	do {
		usleep(POLL_US);
		pthread_mutex_lock(&queue->lock);
		taken = queue->led && !queue->first;
		pthread_mutex_unlock(&queue->lock);
	} while (!taken);
}

/* The first is synced; the second is in the log by then, and neither is visible before the first is
 * durable. */
static void two_under_way(struct store_dir *s, enum quiver_durability mode, unsigned first_flags)
{
	struct client first = { .doing = PUT, .id = 1, .version = 2, .flags = first_flags };
	struct client second = { .doing = PUT, .id = 2, .version = 1 };
	struct trouble_io io;
	struct quiver *store = open_gated(s, mode, &io);
	struct quiver_attr attr;
	uint64_t before;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	before = stats_of(store).lsn;
	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_flights(store, 2);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(version_of(store, 2), 0);
	assert_int_equal(stats_of(store).lsn, before);
	/* Who must not wait is turned away. */
	assert_int_equal(put_version(store, 3, 1, QUIVER_NOWAIT), -EAGAIN);
	gate_open(0);
	end(&first, 0);
	end(&second, 0);
	assert_true(before < first.lsn && first.lsn < second.lsn);
	assert_int_equal(version_of(store, 1), 2);
	assert_int_equal(version_of(store, 2), 1);
	assert_int_equal(quiver_stat(store, 2, 0, &attr, NULL), 0);
	assert_int_equal(stats_of(store).lsn, second.lsn);
	assert_int_equal(leaked_slots(store), 0);
	if (mode != QUIVER_ALWAYS) /* after all, nothing stands in its way */
		assert_int_equal(put_version(store, 3, 1, 0), 0);
	close_store(store);
}

static void test_the_next_group_is_logged_during_a_sync(void **state)
{
	two_under_way(*state, QUIVER_ALWAYS, 0);
}

static void test_who_does_not_sync_stays_behind_who_does(void **state)
{
	two_under_way(*state, QUIVER_FSYNC, QUIVER_SYNC);
}

/* The sync of the first fails: neither was ever visible, and nothing is acknowledged after it. */
static void both_fail(struct store_dir *s, enum quiver_durability mode, unsigned first_flags)
{
	struct client first = { .doing = PUT, .id = 1, .version = 2, .flags = first_flags };
	struct client second = { .doing = PUT, .id = 2, .version = 1 };
	struct trouble_io io;
	struct quiver *store = open_gated(s, mode, &io);
	uint64_t version;

	assert_int_equal(put_version(store, 1, 1, QUIVER_SYNC), 0);
	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_flights(store, 2);
	gate_open(-EIO);
	end(&first, -EIO);
	end(&second, -EIO);
	gate_open(0);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(version_of(store, 2), 0);
	assert_int_equal(put_version(store, 3, 1, 0), -EROFS);
	assert_true(stats_of(store).failed);
	assert_int_equal(quiver_close(store), -EROFS);
	store = open_mode(s, QUIVER_ALWAYS);
	version = version_of(store, 1);
	assert_true(version == 1 || version == 2);
	version = version_of(store, 2);
	assert_true(version == 0 || version == 1);
	close_store(store);
}

static void test_a_failed_sync_fails_all_behind_it(void **state)
{
	both_fail(*state, QUIVER_ALWAYS, 0);
}

static void test_a_failed_sync_fails_who_did_not_ask_for_one(void **state)
{
	both_fail(*state, QUIVER_FSYNC, QUIVER_SYNC);
}

/* What a group changes that is synced cannot be looked up by another yet: that one waits. */
static void clash(struct store_dir *s, struct client first, struct client second)
{
	struct trouble_io io;
	struct quiver *store = open_gated(s, QUIVER_ALWAYS, &io);
	unsigned settling;

	for (uint64_t id = 1; id <= 4; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_taken(store);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(under_way(store, &settling), 1);
		usleep(POLL_US);
	}
	gate_open(0);
	end(&first, 0);
	end(&second, 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static uint64_t version_in(struct store_dir *s, uint64_t id)
{
	struct quiver *store = open_mode(s, QUIVER_ALWAYS);
	uint64_t version = version_of(store, id);

	close_store(store);
	return version;
}

static void test_an_id_under_way_is_not_planned_again(void **state)
{
	struct client put = { .doing = PUT, .id = 1, .version = 2 };
	struct client again = { .doing = PUT, .id = 1, .version = 3 };

	clash(*state, put, again);
	assert_int_equal(version_in(*state, 1), 3);
}

static void test_both_names_of_a_rename_are_not_planned_again(void **state)
{
	struct client rename = { .doing = RENAME, .id = 1, .to = 9 };
	struct client from = { .doing = PUT, .id = 1, .version = 5 };
	struct client to = { .doing = REMOVE, .id = 9 };

	clash(*state, rename, from);
	assert_int_equal(version_in(*state, 1), 5);
	clash(*state, rename, to);
	assert_int_equal(version_in(*state, 9), 0);
}

static void test_what_is_put_is_not_renamed_meanwhile(void **state)
{
	struct client put = { .doing = PUT, .id = 2, .version = 5 };
	struct client onto = { .doing = RENAME, .id = 3, .to = 2 };

	clash(*state, put, onto);
	assert_int_equal(version_in(*state, 3), 0);
}

static void test_a_batch_and_the_directory_wait(void **state)
{
	struct client put = { .doing = PUT, .id = 1, .version = 2 };
	struct client batch = { .doing = BATCH, .id = 7, .to = 8, .version = 2 };
	struct client dir = { .doing = SET_DIR, .version = 77 };
	struct client attr = { .doing = SET_ATTR, .id = 3, .version = 9 };

	clash(*state, put, batch);
	assert_int_equal(version_in(*state, 7), 2);
	clash(*state, put, dir);
	clash(*state, dir, put);
	clash(*state, batch, attr);
}

/* It is of one moment, with all that was logged before it began. */
static void test_a_checkpoint_waits_for_what_is_under_way(void **state)
{
	struct client first = { .doing = PUT, .id = 1, .version = 2 };
	struct client second = { .doing = REMOVE, .id = 2 };
	struct client third = { .doing = SNAPSHOT };
	struct trouble_io io;
	struct quiver *store = open_gated(*state, QUIVER_ALWAYS, &io);
	struct quiver *snapshot;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(put_version(store, 2, 1, 0), 0);
	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_flights(store, 2);
	start(&third, store);
	await_settling(store);
	gate_open(0);
	end(&first, 0);
	end(&second, 0);
	end(&third, 0);
	assert_int_equal(third.lsn, second.lsn);
	assert_int_equal(put_version(store, 1, 3, 0), 0);
	assert_int_equal(quiver_snapshot_open(store, "s", &snapshot), 0);
	assert_int_equal(version_of(snapshot, 1), 2);
	assert_int_equal(version_of(snapshot, 2), 0);
	assert_int_equal(quiver_close(snapshot), 0);
	close_store(store);
}

/* What snapshots have of what is under way: room for it was made with that of the others. */
static void test_snapshots_keep_what_two_groups_end(void **state)
{
	struct client first = { .doing = PUT, .id = 1, .version = 2 };
	struct client second = { .doing = RENAME, .id = 2, .to = 3 };
	struct trouble_io io;
	struct quiver *store = open_gated(*state, QUIVER_ALWAYS, &io);
	struct quiver *snapshot;

	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "s", NULL), 0);
	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_flights(store, 2);
	assert_int_equal(store->catalog.versions.promised, 3);
	gate_open(0);
	end(&first, 0);
	end(&second, 0);
	assert_int_equal(store->catalog.versions.promised, 0);
	assert_int_equal(quiver_snapshot_open(store, "s", &snapshot), 0);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(version_of(snapshot, id), 1);
	assert_int_equal(quiver_close(snapshot), 0);
	close_store(store);
}

/* An append behind what is synced fails: it alone is undone, and what is logged next goes there. */
static void test_a_failed_append_leaves_what_is_under_way(void **state)
{
	struct client first = { .doing = PUT, .id = 1, .version = 2 };
	struct client second = { .doing = PUT, .id = 2, .version = 1 };
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_gated(s, QUIVER_ALWAYS, &io);

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	gate_close();
	start(&first, store);
	gate_await();
	trouble_arm(&io, 1, TROUBLE_ONCE, TROUBLE_WRITE, 'l', -EIO);
	start(&second, store);
	while (atomic_load(&io.calls) == 0)
		usleep(POLL_US);
	gate_open(0);
	end(&first, 0);
	end(&second, -EIO);
	trouble_disarm(&io);
	assert_int_equal(version_of(store, 1), 2);
	assert_int_equal(version_of(store, 2), 0);
	assert_int_equal(put_version(store, 4, 1, 0), 0);
	assert_int_equal(leaked_slots(store), 0);
	gate_close();
	gate_open(-EIO); /* so that the log is what is read */
	assert_int_equal(put_version(store, 5, 1, 0), -EIO);
	gate_open(0);
	assert_int_equal(quiver_close(store), -EROFS);
	store = open_mode(s, QUIVER_ALWAYS);
	assert_int_equal(version_of(store, 1), 2);
	assert_int_equal(version_of(store, 2), 0);
	assert_int_equal(version_of(store, 4), 1);
	close_store(store);
}

/* Nothing is under way when the mode changes. */
static void test_a_pause_waits_for_what_is_under_way(void **state)
{
	struct client first = { .doing = PUT, .id = 1, .version = 1 };
	struct client second = { .doing = PUT, .id = 2, .version = 1 };
	struct trouble_io io;
	struct quiver *store = open_gated(*state, QUIVER_ALWAYS, &io);
	unsigned settling;

	gate_close();
	start(&first, store);
	gate_await();
	start(&second, store);
	await_flights(store, 2);
	gate_open(0);
	commit_pause(&store->commits);
	assert_int_equal(under_way(store, &settling), 0);
	commit_resume(&store->commits);
	end(&first, 0);
	end(&second, 0);
	assert_int_equal(quiver_set_durability(store, QUIVER_NONE), 0);
	assert_int_equal(put_version(store, 3, 1, QUIVER_SYNC), 0);
	close_store(store);
}

static int setup_flight(void **state)
{
	test_limit(LIMIT_S);
	return setup_store(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_flight, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_the_next_group_is_logged_during_a_sync),
		TEST(test_who_does_not_sync_stays_behind_who_does),
		TEST(test_a_failed_sync_fails_all_behind_it),
		TEST(test_a_failed_sync_fails_who_did_not_ask_for_one),
		TEST(test_an_id_under_way_is_not_planned_again),
		TEST(test_both_names_of_a_rename_are_not_planned_again),
		TEST(test_what_is_put_is_not_renamed_meanwhile),
		TEST(test_a_batch_and_the_directory_wait),
		TEST(test_a_checkpoint_waits_for_what_is_under_way),
		TEST(test_snapshots_keep_what_two_groups_end),
		TEST(test_a_failed_append_leaves_what_is_under_way),
		TEST(test_a_pause_waits_for_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
