/* Snapshots that are open: in the process that has the store, and in one that has not. */
#include "snapshot_model.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define SNAPSHOTS 4u /* at a time */
#define STEPS 150u /* between two looks */

struct kept {
	char name[16];
	struct model model; /* as it was */
	struct quiver *view; /* open all the time, or NULL */
};

static void make(struct quiver *store, const struct model *model, unsigned number,
                 struct kept *kept)
{
	snprintf(kept->name, sizeof(kept->name), "s%u", number);
	assert_int_equal(quiver_snapshot_create(store, kept->name, NULL), 0);
	kept->model = *model;
}

static struct quiver *open_view(struct quiver *store, const char *name)
{
	struct quiver *view;

	assert_int_equal(quiver_snapshot_open(store, name, &view), 0);
	return view;
}

static int open_alone_result(const struct store_dir *s, const char *name, struct quiver **store,
                             struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	char path[UNIT_PATH_BYTES + 64];

	snprintf(path, sizeof(path), "%s@%s", s->path, name);
	return quiver_open(path, &options, store, error);
}

static struct quiver *open_alone(const struct store_dir *s, const char *name)
{
	struct quiver_error error = { "" };
	struct quiver *store;

	if (open_alone_result(s, name, &store, &error) != 0)
		fail_msg("%s", error.text);
	return store;
}

/* It tells of itself what its store tells of it. */
static void check_self(struct quiver *store, const char *name, struct quiver *view)
{
	struct quiver_snapshot told, self;

	assert_int_equal(quiver_snapshot_stat(store, name, &told), 0);
	assert_int_equal(quiver_snapshot_stat(view, NULL, &self), 0);
	assert_string_equal(self.name, name);
	assert_memory_equal(self.uuid, told.uuid, sizeof(told.uuid));
	assert_true(self.lsn == told.lsn && self.count == told.count && self.slots == told.slots &&
	            self.created_ns == told.created_ns);
	assert_int_equal(quiver_snapshot_stat(view, name, &self), -EOPNOTSUPP);
	assert_int_equal(quiver_snapshot_stat(store, NULL, &self), -ENOENT);
}

/* ---- what differs ---- */

struct differs {
	const struct model *older, *newer;
	uint64_t next; /* no ID below is told of any more */
};

static const struct model_vector *vector_in(const struct model *model, uint64_t id)
{
	static const struct model_vector none;

	return model ? &model->vectors[id] : &none;
}

static int wanted_change(const struct differs *differs, uint64_t id)
{
	const struct model_vector *was = vector_in(differs->older, id);
	const struct model_vector *is = vector_in(differs->newer, id);

	if (was->commit == is->commit)
		return was->attr_commit == is->attr_commit ? -1 : QUIVER_ATTRIBUTES_CHANGED;
	return was->commit == 0 ? QUIVER_ADDED : is->commit == 0 ? QUIVER_REMOVED : QUIVER_CHANGED;
}

static int check_change(void *arg, uint64_t id, enum quiver_change change)
{
	struct differs *differs = arg;

	assert_true(id >= differs->next && id < MODEL_IDS);
	for (; differs->next < id; differs->next++)
		assert_int_equal(wanted_change(differs, differs->next), -1);
	assert_int_equal(wanted_change(differs, id), change);
	differs->next = id + 1;
	return 0;
}

static void check_diff(const struct store_dir *s, const struct kept *older,
                       const struct kept *newer)
{
	struct differs differs = { .older = older ? &older->model : NULL, .newer = &newer->model };
	struct quiver_error error = { "" };

	if (quiver_snapshot_diff(s->path, older ? older->name : NULL, newer->name, check_change,
	                         &differs, &error) != 0)
		fail_msg("%s", error.text);
	for (; differs.next < MODEL_IDS; differs.next++)
		assert_int_equal(wanted_change(&differs, differs.next), -1);
}

/* ---- beside a model ---- */

static void check_all(const struct store_dir *s, struct quiver *store, struct kept *kept,
                      size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct quiver *view = open_view(store, kept[i].name);
		struct quiver *alone = open_alone(s, kept[i].name);

		model_check(&kept[i].model, view);
		check_self(store, kept[i].name, view);
		model_check(&kept[i].model, alone);
		check_self(store, kept[i].name, alone);
		if (kept[i].view)
			model_check(&kept[i].model, kept[i].view);
		close_store(view);
		close_store(alone);
		check_diff(s, NULL, &kept[i]);
		for (size_t j = 0; j <= i; j++)
			check_diff(s, &kept[j], &kept[i]);
	}
}

