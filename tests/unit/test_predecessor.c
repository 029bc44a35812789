/*
 * Failures of the predecessor (DESIGN.md section 9) that no other file has a case for; the
 * others stand beside the module they concern, as test_failure_N_*.
 */
#include "store_test.h"

#define COUNT 40u
#define RECORD_BYTES (128u + 104u) /* a put of STORE_DIM bytes */

/* COUNT puts, the removal of ID 5, one more put, all durable; then the process ends. */
static int remove_in_the_middle(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	for (uint64_t id = 0; id < COUNT; id++)
		if (put_version(store, id, id + 1, 0) != 0)
			return 1;
	if (quiver_remove(store, 5, 0, NULL) != 0 || put_version(store, COUNT, COUNT + 1, 0) != 0)
		return 1;
	return 0;
}

static void test_failure_3_a_damaged_removal_is_reported_and_the_id_never_zeros(void **state)
{
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	char segment[64];

	die_in_child(remove_in_the_middle, s);
	assert_true(store_segment(s, 0, segment, sizeof(segment)));
	for (unsigned byte = 0; byte < 128; byte += 5) {
		uint64_t bit = (4096 + COUNT * RECORD_BYTES + byte) * 8 + byte % 8;

		store_flip(s, segment, bit);
		assert_int_equal(open_result(s, NULL, &store, &error), -EUCLEAN);
		assert_non_null(strstr(error.text, "corrupt"));
		store_flip(s, segment, bit);
	}
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 5), 0);
	assert_int_equal(quiver_count(store), COUNT);
	close_store(store);
}

static int compact_once(struct quiver *store)
{
	return run_job(store, QUIVER_COMPACT).result;
}

static void test_failure_8_reads_are_right_after_a_failed_compaction_and_growth(void **state)
{
	enum { MANY = 3000 };
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store = open_troubled(s, QUIVER_FSYNC, &io);

	for (uint64_t id = 0; id < MANY; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
	for (uint64_t id = 0; id < MANY; id += 3)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	/* Cutting the files is the step that fails. */
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_TRUNCATE, 0, -EIO);
	assert_int_equal(compact_once(store), -EIO);
	trouble_disarm(&io);
	assert_int_equal(quiver_reserve(store, 500000), 0); /* growth */
	for (uint64_t id = MANY; id < MANY + 500; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
	for (uint64_t id = 0; id < MANY + 500; id++)
		assert_int_equal(version_of(store, id), id < MANY && id % 3 == 0 ? 0 : id + 1);
	assert_int_equal(compact_once(store), 0);
	for (uint64_t id = 0; id < MANY + 500; id++)
		assert_int_equal(version_of(store, id), id < MANY && id % 3 == 0 ? 0 : id + 1);
	close_store(store);
}

static struct stat index_of(const struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/index", s->path);
	assert_int_equal(stat(path, &st), 0);
	return st;
}

static void test_failure_17_the_index_is_not_rewritten_by_flush_or_checkpoint(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct stat before;
	struct stat after;

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	close_store(store);
	before = index_of(s);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < COUNT; id++) {
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
		assert_int_equal(id % 2 ? quiver_flush(store) : quiver_checkpoint(store), 0);
	}
	after = index_of(s);
	/* The pages that have changed are written into the file that is there. */
	assert_int_equal(after.st_ino, before.st_ino);
	close_store(store);
	assert_int_equal(index_of(s).st_ino, before.st_ino);
}

/* ---- a table that knows which folders hold names that are not synced ---- */

struct folder_io {
	struct quiver_io table; /* first: `self` of the functions */
	_Atomic int unsynced[TROUBLE_FDS]; /* by the folder's descriptor */
	_Atomic int names; /* made or changed in all */
	_Atomic int wrong; /* segments written to before their names were synced */
	_Atomic int folder_of[TROUBLE_FDS]; /* by descriptor of a segment that was made: its
	                                       folder until that is synced, else 0 */
};

static struct folder_io *folder_self(const struct quiver_io *self)
{
	return (struct folder_io *)(uintptr_t)self;
}

static void folder_changed(struct folder_io *io, int dir_fd)
{
	atomic_fetch_add(&io->names, 1);
	if (dir_fd >= 0 && dir_fd < TROUBLE_FDS)
		atomic_fetch_add(&io->unsynced[dir_fd], 1);
}

