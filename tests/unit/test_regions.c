#include "unit.h"

#include "engine/commit/regions.h"
#include "failing_io.h"
#include "tests/common/random.h"

#define ROWS_MAX (40 * REGION_SLOTS)

static const uint8_t uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

struct life {
	struct unit_dir dir;
	struct failing_io io;
	struct slots slots;
	struct regions regions;
	uint64_t taken[ROWS_MAX];
};

static int setup(void **state)
{
	struct life *life = calloc(1, sizeof(*life));

	assert_non_null(life);
	unit_dir_make(&life->dir);
	failing_io_init(&life->io);
	assert_int_equal(slots_init(&life->slots, ROWS_MAX), 0);
	assert_int_equal(slots_set_rows(&life->slots, ROWS_MAX), 0);
	*state = life;
	return 0;
}

static int teardown(void **state)
{
	struct life *life = *state;

	assert_int_equal(regions_stop(&life->regions), 0);
	slots_destroy(&life->slots);
	unit_dir_remove(&life->dir);
	free(life);
	return 0;
}

static void start(struct life *life, uint64_t generation, uint64_t slots_used)
{
	assert_int_equal(regions_start(&life->regions, &life->io.table, life->dir.fd, uuid,
	                               &life->slots, generation, slots_used),
	                 0);
}

/* So many slots are in use, all of them taken. */
static void take(struct life *life, uint64_t count)
{
	assert_int_equal(slots_take(&life->slots, count, life->taken), 0);
}

/* What a recovery would be told. */
static uint8_t noted[REGIONS_MAX / 8];

/* Whether the file is of that time. */
static bool read_notes(const struct life *life, uint64_t generation)
{
	struct regions_file file;
	int r;

	assert_int_equal(regions_file_open(&file, quiver_io_posix(), life->dir.fd, uuid, false), 0);
	r = regions_file_read(&file, generation, noted);
	assert_true(r == 0 || r == -ESTALE);
	assert_int_equal(regions_file_close(&file), 0);
	return r == 0;
}

/* ... of the region of a slot. */
static bool tells(const struct life *life, uint64_t generation, uint64_t slot)
{
	uint64_t region = slot / REGION_SLOTS;

	(void)read_notes(life, generation);
	return noted[region / 8] >> (region % 8) & 1;
}

static uint64_t slot_in(uint64_t region)
{
	return region * REGION_SLOTS + region % REGION_SLOTS;
}

static int note(struct life *life, uint64_t region)
{
	uint64_t slot = slot_in(region);

	return regions_note(&life->regions, &slot, 1);
}

/* ---- bytes ---- */