static void follow(struct store_dir *s, enum quiver_durability mode, uint64_t seed)
{
	struct model model = { .seed = seed };
	struct kept kept[SNAPSHOTS] = { 0 };
	struct quiver *store = open_mode(s, mode);
	size_t count = 0;

	for (unsigned round = 0; round < 16; round++) {
		for (unsigned i = 0; i < STEPS; i++)
			model_step(&model, store);
		if (count == SNAPSHOTS) {
			size_t at = model_below(&model, SNAPSHOTS);

			/* One that is open while it is removed reads on. */
			if (!kept[at].view)
				kept[at].view = open_view(store, kept[at].name);
			assert_int_equal(quiver_snapshot_remove(store, kept[at].name), 0);
			for (unsigned i = 0; i < STEPS; i++)
				model_step(&model, store);
			model_check(&kept[at].model, kept[at].view);
			close_store(kept[at].view);
			memmove(kept + at, kept + at + 1, (SNAPSHOTS - 1 - at) * sizeof(*kept));
			kept[--count].view = NULL;
		}
		make(store, &model, round, &kept[count]);
		kept[count].view = round % 2 ? open_view(store, kept[count].name) : NULL;
		count++;
		if (round % 3 == 0)
			(void)run_job(store, QUIVER_COMPACT);
		check_all(s, store, kept, count);
		model_check(&model, store);
		if (round % 4 == 3) {
			for (size_t i = 0; i < count; i++) {
				if (kept[i].view)
					close_store(kept[i].view);
				kept[i].view = NULL;
			}
			close_store(store);
			store = open_mode(s, mode);
			check_all(s, store, kept, count);
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (kept[i].view)
			close_store(kept[i].view);
		assert_int_equal(quiver_snapshot_remove(store, kept[i].name), 0);
	}
	model_check(&model, store);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	close_store(store);
}

static void test_each_snapshot_is_what_was_there(void **state)
{
	follow(*state, QUIVER_FSYNC, 1);
}

static void test_the_same_without_a_log(void **state)
{
	follow(*state, QUIVER_NONE, 2);
}

/* ---- beside a writer ---- */

struct writer {
	struct quiver *store;
	pthread_mutex_t lock; /* held for each change and its note in the model */
	struct model model; /* lock */
	_Atomic bool stop;
};

static void *write_on(void *arg)
{
	struct writer *writer = arg;

	for (unsigned i = 0; !atomic_load(&writer->stop); i++) {
		pthread_mutex_lock(&writer->lock);
		model_step(&writer->model, writer->store);
		pthread_mutex_unlock(&writer->lock);
		if (i % 500 == 0)
			(void)quiver_job_start(writer->store, QUIVER_COMPACT); /* one may run */
	}
	return NULL;
}

static void test_beside_a_writer(void **state)
{
	struct store_dir *s = *state;
	struct writer writer = { .store = open_with(s, NULL), .model = { .seed = 3 } };
	struct kept kept[SNAPSHOTS] = { 0 };
	pthread_t thread;

	pthread_mutex_init(&writer.lock, NULL);
	assert_int_equal(pthread_create(&thread, NULL, write_on, &writer), 0);
	for (unsigned round = 0; round < 40; round++) {
		struct kept *one = &kept[round % SNAPSHOTS];

		if (round >= SNAPSHOTS)
			assert_int_equal(quiver_snapshot_remove(writer.store, one->name), 0);
		pthread_mutex_lock(&writer.lock);
		make(writer.store, &writer.model, round, one);
		pthread_mutex_unlock(&writer.lock);
		for (unsigned i = 0; i < SNAPSHOTS && i <= round; i++) {
			struct quiver *view = open_view(writer.store, kept[i].name);
			struct quiver *alone = open_alone(s, kept[i].name);

			model_check(&kept[i].model, view);
			model_check(&kept[i].model, alone);
			close_store(view);
			close_store(alone);
			check_diff(s, NULL, &kept[i]);
		}
		if (round >= 1)
			check_diff(s, &kept[(round - 1) % SNAPSHOTS], one);
	}
	atomic_store(&writer.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	model_check(&writer.model, writer.store);
	close_store(writer.store);
	pthread_mutex_destroy(&writer.lock);
}

/* ---- what such a store is ---- */

static void check_immutable(struct quiver *view)
{
	struct quiver_watcher watcher = { 0 };
	struct quiver_attr attr = { 0 };
	struct quiver_stats stats = stats_of(view);
	struct quiver_snapshot *all;
	struct quiver_space space;
	uint8_t bytes[STORE_DIM] = { 0 };
	struct quiver_record record = { .id = 1, .data = bytes };
	uint64_t size;
	size_t count;
	int fd;

	assert_int_equal(quiver_capabilities(view), QUIVER_EXCLUSIVE | QUIVER_ORDERED |
	                                                    QUIVER_IMMUTABLE | QUIVER_HAS_COLUMNS |
	                                                    QUIVER_HAS_VERIFY);
	assert_int_equal(quiver_put(view, 1, bytes, &attr, 0, 0, NULL), -EROFS);
	assert_int_equal(quiver_put_batch(view, &record, 1, &attr, 0, 0, NULL), -EROFS);
	assert_int_equal(quiver_remove(view, 1, 0, NULL), -EROFS);
	assert_int_equal(quiver_rename(view, 1, 2, 0, NULL), -EROFS);
	assert_int_equal(quiver_set_attr(view, 1, &attr, QUIVER_ATTR_ALL, 0), -EROFS);
	assert_int_equal(quiver_set_dir_attr(view, &attr, QUIVER_ATTR_ALL, 0), -EROFS);
	assert_int_equal(quiver_set_label(view, "a", 1), -EROFS);
	assert_int_equal(quiver_set_metric(view, QUIVER_COSINE), -EROFS);
	assert_int_equal(quiver_reserve(view, 1), -EROFS);
	assert_int_equal(quiver_flush(view), 0);
	assert_int_equal(quiver_snapshot_create(view, "b", NULL), -EOPNOTSUPP);
	assert_int_equal(quiver_snapshots(view, &all, &count), -EOPNOTSUPP);
	assert_int_equal(quiver_job_start(view, QUIVER_COMPACT), -EROFS);
	assert_int_equal(run_job(view, QUIVER_VERIFY).result, 0);
	assert_int_equal(quiver_space(view, 0, &space), 0);
	assert_true(space.total_bytes > 0);
	assert_true(stats.read_only);
	assert_int_equal(stats.count, quiver_count(view));
	assert_int_equal(stats.vector_bytes, STORE_DIM);
	assert_int_equal(quiver_column_watch(view, &watcher), 0);
	quiver_column_unwatch(view, true);
	assert_int_equal(quiver_column_hold(view, QUIVER_COLUMN_IDS, &fd, &size), 0);
	assert_int_equal(fd, -1);
	quiver_column_release(view, QUIVER_COLUMN_IDS);
	assert_int_equal(quiver_column_hold(view, QUIVER_COLUMN_VECTORS, &fd, &size), 0);
	assert_true(fd >= 0);
	quiver_column_release(view, QUIVER_COLUMN_VECTORS);
}

static void check_then(struct quiver *view)
{
	struct quiver_description description;
	struct quiver_attr attr;

	quiver_describe(view, &description);
	assert_string_equal(description.label, "then");
	assert_int_equal(description.metric, QUIVER_IP);
	assert_int_equal(quiver_dir_attr(view, 0, &attr), 0);
	assert_int_equal(attr.mode, 0701);
}

static void test_nobody_changes_it(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *view, *alone;
	struct quiver_attr attr = { .mode = 0701 };

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_set_label(store, "then", 4), 0);
	assert_int_equal(quiver_set_metric(store, QUIVER_IP), 0);
	assert_int_equal(quiver_set_dir_attr(store, &attr, QUIVER_ATTR_MODE, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	attr.mode = 0700;
	assert_int_equal(quiver_set_label(store, "now", 3), 0);
	assert_int_equal(quiver_set_metric(store, QUIVER_L2), 0);
	assert_int_equal(quiver_set_dir_attr(store, &attr, QUIVER_ATTR_MODE, 0), 0);
	view = open_view(store, "a");
	alone = open_alone(s, "a");
	check_immutable(view);
	check_immutable(alone);
	check_then(view);
	check_then(alone);
	close_store(view);
	close_store(alone);
	close_store(store);
}

static void test_an_empty_snapshot(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *view, *alone;
	struct model model = { 0 };

	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	view = open_view(store, "a");
	alone = open_alone(s, "a");
	model_check(&model, view);
	model_check(&model, alone);
	close_store(view);
	close_store(alone);
	close_store(store);
}

/* ---- paths, locks, and who else is there ---- */

static void test_what_cannot_be_opened_says_why(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *view;
	struct quiver_options options = { .size = sizeof(options) };
	struct quiver_error error = { "" };
	struct store_dir nowhere = *s;
	char path[UNIT_PATH_BYTES + 64];

	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	assert_int_equal(quiver_snapshot_open(store, "b", &view), -ENOENT);
	assert_int_equal(open_alone_result(s, "b", &view, &error), -ENOENT);
	assert_non_null(strstr(error.text, "no snapshot b"));
	snprintf(path, sizeof(path), "%s@a", s->path);
	assert_int_equal(quiver_open(path, &options, &view, &error), -EROFS);
	assert_non_null(strstr(error.text, "read-only"));
	snprintf(nowhere.path, sizeof(nowhere.path), "%s/none", s->dir.path);
	assert_int_equal(open_alone_result(&nowhere, "a", &view, &error), -ENOENT);
	snprintf(nowhere.path, sizeof(nowhere.path), "%s", s->dir.path);
	assert_int_equal(open_alone_result(&nowhere, "a", &view, &error), -EINVAL);
	assert_non_null(strstr(error.text, "not a quiverfs store"));
	close_store(store);
}

static void test_a_store_of_such_a_name_is_a_store(void **state)
{
	struct store_dir *s = *state, named = *s;
	struct quiver *store = open_with(s, NULL);
	struct quiver_geometry geometry = { .dim = STORE_DIM, .dtype = QUIVER_U1 };

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	close_store(store);
	assert_true(snprintf(named.path, sizeof(named.path), "%s@a", s->path) <
	            (int)sizeof(named.path));
	assert_int_equal(quiver_create(named.path, &geometry, NULL, NULL, NULL), 0);
	store = open_with(&named, NULL);
	assert_int_equal(put_version(store, 2, 1, 0), 0);
	assert_int_equal(quiver_count(store), 1);
	assert_int_equal(version_of(store, 1), 0);
	close_store(store);
}

static void test_one_that_is_open_elsewhere_is_not_removed(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *alone;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	alone = open_alone(s, "a");
	assert_int_equal(quiver_snapshot_remove(store, "a"), -EBUSY);
	assert_int_equal(put_version(store, 1, 2, 0), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(version_of(alone, 1), 1);
	close_store(alone);
	assert_int_equal(quiver_snapshot_remove(store, "a"), 0);
	close_store(store);
}

/* The store was left open by a process that is no more: nothing has to be recovered. */
static void test_of_a_store_that_was_not_closed(void **state)
{
	struct store_dir *s = *state;
	struct kept *kept = mmap(NULL, sizeof(*kept), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct quiver *alone, *store;
	int status;
	pid_t pid;

	assert_true(kept != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct model model = { .seed = 4 };

		store = open_with(s, NULL);
		for (unsigned i = 0; i < STEPS; i++)
			model_step(&model, store);
		make(store, &model, 1, kept);
		for (unsigned i = 0; i < STEPS; i++)
			model_step(&model, store);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	alone = open_alone(s, kept->name);
	model_check(&kept->model, alone);
	/* Nor is it in the way of who recovers the store, and it goes on. */
	store = open_with(s, NULL);
	model_check(&kept->model, alone);
	check_all(s, store, kept, 1);
	close_store(alone);
	close_store(store);
	assert_int_equal(munmap(kept, sizeof(*kept)), 0);
}

/* ---- damage ---- */

static void check_verified(struct quiver *view, int result, uint64_t mismatches)
{
	struct quiver_job_status status = run_job(view, QUIVER_VERIFY);

	assert_int_equal(status.result, result);
	assert_int_equal(status.mismatches, mismatches);
	assert_int_equal(status.done, status.total);
	assert_int_equal(status.total, quiver_count(view));
}

/* Also of a vector that the store has not any more. */
static void test_checksums_are_compared(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *view, *alone;

	for (uint64_t id = 0; id < 10; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	assert_int_equal(quiver_remove(store, 3, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	view = open_view(store, "a");
	alone = open_alone(s, "a");
	check_verified(view, 0, 0);
	check_verified(alone, 0, 0);
	store_flip(s, "vectors.npy", (QUIVER_COLUMN_HEADER_BYTES + 3 * STORE_DIM + 20) * 8);
	check_verified(view, -EIO, 1);
	check_verified(alone, -EIO, 1);
	close_store(view);
	close_store(alone);
	close_store(store);
}

static void test_damage_is_an_error(void **state)
{
	const uint64_t bad = 5;
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL), *view, *alone;
	struct quiver_error error = { "" };
	struct quiver_list *list;
	uint8_t ids[8 * 10];

	for (uint64_t id = 0; id < 10; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	close_store(store);
	store_flip(s, "meta.npy", (QUIVER_COLUMN_HEADER_BYTES + bad * 56 + 20) * 8);
	store = open_with(s, NULL);
	view = open_view(store, "a");
	assert_int_equal(version_of(view, bad), UINT64_MAX);
	assert_int_equal(version_of(view, bad + 1), 1);
	assert_int_equal(quiver_list_open(view, 0, &list), 0);
	assert_int_equal(quiver_list_count(view, list), 9);
	quiver_list_close(view, list);
	/* What is before it, and then the error. */
	assert_int_equal(quiver_column_read(view, QUIVER_COLUMN_IDS, QUIVER_COLUMN_HEADER_BYTES,
	                                    sizeof(ids), ids),
	                 bad * 8);
	assert_int_equal(quiver_column_read(view, QUIVER_COLUMN_IDS,
	                                    QUIVER_COLUMN_HEADER_BYTES + bad * 8, 8, ids),
	                 -EIO);
	/* It is not as if it had never been there, when it is written again. */
	assert_int_equal(put_version(store, bad, 2, 0), 0);
	assert_int_equal(version_of(view, bad), UINT64_MAX);
	assert_int_equal(version_of(view, bad + 1), 1);
	assert_int_equal(version_of(store, bad), 2);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(version_of(view, bad), UINT64_MAX);
	check_verified(view, -EIO, 1);
	close_store(view);
	close_store(store);
	/* Nor later, once somebody has seen that it lacks one. */
	store = open_with(s, NULL);
	view = open_view(store, "a");
	check_verified(view, -EIO, 1);
	assert_int_equal(version_of(view, bad), UINT64_MAX);
	assert_int_equal(version_of(view, bad + 1), 1);
	close_store(view);
	assert_int_equal(open_alone_result(s, "a", &alone, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "quiverfs check"));
	close_store(store);
}

/* Pages of the index are read as they are used: what a bad one hides is found all the same. */
static void test_a_damaged_index_hides_nothing(void **state)
{
	struct store_dir *s = *state;
	struct model model = { .seed = 5 };
	struct quiver *store = open_with(s, NULL), *view;
	struct model then;

	for (unsigned i = 0; i < STEPS; i++)
		model_step(&model, store);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	then = model;
	for (unsigned i = 0; i < STEPS / 3; i++)
		model_step(&model, store);
	close_store(store);
	for (uint64_t page = 0; page < store_index_pages(s); page++)
		store_flip_index(s, page, 65 * 8);
	store = open_with(s, NULL);
	view = open_view(store, "a");
	model_check(&then, view);
	close_store(view);
	model_check(&model, store);
	close_store(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_snapshot_is_what_was_there, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_the_same_without_a_log, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_beside_a_writer, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_nobody_changes_it, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_an_empty_snapshot, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_says_why, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_a_store_of_such_a_name_is_a_store, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_one_that_is_open_elsewhere_is_not_removed,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_of_a_store_that_was_not_closed, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_checksums_are_compared, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_damage_is_an_error, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_a_damaged_index_hides_nothing, setup_store,
		                                teardown_store),
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