static int folder_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                       mode_t mode)
{
	struct folder_io *io = folder_self(self);
	int fd = quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);

	if (fd >= 0 && fd < TROUBLE_FDS)
		atomic_store(&io->folder_of[fd], 0);
	/* What the page durable holds is no loss. */
	if (fd < 0 || fd >= TROUBLE_FDS || !(flags & O_CREAT) || strcmp(name, "durable") == 0)
		return fd;
	folder_changed(io, dir_fd);
	atomic_store(&io->folder_of[fd], trouble_letter(name) == 'l' ? dir_fd : 0);
	return fd;
}

static int folder_rename(const struct quiver_io *self, int dir_fd, const char *from, const char *to)
{
	folder_changed(folder_self(self), dir_fd);
	return quiver_io_posix()->rename(quiver_io_posix(), dir_fd, from, to);
}

static int folder_fsync(const struct quiver_io *self, int fd)
{
	struct folder_io *io = folder_self(self);

	if (fd < TROUBLE_FDS)
		atomic_store(&io->unsynced[fd], 0);
	for (int i = 0; i < TROUBLE_FDS; i++) {
		int folder = fd;

		(void)atomic_compare_exchange_strong(&io->folder_of[i], &folder, 0);
	}
	return quiver_io_posix()->fsync(quiver_io_posix(), fd);
}

/* A sync of a segment promises that its records can be found again. */
static int folder_fdatasync(const struct quiver_io *self, int fd)
{
	struct folder_io *io = folder_self(self);

	if (fd < TROUBLE_FDS && atomic_load(&io->folder_of[fd]) > 0)
		atomic_fetch_add(&io->wrong, 1);
	return quiver_io_posix()->fdatasync(quiver_io_posix(), fd);
}

static int unsynced_folders(struct folder_io *io)
{
	int n = 0;

	for (int fd = 0; fd < TROUBLE_FDS; fd++)
		n += atomic_load(&io->unsynced[fd]) > 0;
	return n;
}

static void test_failure_19_folders_are_synced_after_files_are_made_or_renamed(void **state)
{
	static struct folder_io io;
	struct store_dir *s = *state;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = QUIVER_ALWAYS,
		                          .io = &io.table };
	struct quiver_geometry geometry = { .dim = STORE_DIM, .dtype = QUIVER_U1 };
	struct quiver_error error = { "" };
	struct quiver *store;
	char path[UNIT_PATH_BYTES + 32];

	memset(&io, 0, sizeof(io));
	io.table = *quiver_io_posix();
	io.table.open = folder_open;
	io.table.rename = folder_rename;
	io.table.fsync = folder_fsync;
	io.table.fdatasync = folder_fdatasync;
	snprintf(path, sizeof(path), "%s/second", s->dir.path);
	assert_int_equal(quiver_create(path, &geometry, NULL, &io.table, &error), 0);
	assert_int_equal(unsynced_folders(&io), 0);
	assert_int_equal(quiver_open(path, &options, &store, &error), 0);
	for (uint64_t id = 0; id < 20000; id++) /* several segments of the log */
		assert_int_equal(put_version(store, id % 1000, id + 1, 0), 0);
	assert_true(stats_of(store).wal_segments > 1);
	assert_int_equal(atomic_load(&io.wrong), 0);
	close_store(store);
	assert_int_equal(unsynced_folders(&io), 0);
	assert_true(atomic_load(&io.names) > 8);
}

/* ---- replay ---- */

/* IDs that come, go and come again, several times over, and some that stay away. */
static int come_and_go(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	for (uint64_t version = 1; version <= 5; version++)
		for (uint64_t id = 0; id < COUNT; id++)
			if (put_version(store, id, version, 0) != 0 ||
			    (version % 2 && quiver_remove(store, id, 0, NULL) != 0) ||
			    put_version(store, id, version, 0) != 0)
				return 1;
	for (uint64_t id = 0; id < COUNT; id += 2)
		if (quiver_remove(store, id, 0, NULL) != 0)
			return 1;
	return 0;
}

static void test_failure_7_replay_leaks_no_slot_of_ids_that_came_and_went(void **state)
{
	struct store_dir *s = *state;
	struct quiver_stats stats = { .size = sizeof(stats) };
	struct quiver *store;

	for (int life = 0; life < 3; life++) {
		die_in_child(come_and_go, s);
		store = open_with(s, NULL);
		stats = stats_of(store);
		assert_int_equal(quiver_count(store), COUNT / 2);
		assert_int_equal(leaked_slots(store), 0);
		assert_int_equal(stats.slots_retired, 0);
		for (uint64_t id = 0; id < COUNT; id++)
			assert_int_equal(version_of(store, id), id % 2 ? 5 : 0);
		close_store(store);
	}
}

/* ---- files that do not belong together ---- */

