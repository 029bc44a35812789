/* Recovery with an index that a checkpoint has kept, and where rows are noted for it. */
#include "both_ways.h"

#include "engine/index/index_table.h"
#include "engine/store/store.h"

static bool took_index(struct quiver *store)
{
	return atomic_load(&store->health.counters.index_taken) > 0;
}

static uint64_t syncs_of(struct quiver *store)
{
	return atomic_load(&store->commits.regions.syncs);
}

/* ---- a process that dies ---- */

#define FEW 60u
#define MANY 3000u /* so many that the table has to grow while they are replayed */

struct death {
	struct store_dir *s;
	enum quiver_durability mode;
	uint64_t more; /* new vectors after the checkpoint */
	long at; /* the call of the second checkpoint before which it dies; 0: after it all */
	bool snapshots;
	struct trouble_io io;
};

/* A checkpoint with FEW vectors, then each of them is superseded, removed, renamed or gets other
 * attributes, others come; a second checkpoint frees those rows. */
static int change_and_die(void *arg)
{
	struct death *death = arg;
	struct quiver_options options = { .size = sizeof(options),
		                          .durability = death->mode,
		                          .commit_interval_ms = 1000000000,
		                          .io = &death->io.table };
	struct quiver_attr attr = attr_of(77);
	struct quiver *store;
	int r = 0;

	trouble_init(&death->io);
	if (quiver_open(death->s->path, &options, &store, NULL) != 0)
		return 11;
	for (uint64_t id = 0; r == 0 && id < FEW; id++)
		r = put_version(store, id, 1, 0);
	if (r == 0 && death->snapshots)
		r = quiver_snapshot_create(store, "before", NULL);
	if (r == 0)
		r = quiver_checkpoint(store);
	for (uint64_t id = 0; r == 0 && id < FEW; id++) {
		if (id % 4 == 0)
			r = put_version(store, id, 2, 0);
		else if (id % 4 == 1)
			r = quiver_remove(store, id, 0, NULL);
		else if (id % 4 == 2)
			r = quiver_rename(store, id, 1000 + id, 0, NULL);
		else
			r = quiver_set_attr(store, id, &attr, QUIVER_ATTR_ALL, 0);
	}
	for (uint64_t id = 0; r == 0 && id < death->more; id++)
		r = put_version(store, 10000 + id, 3, 0);
	if (r)
		return 12;
	trouble_arm(&death->io, death->at, TROUBLE_EXIT, TROUBLE_ANY, 0, 0);
	return quiver_checkpoint(store) == 0 ? 0 : 13;
}

/* It dies before each call of the second checkpoint, that frees the rows and writes the attributes. */
static void dies_at_each_call(struct store_dir *s, struct death *death)
{
	char base[UNIT_PATH_BYTES + 32];
	long at;

	death->s = s;
	(void)snprintf(base, sizeof(base), "%s/base", s->dir.path);
	assert_int_equal(rename(s->path, base), 0);
	/* A checkpoint makes fewer. */
	for (at = 1; at <= 60; at += death->more > FEW ? 5 : 1) {
		struct quiver *store;

		recoveries_copy(base, s->path);
		death->at = at;
		die_in_child(change_and_die, death);
		/* The rows that are free already do not send the recovery to all rows. */
		assert_true(both_ways(s));
		store = open_mode(s, QUIVER_FSYNC);
		assert_int_equal(leaked_slots(store), 0);
		close_store(store);
		assert_int_equal(test_remove(s->path), 0);
	}
	assert_int_equal(rename(base, s->path), 0);
}

static void test_rows_that_an_interrupted_checkpoint_has_freed(void **state)
{
	struct death death = { .mode = QUIVER_FSYNC, .more = 5 };

	dies_at_each_call(*state, &death);
}

static void test_rows_that_an_interrupted_checkpoint_of_mode_none_has_freed(void **state)
{
	struct death death = { .mode = QUIVER_NONE, .more = 5 };

	dies_at_each_call(*state, &death);
}

static void test_rows_that_snapshots_have(void **state)
{
	struct death death = { .mode = QUIVER_FSYNC, .more = 5, .snapshots = true };

	dies_at_each_call(*state, &death);
}

static void test_a_table_that_grows_while_the_log_is_applied(void **state)
{
	struct death death = { .mode = QUIVER_FSYNC, .more = MANY };

	dies_at_each_call(*state, &death);
}

