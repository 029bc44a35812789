#include "both_ways.h"

#include "oracle.h"

#define STEPS_PER_LIFE 40
#ifdef UNIT_SLOW_FORK
#define LIVES 10
#define CALLS_AT_A_TIME 5
#else
#define LIVES 60
#define CALLS_AT_A_TIME 1
#endif

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);

/* A process that dies joins nobody, and waits for nobody. */
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0:atexit_sleep_ms=0";
}
#endif

/* A life of a store in a process of its own. */
struct life {
	struct store_dir *s;
	struct oracle *oracle;
	struct trouble_io io;
	long at; /* call at which trouble begins, 0 never */
	enum trouble_how how;
	bool modes;
	bool closes;
	int steps;
	bool wait_for_open; /* trouble begins after opening */
	bool reads; /* the next recovery is a reader's, who closes the store after it */
};

static int live(void *arg)
{
	struct life *life = arg;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = life->oracle->mode,
		                          .io = &life->io.table };
	struct quiver *store;

	trouble_init(&life->io);
	if (!life->wait_for_open)
		trouble_arm(&life->io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	if (quiver_open(life->s->path, &options, &store, NULL) != 0)
		return 11;
	if (life->wait_for_open)
		trouble_arm(&life->io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	for (int i = 0; i < life->steps; i++)
		if (!oracle_step(life->oracle, store, life->modes))
			return 12;
	if (life->closes) {
		oracle_begin(life->oracle, true);
		if (quiver_close(store) != 0)
			return 13;
		life->oracle->kept = life->oracle->now;
		life->oracle->under_way = life->oracle->checkpointing = false;
	}
	return 0;
}

/* Open, so recover, and end without closing; perhaps in the middle of it. */
static int recover_and_die(void *arg)
{
	struct life *life = arg;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = life->reads,
		                          .io = &life->io.table };
	struct quiver *store;

	trouble_init(&life->io);
	trouble_arm(&life->io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	return quiver_open(life->s->path, &options, &store, NULL) == 0 ? 0 : 11;
}

static void look(struct life *life, bool read_only)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = life->oracle->mode,
		                          .read_only = read_only };
	struct quiver *store = open_with(life->s, &options);

	oracle_check(life->oracle, store);
	if (!read_only) {
		uint64_t before = life->oracle->max_lsn;

		oracle_begin(life->oracle, false);
		assert_int_equal(oracle_put(life->oracle, store, 3), 0);
		assert_true(oracle_end(life->oracle, store, 0));
		/* What was under way may have taken one more, if it was not closed. */
		assert_true(life->oracle->max_lsn > before + !life->closes);
	}
	close_store(store);
	life->oracle->kept = life->oracle->now;
	assert_int_equal(leaked_slots(store = open_with(life->s, NULL)), 0);
	assert_null(oracle_differs(&life->oracle->now, store, true));
	close_store(store);
}

/* Lives of one store, each ended at a random place; what is there then must be what the
 * oracle says, also after recoveries that died themselves. */
static void many_lives(struct store_dir *s, enum quiver_durability mode, bool modes, bool closes,
                       bool wait_for_open)
{
	struct life life = { .s = s,
		             .modes = modes,
		             .closes = closes,
		             .steps = STEPS_PER_LIFE,
		             .wait_for_open = wait_for_open };
	uint64_t random = test_seed() + (uint64_t)mode;
	struct quiver *store;
	int took = 0;

	life.oracle = oracle_new(mode, test_random(&random));
	store = open_mode(s, mode);
	(void)quiver_dir_attr(store, 0,
	                      &life.oracle->now.dir); /* of a local folder: does not fail */
	life.oracle->kept = life.oracle->now;
	close_store(store);
	for (int i = 0; i < LIVES; i++) {
		life.at = (long)test_below(&random, closes ? 300 : 200) + 1;
		life.how = test_below(&random, 2) ? TROUBLE_EXIT : TROUBLE_HALF_EXIT;
		die_in_child(live, &life);
		for (uint64_t dies = test_below(&random, 3); dies > 0; dies--) {
			life.at = (long)test_below(&random, 60) + 1;
			life.reads = test_below(&random, 2) != 0;
			die_in_child(recover_and_die, &life);
		}
		took += both_ways(s);
		look(&life, test_below(&random, 4) == 0);
	}
	/* Some had no checkpoint that has kept an index. */
	assert_in_range(took, LIVES / 2, LIVES);
	oracle_free(life.oracle);
}

