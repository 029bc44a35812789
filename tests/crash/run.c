/* The lives of a store: opening, working, crashing or closing, and the next one. */
#include "run.h"
#include "clock.h"
#include "tests/common/remove.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIVES_MAX 5
#define STEPS_MAX 90 /* of a life */
#define GAP_WORKING 26 /* events between two crashes, at most twice that */
#define GAP_OPENING 5
#define LAST_WORDS 30 /* events after the last step that a life is granted */
#define FAILING_SYNC_MAX 9 /* the sync that fails is one of the next so many */

static const struct quiver_geometry geometries[] = {
	{ .dim = 1, .dtype = QUIVER_F4 },    { .dim = 100, .dtype = QUIVER_U1 },
	{ .dim = 128, .dtype = QUIVER_F4 },  { .dim = 768, .dtype = QUIVER_F4 },
	{ .dim = 100, .dtype = QUIVER_I1 },  { .dim = 24, .dtype = QUIVER_F2 },
	{ .dim = 1000, .dtype = QUIVER_U1 }, { .dim = 512, .dtype = QUIVER_F8 },
	{ .dim = 300, .dtype = QUIVER_BF2 }, { .dim = 808, .dtype = QUIVER_B1 },
};

static void __attribute__((format(printf, 1, 0))) vsay(const char *format, va_list args)
{
	char line[2048];

	(void)vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "# %s\n", line);
}

void run_fail(const struct run *run, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "# seed %" PRIu64 " event %" PRIu64 " failed:\n", run->seed, run->event);
	va_start(args, format);
	vsay(format, args);
	va_end(args);
	fprintf(stderr, "# again: test_simdisk --seed %" PRIu64 "\n", run->seed);
	exit(1);
}

void run_say(const struct run *run, const char *format, ...)
{
	va_list args;

	if (!run->talks)
		return;
	va_start(args, format);
	vsay(format, args);
	va_end(args);
}

static void plan_next_crash(struct run *run)
{
	run->next_crash = run->event + 1 + chance_below(&run->crash_chance, 2 * run->crash_gap);
}

static void new_path(struct run *run, char *path)
{
	(void)snprintf(path, RUN_PATH_BYTES, "%s/%u", run->folder, run->roots++);
}

/* What a crash at this event leaves. */
static void crash_now(struct run *run, enum sim_keep keep, bool ends_life)
{
	struct run_crash *crash = &run->crashes[run->crash_count++];
	uint64_t seed = run->seed * 1000003 + run->event;

	*crash = (struct run_crash){ .event = run->event,
		                     .keep = keep,
		                     .created = run->created,
		                     .from = run->oracle.durable,
		                     .ends_life = ends_life,
		                     .snapshots = run->snapshots };
	if (sim_keeps_process(keep) && run->oracle.logged > crash->from)
		crash->from = run->oracle.logged;
	new_path(run, crash->image);
	sim_crash(run->disk, crash->image, keep, seed);
	if (!ends_life)
		return;
	new_path(run, run->next_root);
	sim_crash(run->disk, run->next_root, keep, seed);
	run->dead = true;
}

static void on_event(void *arg)
{
	struct run *run = arg;
	bool ends;
	unsigned keep;

	*run->progress = ++run->event;
	/* Where asked for, every way of crashing. */
	if (run->event == run->crash_at)
		for (int i = 0; i < SIM_KEEP_COUNT; i++)
			crash_now(run, (enum sim_keep)i, false);
	ends = run->event >= run->life_end && run->created && !run->dead;
	if (run->event < run->next_crash && !ends)
		return;
	plan_next_crash(run);
	/* More often the way that leaves most to chance. */
	keep = (unsigned)chance_below(&run->crash_chance, SIM_KEEP_COUNT + 2);
	if (run->planned < RUN_CRASHES_MAX || ends)
		crash_now(run, keep < SIM_KEEP_COUNT ? (enum sim_keep)keep : SIM_PATCHY, ends);
	run->planned++;
}

void run_remove(const char *path)
{
	if (test_remove(path) != 0)
		abort();
}