static void test_failure_13_data_of_another_dimension_is_refused(void **state)
{
	static const char *const files[] = { "vectors.npy", "superblock" };
	struct quiver_geometry geometry = { .dim = STORE_DIM / 2, .dtype = QUIVER_U1 };
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver *store = open_with(s, NULL);
	char other[UNIT_PATH_BYTES + 32];
	char mine[64];
	char theirs[64];

	assert_int_equal(put_version(store, 1, 1, 0), 0);
	close_store(store);
	snprintf(other, sizeof(other), "%s/other", s->dir.path);
	assert_int_equal(quiver_create(other, &geometry, NULL, NULL, &error), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(mine, sizeof(mine), STORE_NAME "/%s", files[i]);
		snprintf(theirs, sizeof(theirs), "other/%s", files[i]);
		assert_int_equal(renameat2(s->dir.fd, mine, s->dir.fd, theirs, RENAME_EXCHANGE), 0);
		assert_int_equal(open_result(s, NULL, &store, &error), -EUCLEAN);
		assert_non_null(strstr(error.text, "vectors.npy"));
		assert_int_equal(renameat2(s->dir.fd, mine, s->dir.fd, theirs, RENAME_EXCHANGE), 0);
	}
	store = open_with(s, NULL);
	assert_int_equal(version_of(store, 1), 1);
	close_store(store);
}

/* ---- a table whose slow calls wait until the test lets them go on ---- */

struct gate_io {
	struct quiver_io table; /* first: `self` of the functions */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int closed; /* lock; a letter: s sync, a allocate, t truncate, 0 open */
	bool waiting; /* lock; somebody stands at it */
};

static void gate_pass(const struct quiver_io *self, int letter)
{
	struct gate_io *io = (struct gate_io *)(uintptr_t)self;

	pthread_mutex_lock(&io->lock);
	while (io->closed == letter) {
		io->waiting = true;
		pthread_cond_broadcast(&io->changed);
		pthread_cond_wait(&io->changed, &io->lock);
	}
	pthread_mutex_unlock(&io->lock);
}

static void gate_set(struct gate_io *io, int letter)
{
	pthread_mutex_lock(&io->lock);
	io->closed = letter;
	io->waiting = false;
	pthread_cond_broadcast(&io->changed);
	pthread_mutex_unlock(&io->lock);
}

static void gate_await(struct gate_io *io)
{
	pthread_mutex_lock(&io->lock);
	while (!io->waiting)
		pthread_cond_wait(&io->changed, &io->lock);
	pthread_mutex_unlock(&io->lock);
}

static int gate_fdatasync(const struct quiver_io *self, int fd)
{
	gate_pass(self, 's');
	return quiver_io_posix()->fdatasync(quiver_io_posix(), fd);
}

static int gate_allocate(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	gate_pass(self, 'a');
	return quiver_io_posix()->allocate(quiver_io_posix(), fd, offset, length);
}

static int gate_truncate(const struct quiver_io *self, int fd, uint64_t length)
{
	gate_pass(self, 't');
	return quiver_io_posix()->truncate(quiver_io_posix(), fd, length);
}

static void *put_one(void *arg)
{
	return (void *)(intptr_t)put_version(arg, COUNT, 1, 0);
}

static void *reserve_much(void *arg)
{
	return (void *)(intptr_t)quiver_reserve(arg, 1000000);
}

static void *compact(void *arg)
{
	return (void *)(intptr_t)compact_once(arg);
}

static void test_failure_16_readers_do_not_wait_for_sync_growth_or_compaction(void **state)
{
	static const struct {
		int letter;
		void *(*work)(void *store);
	} rounds[] = { { 's', put_one }, { 'a', reserve_much }, { 't', compact } };
	struct gate_io io = { .table = *quiver_io_posix(),
		              .lock = PTHREAD_MUTEX_INITIALIZER,
		              .changed = PTHREAD_COND_INITIALIZER };
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = QUIVER_ALWAYS,
		                          .io = &io.table };
	struct store_dir *s = *state;
	struct quiver *store;

	io.table.fdatasync = gate_fdatasync;
	io.table.allocate = gate_allocate;
	io.table.truncate = gate_truncate;
	store = open_with(s, &options);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		pthread_t worker;
		void *result;

		gate_set(&io, rounds[i].letter);
		assert_int_equal(pthread_create(&worker, NULL, rounds[i].work, store), 0);
		gate_await(&io);
		/* It stands at the gate, which nobody but this thread opens. */
		for (uint64_t id = 0; id < COUNT; id++)
			assert_int_equal(version_of(store, id), id + 1);
		gate_set(&io, 0);
		assert_int_equal(pthread_join(worker, &result), 0);
		assert_int_equal((intptr_t)result, 0);
	}
	close_store(store);
}