static void test_killed_in_mode_always_nothing_is_lost(void **state)
{
	many_lives(*state, QUIVER_ALWAYS, false, false, true);
}

static void test_killed_in_mode_fsync_nothing_is_lost(void **state)
{
	many_lives(*state, QUIVER_FSYNC, false, false, true);
}

static void test_killed_in_mode_flush_nothing_is_lost(void **state)
{
	many_lives(*state, QUIVER_FLUSH, false, false, true);
}

static void test_killed_in_mode_none_goes_back_to_the_checkpoint(void **state)
{
	many_lives(*state, QUIVER_NONE, false, false, true);
}

static void test_killed_while_changing_modes_opening_and_closing(void **state)
{
	many_lives(*state, QUIVER_FSYNC, true, true, false);
}

/* ---- batches of which the log has slot references only ---- */

#define REFERRED 700u /* of STORE_DIM bytes: more than such a batch needs */

struct slot_life {
	struct store_dir *s;
	bool flush;
};

static int put_slots(struct quiver *store, uint64_t version)
{
	static uint8_t bytes[REFERRED][STORE_DIM];
	struct quiver_record records[REFERRED];
	struct quiver_attr attr = attr_of(version);

	for (uint64_t id = 0; id < REFERRED; id++) {
		vector_fill(bytes[id], STORE_DIM, id, version);
		records[id] = (struct quiver_record){ .id = id, .data = bytes[id] };
	}
	return quiver_put_batch(store, records, REFERRED, &attr, QUIVER_ATTR_ALL, 0, NULL);
}

/* In a child, so without assertions: NULL where it fails. */
static struct quiver *open_slots(const struct slot_life *life)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = QUIVER_FSYNC };
	struct quiver *store;

	return quiver_open(life->s->path, &options, &store, NULL) == 0 ? store : NULL;
}

/* Version 1 of all, which is in slots 0 to REFERRED - 1, durably; then version 2. */
static int refer_and_die(void *arg)
{
	const struct slot_life *life = arg;
	struct quiver *store = open_slots(life);

	if (store == NULL)
		return 11;
	if (put_slots(store, 1) != 0 || quiver_flush(store) != 0 || put_slots(store, 2) != 0)
		return 12;
	return life->flush && quiver_flush(store) != 0 ? 13 : 0;
}

static void damage_slot(struct store_dir *s, uint64_t slot)
{
	char path[UNIT_PATH_BYTES + 64];
	off_t at = (off_t)(4096 + slot * STORE_DIM + 50);
	uint8_t byte;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/vectors.npy", s->path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	assert_int_equal(close(fd), 0);
}

static void all_are(struct store_dir *s, uint64_t version)
{
	struct quiver *store = open_mode(s, QUIVER_FSYNC);

	assert_int_equal(quiver_count(store), REFERRED);
	for (uint64_t id = 0; id < REFERRED; id++)
		assert_int_equal(version_of(store, id), version);
	close_store(store);
}

static void test_killed_after_batches_that_the_log_names(void **state)
{
	struct slot_life life = { .s = *state };

	assert_int_equal(unit_in_child(refer_and_die, &life), 0);
	all_are(*state, 2);
}

static void test_slot_of_a_batch_that_never_reached_the_disk_is_a_torn_tail(void **state)
{
	struct slot_life life = { .s = *state };

	assert_int_equal(unit_in_child(refer_and_die, &life), 0);
	damage_slot(*state, REFERRED + 3);
	all_are(*state, 1);
}

/* All are at version 2 but for vector 3, which gives EIO and has its line. */
static void vector_three_is_lost(struct store_dir *s)
{
	struct quiver *store = open_mode(s, QUIVER_FSYNC);
	uint8_t bytes[STORE_BYTES_MAX];
	char *text;
	size_t length;

	assert_int_equal(quiver_count(store), REFERRED);
	assert_int_equal(quiver_errors(store, &text, &length), 0);
	assert_non_null(strstr(text, "vector 3: slot "));
	free(text);
	for (uint64_t id = 0; id < REFERRED; id++)
		if (id != 3)
			assert_int_equal(version_of(store, id), 2);
	assert_int_equal(quiver_get_copy(store, 3, bytes, NULL, NULL), -EIO);
	close_store(store);
}

