/*
 * test_check_snapshots.c - damage of snapshots, of their files and of what only they have: check tells of
 * it, the store opens, nobody gets other bytes, and a repair leaves what is whole.
 */
#include "unit.h"

#include <xxhash.h>

#include "engine/disk/snapshot_files.h"
#include "snapshot_oracle.h"

#define VERSIONS STORE_NAME "/versions"
#define FILE_A STORE_NAME "/snapshots/a"
#define FILE_B STORE_NAME "/snapshots/b"
#define RECORD_BYTES 96u
#define RECORDS 18u /* in `versions` */
#define KEPT 14u /* of them of vectors */

struct said {
	char text[16384];
};

/* What is live, and what each snapshot has. */
static struct moment now, in_a, in_b;

static void hear(void *arg, const char *line)
{
	struct said *said = arg;
	size_t used = strlen(said->text);

	snprintf(said->text + used, sizeof(said->text) - used, "%s\n", line);
}

static struct quiver_check_result check(struct store_dir *s, bool repair, struct said *said)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	said->text[0] = '\0';
	if (quiver_check(s->path, repair, hear, said, &result, &error) != 0)
		fail_msg("%s (%s)", error.text, said->text);
	return result;
}

static void put(struct quiver *store, uint64_t id, uint64_t version)
{
	assert_int_equal(put_version(store, id, version, 0), 0);
	now.version[id] = version;
	now.was[id] = id;
	now.mode[id] = attr_of(version).mode;
}

static void take(struct quiver *store, uint64_t id)
{
	assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	now.version[id] = 0;
}

static void set_mode(struct quiver *store, uint64_t id, uint16_t mode)
{
	struct quiver_attr attr = { .mode = mode };

	assert_int_equal(quiver_set_attr(store, id, &attr, QUIVER_ATTR_MODE, 0), 0);
	now.mode[id] = mode;
}

/* Two snapshots, and rows of all kinds that only they have. */
static void work(struct quiver *store)
{
	memset(&now, 0, sizeof(now));
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		put(store, id, id + 1);
	assert_int_equal(quiver_snapshot_create(store, "a", NULL), 0);
	in_a = now;
	for (uint64_t id = 0; id < 8; id++)
		put(store, id, 100 + id);
	for (uint64_t id = 8; id < 12; id++)
		set_mode(store, id, 0123);
	take(store, 12);
	assert_int_equal(quiver_snapshot_create(store, "b", NULL), 0);
	in_b = now;
	for (uint64_t id = 0; id < 4; id++)
		put(store, id, 200 + id);
	take(store, 13);
}

static void make(struct store_dir *s)
{
	struct quiver *store = open_with(s, NULL);

	work(store);
	close_store(store);
}

static int make_and_die(void *arg)
{
	struct quiver *store = open_with(arg, NULL);

	work(store);
	return 0;
}

static void live_is_right(struct quiver *store)
{
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		assert_int_equal(version_of(store, id), now.version[id]);
}

/* What can be read of a snapshot is what it had. How many there are; -errno where it cannot be opened. */
static int64_t never_wrong(const struct store_dir *s, const char *name, const struct moment *moment,
                           bool whole)
{
	struct snapshot_scan *scan;
	struct quiver_error error = { "" };
	struct snapshot_row row;
	uint8_t bytes[STORE_BYTES_MAX];
	uint64_t next = 0;
	int64_t count = 0;
	int64_t n;
	int r = snapshot_scan_open(s->path, name, NULL, &scan, &error);

	if (r)
		return r;
	while ((n = snapshot_scan_read(scan, &next, &row, 1, &error)) > 0) {
		count++;
		assert_true(row.id < MOMENT_IDS);
		if (snapshot_scan_vector(scan, &row, bytes, &error) != 0) {
			assert_false(whole);
			continue;
		}
		assert_int_equal(vector_version(bytes, s->n, row.id), moment->version[row.id]);
		assert_int_equal(row.row.attr.mode, moment->mode[row.id]);
	}
	if (whole) {
		assert_int_equal(n, 0);
		if (snapshot_scan_whole(scan, (uint64_t)count, &error) != 0)
			fail_msg("%s", error.text);
	}
	snapshot_scan_close(scan);
	return count;
}

