#include "unit.h"

#include "store_test.h"

#include <xxhash.h>

#define COUNT 50u

struct said {
	char text[16384];
};

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

static void fill(struct quiver *store)
{
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(put_version(store, id, id + 1, 0), 0);
}

/* A store with COUNT vectors in as many slots, closed cleanly. */
static void fill_and_close(struct store_dir *s)
{
	struct quiver *store = open_with(s, NULL);

	fill(store);
	close_store(store);
}

static int fill_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	fill(store);
	return 0;
}

/* After a repair: everything is there but `lost`, and the next check finds nothing. */
static void check_rest(struct store_dir *s, uint64_t lost)
{
	struct said said;
	struct quiver *store;
	struct quiver_check_result result = check(s, false, &said);

	assert_int_equal(result.damage, 0);
	assert_true(result.clean);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(version_of(store, id), id == lost ? 0 : id + 1);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(put_version(store, COUNT, 1, 0), 0);
	close_store(store);
}

static void test_a_good_store_has_no_damage(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct said said;

	fill_and_close(s);
	result = check(s, false, &said);
	assert_int_equal(result.vectors, COUNT);
	assert_int_equal(result.damage, 0);
	assert_true(result.clean);
	assert_string_equal(said.text, "");
	result = check(s, true, &said);
	assert_int_equal(result.damage + result.repaired, 0);
	check_rest(s, UINT64_MAX);
}

static void test_a_store_in_use_is_not_checked(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store = open_with(s, NULL);
	char pid[32];

	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	assert_int_equal(quiver_check(s->path, true, NULL, NULL, &result, &error), -EBUSY);
	assert_non_null(strstr(error.text, pid));
	close_store(store);
}

/* Damage to vector 7: found without a repair, moved aside by one. */
static void lose_one(struct store_dir *s, const char *file, uint64_t bit, const char *expected)
{
	struct said said;
	struct quiver_check_result result;

	fill_and_close(s);
	store_flip(s, file, bit);
	result = check(s, false, &said);
	assert_true(result.damage > 0);
	assert_int_equal(result.repaired, 0);
	assert_non_null(strstr(said.text, expected));
	result = check(s, false, &said); /* nothing was changed */
	assert_true(result.damage > 0);
	result = check(s, true, &said);
	assert_true(result.damage > 0 && result.repaired >= result.damage);
	assert_non_null(strstr(said.text, "lost+found"));
	check_rest(s, 7);
}

static void test_a_flip_in_a_vector_is_found_and_the_vector_moved_aside(void **state)
{
	struct store_dir *s = *state;
	uint8_t kept[STORE_DIM];
	uint8_t want[STORE_DIM];

	lose_one(s, "vectors.npy", (4096 + 7 * STORE_DIM + 50) * 8 + 3, "vector 7");
	/* What is left of it is kept, but for the bit. */
	unit_read(&s->dir, STORE_NAME "/lost+found/slot-7-id-7.bin", kept, sizeof(kept), 0);
	vector_fill(want, STORE_DIM, 7, 8);
	want[50] ^= 8;
	assert_memory_equal(kept, want, sizeof(kept));
}

static void test_a_flip_in_an_id_is_found(void **state)
{
	lose_one(*state, "ids.npy", (4096 + 7 * 8) * 8 + 9, "row 7");
}

static void test_a_flip_anywhere_in_a_row_is_found(void **state)
{
	struct store_dir *s = *state;
	static const unsigned bytes[] = { 0, 9, 17, 25, 33, 41, 49, 51, 54 };

	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		lose_one(s, "meta.npy", (4096 + 7 * 56 + bytes[i]) * 8 + i, "row 7");
		unit_dir_remove(&s->dir);
		unit_dir_make(&s->dir);
		store_create(s, STORE_DIM, QUIVER_U1);
	}
}

/* There is damage, the check says so, and a repair loses no vector. */
static void repair_without_loss(struct store_dir *s, const char *expected)
{
	struct said said;
	struct quiver_check_result result;

	result = check(s, false, &said);
	assert_true(result.damage > 0);
	assert_non_null(strstr(said.text, expected));
	result = check(s, true, &said);
	assert_true(result.repaired >= result.damage);
	check_rest(s, UINT64_MAX);
}

