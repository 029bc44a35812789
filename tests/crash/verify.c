/* Looking at what a crash has left: check, recover, compare, go on, close, check again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "manual_background.h"
#include "nearest.h"
#include "run.h"
#include "tests/common/recoveries.h"

#define WHY_BYTES 1024
/* FORMAT.md */
#define NPY_HEADER_BYTES 4096u
#define NPY_MUTABLE_BYTES 512u
#define META_BYTES 56u

static void crash_fail(const struct run *run, const struct run_crash *crash, const char *what,
                       const char *why)
{
	run_fail(run, "crash at event %" PRIu64 " (%s), states %zu to %zu allowed: %s: %s",
	         crash->event, sim_keep_name(crash->keep), crash->from, crash->to, what, why);
}

struct listener {
	const struct run *run;
	char first[WHY_BYTES];
};

static void hear(void *arg, const char *line)
{
	struct listener *listener = arg;

	run_say(listener->run, "  check: %s", line);
	if (!listener->first[0])
		(void)snprintf(listener->first, sizeof(listener->first), "%s", line);
}

/* What np.load sees of a column in a store that counts as closed: as many rows as it says. */
static void check_npy(const struct run *run, const struct run_crash *crash, const char *name,
                      uint64_t row_bytes)
{
	static const char before[] = "'shape': (";
	char path[RUN_PATH_BYTES + 32];
	char header[NPY_MUTABLE_BYTES + 1] = "";
	const char *shape;
	uint64_t rows = 0;
	struct stat st;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", crash->image, name);
	file = fopen(path, "r");
	if (!file || fread(header, 1, NPY_MUTABLE_BYTES, file) != NPY_MUTABLE_BYTES ||
	    fstat(fileno(file), &st) != 0 || fclose(file) != 0)
		crash_fail(run, crash, name, "cannot be read");
	/* The first bytes of it are not text. */
	shape = memmem(header, NPY_MUTABLE_BYTES, before, sizeof(before) - 1);
	if (!shape)
		crash_fail(run, crash, name, "no shape in the header");
	rows = strtoull(shape + sizeof(before) - 1, NULL, 10);
	if ((uint64_t)st.st_size != NPY_HEADER_BYTES + rows * row_bytes)
		crash_fail(run, crash, name,
		           "the header of a store that was closed does not fit the file");
}

/* Before recovery, and after a clean close. */
static void check(const struct run *run, const struct run_crash *crash, bool closed)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct listener listener = { .run = run, .first = "" };
	int r = quiver_check(crash->image, false, hear, &listener, &result, &error);

	if (r)
		crash_fail(run, crash, "quiver_check", error.text);
	if (result.damage)
		crash_fail(run, crash,
		           closed ? "damage after a clean close" : "damage where only a crash was",
		           listener.first);
	if (result.snapshots < snapshots_least(&crash->snapshots) ||
	    result.snapshots > snapshots_most(&crash->snapshots))
		crash_fail(run, crash, "quiver_check", "another number of snapshots");
	if (closed && !result.clean)
		crash_fail(run, crash, "quiver_check", "not clean after a close");
	if (!result.clean)
		return;
	check_npy(run, crash, "vectors.npy", run->oracle.vector_bytes);
	check_npy(run, crash, "ids.npy", sizeof(uint64_t));
	check_npy(run, crash, "meta.npy", META_BYTES);
}

static void on_report(void *arg, const char *line)
{
	run_say(arg, "  store: %s", line);
}

static struct quiver *open_image(struct run *run, const struct run_crash *crash,
                                 enum quiver_durability mode, bool read_only)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only,
		                          .durability = mode,
		                          .commit_interval_ms = 1000000000,
		                          .on_report = on_report,
		                          .on_report_arg = run };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = quiver_open(crash->image, &options, &store, &error);

	if (r == 0)
		return store;
	/* A store whose making was interrupted need not be one. */
	if (!crash->created && (r == -EINVAL || r == -ENOENT))
		return NULL;
	crash_fail(run, crash, "quiver_open", error.text);
	return NULL;
}

static void close_image(const struct run *run, const struct run_crash *crash, struct quiver *store)
{
	int r = quiver_close(store);

	if (r)
		crash_fail(run, crash, "quiver_close", strerror(-r));
}

static void read_image(const struct run *run, const struct run_crash *crash, struct quiver *store,
                       struct oracle_state *state)
{
	char why[WHY_BYTES];

	if (oracle_read(store, run->oracle.vector_bytes, state, why, sizeof(why)) != 0)
		crash_fail(run, crash, "reading", why);
}