static uint64_t damage_found(struct store_dir *s, bool repair)
{
	struct quiver_check_result result;

	assert_int_equal(quiver_check(s->path, repair, NULL, NULL, &result, NULL), 0);
	return result.damage;
}

static void test_damaged_slot_of_a_durable_batch_costs_that_vector_alone(void **state)
{
	struct slot_life life = { .s = *state, .flush = true };

	assert_int_equal(unit_in_child(refer_and_die, &life), 0);
	damage_slot(*state, REFERRED + 3);
	assert_int_equal(damage_found(*state, false), 1);
	vector_three_is_lost(*state);
	assert_int_equal(damage_found(*state, true), 1);
	assert_int_equal(damage_found(*state, false), 0);
}

static void test_damaged_slot_of_a_vector_written_again_costs_nothing(void **state)
{
	struct slot_life life = { .s = *state, .flush = true };

	assert_int_equal(unit_in_child(refer_and_die, &life), 0);
	damage_slot(*state, 3); /* version 1 */
	all_are(*state, 2);
}

/* Vector 3 is renamed; then, durably, to its own name again. */
static int rename_and_die(void *arg)
{
	const struct slot_life *life = arg;
	struct quiver *store = open_slots(life);

	if (store == NULL)
		return 11;
	if (put_slots(store, 2) != 0 || quiver_rename(store, 3, 5000, 0, NULL) != 0 ||
	    quiver_rename(store, 5000, 3, 0, NULL) != 0)
		return 12;
	return quiver_flush(store) != 0 ? 13 : 0;
}

static void test_damage_to_what_was_renamed_since_costs_nothing(void **state)
{
	struct slot_life life = { .s = *state };

	assert_int_equal(unit_in_child(rename_and_die, &life), 0);
	damage_slot(*state, 3);
	all_are(*state, 2);
}

static void test_damage_to_every_copy_of_what_was_renamed_costs_that_vector_alone(void **state)
{
	struct slot_life life = { .s = *state };

	assert_int_equal(unit_in_child(rename_and_die, &life), 0);
	damage_slot(*state, 3);
	damage_slot(*state, REFERRED);
	damage_slot(*state, REFERRED + 1);
	vector_three_is_lost(*state);
}

/* ---- a checkpoint that dies at each of its calls ---- */

struct checkpoint_life {
	struct store_dir *s;
	struct oracle *oracle;
	struct trouble_io io;
	long at;
	enum trouble_how how;
	bool survived;
};

/* Rows to free and attributes to write, whatever the random steps have been. */
static bool give_it_work(struct oracle *oracle, struct quiver *store)
{
	for (uint64_t id = 0; id < 4; id++) {
		if (!oracle_end(oracle, store, oracle_put(oracle, store, id)) ||
		    !oracle_end(oracle, store, oracle_put(oracle, store, id)) ||
		    !oracle_end(oracle, store, oracle_attr(oracle, store, id)))
			return false;
	}
	return true;
}

static int checkpoint_and_die(void *arg)
{
	struct checkpoint_life *life = arg;
	struct quiver *store;
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .durability = life->oracle->mode,
		                          .io = &life->io.table };
	int r;

	trouble_init(&life->io);
	if (quiver_open(life->s->path, &options, &store, NULL) != 0)
		return 11;
	for (int i = 0; i < 25; i++)
		if (!oracle_step(life->oracle, store, false))
			return 12;
	if (!give_it_work(life->oracle, store))
		return 15;
	oracle_begin(life->oracle, true);
	life->oracle->dir_known = true;
	trouble_arm(&life->io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	r = quiver_checkpoint(store);
	if (life->how == TROUBLE_FROM && r != 0)
		return put_version(store, 1, 1, 0) == -EROFS ? 0 : 14;
	(void)oracle_end(life->oracle, store, r);
	return r ? 12 : 100; /* not that many calls */
}