/* What each shall have after a repair, -1: it is not there. */
struct left {
	int64_t a, b;
};

/* The store as it was damaged: it opens and gives what is right, check tells of the damage, a repair
 * mends it. `says`: what the check must say. */
static void is_mended_saying(struct store_dir *s, const char *says, struct left left)
{
	struct quiver_check_result result;
	struct quiver *store;
	struct said said, repaired;

	result = check(s, false, &said);
	if (result.damage == 0 || !strstr(said.text, says))
		fail_msg("%s expected, said: %s", says, said.text);
	(void)never_wrong(s, "a", &in_a, false);
	(void)never_wrong(s, "b", &in_b, false);
	result = check(s, true, &repaired);
	assert_true(result.repaired >= result.damage);
	result = check(s, false, &said);
	if (result.damage != 0 || !result.clean)
		fail_msg("after %s: %s", repaired.text, said.text);
	assert_int_equal(result.snapshots, (left.a >= 0) + (left.b >= 0));
	store = open_with(s, NULL);
	assert_int_equal(stats_of(store).snapshots, result.snapshots);
	assert_int_equal(never_wrong(s, "a", &in_a, true), left.a >= 0 ? left.a : -ENOENT);
	assert_int_equal(never_wrong(s, "b", &in_b, true), left.b >= 0 ? left.b : -ENOENT);
	for (int i = 0; i < 2; i++) {
		const struct moment *moment = i ? &in_b : &in_a;
		int64_t count = i ? left.b : left.a;
		struct quiver_snapshot snapshot;

		if (count < 0)
			continue;
		assert_int_equal(quiver_snapshot_stat(store, i ? "b" : "a", &snapshot), 0);
		assert_int_equal(snapshot.count, count);
		/* It says so itself where it is not whole. */
		assert_int_equal(snapshot.damaged, count != (int64_t)moment_count(moment));
	}
	live_is_right(store);
	for (int i = 0; i < 2; i++)
		(void)quiver_snapshot_remove(store, i ? "b" : "a");
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	assert_int_equal(leaked_slots(store), 0);
	live_is_right(store);
	close_store(store);
}

/* The same after a life of the store that goes on with the damage. */
static void opens_all_the_same(struct store_dir *s)
{
	struct quiver *store = open_with(s, NULL);

	live_is_right(store);
	put(store, 20, 300);
	(void)never_wrong(s, "a", &in_a, false);
	(void)never_wrong(s, "b", &in_b, false);
	close_store(store);
}

static void damaged(struct store_dir *s, const char *says, void (*spoil)(struct store_dir *s),
                    struct left left)
{
	for (int lives = 0; lives < 2; lives++) {
		make(s);
		spoil(s);
		if (lives)
			opens_all_the_same(s);
		is_mended_saying(s, lives ? "" : says, left);
		assert_int_equal(test_remove(s->path), 0);
		store_create(s, STORE_DIM, QUIVER_U1);
	}
}

static struct left all(void)
{
	return (struct left){ (int64_t)moment_count(&in_a), (int64_t)moment_count(&in_b) };
}

/* ---- what is whole ---- */

static void a_good_store_has_no_damage(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct said said;

	make(s);
	assert_int_equal(unit_size(&s->dir, VERSIONS), 4096 + RECORDS * RECORD_BYTES);
	result = check(s, false, &said);
	assert_string_equal(said.text, "");
	assert_int_equal(result.damage, 0);
	assert_int_equal(result.snapshots, 2);
	assert_int_equal(result.kept_vectors, KEPT);
	assert_int_equal(result.vectors, moment_count(&now));
	snapshot_is(s, "a", &in_a);
	snapshot_is(s, "b", &in_b);
}