/* The state that the store has gone back to; SIZE_MAX for the phantom. */
static size_t find_state(const struct run *run, const struct run_crash *crash,
                         const struct oracle_state *state)
{
	char why[WHY_BYTES];
	size_t k = oracle_find(&run->oracle, state, crash->from, crash->to, why, sizeof(why));

	for (size_t i = 0; k == SIZE_MAX && i < run->phantom_count; i++)
		if (oracle_same_vectors(state, &run->phantoms[i]))
			return SIZE_MAX;
	if (k == SIZE_MAX)
		crash_fail(run, crash, "recovered", why);
	return k;
}

static struct snapshots_place place_of(const struct run *run, const struct run_crash *crash,
                                       struct quiver *store, char *why)
{
	return (struct snapshots_place){ .store = store,
		                         .path = crash->image,
		                         .oracle = &run->oracle,
		                         .why = why,
		                         .room = WHY_BYTES };
}

/* What is known of the snapshots must be so; what was not known of them is known then. */
static void look_at_snapshots(struct run *run, struct run_crash *crash, struct quiver *store,
                              bool exact, const char *when)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, crash, store, why);

	if (snapshots_look(&place, &crash->snapshots, exact) != 0)
		crash_fail(run, crash, when, why);
}

/* As other processes see them, who have no right to the store. */
static void look_alone(struct run *run, const struct run_crash *crash, const char *when)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, crash, NULL, why);

	if (snapshots_look_alone(&place, &crash->snapshots) != 0)
		crash_fail(run, crash, when, why);
}

/* Whatever the crash has left of an index. */
static void look_for_neighbours(const struct run *run, const struct run_crash *crash,
                                struct quiver *store, const char *when)
{
	struct chance chance = chance_of(run->seed + 4, crash->event);
	uint64_t ids[ORACLE_IDS];
	char why[WHY_BYTES];

	for (unsigned i = 0; i < ORACLE_IDS; i++)
		ids[i] = oracle_id(i);
	if (chance_percent(&chance, 80))
		manual_background_keep_lists(store);
	if (nearest_look(store, ids, ORACLE_IDS, chance_next(&chance), why, sizeof(why)) != 0)
		crash_fail(run, crash, when, why);
}

static void must(const struct run *run, const struct run_crash *crash, const char *what, int r)
{
	if (r)
		crash_fail(run, crash, what, strerror(-r));
}

/* With the index that a checkpoint has kept, and from the rows: what comes of both is the same. */
static void compare_recoveries(struct run *run, const struct run_crash *crash)
{
	char why[RECOVERIES_WHY_BYTES];
	int64_t now_ns = clock_now();
	bool took;

	if (recoveries_compare(crash->image, crash->image, &took, why) != 0)
		crash_fail(run, crash, "recovered with the index and from the rows", why);
	run->compared++;
	run->took_index += took;
	clock_set(now_ns);
}

/* A few changes of the recovered store; the state follows. */
static void go_on(struct run *run, const struct run_crash *crash, struct quiver *store,
                  struct oracle_state *state, struct chance *chance)
{
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	struct quiver_attr attr = { .mtime_ns = 99, .uid = 8, .gid = 7, .mode = 0604 };
	uint64_t version = run->oracle.next_version;
	int64_t now_ns = clock_now();
	uint64_t lsn = 0;

	for (int n = 0; n < 4; n++) {
		unsigned i = (unsigned)chance_below(chance, ORACLE_IDS);

		clock_step(chance);
		if (state->entries[i].present && chance_percent(chance, 30)) {
			must(run, crash, "remove after recovery",
			     quiver_remove(store, oracle_id(i), 0, &lsn));
			oracle_remove(state, i);
		} else {
			oracle_put(&run->oracle, state, i, &attr, QUIVER_ATTR_ALL, bytes);
			must(run, crash, "put after recovery",
			     quiver_put(store, oracle_id(i), bytes, &attr, QUIVER_ATTR_ALL, 0,
			                &lsn));
		}
		if (lsn <= run->oracle.lsn_max)
			crash_fail(run, crash, "after recovery", "an LSN was handed out twice");
		if (n == 1 && chance_percent(chance, 30))
			must(run, crash, "checkpoint after recovery", quiver_checkpoint(store));
	}
	clock_set(now_ns);
	run->oracle.next_version = version; /* these versions go with the image */
}