/* Damage that costs no vector. */
static void lose_none(struct store_dir *s, const char *file, uint64_t bit, const char *expected)
{
	store_flip(s, file, bit);
	repair_without_loss(s, expected);
}

static void test_a_flip_in_the_index_is_found_and_the_index_written_anew(void **state)
{
	struct store_dir *s = *state;

	fill_and_close(s);
	lose_none(s, "index", store_index_at(s, 0) * 8 + 1000, "index");
}

static uint64_t number_at(const uint8_t *bytes, uint64_t at)
{
	uint64_t n;

	memcpy(&n, bytes + at, sizeof(n));
	return n;
}

/* Some bucket of a page of the table that has somebody in its first place: a byte of the hash for
 * each place, from byte 16 on the slots. */
static uint8_t *some_bucket(uint8_t *page)
{
	uint64_t at = 64;

	while (page[at] == 0)
		at += 64;
	return page + at;
}

static void hide_a_vector(uint8_t *one, uint8_t *other)
{
	(void)other;
	some_bucket(one)[0] = 0;
}

/* Two that are far apart, so that neither is found where the other was. */
static void exchange_two(uint8_t *one, uint8_t *other)
{
	uint8_t kept[4];

	memcpy(kept, some_bucket(one) + 16, 4);
	memcpy(some_bucket(one) + 16, some_bucket(other) + 16, 4);
	memcpy(some_bucket(other) + 16, kept, 4);
}

/* In two pages of the table, whose checksums fit then. FORMAT.md. */
static void check_a_lie(struct store_dir *s, void (*lie)(uint8_t *one, uint8_t *other),
                        const char *line)
{
	char path[UNIT_PATH_BYTES + 32];
	uint8_t pages[2][4096];
	uint64_t at[2];
	int fd;

	fill_and_close(s);
	snprintf(path, sizeof(path), "%s/index", s->path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++) {
		at[i] = store_index_at(s, (uint64_t)i);
		assert_int_equal(pread(fd, pages[i], 4096, (off_t)at[i]), 4096);
	}
	lie(pages[0], pages[1]);
	for (int i = 0; i < 2; i++) {
		uint64_t sum = XXH3_64bits_withSeed(pages[i] + 64, 4032, number_at(pages[i], 16));

		memcpy(pages[i] + 24, &sum, 8);
		assert_int_equal(pwrite(fd, pages[i], 4096, (off_t)at[i]), 4096);
	}
	assert_int_equal(close(fd), 0);
	repair_without_loss(s, line);
}

static void test_an_index_that_hides_a_vector_behind_good_checksums_is_found(void **state)
{
	check_a_lie(*state, hide_a_vector, "index: damaged");
}

static void test_an_index_with_entries_in_wrong_places_is_found(void **state)
{
	check_a_lie(*state, exchange_two, "index: 2 slots do not agree");
}

static void test_a_flip_in_one_copy_of_the_superblock_is_found_and_mended(void **state)
{
	struct store_dir *s = *state;

	fill_and_close(s);
	lose_none(s, "superblock", 50 * 8, "superblock");
	lose_none(s, "superblock", (4096 + 50) * 8, "superblock");
}

/* Which copy counts, by its sequence number. */
static uint64_t newer_copy(const struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 32];
	uint64_t sequence[2];
	int fd;

	snprintf(path, sizeof(path), "%s/superblock", s->path);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pread(fd, &sequence[i], 8, i * 4096 + 32), 8);
	assert_int_equal(close(fd), 0);
	return sequence[1] > sequence[0];
}

/* The older one, which then counts, says that the store was not closed. */
static void test_a_flip_in_the_copy_of_the_superblock_that_counts_is_found(void **state)
{
	static const uint64_t bytes[] = { 0, 12, 32, 64, 300, 2000, 4090 };
	struct store_dir *s = *state;

	fill_and_close(s);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		lose_none(s, "superblock", (newer_copy(s) * 4096 + bytes[i]) * 8, "superblock");
}