void run_settle(struct run *run)
{
	struct oracle_state state;

	for (size_t i = 0; i < run->crash_count; i++) {
		struct run_crash *crash = &run->crashes[i];
		size_t k;

		/* Whoever was interrupted may have come to its end. */
		crash->to = run->oracle.count - 1;
		run_say(run, "crash at event %" PRIu64 ": %s", crash->event,
		        sim_keep_name(crash->keep));
		k = verify_crash(run, crash, &state);
		run_remove(crash->image);
		run->crashes_done++;
		if (crash->ends_life) {
			run->next_k = k;
			run->next_state = state;
			run->next_snapshots = crash->snapshots;
		}
	}
	run->crash_count = run->planned = 0;
	if (!run->failed)
		run->phantom_count = 0;
}

static void new_disk(struct run *run)
{
	run->disk = sim_new(run->root);
	if (run->seed % 4 == 0)
		sim_no_direct(run->disk);
	if (run->seed % 3 != 0)
		sim_use_maps(run->disk);
	if (run->seed % 5 == 0)
		sim_be_tight(run->disk);
}

/* The store of which a crash has taken the disk away. */
static void bury(struct run *run)
{
	run_say(run, "life ends at event %" PRIu64 ", back to state %zu", run->event, run->next_k);
	sim_on_event(run->disk, NULL, NULL);
	workload_let_go(run);
	if (run->store)
		(void)quiver_close(run->store); /* on a disk that nobody looks at again */
	run->store = NULL;
	sim_free(run->disk);
	run_remove(run->root);
	memcpy(run->root, run->next_root, sizeof(run->root));
	new_disk(run);
	sim_on_event(run->disk, on_event, run);
	if (run->next_k != SIZE_MAX) {
		oracle_back_to(&run->oracle, run->next_k);
	} else {
		oracle_commit(&run->oracle, &run->next_state);
		oracle_back_to(&run->oracle, run->oracle.count - 1);
	}
	run->snapshots = run->next_snapshots;
	run->dead = run->failed = false;
	run->phantom_count = 0;
}

static void on_report(void *arg, const char *line)
{
	run_say(arg, "store: %s", line);
}

static void set_gap(struct run *run, unsigned gap)
{
	run->crash_gap = gap;
	plan_next_crash(run);
}

static void create(struct run *run)
{
	struct quiver_error error = { "" };

	set_gap(run, GAP_OPENING);
	if (quiver_create(run->root, &run->geometry, NULL, sim_io(run->disk), &error) != 0)
		run_fail(run, "quiver_create: %s", error.text);
	run_settle(run);
	run->created = true;
}

void run_fail_sync(struct run *run)
{
	sim_fail_sync(run->disk, (unsigned)chance_below(&run->chance, FAILING_SYNC_MAX),
	              chance_next(&run->chance));
}

/* Open the store, a second time where a sync that fails keeps it from opening. */
static void open_or_retry(struct run *run, const struct quiver_options *options)
{
	struct quiver_error error = { "" };
	int r;

	if (run->faults && chance_percent(&run->chance, 25))
		run_fail_sync(run);
	r = quiver_open(run->root, options, &run->store, &error);
	if (sim_failed_sync(run->disk)) {
		run_say(run, "a sync of %s has failed: %s", sim_failed_sync(run->disk), error.text);
		/* A file that no snapshot needs any more may be left for later. */
		if (r == 0 && !faults_of_index(run) &&
		    (snapshots_least(&run->snapshots) > 0 || !faults_harmless(run)))
			run_fail(run, "opened though the sync of %s failed",
			         sim_failed_sync(run->disk));
		run->syncs_failed++;
		sim_fail_no_sync(run->disk);
		if (r)
			r = quiver_open(run->root, options, &run->store, &error);
	}
	sim_fail_no_sync(run->disk);
	if (r)
		run_fail(run, "quiver_open, on the simulated disk: %s", error.text);
}

/* The store has failed and was opened again, with no crash between: nothing that was logged is
 * lost, and what failed is there or is not. */
static void go_on_after_failure(struct run *run)
{
	struct oracle *oracle = &run->oracle;
	size_t from = oracle->logged > oracle->durable ? oracle->logged : oracle->durable;
	struct oracle_state state;
	char why[1024];
	size_t k;

	run_settle(run);
	if (run->dead)
		return;
	if (oracle_read(run->store, oracle->vector_bytes, &state, why, sizeof(why)) != 0)
		run_fail(run, "after a failed sync and opening again: %s", why);
	k = oracle_find(oracle, &state, from, oracle->count - 1, why, sizeof(why));
	for (size_t i = 0; k == SIZE_MAX && i < run->phantom_count; i++)
		if (oracle_same_vectors(&state, &run->phantoms[i])) {
			oracle_commit(oracle, &state);
			k = oracle->count - 1;
		}
	if (k == SIZE_MAX)
		run_fail(run, "after a failed sync and opening again: %s", why);
	run_say(run, "after a failed sync, state %zu", k);
	oracle_back_to(oracle, k);
	run->failed = false;
	run->phantom_count = 0;
}