static void test_a_sector_is_what_was_written_there_or_damaged(void **state)
{
	uint8_t bits[REGIONS_BITS_BYTES], sector[REGIONS_SECTOR_BYTES], back[REGIONS_BITS_BYTES];
	uint64_t seed = 1;
	uint64_t generation = 0;
	uint8_t other[16] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(bits); i++)
		bits[i] = (uint8_t)test_random(&seed);
	region_sector_encode(sector, 77, bits, uuid, 3);
	assert_int_equal(region_sector_decode(sector, uuid, 3, &generation, back), 0);
	assert_int_equal(generation, 77);
	assert_memory_equal(back, bits, sizeof(bits));
	assert_int_equal(region_sector_decode(sector, uuid, 4, &generation, back), -EBADMSG);
	assert_int_equal(region_sector_decode(sector, other, 3, &generation, back), -EBADMSG);
	for (size_t i = 0; i < sizeof(sector) * 8; i++) {
		sector[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_equal(region_sector_decode(sector, uuid, 3, &generation, back),
		                 -EBADMSG);
		sector[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
}

/* ---- the file ---- */

static void test_notes_of_the_generation_and_later_count(void **state)
{
	struct life *life = *state;
	uint8_t bits[REGIONS_BITS_BYTES] = { 0 };
	struct regions_file file;

	assert_int_equal(regions_file_open(&file, &life->io.table, life->dir.fd, uuid, true),
	                 -ENOENT);
	assert_int_equal(regions_file_create(&file, &life->io.table, life->dir.fd, uuid), 0);
	bits[0] = 1 << 2;
	assert_int_equal(regions_file_write(&file, 0, 0, 5, bits), 0);
	bits[0] = 1 << 3;
	assert_int_equal(regions_file_write(&file, 1, 0, 6, bits), 0);
	assert_true(tells(life, 5, slot_in(2)) && tells(life, 5, slot_in(3)));
	assert_true(!tells(life, 6, slot_in(2)) && tells(life, 6, slot_in(3)));
	assert_true(!tells(life, 7, slot_in(3)) && !tells(life, 5, slot_in(4)));
	assert_int_equal(regions_file_close(&file), 0);
}

static void test_a_file_of_an_earlier_time_is_told(void **state)
{
	struct life *life = *state;
	uint8_t bits[REGIONS_BITS_BYTES] = { 0 };
	struct regions_file file;

	assert_int_equal(regions_file_create(&file, &life->io.table, life->dir.fd, uuid), 0);
	assert_false(read_notes(life, 1));
	/* Any sector that can note, of either area. */
	assert_int_equal(regions_file_write(&file, 0, REGIONS_SECTORS - 1, 5, bits), 0);
	assert_true(read_notes(life, 5));
	assert_false(read_notes(life, 6));
	assert_int_equal(regions_file_write(&file, 1, 0, 6, bits), 0);
	assert_true(read_notes(life, 6));
	assert_false(read_notes(life, 7));
	/* ... and who opens the store, by a call that notes nothing. */
	assert_int_equal(regions_file_close(&file), 0);
	start(life, 7, 0);
	assert_true(read_notes(life, 7));
	for (size_t i = 0; i < sizeof(noted); i++)
		assert_int_equal(noted[i], 0);
	assert_false(read_notes(life, 8));
	/* What is damaged says nothing of its time. */
	assert_int_equal(
		pwrite(life->regions.file.fd, "x", 1, REGIONS_LIFE_SECTOR * REGIONS_SECTOR_BYTES),
		1);
	assert_false(read_notes(life, 7));
}

static void test_a_damaged_sector_notes_all_its_regions(void **state)
{
	struct life *life = *state;
	struct regions_file file;

	assert_int_equal(regions_file_create(&file, &life->io.table, life->dir.fd, uuid), 0);
	assert_true(!tells(life, 1, 0));
	assert_int_equal(pwrite(file.fd, "x", 1, REGIONS_AREA_SECTORS * REGIONS_SECTOR_BYTES + 9),
	                 1);
	for (uint64_t region = 0; region < ROWS_MAX / REGION_SLOTS; region++)
		assert_true(tells(life, 1, slot_in(region)));
	assert_true(!tells(life, 1, (uint64_t)REGIONS_SECTOR_BITS * REGION_SLOTS));
	assert_int_equal(regions_file_close(&file), 0);
}

static void test_a_file_that_is_too_short_is_made_anew(void **state)
{
	struct life *life = *state;
	struct regions_file file;

	assert_int_equal(regions_file_create(&file, &life->io.table, life->dir.fd, uuid), 0);
	assert_int_equal(ftruncate(file.fd, REGIONS_FILE_BYTES - 1), 0);
	assert_int_equal(regions_file_close(&file), 0);
	assert_int_equal(regions_file_open(&file, &life->io.table, life->dir.fd, uuid, true),
	                 -EBADMSG);
	start(life, 1, 0);
	assert_true(!tells(life, 1, 0));
}

static void test_each_failing_call_makes_no_file_or_all_of_it(void **state)
{
	struct life *life = *state;
	struct regions_file file;
	long calls;

	assert_int_equal(regions_file_create(&file, &life->io.table, life->dir.fd, uuid), 0);
	assert_int_equal(regions_file_close(&file), 0);
	calls = life->io.calls;
	for (long at = 1; at <= calls; at++) {
		int r;

		assert_true(unlinkat(life->dir.fd, "regions", 0) == 0 || errno == ENOENT);
		life->io.calls = 0;
		life->io.fail_at = at;
		life->io.error = -EIO;
		r = regions_file_create(&file, &life->io.table, life->dir.fd, uuid);
		if (r == 0)
			assert_true(regions_file_close(&file) == 0 || at == calls);
		life->io.fail_at = 0;
		r = regions_file_open(&file, &life->io.table, life->dir.fd, uuid, true);
		assert_true(r == 0 || r == -ENOENT);
		if (r == 0)
			assert_true(!tells(life, 1, 0));
		assert_int_equal(regions_file_close(&file), 0);
	}
}

/* Where its mark cannot be written nothing is noted in that life. */
static void test_who_cannot_begin_a_life_notes_nothing(void **state)
{
	struct life *life = *state;
	long calls;

	start(life, 3, 0);
	assert_int_equal(regions_stop(&life->regions), 0);
	life->io.calls = 0;
	memset(&life->regions, 0, sizeof(life->regions));
	start(life, 4, 0);
	calls = life->io.calls;
	for (long at = 1; at <= calls; at++) {
		assert_int_equal(regions_stop(&life->regions), 0);
		memset(&life->regions, 0, sizeof(life->regions));
		life->io.calls = 0;
		life->io.fail_at = at;
		life->io.error = -EIO;
		assert_int_equal(regions_start(&life->regions, &life->io.table, life->dir.fd, uuid,
		                               &life->slots, 5, 0),
		                 -EIO);
		assert_false(regions_are_noted(&life->regions));
		life->io.fail_at = 0;
		assert_false(read_notes(life, 5));
	}
	start(life, 5, 0);
	assert_true(read_notes(life, 5));
}

/* ---- when to note ---- */

static void test_where_no_index_is_kept_nothing_is_noted(void **state)
{
	struct life *life = *state;

	assert_true(regions_has(&life->regions, 0)); /* of a store that has none */
	take(life, ROWS_MAX);
	start(life, 0, ROWS_MAX);
	for (uint64_t slot = 0; slot < ROWS_MAX; slot += 100)
		assert_true(regions_has(&life->regions, slot));
	assert_int_equal(life->regions.syncs, 0);
}

static void test_a_note_is_durable_before_it_counts(void **state)
{
	struct life *life = *state;
	int syncs;

	take(life, ROWS_MAX / 2);
	start(life, 4, ROWS_MAX / 2);
	assert_true(regions_has(&life->regions, ROWS_MAX / 2)); /* behind what recovery knows */
	assert_true(!regions_has(&life->regions, slot_in(7)));
	syncs = life->io.syncs;
	assert_int_equal(note(life, 7), 0);
	assert_true(regions_has(&life->regions, slot_in(7)));
	assert_true(tells(life, 4, slot_in(7)));
	assert_int_equal(life->io.syncs, syncs + 1);
	/* Once is enough. */
	assert_int_equal(note(life, 7), 0);
	assert_int_equal(life->io.syncs, syncs + 1);
	assert_true(!regions_has(&life->regions, slot_in(8)));
}

static void test_a_failing_call_leaves_no_note_that_counts(void **state)
{
	struct life *life = *state;

	take(life, ROWS_MAX / 2);
	start(life, 4, ROWS_MAX / 2);
	for (long at = 1; at <= 2; at++) {
		life->io.calls = 0;
		life->io.fail_at = at;
		life->io.error = -EIO;
		assert_int_equal(note(life, 3), -EIO);
		assert_true(!regions_has(&life->regions, slot_in(3)));
	}
	life->io.fail_at = 0;
	assert_int_equal(note(life, 3), 0);
	assert_true(regions_has(&life->regions, slot_in(3)) && tells(life, 4, slot_in(3)));
}

/* Holes in all regions, taken from the lowest on: each sync notes twice as many. */
static void test_regions_are_noted_ahead_where_slots_come_next(void **state)
{
	struct life *life = *state;
	const uint64_t regions = ROWS_MAX / REGION_SLOTS;

	take(life, ROWS_MAX);
	for (uint64_t region = 0; region < regions; region++)
		slots_give(&life->slots, slot_in(region));
	start(life, 1, ROWS_MAX);
	for (uint64_t region = 0; region < regions; region++) {
		uint64_t slot;

		assert_int_equal(slots_take(&life->slots, 1, &slot), 0);
		assert_int_equal(slot, slot_in(region));
		if (!regions_has(&life->regions, slot))
			assert_int_equal(note(life, region), 0);
		assert_true(regions_has(&life->regions, slot));
	}
	assert_in_range(life->regions.syncs, 1, 6); /* 40 regions */
}

/* What is full is not noted ahead. */
static void test_full_regions_are_passed_over(void **state)
{
	struct life *life = *state;

	take(life, ROWS_MAX);
	slots_give(&life->slots, slot_in(2));
	slots_give(&life->slots, slot_in(30));
	start(life, 1, ROWS_MAX);
	assert_int_equal(note(life, 2), 0);
	assert_true(regions_has(&life->regions, slot_in(30)));
	assert_true(!regions_has(&life->regions, slot_in(3)));
	assert_int_equal(life->regions.syncs, 1);
}

/* ---- checkpoints ---- */

static void test_a_checkpoint_begins_with_notes_of_its_own(void **state)
{
	struct life *life = *state;

	take(life, 20 * REGION_SLOTS);
	slots_give_run(&life->slots, 9 * REGION_SLOTS, 3 * REGION_SLOTS);
	start(life, 1, 20 * REGION_SLOTS);
	assert_int_equal(note(life, 5), 0);
	assert_int_equal(regions_prepare(&life->regions, 2), 0);
	/* Commits before it still go to the old ones. */
	assert_int_equal(note(life, 6), 0);
	assert_true(tells(life, 1, slot_in(6)));
	regions_begin(&life->regions, 20 * REGION_SLOTS);
	/* Where slots are taken: the next holes, and the last ones. */
	assert_true(regions_has(&life->regions, slot_in(9)) && tells(life, 2, slot_in(9)));
	assert_true(regions_has(&life->regions, slot_in(19)) && tells(life, 2, slot_in(19)));
	assert_true(!regions_has(&life->regions, slot_in(5)));
	assert_int_equal(note(life, 4), 0);
	regions_end(&life->regions, true);
	assert_true(tells(life, 2, slot_in(4)));
	assert_true(!tells(life, 2, slot_in(5)) && !tells(life, 2, slot_in(6)));
	assert_true(!regions_has(&life->regions, slot_in(6)));
	/* ... and the one after it has nothing to do with them. */
	assert_int_equal(regions_prepare(&life->regions, 3), 0);
	regions_begin(&life->regions, 20 * REGION_SLOTS);
	regions_end(&life->regions, true);
	assert_true(!tells(life, 3, slot_in(4)) && !regions_has(&life->regions, slot_in(4)));
	regions_end(&life->regions, false);
	assert_true(regions_has(&life->regions, slot_in(4)));
}

/* One life of random steps, of which each may fail: whatever a row was stored in since the superblock's
 * checkpoint began is told, be it that of the last that went well, or the next. */
static void random_life(struct life *life, uint64_t seed)
{
	enum { REGIONS = ROWS_MAX / REGION_SLOTS };
	bool stored[REGIONS] = { false }; /* since the checkpoint of the superblock began */
	bool since[REGIONS] = { false }; /* ... since one began that is under way, or has failed */
	uint64_t generation = 10; /* the superblock's; 0 none */
	uint64_t next = generation;
	bool begun = false;

	start(life, generation, ROWS_MAX);
	for (int step = 0; step < 60; step++) {
		uint64_t what = test_random(&seed) % 10;
		uint64_t region = test_random(&seed) % REGIONS;

		life->io.calls = 0;
		life->io.error = -EIO;
		life->io.fail_at = test_random(&seed) % 4 == 0 ? (long)(test_random(&seed) % 3) : 0;
		if (what < 6) {
			if (!regions_has(&life->regions, slot_in(region)) && note(life, region))
				continue;
			stored[region] = since[region] = true;
		} else if (what < 8) {
			begun = false; /* the one before has failed */
			if (regions_prepare(&life->regions, ++next))
				continue;
			life->io.fail_at = 0;
			if (!regions_has(&life->regions, slot_in(region)) && note(life, region))
				continue;
			stored[region] = true; /* before it begins */
			regions_begin(&life->regions, ROWS_MAX);
			memset(since, 0, sizeof(since));
			begun = true;
		} else if (begun && what == 8) {
			bool kept = test_random(&seed) % 3 > 0;

			generation = kept ? next : 0;
			regions_end(&life->regions, kept);
			memcpy(stored, since, sizeof(stored));
			begun = false;
		}
		if (generation == 0)
			continue;
		assert_true(read_notes(life, generation));
		for (uint64_t i = 0; i < REGIONS; i++)
			assert_true(!stored[i] || (noted[i / 8] >> (i % 8) & 1));
	}
	life->io.fail_at = 0;
	assert_int_equal(regions_stop(&life->regions), 0);
	memset(&life->regions, 0, sizeof(life->regions));
}

static void test_whatever_fails_no_note_is_missing(void **state)
{
	struct life *life = *state;

	take(life, ROWS_MAX);
	for (uint64_t region = 0; region < ROWS_MAX / REGION_SLOTS; region += 3)
		slots_give(&life->slots, slot_in(region));
	for (uint64_t seed = 1; seed <= 100; seed++)
		random_life(life, seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sector_is_what_was_written_there_or_damaged),
		cmocka_unit_test_setup_teardown(test_notes_of_the_generation_and_later_count, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_file_of_an_earlier_time_is_told, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_sector_notes_all_its_regions, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_too_short_is_made_anew, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_each_failing_call_makes_no_file_or_all_of_it,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_cannot_begin_a_life_notes_nothing, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_where_no_index_is_kept_nothing_is_noted, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_note_is_durable_before_it_counts, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(test_a_failing_call_leaves_no_note_that_counts,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_regions_are_noted_ahead_where_slots_come_next,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_regions_are_passed_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_checkpoint_begins_with_notes_of_its_own,
		                                setup, teardown),
		cmocka_unit_test_setup_teardown(test_whatever_fails_no_note_is_missing, setup,
		                                teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