static void test_an_id_in_a_free_row_is_found(void **state)
{
	struct store_dir *s = *state;
	struct quiver *store = open_with(s, NULL);
	struct said said;

	fill(store);
	assert_int_equal(put_version(store, COUNT, 1, 0), 0); /* the last slot stays in use */
	assert_int_equal(quiver_remove(store, 7, 0, NULL), 0);
	close_store(store);
	store_flip(s, "ids.npy", (4096 + 7 * 8) * 8 + 9);
	assert_true(check(s, false, &said).damage > 0);
	assert_true(check(s, true, &said).repaired > 0);
	assert_int_equal(check(s, false, &said).damage, 0);
	store = open_with(s, NULL);
	assert_int_equal(quiver_count(store), COUNT);
	close_store(store);
}

static void test_failure_2_a_flip_in_the_middle_of_the_log_is_found_and_the_rest_kept(void **state)
{
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver_check_result result;
	struct quiver *store;
	struct said said;
	char segment[64];

	die_in_child(fill_and_die, s);
	assert_true(store_segment(s, 0, segment, sizeof(segment)));
	/* The length of the 21st record: 128 bytes of header, 104 of payload. */
	store_flip(s, segment, (4096 + 20 * 232) * 8 + 3);
	assert_int_equal(open_result(s, NULL, &store, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "corrupt"));
	assert_non_null(strstr(error.text, ".wal"));
	result = check(s, false, &said);
	assert_true(result.damage > 0 && !result.clean);
	assert_int_equal(result.log_records, 20);
	result = check(s, true, &said);
	assert_true(result.repaired >= result.damage);
	snprintf(said.text, sizeof(said.text), STORE_NAME "/lost+found/%s", segment + 4);
	assert_true(unit_size(&s->dir, said.text) > 0); /* the log itself is kept */
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(version_of(store, id), id < 20 ? id + 1 : 0);
	close_store(store);
}

/* A row from before the checkpoint, which the log does not mend. */
static void test_a_bad_row_of_a_store_that_crashed_is_found_and_repaired(void **state)
{
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver *store;
	struct said said;

	fill_and_close(s);
	die_in_child(fill_and_die, s); /* the same again: COUNT records in the log */
	store = open_with(s, NULL);
	close_store(store);
	store_flip(s, "meta.npy", (4096 + 7 * 56 + 9) * 8);
	store = NULL;
	assert_true(check(s, false, &said).damage > 0);
	assert_int_equal(open_result(s, NULL, &store, &error), 0); /* by its good index */
	assert_int_equal(quiver_close(store), 0);
	assert_true(check(s, true, &said).repaired > 0);
	assert_int_equal(check(s, false, &said).damage, 0);
}

static int remove_and_die(void *arg)
{
	struct quiver *store = open_mode(arg, QUIVER_ALWAYS);

	return quiver_remove(store, 9, 0, NULL) == 0 ? 0 : 1;
}

static void test_a_bad_row_beside_a_log_to_replay_is_found_and_repaired(void **state)
{
	struct store_dir *s = *state;
	struct quiver_error error = { "" };
	struct quiver *store;
	struct said said;

	fill_and_close(s);
	die_in_child(remove_and_die, s);
	store_flip(s, "meta.npy", (4096 + 7 * 56 + 9) * 8);
	assert_true(check(s, false, &said).damage > 0);
	/* With the index that was kept nobody looks at the row; without it all are. */
	assert_int_equal(unlinkat(s->dir.fd, STORE_NAME "/index", 0), 0);
	assert_int_equal(open_result(s, NULL, &store, &error), -EUCLEAN);
	assert_true(check(s, false, &said).damage > 0);
	assert_true(check(s, true, &said).repaired > 0);
	assert_int_equal(check(s, false, &said).damage, 0);
	store = open_with(s, NULL);
	for (uint64_t id = 0; id < COUNT; id++)
		assert_int_equal(version_of(store, id), id == 7 || id == 9 ? 0 : id + 1);
	close_store(store);
}

static void test_a_crash_alone_is_no_damage_and_repair_replays_the_log(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct said said;

	die_in_child(fill_and_die, s);
	result = check(s, false, &said);
	assert_int_equal(result.damage, 0);
	assert_int_equal(result.log_records, COUNT);
	assert_false(result.clean);
	result = check(s, true, &said);
	assert_int_equal(result.damage, 0);
	check_rest(s, UINT64_MAX);
}