static void compare(const struct run *run, const struct run_crash *crash, struct quiver *store,
                    const struct oracle_state *want, const char *when)
{
	struct oracle_state is;

	read_image(run, crash, store, &is);
	if (!oracle_same_vectors(&is, want))
		crash_fail(run, crash, when, "vectors are not what they were");
	if (!oracle_same_attr(&is.dir, &want->dir))
		crash_fail(run, crash, when, "the folder's attributes are not what they were");
}

/* Some are recovered before they are used: by being read, or by a repair. */
static void recover_first(struct run *run, struct run_crash *crash, struct chance *chance)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	unsigned way = (unsigned)chance_below(chance, 12);
	struct oracle_state state;
	struct quiver *store;

	if (!crash->created || way > 1)
		return;
	if (way == 0) {
		if (quiver_check(crash->image, true, NULL, NULL, &result, &error) != 0)
			crash_fail(run, crash, "repair", error.text);
		if (result.damage)
			crash_fail(run, crash, "repair", "damage where only a crash was");
		return;
	}
	store = open_image(run, crash, QUIVER_FSYNC, true);
	read_image(run, crash, store, &state);
	(void)find_state(run, crash, &state);
	look_at_snapshots(run, crash, store, true, "read-only");
	close_image(run, crash, store);
}

/* Snapshots come and go in the recovered store as well. */
static void change_snapshots(struct run *run, struct run_crash *crash, struct quiver *store,
                             const struct oracle_state *state, size_t k, struct chance *chance)
{
	size_t n = chance_below(chance, SNAPSHOTS_MAX);
	struct snapshot_known *item = &crash->snapshots.items[n];

	if (chance_percent(chance, 60))
		return;
	if (item->kind == SNAPSHOT_NONE) {
		*item = (struct snapshot_known){ .kind = SNAPSHOT_THERE, .k = k, .state = *state };
		must(run, crash, "snapshot after recovery",
		     quiver_snapshot_create(store, snapshots_name(n), NULL));
	} else {
		item->kind = SNAPSHOT_NONE;
		must(run, crash, "removal of a snapshot after recovery",
		     quiver_snapshot_remove(store, snapshots_name(n)));
	}
}

static void end_without_snapshots(struct run *run, struct run_crash *crash, struct quiver *store)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, crash, store, why);

	if (snapshots_remove_all(&place, &crash->snapshots) != 0)
		crash_fail(run, crash, "at the end", why);
}

size_t verify_crash(struct run *run, struct run_crash *crash, struct oracle_state *state)
{
	struct chance chance = chance_of(run->seed, crash->event);
	enum quiver_durability mode = (enum quiver_durability)chance_below(&chance, 4);
	struct snapshots_known found;
	struct oracle_state later;
	struct quiver *store;
	size_t k = 0;

	if (crash->created)
		check(run, crash, false);
	if (chance_percent(&chance, 25))
		look_alone(run, crash, "before recovery");
	if (crash->created && crash->event % 3 == 0)
		compare_recoveries(run, crash);
	recover_first(run, crash, &chance);
	store = open_image(run, crash, mode, false);
	if (!store)
		return 0;
	read_image(run, crash, store, state);
	if (crash->created)
		k = find_state(run, crash, state);
	look_at_snapshots(run, crash, store, true, "recovered");
	look_for_neighbours(run, crash, store, "recovered");
	found = crash->snapshots;
	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		if (found.items[n].kind == SNAPSHOT_THERE && found.items[n].k > k)
			crash_fail(run, crash, snapshots_name(n),
			           "the snapshot is younger than the store");
	later = *state;
	/* Younger than all there are. */
	change_snapshots(run, crash, store, &later, SIZE_MAX - 1, &chance);
	go_on(run, crash, store, &later, &chance);
	change_snapshots(run, crash, store, &later, SIZE_MAX, &chance);
	compare(run, crash, store, &later, "after going on");
	look_at_snapshots(run, crash, store, false, "after going on");
	look_for_neighbours(run, crash, store, "after going on");
	close_image(run, crash, store);
	check(run, crash, true);
	look_alone(run, crash, "closed");
	store = open_image(run, crash, mode, false);
	compare(run, crash, store, &later, "after opening again");
	look_at_snapshots(run, crash, store, true, "after opening again");
	look_for_neighbours(run, crash, store, "after opening again");
	if (chance_percent(&chance, 30)) {
		end_without_snapshots(run, crash, store);
		compare(run, crash, store, &later, "without snapshots");
	}
	close_image(run, crash, store);
	crash->snapshots = found;
	return k;
}