/* ---- in which order it is written ---- */

static struct {
	bool index_dirty; /* written, and not synced since */
	unsigned superblocks; /* that were written */
	unsigned too_early; /* ... while it was */
} order;

static ssize_t pwritev_in_order(const struct quiver_io *self, int fd, const struct iovec *parts,
                                int count, uint64_t offset)
{
	char letter = atomic_load(&trouble_self(self)->letters[fd]);

	if (letter == 'x')
		order.index_dirty = true;
	if (letter == 's') {
		order.superblocks++;
		order.too_early += order.index_dirty;
	}
	return trouble_pwritev(self, fd, parts, count, offset);
}

static int fsync_in_order(const struct quiver_io *self, int fd)
{
	if (atomic_load(&trouble_self(self)->letters[fd]) == 'x')
		order.index_dirty = false;
	return trouble_fsync(self, fd);
}

/* A page that the superblock counts on and the disk does not have would be taken as it was the time
 * before. */
static void test_an_index_is_durable_before_a_superblock_names_it(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store;

	memset(&order, 0, sizeof(order));
	trouble_init(&io);
	io.table.pwritev = pwritev_in_order;
	io.table.fsync = fsync_in_order;
	store = open_io(s, QUIVER_FSYNC, &io);
	/* A new file, and then pages of it. */
	for (uint64_t id = 0; id < 3; id++) {
		order.superblocks = 0;
		assert_int_equal(put_version(store, id, 1, 0), 0);
		assert_int_equal(quiver_checkpoint(store), 0);
		assert_true(order.superblocks > 0);
		assert_false(order.index_dirty);
		assert_true(store->superblock.now.index_generation > 0);
	}
	assert_int_equal(put_version(store, 7, 1, 0), 0);
	close_store(store);
	assert_int_equal(order.too_early, 0);
}

/* ---- who writes while a checkpoint does ---- */

static struct {
	struct quiver *store; /* NULL: nobody writes */
	bool is_tight; /* the disk has nothing to spare */
	unsigned lines; /* reports */
} load;

/* While the columns are synced, which is a checkpoint's longest part, a vector of it is overwritten. */
static int fdatasync_under_load(const struct quiver_io *self, int fd)
{
	struct quiver *store = load.store;

	if (store && atomic_load(&trouble_self(self)->letters[fd]) == 'm') {
		load.store = NULL;
		assert_int_equal(put_version(store, 2, 2, 0), 0);
	}
	return trouble_fdatasync(self, fd);
}

static int space_under_load(const struct quiver_io *self, int fd, uint64_t *total, uint64_t *free,
                            uint64_t *available)
{
	int r = quiver_io_posix()->space(quiver_io_posix(), fd, total, free, available);

	(void)self;
	*free = *available = load.is_tight ? 0 : UINT64_C(1) << 40;
	return r;
}

static void count_line(void *arg, const char *line)
{
	(void)arg;
	printf("# %s\n", line);
	load.lines++;
}