/* False where a crash has ended the life already. */
static bool open_store(struct run *run, bool first)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .commit_interval_ms = 1000000000,
		                          .io = sim_io(run->disk),
		                          .on_report = on_report,
		                          .on_report_arg = run };
	struct quiver_attr dir;

	run->mode = (enum quiver_durability)chance_below(&run->chance, 4);
	options.durability = run->mode;
	run_say(run, "open, mode %s", quiver_durability_name(run->mode));
	run->life_end = RUN_NEVER;
	if (!first && chance_percent(&run->chance, 15))
		run->life_end = run->event + 1 + chance_below(&run->chance, LAST_WORDS);
	set_gap(run, GAP_OPENING);
	open_or_retry(run, &options);
	if (first) {
		(void)quiver_dir_attr(run->store, 0, &dir); /* of a local folder: does not fail */
		oracle_set_dir(&run->oracle, &dir);
	}
	if (run->failed)
		go_on_after_failure(run);
	else
		workload_compare(run, "after opening");
	if (!run->dead)
		snapshots_must_fit(run, "after opening");
	run_settle(run);
	return !run->dead;
}

static void close_store(struct run *run)
{
	int r;

	workload_let_go(run);
	workload_compare(run, "before closing");
	run_say(run, "close");
	set_gap(run, GAP_OPENING);
	if (run->faults && !run->failed && chance_percent(&run->chance, 25))
		run_fail_sync(run);
	r = quiver_close(run->store);
	run->store = NULL;
	if (sim_failed_sync(run->disk)) {
		run_say(run, "a sync of %s has failed", sim_failed_sync(run->disk));
		run->failed = r != 0 || !faults_of_index(run);
		run->syncs_failed++;
	}
	sim_fail_no_sync(run->disk);
	if (run->failed && r == 0)
		run_fail(run, "closed as if no sync had failed");
	if (r && !run->failed)
		run_fail(run, "quiver_close: %s", strerror(-r));
	run_settle(run);
	if (!run->dead && !run->failed)
		oracle_back_to(&run->oracle, run->oracle.count - 1);
}

static void work(struct run *run)
{
	unsigned steps = 1 + (unsigned)chance_below(&run->chance, STEPS_MAX);
	bool dies = chance_percent(&run->chance, 75);

	set_gap(run, GAP_WORKING);
	for (unsigned i = 0; i < steps && !run->dead && !run->failed; i++) {
		if (i + 1 == steps && dies)
			run->life_end = run->event + 1 + chance_below(&run->chance, LAST_WORDS);
		if (run->faults && chance_percent(&run->chance, 3))
			run_fail_sync(run);
		workload_step(run);
		if (sim_failed_sync(run->disk))
			faults_look(run);
		run_settle(run);
	}
	sim_fail_no_sync(run->disk);
}

void run_all(struct run *run)
{
	unsigned lives;
	size_t kinds = sizeof(geometries) / sizeof(geometries[0]);

	run->chance = chance_of(run->seed, 1);
	run->crash_chance = chance_of(run->seed, 2);
	run->clock_chance = chance_of(run->seed, 3);
	run->nearest_chance = chance_of(run->seed, 4);
	clock_start(&run->clock_chance);
	run->geometry = geometries[chance_below(&run->chance, kinds)];
	lives = 1 + (unsigned)chance_below(&run->chance, LIVES_MAX);
	oracle_init(&run->oracle, quiver_vector_bytes(run->geometry.dim, run->geometry.dtype));
	new_path(run, run->root);
	new_disk(run);
	run->life_end = RUN_NEVER;
	sim_on_event(run->disk, on_event, run);
	create(run);
	for (unsigned life = 0; life < lives || run->failed; life++) {
		if (open_store(run, life == 0))
			work(run);
		if (!run->dead)
			close_store(run);
		if (run->dead)
			bury(run);
	}
	sim_free(run->disk);
	oracle_free(&run->oracle);
	run_remove(run->root);
}