/* ---- what is asked of the kernel ---- */

struct exact_io {
	struct quiver_io table; /* first: `self` of the functions */
	_Atomic bool segments[TROUBLE_FDS]; /* by descriptor: of the log */
	_Atomic int appends; /* writes of records */
	_Atomic int split; /* writes that do not hold whole records */
	_Atomic int punches;
	_Atomic int empty; /* punches of nothing */
};

static struct exact_io *exact_self(const struct quiver_io *self)
{
	return (struct exact_io *)(uintptr_t)self;
}

static int exact_open(const struct quiver_io *self, int dir_fd, const char *name, int flags,
                      mode_t mode)
{
	int fd = quiver_io_posix()->open(quiver_io_posix(), dir_fd, name, flags, mode);

	if (fd >= 0 && fd < TROUBLE_FDS)
		atomic_store(&exact_self(self)->segments[fd], trouble_letter(name) == 'l');
	return fd;
}

/* Records one after the other, and the last one ends with the write. */
static bool holds_whole_records(const struct iovec *parts, int count)
{
	uint8_t bytes[8192];
	size_t used = 0;
	size_t at = 0;

	for (int i = 0; i < count; i++) {
		if (used + parts[i].iov_len > sizeof(bytes))
			return false;
		memcpy(bytes + used, parts[i].iov_base, parts[i].iov_len);
		used += parts[i].iov_len;
	}
	while (at + 4 <= used && get_le32(bytes + at) >= 128)
		at += get_le32(bytes + at);
	return at == used;
}

static ssize_t exact_pwritev(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	struct exact_io *io = exact_self(self);

	/* Not the header, nor the zeros that fill a new segment. */
	if (fd < TROUBLE_FDS && atomic_load(&io->segments[fd]) && offset >= 4096 &&
	    parts[0].iov_len < 65536) {
		atomic_fetch_add(&io->appends, 1);
		atomic_fetch_add(&io->split, !holds_whole_records(parts, count));
	}
	return quiver_io_posix()->pwritev(quiver_io_posix(), fd, parts, count, offset);
}

static int exact_punch(const struct quiver_io *self, int fd, uint64_t offset, uint64_t length)
{
	atomic_fetch_add(&exact_self(self)->punches, 1);
	atomic_fetch_add(&exact_self(self)->empty, length == 0);
	return quiver_io_posix()->punch(quiver_io_posix(), fd, offset, length);
}

static void test_failure_20_records_are_written_whole_and_nothing_is_not_punched(void **state)
{
	enum { MANY = 4000 };
	static struct exact_io io;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = QUIVER_FSYNC,
		                          .io = &io.table };
	struct store_dir *s = *state;
	struct quiver *store;

	memset(&io, 0, sizeof(io));
	io.table = *quiver_io_posix();
	io.table.open = exact_open;
	io.table.pwritev = exact_pwritev;
	io.table.map_to_store = io_map_nothing;
	io.table.punch = exact_punch;
	store = open_with(s, &options);
	for (uint64_t id = 0; id < MANY; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
	for (uint64_t id = 0; id + 1 < MANY; id++)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	for (int i = 0; i < 3; i++) /* holes are punched once; then there is nothing to punch */
		assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(compact_once(store), 0);
	assert_int_equal(version_of(store, MANY - 1), MANY);
	close_store(store);
	assert_true(atomic_load(&io.appends) >= 2 * MANY - 1);
	assert_int_equal(atomic_load(&io.split), 0);
	assert_true(atomic_load(&io.punches) > 0);
	assert_int_equal(atomic_load(&io.empty), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_store, teardown_store)
		TEST(test_failure_3_a_damaged_removal_is_reported_and_the_id_never_zeros),
		TEST(test_failure_8_reads_are_right_after_a_failed_compaction_and_growth),
		TEST(test_failure_17_the_index_is_not_rewritten_by_flush_or_checkpoint),
		TEST(test_failure_7_replay_leaks_no_slot_of_ids_that_came_and_went),
		TEST(test_failure_13_data_of_another_dimension_is_refused),
		TEST(test_failure_16_readers_do_not_wait_for_sync_growth_or_compaction),
		TEST(test_failure_20_records_are_written_whole_and_nothing_is_not_punched),
		TEST(test_failure_19_folders_are_synced_after_files_are_made_or_renamed),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