/* With memory for so few copies that one page more which changes is too many. */
static void checkpoint_under_load(struct store_dir *s, bool is_tight, bool keeps)
{
	struct trouble_io io;
	struct quiver_options options = { .size = sizeof(options),
		                          .durability = QUIVER_FSYNC,
		                          .commit_interval_ms = 1000000000,
		                          .on_report = count_line,
		                          .io = &io.table };
	struct quiver *store;

	memset(&load, 0, sizeof(load));
	load.is_tight = is_tight;
	trouble_init(&io);
	io.table.fdatasync = fdatasync_under_load;
	io.table.space = space_under_load;
	store = open_with(s, &options);
	assert_int_equal(quiver_reserve(store, 1000), 0); /* so that no commit syncs rows */
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(put_version(store, 2, 1, 0), 0);
	atomic_load(&store->catalog.index.table)->changed->kept_max = 0;
	load.store = store;
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_null(load.store);
	assert_int_equal(store->superblock.now.index_generation > 0, keeps);
	assert_int_equal(stats_of(store).index_kept, keeps);
	assert_int_equal(load.lines, 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_true(store->superblock.now.index_generation > 0);
	assert_true(stats_of(store).index_kept);
	close_store(store);
}

static void test_under_load_an_index_is_kept(void **state)
{
	checkpoint_under_load(*state, false, true);
}

/* What the checkpoint cannot do without comes first there. */
static void test_under_load_on_a_full_disk_it_is_kept_the_next_time(void **state)
{
	checkpoint_under_load(*state, true, false);
}

static bool has_file(const struct store_dir *s, const char *name, uint64_t *number)
{
	char path[64];
	struct stat st;
	int r;

	store_file(name, path, sizeof(path));
	r = fstatat(s->dir.fd, path, &st, 0);
	assert_true(r == 0 || errno == ENOENT);
	if (r == 0)
		*number = st.st_ino;
	return r == 0;
}

/* Of what is written in mode none, l or x, the first since it was 0. */
static _Atomic char first_written;

static ssize_t pwritev_noted(const struct quiver_io *self, int fd, const struct iovec *parts,
                             int count, uint64_t offset)
{
	char letter = atomic_load(&trouble_self(self)->letters[fd]);
	char none = 0;

	if (letter == 'l' || letter == 'x')
		(void)atomic_compare_exchange_strong(&first_written, &none, letter);
	return trouble_pwritev(self, fd, parts, count, offset);
}

/* Mode none logs within the checkpoint, after the index was written: on a full disk that is refused. */
static void refused_checkpoint(struct store_dir *s, struct quiver *store, struct trouble_io *io)
{
	uint64_t kept = store->superblock.now.index_generation;
	uint64_t number;

	atomic_store(&io->files, 'l');
	atomic_store(&io->kinds, TROUBLE_WRITE);
	atomic_store(&io->how, TROUBLE_ONCE);
	atomic_store(&io->error, -ENOSPC);
	atomic_store(&io->at, atomic_load(&io->calls) + 1);
	assert_int_equal(quiver_checkpoint(store), -ENOSPC);
	atomic_store(&io->at, 0);
	assert_int_equal(store->superblock.now.index_generation, kept);
	assert_false(has_file(s, "index.new", &number));
}

static void
test_a_refused_checkpoint_leaves_no_new_file_and_goes_on_with_the_one_there_is(void **state)
{
	struct store_dir *s = *state;
	uint64_t before = 0, number = 0;
	struct trouble_io io;
	struct quiver *store;

	memset(&load, 0, sizeof(load));
	trouble_init(&io);
	io.table.space = space_under_load;
	io.table.pwritev = pwritev_noted;
	store = open_io(s, QUIVER_NONE, &io);
	assert_int_equal(put_version(store, 1, 1, 0), 0);
	refused_checkpoint(s, store, &io);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_true(has_file(s, "index", &before));
	for (uint64_t id = 2; id < 20; id++) {
		assert_int_equal(put_version(store, id, 1, 0), 0);
		atomic_store(&first_written, 0);
		refused_checkpoint(s, store, &io);
		assert_int_equal(atomic_load(&first_written), 'x');
		assert_int_equal(put_version(store, id, 2, 0), 0);
		/* A quota may be in the way, of which the disk does not tell. */
		atomic_store(&first_written, 0);
		assert_int_equal(quiver_checkpoint(store), 0);
		assert_int_equal(atomic_load(&first_written), 'l');
		assert_true(store->superblock.now.index_generation > 0);
		assert_true(has_file(s, "index", &number));
		assert_int_equal(number, before);
	}
	close_store(store);
	store = open_mode(s, QUIVER_NONE);
	for (uint64_t id = 2; id < 20; id++)
		assert_int_equal(version_of(store, id), 2);
	close_store(store);
}

/* The superblock names it, maybe, as far as the disk knows. */
static void test_a_new_file_stays_where_its_superblock_could_not_be_written(void **state)
{
	struct store_dir *s = *state;
	struct trouble_io io;
	struct quiver *store;
	uint64_t number;

	memset(&load, 0, sizeof(load));
	trouble_init(&io);
	io.table.space = space_under_load;
	store = open_io(s, QUIVER_FSYNC, &io);
	assert_int_equal(put_version(store, 1, 1, QUIVER_SYNC), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	pthread_mutex_lock(&store->catalog.writer_lock);
	index_keep_forget(&store->catalog.keep);
	pthread_mutex_unlock(&store->catalog.writer_lock);
	assert_int_equal(put_version(store, 2, 1, QUIVER_SYNC), 0);
	trouble_arm(&io, 1, TROUBLE_FROM, TROUBLE_WRITE, 's', -EIO);
	assert_int_equal(quiver_checkpoint(store), -EIO);
	assert_true(has_file(s, "index.new", &number));
	(void)quiver_close(store);
	store = open_mode(s, QUIVER_FSYNC);
	assert_int_equal(version_of(store, 1), 1);
	assert_int_equal(version_of(store, 2), 1);
	close_store(store);
	assert_false(has_file(s, "index.new", &number));
}

/* ---- who dies while a checkpoint writes ---- */

static struct {
	struct quiver *store; /* NULL: nobody dies */
	uint64_t puts; /* of new vectors, before */
} dying;

static int fdatasync_of_the_dying(const struct quiver_io *self, int fd)
{
	struct quiver *store = dying.store;

	if (!store || atomic_load(&trouble_self(self)->letters[fd]) != 'm')
		return trouble_fdatasync(self, fd);
	dying.store = NULL;
	for (uint64_t id = 0; id < dying.puts; id++)
		if (put_version(store, 1000000 + id, 1, 0) != 0)
			_exit(14);
	_exit(0);
}

static struct quiver *open_dying(const struct store_dir *s, struct trouble_io *io)
{
	trouble_init(io);
	io->table.fdatasync = fdatasync_of_the_dying;
	io->table.space = space_under_load;
	memset(&load, 0, sizeof(load));
	memset(&dying, 0, sizeof(dying));
	return open_io(s, QUIVER_NONE, io);
}

/* So many that the table has grown, and the index is written into a new file. */
static int die_beside_a_new_file(void *arg)
{
	struct trouble_io io;
	struct quiver *store = open_dying(arg, &io);

	for (uint64_t id = 0; id < FEW; id++)
		if (put_version(store, id, 1, 0) != 0)
			return 11;
	if (quiver_checkpoint(store) != 0)
		return 12;
	for (uint64_t id = 0; id < 40000; id++)
		if (put_version(store, 1000 + id, 1, 0) != 0)
			return 13;
	dying.store = store;
	return quiver_checkpoint(store) == 0 ? 15 : 16;
}

static void test_a_new_file_of_who_died_is_removed(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;
	uint64_t number;

	die_in_child(die_beside_a_new_file, s);
	assert_true(has_file(s, "index.new", &number));
	store = open_mode(s, QUIVER_NONE);
	assert_true(took_index(store));
	assert_int_equal(quiver_count(store), FEW);
	assert_false(has_file(s, "index.new", &number));
	close_store(store);
}

/* Slots in use became fewer, by a cut that somebody who reads a column puts off before the superblock
 * says so. Rows above them are stored while a checkpoint is under way. */
static int die_after_a_cut_that_was_put_off(void *arg)
{
	const uint64_t many = 100000;
	struct trouble_io io;
	struct quiver *store = open_dying(arg, &io);
	uint64_t freed = 0;
	int r = 0;

	for (uint64_t id = 0; r == 0 && id < many; id++)
		r = put_version(store, id, 1, 0);
	for (uint64_t id = FEW; r == 0 && id < many; id++)
		r = quiver_remove(store, id, 0, NULL);
	if (r || quiver_checkpoint(store) != 0)
		return 11;
	space_hold(&store->space);
	pthread_mutex_lock(&store->checkpointer.lock);
	r = space_cut(&store->space, 0, &freed);
	pthread_mutex_unlock(&store->checkpointer.lock);
	if (r || put_version(store, many, 1, 0) != 0)
		return 12;
	dying.store = store;
	dying.puts = 60000;
	return quiver_checkpoint(store) == 0 ? 15 : 16;
}

static int put_some_and_die(void *arg)
{
	struct trouble_io io;
	struct quiver *store = open_dying(arg, &io);

	for (uint64_t id = 0; id < 5; id++)
		if (put_version(store, 5000000 + id, 1, 0) != 0)
			return 11;
	return took_index(store) && quiver_checkpoint(store) == 0 ? 0 : 12;
}

static void test_rows_above_a_cut_that_was_put_off_are_noted(void **state)
{
	struct store_dir *s = *state;

	die_in_child(die_after_a_cut_that_was_put_off, s);
	assert_true(both_ways(s));
	/* Rows that were passed by then are older than this one's commits. */
	die_in_child(put_some_and_die, s);
	assert_true(both_ways(s));
}

/* ---- what is missing or damaged ---- */

/* A store that was killed after a checkpoint and some changes. */
static void kill_one(struct store_dir *s)
{
	struct death death = { .s = s, .mode = QUIVER_FSYNC, .more = 20, .at = 1 };

	die_in_child(change_and_die, &death);
}

static void all_are_there(struct quiver *store)
{
	assert_int_equal(quiver_count(store), FEW - FEW / 4 + 20);
	for (uint64_t id = 0; id < FEW; id++) {
		if (id % 4 == 0)
			assert_int_equal(version_of(store, id), 2);
		else if (id % 4 < 3)
			assert_int_equal(quiver_get_copy(store, id, NULL, NULL, NULL), -ENOENT);
		else
			assert_int_equal(version_of(store, id), 1);
	}
	for (uint64_t id = 0; id < 20; id++)
		assert_int_equal(version_of(store, 10000 + id), 3);
}

static void expect(struct store_dir *s, bool index)
{
	struct quiver *store = open_mode(s, QUIVER_FSYNC);

	assert_int_equal(took_index(store), index);
	all_are_there(store);
	close_store(store);
}

static void test_of_a_store_that_was_killed_few_rows_are_looked_at(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	kill_one(s);
	store = open_mode(s, QUIVER_FSYNC);
	assert_true(took_index(store));
	/* Behind those of the checkpoint: the log tells of them. */
	assert_in_range(stats_of(store).rows_scanned, 1, FEW + 20);
	all_are_there(store);
	close_store(store);
	store = open_mode(s, QUIVER_FSYNC);
	assert_int_equal(stats_of(store).rows_scanned, 0);
	close_store(store);
}

static void test_who_only_reads_recovers_with_it_too(void **state)
{
	struct store_dir *s = *state;
	struct quiver_options options = { .size = sizeof(options), .read_only = true };
	struct quiver *store;

	kill_one(s);
	store = open_with(s, &options);
	all_are_there(store);
	close_store(store);
}

static void lose(struct store_dir *s, const char *name)
{
	char path[UNIT_PATH_BYTES + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
	assert_int_equal(unlink(path), 0);
}

static void test_without_its_files_the_rows_are_looked_at(void **state)
{
	struct store_dir *s = *state;

	kill_one(s);
	lose(s, "regions");
	expect(s, false);
	kill_one(s);
	lose(s, "index");
	expect(s, false);
}

static void flip_sector(struct store_dir *s, uint64_t sector)
{
	store_flip(s, "regions", sector * REGIONS_SECTOR_BYTES * 8 + 77);
}

static void test_notes_that_are_damaged_cost_time_alone(void **state)
{
	struct store_dir *s = *state;

	kill_one(s);
	/* Each area in turn has the notes of a life, and the other is of no generation that counts. */
	flip_sector(s, 0);
	flip_sector(s, REGIONS_LIFE_SECTOR);
	expect(s, true);
	kill_one(s);
	for (uint64_t sector = 0; sector < 2 * REGIONS_AREA_SECTORS; sector++)
		flip_sector(s, sector);
	expect(s, false);
}

/* The vectors are checked all the same, and served. */
static void test_a_link_in_place_of_the_notes_is_told(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_error error;
	char path[UNIT_PATH_BYTES + 64];

	kill_one(s);
	lose(s, "regions");
	(void)snprintf(path, sizeof(path), "%s/regions", s->path);
	assert_int_equal(symlink("nothing", path), 0);
	for (int i = 0; i < 2; i++) {
		struct quiver *store;

		assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, &error), 0);
		assert_int_equal(result.damage, 1);
		assert_true(result.vectors > 0);
		store = open_mode(s, QUIVER_FSYNC);
		all_are_there(store);
		close_store(store);
	}
	assert_int_equal(unlink(path), 0);
	close_store(open_mode(s, QUIVER_FSYNC));
	assert_int_equal(quiver_check(s->path, false, NULL, NULL, &result, &error), 0);
	assert_int_equal(result.damage, 0);
}

static void test_an_index_that_is_damaged_is_not_taken(void **state)
{
	struct store_dir *s = *state;
	uint64_t bytes;

	kill_one(s);
	bytes = store_size(s, "index");
	/* Each page, and its header. */
	for (uint64_t at = 0; at + 4096 <= bytes; at += 4096) {
		char before[8192] = { 0 };
		struct quiver *store;
		char path[UNIT_PATH_BYTES + 64];

		unit_read(&s->dir, STORE_NAME "/index", before, 4096, (off_t)at);
		if (memcmp(before, before + 4096, 4096) == 0)
			continue; /* a hole */
		(void)snprintf(path, sizeof(path), "%s/copy", s->dir.path);
		recoveries_copy(s->path, path);
		store_flip(s, "index", (at + 80) * 8);
		store = open_mode(s, QUIVER_FSYNC);
		all_are_there(store);
		close_store(store);
		assert_int_equal(test_remove(s->path), 0);
		assert_int_equal(rename(path, s->path), 0);
	}
}

/* In free slots below the end, by commits of which nothing is in the log. */
static int put_unlogged_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_NONE);
	int r = 0;

	for (uint64_t id = 1000; r == 0 && id < 1010; id++)
		r = put_version(store, id, 1, 0);
	return r == 0 && syncs_of(store) > 0 ? 0 : 1;
}

