/*
 * test_snapshot_recovery.c - a process that makes and removes snapshots, changes what they have and
 * checkpoints is killed at each of its calls, and so are recoveries after it: a snapshot has what it
 * had when it was made, or is not there.
 */
#include "unit.h"

#include <sys/mman.h>

#include "snapshot_oracle.h"

#define STEPS 90u
#define SNAPSHOTS_MAX STEPS
#ifdef UNIT_SLOW_FORK
#define LIVES 8
#else
#define LIVES 40
#endif
#define NEVER UINT32_MAX
#define READER_CALLS 150 /* that change something; it has less */

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_options(void);

/* A process that dies joins nobody, and waits for nobody. */
const char *__tsan_default_options(void)
{
	return "report_thread_leaks=0:atexit_sleep_ms=0";
}
#endif

enum kind { PUT, REMOVE, RENAME, MODE, MAKE, DROP, CHECKPOINT, COMPACT };

struct step {
	enum kind kind;
	uint64_t id, to;
	uint64_t version; /* MAKE, DROP: number of the snapshot */
	uint16_t mode;
};

struct script {
	struct step steps[STEPS];
	struct moment made[SNAPSHOTS_MAX]; /* what each snapshot has */
	uint32_t began[SNAPSHOTS_MAX], ended[SNAPSHOTS_MAX]; /* the steps of it */
	uint32_t count;
	struct moment last;
};

/* Shared by the process that dies with the one that looks. */
struct life {
	struct store_dir *s;
	const struct script *script;
	enum quiver_durability mode;
	long at;
	enum trouble_how how;
	bool reads; /* the next recovery is a reader's, who closes the store after it */
	_Atomic uint32_t done; /* steps */
};

static void write_step(struct script *script, uint32_t number, uint64_t *random)
{
	struct moment *now = &script->last;
	struct step *step = &script->steps[number];
	uint64_t id = test_below(random, MOMENT_IDS);
	uint64_t to = test_below(random, MOMENT_IDS);
	uint64_t what = test_below(random, 100);

	*step = (struct step){ .kind = PUT, .id = id, .version = number + 1 };
	if (what < 15 && now->version[id]) {
		step->kind = REMOVE;
		now->version[id] = 0;
	} else if (what < 25 && now->version[id] && to != id) {
		step->kind = RENAME;
		step->to = to;
		now->version[to] = now->version[id];
		now->was[to] = now->was[id];
		now->mode[to] = now->mode[id];
		now->version[id] = 0;
	} else if (what < 45 && now->version[id]) {
		step->kind = MODE;
		now->mode[id] = step->mode = (uint16_t)(0100 + number);
	} else if (what < 57) {
		step->kind = MAKE;
		step->version = script->count;
		script->made[script->count] = *now;
		script->began[script->count] = number;
		script->ended[script->count++] = NEVER;
	} else if (what < 64 && script->count > 0) {
		uint32_t one = (uint32_t)test_below(random, script->count);

		step->kind = script->ended[one] == NEVER ? DROP : CHECKPOINT;
		step->version = one;
		if (step->kind == DROP)
			script->ended[one] = number;
	} else if (what < 70) {
		step->kind = CHECKPOINT;
	} else if (what < 73) {
		step->kind = COMPACT;
	} else {
		now->version[id] = number + 1;
		now->was[id] = id;
		now->mode[id] = attr_of(number + 1).mode;
	}
}

static void write_script(struct script *script, uint64_t seed)
{
	memset(script, 0, sizeof(*script));
	for (uint32_t i = 0; i < STEPS; i++)
		write_step(script, i, &seed);
}

static const char *name_of(uint64_t number)
{
	static char name[32];

	snprintf(name, sizeof(name), "s%" PRIu64, number);
	return name;
}

static int do_step(struct quiver *store, const struct step *step)
{
	struct quiver_attr attr = { .mode = step->mode };

	switch (step->kind) {
	case PUT:
		return put_version(store, step->id, step->version, 0);
	case REMOVE:
		return quiver_remove(store, step->id, 0, NULL);
	case RENAME:
		return quiver_rename(store, step->id, step->to, 0, NULL);
	case MODE:
		return quiver_set_attr(store, step->id, &attr, QUIVER_ATTR_MODE, 0);
	case MAKE:
		return quiver_snapshot_create(store, name_of(step->version), NULL);
	case DROP:
		return quiver_snapshot_remove(store, name_of(step->version));
	case CHECKPOINT:
		return quiver_checkpoint(store);
	case COMPACT:
		return run_job(store, QUIVER_COMPACT).result;
	}
	return -EINVAL;
}

static int live(void *arg)
{
	struct life *life = arg;
	struct trouble_io io;
	struct quiver *store = open_troubled(life->s, life->mode, &io);

	trouble_arm(&io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	for (uint32_t i = 0; i < STEPS; i++) {
		if (do_step(store, &life->script->steps[i]) != 0)
			return 12;
		atomic_store(&life->done, i + 1);
	}
	return quiver_close(store) == 0 ? 0 : 13;
}

static int recover_and_die(void *arg)
{
	struct life *life = arg;
	struct quiver *store;
	struct trouble_io io;
	struct quiver_options options = { .size = sizeof(options),
		                          .read_only = life->reads,
		                          .io = &io.table };

	trouble_init(&io);
	trouble_arm(&io, life->at, life->how, TROUBLE_ANY, 0, -EIO);
	return quiver_open(life->s->path, &options, &store, NULL) == 0 ? 0 : 11;
}

static void hear(void *arg, const char *line)
{
	(void)arg;
	print_error("%s\n", line);
}

static struct quiver_check_result check_is_good(const struct store_dir *s)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };

	if (quiver_check(s->path, false, hear, NULL, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.damage, 0);
	return result;
}