static void what_a_crash_leaves_is_no_damage(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver *store;
	struct said said;

	die_in_child(make_and_die, s);
	result = check(s, false, &said);
	assert_string_equal(said.text, "");
	assert_false(result.clean);
	assert_int_equal(result.damage, 0);
	assert_int_equal(result.snapshots, 2);
	result = check(s, true, &said);
	assert_int_equal(result.damage, 0);
	result = check(s, false, &said);
	assert_true(result.clean);
	assert_int_equal(result.damage, 0);
	assert_int_equal(result.kept_vectors, KEPT);
	store = open_with(s, NULL);
	assert_int_equal(stats_of(store).slots_held, KEPT);
	close_store(store);
}

/* ---- versions ---- */

static uint64_t spoiled_record;

static void spoil_record(struct store_dir *s)
{
	unit_flip(&s->dir, VERSIONS, 8 * (4096 + RECORD_BYTES * spoiled_record + 30) + 3);
}

static void a_damaged_record_is_told_and_one_vector_lost(void **state)
{
	/* Those of a, then those of b: the checkpoint at the making of b wrote the first 13. */
	for (spoiled_record = 0; spoiled_record < RECORDS; spoiled_record += 4) {
		struct left left;
		bool both;

		make(*state);
		left = all();
		assert_int_equal(test_remove(((struct store_dir *)*state)->path), 0);
		store_create(*state, STORE_DIM, QUIVER_U1);
		both = spoiled_record == RECORDS - 1; /* vector 13, which both have */
		left.a -= spoiled_record < 13 || both;
		left.b -= spoiled_record >= 13;
		damaged(*state, "versions: expected rows of snapshots", spoil_record, left);
	}
}

static void spoil_header(struct store_dir *s)
{
	unit_flip(&s->dir, VERSIONS, 8 * 33);
}

static void a_damaged_header_costs_nothing(void **state)
{
	struct store_dir *s = *state;
	struct said said;

	make(s);
	spoil_header(s);
	is_mended_saying(s, "versions: the header is damaged", all());
	/* A life that writes mends it by itself. */
	assert_int_equal(test_remove(s->path), 0);
	store_create(s, STORE_DIM, QUIVER_U1);
	make(s);
	spoil_header(s);
	opens_all_the_same(s);
	assert_int_equal(check(s, false, &said).damage, 0);
	snapshot_is(s, "a", &in_a);
	snapshot_is(s, "b", &in_b);
}

static void spoil_all_records(struct store_dir *s)
{
	unit_truncate(&s->dir, VERSIONS, 4096);
}

static void spoil_by_removal(struct store_dir *s)
{
	assert_int_equal(unlinkat(s->dir.fd, VERSIONS, 0), 0);
}

static void spoil_by_stranger(struct store_dir *s)
{
	struct store_dir other = { .dir = s->dir };
	const struct moment kept[3] = { now, in_a, in_b };
	uint8_t file[4096 + RECORDS * RECORD_BYTES];

	snprintf(other.path, sizeof(other.path), "%s/other", s->dir.path);
	assert_int_equal(rename(s->path, other.path), 0);
	store_create(s, STORE_DIM, QUIVER_U1);
	make(s);
	unit_read(&s->dir, VERSIONS, file, sizeof(file), 0);
	assert_int_equal(test_remove(s->path), 0);
	assert_int_equal(rename(other.path, s->path), 0);
	unit_write(&s->dir, VERSIONS, file, sizeof(file), 0);
	now = kept[0];
	in_a = kept[1];
	in_b = kept[2];
}