/* Put back from a copy: it tells of rows that were stored in another life. */
static void test_notes_of_an_earlier_time_are_of_no_use(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	char now[UNIT_PATH_BYTES + 64], then[UNIT_PATH_BYTES + 64];

	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	(void)snprintf(now, sizeof(now), "%s/regions", s->path);
	(void)snprintf(then, sizeof(then), "%s/then", s->dir.path);
	recoveries_copy_file(now, then);
	store = open_mode(s, QUIVER_FSYNC);
	for (uint64_t id = 0; id < FEW; id += 2)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	close_store(store);
	die_in_child(put_unlogged_and_die, s);
	assert_true(both_ways(s));
	assert_int_equal(rename(then, now), 0);
	assert_false(both_ways(s));
}

/* Two copies of a store go on, each by itself and for as long: the same LSN, count and generation, in
 * the same file. */
static int put_another_and_die(void *arg)
{
	struct store_dir *s = arg;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	uint64_t id = strstr(s->path, "copy") ? 801 : 802;

	return put_version(store, id, 1, 0) == 0 && quiver_checkpoint(store) == 0 ? 0 : 1;
}

static void swap_indexes(const struct store_dir *a, const struct store_dir *b, const char *room)
{
	char of_a[UNIT_PATH_BYTES + 64], of_b[UNIT_PATH_BYTES + 64];

	(void)snprintf(of_a, sizeof(of_a), "%s/index", a->path);
	(void)snprintf(of_b, sizeof(of_b), "%s/index", b->path);
	assert_int_equal(rename(of_a, room), 0);
	assert_int_equal(rename(of_b, of_a), 0);
	assert_int_equal(rename(room, of_b), 0);
}