/* How many there are. */
static uint64_t check_snapshots(const struct life *life, uint32_t done)
{
	const struct script *script = life->script;
	uint64_t there = 0;

	for (uint32_t i = 0; i < script->count; i++) {
		bool must = script->began[i] < done && script->ended[i] > done;
		bool may = script->began[i] <= done && script->ended[i] >= done;
		int r;
		const char *why = snapshot_differs(life->s, name_of(i), &script->made[i], &r);

		if (r == -ENOENT ? must : (why || !may))
			fail_msg("%s (made in step %u, removed in %u, died in %u)",
			         why ? why : "removed", script->began[i], script->ended[i], done);
		there += r == 0;
	}
	return there;
}

static void one_life(struct life *life, uint64_t *random)
{
	uint32_t done;
	struct quiver *store;
	uint64_t there;

	die_in_child(live, life);
	done = atomic_load(&life->done);
	(void)check_is_good(life->s);
	for (uint64_t dies = test_below(random, 3); dies > 0; dies--) {
		life->at = (long)test_below(random, 40) + 1;
		life->reads = test_below(random, 2) != 0;
		die_in_child(recover_and_die, life);
		(void)check_is_good(life->s);
	}
	there = check_snapshots(life, done);
	store = open_mode(life->s, life->mode);
	assert_int_equal(stats_of(store).snapshots, there);
	assert_int_equal(check_snapshots(life, done), there);
	/* It goes on with other vectors. */
	for (uint64_t id = 0; id < MOMENT_IDS; id++)
		assert_int_equal(put_version(store, id, 1000 + id, 0), 0);
	assert_int_equal(check_snapshots(life, done), there);
	close_store(store);
	assert_int_equal(check_snapshots(life, done), there);
	assert_int_equal(check_is_good(life->s).snapshots, there);
	store = open_mode(life->s, life->mode);
	for (uint32_t i = 0; i < life->script->count; i++) {
		int r = quiver_snapshot_remove(store, name_of(i));

		assert_true(r == 0 || r == -ENOENT);
	}
	assert_int_equal(quiver_checkpoint(store), 0);
	assert_int_equal(stats_of(store).slots_held, 0);
	assert_int_equal(leaked_slots(store), 0);
	assert_int_equal(stats_of(store).count, MOMENT_IDS);
	for (uint64_t id = 0; id < MOMENT_IDS; id++) /* as a script begins */
		assert_int_equal(quiver_remove(store, id, 0, NULL), 0);
	close_store(store);
}

static void many_lives(struct store_dir *s, enum quiver_durability mode)
{
	struct life *life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static struct script script;
	uint64_t random = test_seed() + (uint64_t)mode;

	assert_true(life != MAP_FAILED);
	life->s = s;
	life->script = &script;
	life->mode = mode;
	for (int i = 0; i < LIVES; i++) {
		write_script(&script, test_random(&random));
		life->at = (long)test_below(&random, 500) + 1;
		life->how = test_below(&random, 2) ? TROUBLE_EXIT : TROUBLE_HALF_EXIT;
		atomic_store(&life->done, 0);
		one_life(life, &random);
	}
	assert_int_equal(munmap(life, sizeof(*life)), 0);
}

static void snapshots_are_whole_after_kills_in_mode_always(void **state)
{
	many_lives(*state, QUIVER_ALWAYS);
}

static void snapshots_are_whole_after_kills_in_mode_fsync(void **state)
{
	many_lives(*state, QUIVER_FSYNC);
}

static void snapshots_are_whole_after_kills_in_mode_none(void **state)
{
	many_lives(*state, QUIVER_NONE);
}

/* At each of his calls: also where he marks as closed what has no log any more. */
static void a_reader_who_is_killed_amid_his_recovery_leaves_no_damage(void **state)
{
	static struct script script;
	struct life *life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(life != MAP_FAILED);
	*life = (struct life){ .s = *state, .script = &script, .reads = true };
	for (uint32_t i = 0; i < STEPS; i++)
		script.steps[i] =
			(struct step){ .kind = PUT, .id = i % MOMENT_IDS, .version = i + 1 };
	for (long at = 1; at <= READER_CALLS; at++) {
		life->how = TROUBLE_EXIT;
		life->at = 25;
		die_in_child(live, life);
		life->how = TROUBLE_HALF_EXIT;
		life->at = at;
		die_in_child(recover_and_die, life);
		(void)check_is_good(life->s);
	}
	assert_int_equal(munmap(life, sizeof(*life)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_store, teardown_store)
		TEST(snapshots_are_whole_after_kills_in_mode_always),
		TEST(snapshots_are_whole_after_kills_in_mode_fsync),
		TEST(snapshots_are_whole_after_kills_in_mode_none),
		TEST(a_reader_who_is_killed_amid_his_recovery_leaves_no_damage),
#undef TEST
	};

	test_in_memory();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