static void a_file_of_rows_that_is_gone_costs_what_was_in_it(void **state)
{
	/* Only what is in the columns: not 0 to 12 and 13; of b not 0 to 3 and 13. */
	const struct left left = { MOMENT_IDS - 14, MOMENT_IDS - 1 - 5 };

	damaged(*state, "bytes of them are lost", spoil_all_records, left);
	damaged(*state, "(missing)", spoil_by_removal, left);
	damaged(*state, "from another store", spoil_by_stranger, left);
}

/* A copy of before is put back. */
static void an_earlier_file_of_rows_is_told(void **state)
{
	struct store_dir *s = *state;
	uint8_t file[4096 + 13 * RECORD_BYTES];

	make(s);
	unit_read(&s->dir, VERSIONS, file, sizeof(file), 0);
	assert_int_equal(unlinkat(s->dir.fd, VERSIONS, 0), 0);
	unit_write(&s->dir, VERSIONS, file, sizeof(file), 0);
	is_mended_saying(s, "bytes of them are lost",
	                 (struct left){ MOMENT_IDS - 1, MOMENT_IDS - 1 - 5 });
}

/* ---- snapshots/NAME ---- */

static void spoil_one_copy(struct store_dir *s)
{
	unit_flip(&s->dir, FILE_A, 8 * 50);
}

static void spoil_snapshot(struct store_dir *s)
{
	unit_flip(&s->dir, FILE_A, 8 * 50);
	unit_flip(&s->dir, FILE_A, 8 * (4096 + 600));
}

static void spoil_by_cut(struct store_dir *s)
{
	unit_truncate(&s->dir, FILE_A, 0);
}

static void spoil_by_link(struct store_dir *s)
{
	assert_int_equal(unlinkat(s->dir.fd, FILE_A, 0), 0);
	assert_int_equal(symlinkat("b", s->dir.fd, FILE_A), 0);
}

static void spoil_by_fifo(struct store_dir *s)
{
	assert_int_equal(unlinkat(s->dir.fd, FILE_A, 0), 0);
	assert_int_equal(mkfifoat(s->dir.fd, FILE_A, 0600), 0);
}

static void spoil_by_folder(struct store_dir *s)
{
	assert_int_equal(unlinkat(s->dir.fd, FILE_A, 0), 0);
	assert_int_equal(mkdirat(s->dir.fd, FILE_A, 0700), 0);
}

/* One of a state to come. */
static void spoil_by_lsn(struct store_dir *s)
{
	uint8_t file[SNAPSHOT_FILE_BYTES];

	unit_read(&s->dir, FILE_A, file, sizeof(file), 0);
	for (size_t at = 0; at < sizeof(file); at += SNAPSHOT_COPY_BYTES) {
		file[at + 48 + 7] = 1;
		put_le64(file + at + 4088, XXH3_64bits(file + at, 4088));
	}
	unit_write(&s->dir, FILE_A, file, sizeof(file), 0);
}

static void a_snapshot_that_cannot_be_read_is_moved_aside(void **state)
{
	struct store_dir *s = *state;
	struct left left;

	make(s);
	left = all();
	left.a = -1;
	assert_int_equal(test_remove(s->path), 0);
	store_create(s, STORE_DIM, QUIVER_U1);
	damaged(s, "snapshots/a: it is damaged", spoil_snapshot, left);
	damaged(s, "snapshots/a: it is damaged", spoil_by_cut, left);
	damaged(s, "symbolic link", spoil_by_link, left);
	damaged(s, "FIFO", spoil_by_fifo, left);
	damaged(s, "snapshots/a: ", spoil_by_folder, left);
	damaged(s, "snapshots/a: it is from a later state of the store", spoil_by_lsn, left);
	left = all();
	damaged(s, "one of its two copies", spoil_one_copy, left);
}