static void has_its_own(struct store_dir *s, uint64_t id, uint64_t others)
{
	struct quiver *store = open_mode(s, QUIVER_FSYNC);

	assert_false(took_index(store));
	assert_int_equal(version_of(store, id), 1);
	assert_int_equal(version_of(store, others), 0);
	assert_int_equal(quiver_count(store), FEW + 1);
	close_store(store);
}

static void test_an_index_of_a_copy_that_went_on_by_itself_is_not_taken(void **state)
{
	struct store_dir *s = *state;
	struct store_dir copy = *s;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	char room[UNIT_PATH_BYTES + 64];

	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	(void)snprintf(copy.path, sizeof(copy.path), "%s/copy", s->dir.path);
	(void)snprintf(room, sizeof(room), "%s/room", s->dir.path);
	for (int killed = 0; killed < 2; killed++) {
		if (killed)
			assert_int_equal(test_remove(copy.path), 0);
		recoveries_copy(s->path, copy.path);
		die_in_child(put_another_and_die, s);
		die_in_child(put_another_and_die, &copy);
		if (!killed) {
			close_store(open_mode(s, QUIVER_FSYNC));
			close_store(open_mode(&copy, QUIVER_FSYNC));
		}
		swap_indexes(s, &copy, room);
		has_its_own(s, 802, 801);
		has_its_own(&copy, 801, 802);
		store = open_mode(s, QUIVER_FSYNC);
		assert_int_equal(quiver_remove(store, 802, 0, NULL), 0);
		close_store(store);
	}
}