static void test_files_that_do_not_belong_together_are_refused_with_a_reason(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	fill_and_close(s);
	unit_truncate(&s->dir, STORE_NAME "/vectors.npy", 4096 + 10 * STORE_DIM);
	assert_int_equal(quiver_check(s->path, true, NULL, NULL, &result, &error), -EUCLEAN);
	assert_non_null(strstr(error.text, "vectors.npy"));
}

static void remove_log_folder(struct store_dir *s)
{
	char path[UNIT_PATH_BYTES + 32];

	snprintf(path, sizeof(path), "%s/wal", s->path);
	assert_int_equal(rmdir(path), 0);
}

static void test_a_copy_without_the_empty_folder_of_the_log_is_whole(void **state)
{
	struct store_dir *s = *state;
	struct said said;

	fill_and_close(s);
	remove_log_folder(s);
	assert_int_equal(check(s, false, &said).damage, 0);
	check_rest(s, UINT64_MAX);
}

static void test_a_store_that_crashed_and_has_no_log_is_refused_by_its_name(void **state)
{
	struct store_dir *s = *state;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	char path[UNIT_PATH_BYTES + 32];
	char moved[UNIT_PATH_BYTES + 32];
	struct said said;

	die_in_child(fill_and_die, s);
	snprintf(path, sizeof(path), "%s/wal", s->path);
	snprintf(moved, sizeof(moved), "%s/moved", s->path);
	assert_int_equal(rename(path, moved), 0);
	assert_int_equal(quiver_check(s->path, true, NULL, NULL, &result, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/wal: the folder of the log is missing"));
	assert_int_equal(rename(moved, path), 0);
	check(s, true, &said);
	check_rest(s, UINT64_MAX);
}

static void test_what_lies_in_place_of_the_log_is_found(void **state)
{
	static const char *const names[] = { "wal", "durable" };
	struct store_dir *s = *state;

	fill_and_close(s);
	remove_log_folder(s);
	for (size_t i = 0; i < 2; i++) {
		struct quiver *store;
		struct said said;
		char path[UNIT_PATH_BYTES + 32];

		snprintf(path, sizeof(path), "%s/%s", s->path, names[i]);
		assert_true(unlink(path) == 0 || errno == ENOENT);
		assert_int_equal(symlink("/nowhere", path), 0);
		assert_int_equal(check(s, false, &said).damage, 1);
		assert_non_null(strstr(said.text, names[i]));
		assert_non_null(strstr(said.text, "found a symbolic link"));
		assert_int_equal(open_result(s, NULL, &store, NULL), -ELOOP);
		assert_int_equal(unlink(path), 0);
		/* The log may have begun before it was met. */
		assert_int_equal(check(s, true, &said).damage, 0);
		check_rest(s, UINT64_MAX);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_a_good_store_has_no_damage),
		TEST(test_a_store_in_use_is_not_checked),
		TEST(test_a_flip_in_a_vector_is_found_and_the_vector_moved_aside),
		TEST(test_a_flip_in_an_id_is_found),
		TEST(test_a_flip_anywhere_in_a_row_is_found),
		TEST(test_a_flip_in_the_index_is_found_and_the_index_written_anew),
		TEST(test_an_index_that_hides_a_vector_behind_good_checksums_is_found),
		TEST(test_an_index_with_entries_in_wrong_places_is_found),
		TEST(test_a_flip_in_one_copy_of_the_superblock_is_found_and_mended),
		TEST(test_a_flip_in_the_copy_of_the_superblock_that_counts_is_found),
		TEST(test_an_id_in_a_free_row_is_found),
		TEST(test_failure_2_a_flip_in_the_middle_of_the_log_is_found_and_the_rest_kept),
		TEST(test_a_bad_row_of_a_store_that_crashed_is_found_and_repaired),
		TEST(test_a_bad_row_beside_a_log_to_replay_is_found_and_repaired),
		TEST(test_a_crash_alone_is_no_damage_and_repair_replays_the_log),
		TEST(test_a_copy_without_the_empty_folder_of_the_log_is_whole),
		TEST(test_a_store_that_crashed_and_has_no_log_is_refused_by_its_name),
		TEST(test_what_lies_in_place_of_the_log_is_found),
		TEST(test_files_that_do_not_belong_together_are_refused_with_a_reason),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