static void while_it_cannot_be_read_all_is_kept(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	make(s);
	spoil_snapshot(s);
	store = open_with(s, NULL);
	assert_true(store_said(store, "snapshots/a"));
	assert_int_equal(quiver_snapshot_remove(store, "b"), 0);
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		put(store, id, 400 + id);
	close_store(store);
	unit_flip(&s->dir, FILE_A, 8 * 50);
	snapshot_is(s, "a", &in_a);
	store = open_with(s, NULL);
	assert_int_equal(quiver_snapshot_remove(store, "a"), 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	close_store(store);
}

static void one_that_another_process_has_open_is_not_repaired(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct said said = { "" };
	char path[UNIT_PATH_BYTES + 32];
	int dir_fd, fd;

	make(s);
	spoiled_record = 2;
	spoil_record(s);
	snprintf(path, sizeof(path), "%s", s->path);
	dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = snapshot_files_hold(quiver_io_posix(), dir_fd, "a");
	assert_true(fd >= 0);
	assert_int_equal(quiver_check(s->path, true, hear, &said, &result, &error), -EBUSY);
	if (!strstr(error.text, "snapshots/a"))
		fail_msg("%s", error.text);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(dir_fd), 0);
	is_mended_saying(s, "snapshots/a", (struct left){ MOMENT_IDS - 1, MOMENT_IDS - 1 });
}

/* ---- vectors ---- */

static uint64_t spoiled_id;

/* A vector of a snapshot, by its bytes. */
static void spoil_vector(struct store_dir *s)
{
	uint64_t size = unit_size(&s->dir, STORE_NAME "/vectors.npy");
	uint8_t bytes[STORE_BYTES_MAX];
	unsigned spoiled = 0;

	for (uint64_t at = 4096; at + s->n <= size; at += s->n) {
		unit_read(&s->dir, STORE_NAME "/vectors.npy", bytes, s->n, (off_t)at);
		if (get_le64(bytes) != spoiled_id || get_le64(bytes + 8) != spoiled_id + 1)
			continue;
		unit_flip(&s->dir, STORE_NAME "/vectors.npy", 8 * (at + 20));
		spoiled++;
	}
	assert_int_equal(spoiled, 1);
}

static void a_vector_that_only_snapshots_have_is_compared(void **state)
{
	spoiled_id = 5; /* of a */
	damaged(*state, "vector 5 of snapshots", spoil_vector,
	        (struct left){ MOMENT_IDS - 1, MOMENT_IDS - 1 });
	spoiled_id = 13; /* of both */
	damaged(*state, "vector 13 of snapshots", spoil_vector,
	        (struct left){ MOMENT_IDS - 1, MOMENT_IDS - 2 });
}

static uint64_t mismatches_of(struct quiver *store)
{
	return run_job(store, QUIVER_VERIFY).mismatches;
}

static void a_verification_covers_what_only_snapshots_have(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;

	make(s);
	store = open_with(s, NULL);
	assert_int_equal(mismatches_of(store), 0);
	close_store(store);
	spoiled_id = 5;
	spoil_vector(s);
	store = open_with(s, NULL);
	assert_int_equal(mismatches_of(store), 1);
	assert_true(store_said(store, "vector 5 of snapshots"));
	/* What nobody has any more is nobody's damage. */
	assert_int_equal(quiver_snapshot_remove(store, "a"), 0);
	assert_int_equal(mismatches_of(store), 0);
	close_store(store);
}

/* One that is live, and whose attributes have changed since: all lose it. */
static void a_live_vector_that_is_damaged_is_lost_to_all(void **state)
{
	struct store_dir *s = *state;
	struct said said;

	make(s);
	spoiled_id = 9;
	spoil_vector(s);
	assert_int_equal(check(s, false, &said).damage, 2); /* the row in versions, too */
	now.version[9] = 0;
	is_mended_saying(s, "(vector 9)", (struct left){ MOMENT_IDS - 1, MOMENT_IDS - 2 });
}