/* As in a store that was closed: the log says nothing of it, and nobody looks. */
static int put_one_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	return put_version(store, 900, 1, 0) == 0 ? 0 : 1;
}

static void test_a_row_that_is_damaged_shows_when_it_is_read(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);

	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(put_version(store, id, 1, 0), 0);
	close_store(store);
	die_in_child(put_one_and_die, s);
	store_flip(s, "meta.npy", (4096 + 7 * 56 + 9) * 8);
	store = open_mode(s, QUIVER_FSYNC);
	assert_true(took_index(store));
	for (uint64_t id = 0; id < FEW; id++)
		assert_int_equal(version_of(store, id), id == 7 ? UINT64_MAX : 1);
	assert_int_equal(version_of(store, 900), 1);
	close_store(store);
}

/* ---- how rarely it syncs ---- */

#define IMPORTED 100000u

static void put_run(struct quiver *store, uint64_t first, uint64_t count, uint64_t version)
{
	static uint8_t bytes[1000][STORE_DIM];
	struct quiver_record records[1000];
	struct quiver_attr attr = attr_of(version);

	for (uint64_t done = 0; done < count; done += 1000) {
		for (uint64_t i = 0; i < 1000; i++) {
			vector_fill(bytes[i], STORE_DIM, first + done + i, version);
			records[i] =
				(struct quiver_record){ .id = first + done + i, .data = bytes[i] };
		}
		assert_int_equal(
			quiver_put_batch(store, records, 1000, &attr, QUIVER_ATTR_ALL, 0, NULL), 0);
	}
}