static void die_at_every_call(struct store_dir *s, enum quiver_durability mode,
                              enum trouble_how how)
{
	struct checkpoint_life life = { .s = s, .how = how };
	int ended = 0;

	life.oracle = oracle_new(mode, test_seed() + 99);
	for (life.at = 1; ended != 100; life.at += CALLS_AT_A_TIME) {
		struct quiver *store;

		assert_true(life.at < 500);
		ended = unit_in_child(checkpoint_and_die, &life);
		assert_true(ended == 0 || ended == 100);
		store = open_mode(s, mode);
		/* The very first life had no oracle of the directory yet. */
		if (life.at == 1)
			(void)quiver_dir_attr(
				store, 0,
				mode == QUIVER_NONE
					? &life.oracle->kept.dir
					: &life.oracle->now
						   .dir); /* of a local folder: does not fail */
		oracle_check(life.oracle, store);
		close_store(store);
	}
	assert_true(life.at > 8);
	oracle_free(life.oracle);
}

#define DIES(mode, MODE, how, HOW)                                                        \
	static void test_checkpoint_that_##how##_at_any_call_in_mode_##mode(void **state) \
	{                                                                                 \
		die_at_every_call(*state, MODE, HOW);                                     \
	}
DIES(always, QUIVER_ALWAYS, dies, TROUBLE_EXIT)
DIES(always, QUIVER_ALWAYS, dies_in_a_write, TROUBLE_HALF_EXIT)
DIES(always, QUIVER_ALWAYS, fails, TROUBLE_FROM)
DIES(fsync, QUIVER_FSYNC, dies, TROUBLE_EXIT)
DIES(fsync, QUIVER_FSYNC, dies_in_a_write, TROUBLE_HALF_EXIT)
DIES(fsync, QUIVER_FSYNC, fails, TROUBLE_FROM)
DIES(flush, QUIVER_FLUSH, dies, TROUBLE_EXIT)
DIES(flush, QUIVER_FLUSH, fails, TROUBLE_FROM)
DIES(none, QUIVER_NONE, dies, TROUBLE_EXIT)
DIES(none, QUIVER_NONE, dies_in_a_write, TROUBLE_HALF_EXIT)
DIES(none, QUIVER_NONE, fails, TROUBLE_FROM)

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_store, teardown_store)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_killed_in_mode_always_nothing_is_lost),
		TEST(test_killed_in_mode_fsync_nothing_is_lost),
		TEST(test_killed_in_mode_flush_nothing_is_lost),
		TEST(test_killed_in_mode_none_goes_back_to_the_checkpoint),
		TEST(test_killed_while_changing_modes_opening_and_closing),
		TEST(test_killed_after_batches_that_the_log_names),
		TEST(test_slot_of_a_batch_that_never_reached_the_disk_is_a_torn_tail),
		TEST(test_damaged_slot_of_a_durable_batch_costs_that_vector_alone),
		TEST(test_damaged_slot_of_a_vector_written_again_costs_nothing),
		TEST(test_damage_to_what_was_renamed_since_costs_nothing),
		TEST(test_damage_to_every_copy_of_what_was_renamed_costs_that_vector_alone),
		TEST(test_checkpoint_that_dies_at_any_call_in_mode_always),
		TEST(test_checkpoint_that_dies_in_a_write_at_any_call_in_mode_always),
		TEST(test_checkpoint_that_fails_at_any_call_in_mode_always),
		TEST(test_checkpoint_that_dies_at_any_call_in_mode_fsync),
		TEST(test_checkpoint_that_dies_in_a_write_at_any_call_in_mode_fsync),
		TEST(test_checkpoint_that_fails_at_any_call_in_mode_fsync),
		TEST(test_checkpoint_that_dies_at_any_call_in_mode_flush),
		TEST(test_checkpoint_that_fails_at_any_call_in_mode_flush),
		TEST(test_checkpoint_that_dies_at_any_call_in_mode_none),
		TEST(test_checkpoint_that_dies_in_a_write_at_any_call_in_mode_none),
		TEST(test_checkpoint_that_fails_at_any_call_in_mode_none),
	};

	test_seed();
	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