/* Its row alone is damaged: snapshots that have kept the one before keep its bytes. */
static void the_bytes_of_a_damaged_row_stay_with_the_snapshot_that_has_another(void **state)
{
	struct store_dir *s = *state;

	make(s);
	store_flip(s, "meta.npy", 8 * (4096 + 9 * 56 + 20)); /* slots are in the order of IDs */
	now.version[9] = 0;
	is_mended_saying(s, "meta.npy: row 9", (struct left){ MOMENT_IDS, MOMENT_IDS - 2 });
}

/* ---- what others do with the folder ---- */

static void a_snapshot_whose_file_is_gone_is_removed(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store;
	struct said said;

	make(s);
	assert_int_equal(unlinkat(s->dir.fd, FILE_A, 0), 0);
	assert_int_equal(unlinkat(s->dir.fd, FILE_B, 0), 0);
	assert_int_equal(unlinkat(s->dir.fd, STORE_NAME "/snapshots", AT_REMOVEDIR), 0);
	assert_int_equal(check(s, false, &said).damage, 0);
	store = open_with(s, NULL);
	assert_int_equal(stats_of(store).snapshots, 0);
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	assert_int_equal(leaked_slots(store), 0);
	live_is_right(store);
	close_store(store);
	assert_int_equal(faccessat(s->dir.fd, VERSIONS, F_OK, 0), -1);
}

static void two_of_one_moment_have_the_same(void **state)
{
	struct store_dir *s = *state;
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct said said;

	make(s);
	unit_read(&s->dir, FILE_A, file, sizeof(file), 0);
	unit_write(&s->dir, STORE_NAME "/snapshots/c", file, sizeof(file), 0);
	assert_int_equal(check(s, false, &said).damage, 0);
	snapshot_is(s, "c", &in_a);
	opens_all_the_same(s);
	assert_int_equal(check(s, false, &said).snapshots, 3);
	snapshot_is(s, "a", &in_a);
	snapshot_is(s, "c", &in_a);
}

/* Put back when what it had is gone. */
static void one_that_was_removed_and_put_back_is_told(void **state)
{
	struct store_dir *s = *state;
	uint8_t file[SNAPSHOT_FILE_BYTES];
	struct quiver *store;
	struct said said;

	make(s);
	unit_read(&s->dir, FILE_A, file, sizeof(file), 0);
	store = open_with(s, NULL);
	assert_int_equal(quiver_snapshot_remove(store, "a"), 0);
	assert_int_equal(quiver_snapshot_remove(store, "b"), 0);
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		put(store, id, 500 + id);
	assert_int_equal(quiver_snapshot_create(store, "b", NULL), 0);
	in_b = now;
	close_store(store);
	unit_write(&s->dir, FILE_A, file, sizeof(file), 0);
	assert_true(check(s, false, &said).damage > 0);
	opens_all_the_same(s);
	is_mended_saying(s, "snapshots/a: expected 24 vectors", (struct left){ 0, MOMENT_IDS });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_store, teardown_store)
		TEST(a_good_store_has_no_damage),
		TEST(what_a_crash_leaves_is_no_damage),
		TEST(a_damaged_record_is_told_and_one_vector_lost),
		TEST(a_damaged_header_costs_nothing),
		TEST(a_file_of_rows_that_is_gone_costs_what_was_in_it),
		TEST(an_earlier_file_of_rows_is_told),
		TEST(a_snapshot_that_cannot_be_read_is_moved_aside),
		TEST(while_it_cannot_be_read_all_is_kept),
		TEST(one_that_another_process_has_open_is_not_repaired),
		TEST(a_vector_that_only_snapshots_have_is_compared),
		TEST(a_verification_covers_what_only_snapshots_have),
		TEST(a_live_vector_that_is_damaged_is_lost_to_all),
		TEST(the_bytes_of_a_damaged_row_stay_with_the_snapshot_that_has_another),
		TEST(a_snapshot_whose_file_is_gone_is_removed),
		TEST(two_of_one_moment_have_the_same),
		TEST(one_that_was_removed_and_put_back_is_told),
#undef TEST
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