static void test_notes_are_synced_rarely(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	uint64_t checkpoints, before;
	uint64_t random = test_seed();

	/* Behind the slots in use nothing is noted, but by checkpoints. */
	for (uint64_t i = 0; i < 4; i++) {
		put_run(store, i * IMPORTED / 4, IMPORTED / 4, 1);
		assert_int_equal(quiver_checkpoint(store), 0);
	}
	checkpoints = stats_of(store).checkpoints;
	assert_in_range(syncs_of(store), 1, 2 * checkpoints);
	printf("# import of %u: %" PRIu64 " syncs of notes, %" PRIu64 " checkpoints\n", IMPORTED,
	       syncs_of(store), checkpoints);
	/* Overwrites of a full store: their own slots, of the checkpoint before, come back. */
	before = syncs_of(store);
	for (uint64_t round = 0; round < 4; round++) {
		for (uint64_t i = 0; i < 2000; i++)
			assert_int_equal(put_version(store, test_below(&random, IMPORTED), 2, 0),
			                 0);
		assert_int_equal(quiver_checkpoint(store), 0);
	}
	assert_in_range(syncs_of(store) - before, 4, 4 * 5);
	printf("# 4 times 2,000 overwrites and a checkpoint: %" PRIu64 "\n",
	       syncs_of(store) - before);
	/* Of one that is full of holes. */
	for (uint64_t id = 0; id < IMPORTED; id += 2)
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	before = syncs_of(store);
	put_run(store, 2 * IMPORTED, IMPORTED / 2, 3);
	assert_in_range(syncs_of(store) - before, 1, 6);
	printf("# 50,000 into every other slot: %" PRIu64 "\n", syncs_of(store) - before);
	close_store(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_that_an_interrupted_checkpoint_has_freed,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_rows_that_an_interrupted_checkpoint_of_mode_none_has_freed,
			setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_rows_that_snapshots_have, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_a_table_that_grows_while_the_log_is_applied,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_an_index_is_durable_before_a_superblock_names_it, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_under_load_an_index_is_kept, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(
			test_under_load_on_a_full_disk_it_is_kept_the_next_time, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_refused_checkpoint_leaves_no_new_file_and_goes_on_with_the_one_there_is,
			setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_a_new_file_stays_where_its_superblock_could_not_be_written,
			setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_a_new_file_of_who_died_is_removed, setup_store,
		                                teardown_store),
		cmocka_unit_test_setup_teardown(test_rows_above_a_cut_that_was_put_off_are_noted,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_of_a_store_that_was_killed_few_rows_are_looked_at, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_who_only_reads_recovers_with_it_too,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_without_its_files_the_rows_are_looked_at,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_notes_that_are_damaged_cost_time_alone,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_a_link_in_place_of_the_notes_is_told,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_an_index_that_is_damaged_is_not_taken,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_notes_of_an_earlier_time_are_of_no_use,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(
			test_an_index_of_a_copy_that_went_on_by_itself_is_not_taken, setup_store,
			teardown_store),
		cmocka_unit_test_setup_teardown(test_a_row_that_is_damaged_shows_when_it_is_read,
		                                setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_notes_are_synced_rarely, setup_store,
		                                teardown_store),
	};

	test_in_memory();
	test_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
