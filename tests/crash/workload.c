/* What the store is made to do. Each step is one call of it that commits once or not at all. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <xxhash.h>

#include "clock.h"
#include "manual_background.h"
#include "workload.h"

#define BATCH_MAX 7
#define WHY_BYTES 1024

unsigned any_id(struct run *run)
{
	/* A few are favourites, so that they are overwritten again and again. */
	if (chance_percent(&run->chance, 40))
		return (unsigned)chance_below(&run->chance, 8);
	return (unsigned)chance_below(&run->chance, ORACLE_IDS);
}

struct quiver_attr any_attr(struct run *run)
{
	return (struct quiver_attr){ .mtime_ns = (int64_t)(chance_next(&run->chance) >> 2),
		                     .ctime_ns = run->oracle.vector_bytes, /* never taken */
		                     .uid = (uint32_t)chance_next(&run->chance),
		                     .gid = (uint32_t)chance_next(&run->chance),
		                     .mode = chance_next(&run->chance) & 0777 };
}

unsigned any_mask(struct run *run)
{
	return chance_percent(&run->chance, 60) ? QUIVER_ATTR_ALL
	                                        : (unsigned)chance_below(&run->chance, 16);
}

static unsigned any_flags(struct run *run, unsigned possible)
{
	unsigned flags = 0;

	if (chance_percent(&run->chance, 10))
		flags |= QUIVER_SYNC;
	if (chance_percent(&run->chance, 10))
		flags |= QUIVER_NOREPLACE;
	flags &= possible;
	run->logged_anyway = (flags & QUIVER_SYNC) && run->mode == QUIVER_NONE;
	return flags;
}

void expect(const struct run *run, const char *what, int r, int wanted)
{
	/* Of a checkpoint that has succeeded, what it says of snapshots may be written anew. */
	bool afterwards = run->had_snapshots && sim_failed_sync(run->disk) &&
	                  strcmp(sim_failed_sync(run->disk), "superblock") == 0;

	if (sim_failed_sync(run->disk)) {
		if (r >= 0 && !run->logged_anyway && !afterwards && !faults_harmless(run))
			run_fail(run, "%s: acknowledged though the sync of %s failed", what,
			         sim_failed_sync(run->disk));
	} else if (r != wanted)
		run_fail(run, "%s: %s, expected %s", what, strerror(-r), strerror(-wanted));
}

/* Everything so far survives a power cut. */
void durable(struct run *run)
{
	run->oracle.durable = run->oracle.logged = run->oracle.count - 1;
}

void maybe_phantom(struct run *run, const struct oracle_state *state)
{
	if (sim_failed_sync(run->disk))
		run->phantoms[run->phantom_count++] = *state;
}

void committed(struct run *run, struct oracle_state *state, uint64_t lsn, unsigned flags)
{
	struct oracle *oracle = &run->oracle;
	char why[WHY_BYTES];

	if (oracle_learn(run->store, oracle_now(oracle), state, oracle->lsn_max, lsn, why,
	                 sizeof(why)) != 0)
		run_fail(run, "%s", why);
	oracle_commit(oracle, state);
	if (lsn <= oracle->lsn_max && lsn != 0)
		run_fail(run, "LSN %" PRIu64 " was handed out twice", lsn);
	if (lsn > oracle->lsn_max)
		oracle->lsn_max = lsn;
	if (run->mode != QUIVER_NONE)
		oracle->logged = oracle->count - 1;
	if (run->mode == QUIVER_ALWAYS || (flags & QUIVER_SYNC))
		durable(run);
}

/* A call that changes the store to `state` has returned `r`. */
static void changed(struct run *run, struct oracle_state *state, int r, uint64_t lsn,
                    unsigned flags)
{
	if (r == 0)
		committed(run, state, lsn, flags);
	else
		maybe_phantom(run, state);
}

static void step_put(struct run *run)
{
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	unsigned flags = any_flags(run, QUIVER_SYNC | QUIVER_NOREPLACE);
	unsigned mask = any_mask(run);
	unsigned i = any_id(run);
	struct quiver_attr attr = any_attr(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	bool exists = state.entries[i].present && (flags & QUIVER_NOREPLACE);
	uint64_t lsn = 0;
	int r;

	oracle_put(&run->oracle, &state, i, &attr, mask, bytes);
	run_say(run, "put %" PRIu64 " version %" PRIu64 "%s", oracle_id(i),
	        state.entries[i].version, flags & QUIVER_SYNC ? " sync" : "");
	r = quiver_put(run->store, oracle_id(i), bytes, &attr, mask, flags, &lsn);
	expect(run, "put", r, exists ? -EEXIST : 0);
	changed(run, &state, r, lsn, flags);
}

/* The log write fails midway: the vector must not be there, now and after any later crash. */
static void step_failing_put(struct run *run)
{
	uint8_t bytes[ORACLE_VECTOR_BYTES_MAX];
	struct quiver_attr attr = any_attr(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	unsigned i = any_id(run);
	uint64_t lsn = 0;
	int r;

	if (run->mode == QUIVER_NONE)
		return;
	oracle_put(&run->oracle, &state, i, &attr, QUIVER_ATTR_ALL, bytes);
	run->phantoms[run->phantom_count++] = state;
	sim_fail_log_write(run->disk,
	                   chance_percent(&run->chance, 50)
	                           ? UINT64_MAX
	                           : chance_below(&run->chance, run->oracle.vector_bytes + 128));
	run_say(run, "put %" PRIu64 " version %" PRIu64 ", failing", oracle_id(i),
	        state.entries[i].version);
	r = quiver_put(run->store, oracle_id(i), bytes, &attr, QUIVER_ATTR_ALL, 0, &lsn);
	expect(run, "put on a failing log", r, -EIO);
	/* A note for the rows comes before it, and its sync may have failed. */
	if (!sim_failed_log_write(run->disk) && !sim_failed_sync(run->disk))
		run_fail(run, "the log was not written");
	sim_fail_no_log_write(run->disk);
}

static void step_batch(struct run *run)
{
	uint8_t bytes[BATCH_MAX][ORACLE_VECTOR_BYTES_MAX];
	struct quiver_record records[BATCH_MAX];
	struct quiver_attr attr = any_attr(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	unsigned flags = any_flags(run, QUIVER_SYNC);
	unsigned ids[BATCH_MAX];
	unsigned mask = any_mask(run);
	size_t count = 1 + chance_below(&run->chance, BATCH_MAX);
	uint64_t lsn = 0;
	int r;

	run_say(run, "batch of %zu", count);
	for (size_t n = 0; n < count; n++) {
		ids[n] = any_id(run);
		/* Of an ID named twice the first record counts for nothing, and what is
		 * inherited comes from before the batch. */
		for (size_t m = 0; m < n; m++)
			if (ids[m] == ids[n])
				state.entries[ids[n]] = oracle_now(&run->oracle)->entries[ids[n]];
		oracle_put(&run->oracle, &state, ids[n], &attr, mask, bytes[n]);
		run_say(run, "  %" PRIu64 " version %" PRIu64, oracle_id(ids[n]),
		        state.entries[ids[n]].version);
		records[n] = (struct quiver_record){ .id = oracle_id(ids[n]), .data = bytes[n] };
	}
	r = quiver_put_batch(run->store, records, count, &attr, mask, flags, &lsn);
	expect(run, "batch", r, 0);
	changed(run, &state, r, lsn, flags);
}

static void step_remove(struct run *run)
{
	unsigned flags = any_flags(run, QUIVER_SYNC);
	unsigned i = any_id(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	uint64_t lsn = 0;
	int r;

	run_say(run, "remove %" PRIu64, oracle_id(i));
	r = quiver_remove(run->store, oracle_id(i), flags, &lsn);
	expect(run, "remove", r, state.entries[i].present ? 0 : -ENOENT);
	oracle_remove(&state, i);
	changed(run, &state, r, lsn, flags);
}

static void step_rename(struct run *run)
{
	unsigned flags = any_flags(run, QUIVER_SYNC | QUIVER_NOREPLACE);
	unsigned from = any_id(run);
	unsigned to = any_id(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	uint64_t lsn = 0;
	int wanted = 0;
	int r;

	if (from == to)
		return;
	if (!state.entries[from].present)
		wanted = -ENOENT;
	else if (state.entries[to].present && (flags & QUIVER_NOREPLACE))
		wanted = -EEXIST;
	run_say(run, "rename %" PRIu64 " to %" PRIu64, oracle_id(from), oracle_id(to));
	r = quiver_rename(run->store, oracle_id(from), oracle_id(to), flags, &lsn);
	expect(run, "rename", r, wanted);
	if (wanted)
		return;
	oracle_rename(&state, from, to);
	changed(run, &state, r, lsn, flags);
}

static void step_attr(struct run *run)
{
	unsigned flags = any_flags(run, QUIVER_SYNC);
	unsigned mask = any_mask(run);
	unsigned i = any_id(run);
	struct quiver_attr attr = any_attr(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	int r;

	run_say(run, "attributes of %" PRIu64, oracle_id(i));
	r = quiver_set_attr(run->store, oracle_id(i), &attr, mask, flags);
	expect(run, "set_attr", r, state.entries[i].present ? 0 : -ENOENT);
	if (!state.entries[i].present)
		return;
	oracle_attr(&state, i, &attr, mask);
	changed(run, &state, r, 0, flags);
}

static void step_dir_attr(struct run *run)
{
	unsigned flags = any_flags(run, QUIVER_SYNC);
	unsigned mask = any_mask(run);
	struct quiver_attr attr = any_attr(run);
	struct oracle_state state = *oracle_now(&run->oracle);
	int r;

	run_say(run, "attributes of the folder");
	r = quiver_set_dir_attr(run->store, &attr, mask, flags);
	expect(run, "set_dir_attr", r, 0);
	oracle_dir_attr(&state, &attr, mask);
	changed(run, &state, r, 0, flags);
}

static void step_flush(struct run *run)
{
	int r;

	run_say(run, "flush");
	r = quiver_flush(run->store);
	expect(run, "flush", r, 0);
	if (r == 0 && run->mode != QUIVER_FLUSH)
		durable(run);
}

/* A call after which all that was done before is durable. */
static void makes_durable(struct run *run, const char *what, int r)
{
	expect(run, what, r, 0);
	if (r == 0)
		durable(run);
}

static void step_checkpoint(struct run *run)
{
	run_say(run, "checkpoint");
	makes_durable(run, "checkpoint", quiver_checkpoint(run->store));
}

static void step_compact(struct run *run)
{
	run_say(run, "compact");
	makes_durable(run, "compact", manual_background_compact(run->store));
}

static void step_mode(struct run *run)
{
	enum quiver_durability mode = (enum quiver_durability)chance_below(&run->chance, 4);

	int r;

	run_say(run, "mode %s", quiver_durability_name(mode));
	r = quiver_set_durability(run->store, mode);
	expect(run, "set_durability", r, 0);
	if (r)
		return;
	if (mode != run->mode)
		durable(run);
	run->mode = mode;
}

static void step_reserve(struct run *run)
{
	uint64_t count = chance_below(&run->chance, 40);

	run_say(run, "reserve %" PRIu64, count);
	expect(run, "reserve", quiver_reserve(run->store, count), 0);
}

static void step_keep_house(struct run *run)
{
	run_say(run, "housekeeping");
	expect(run, "housekeeping", manual_background_keep_house(run->store), 0);
}

static void step_timer(struct run *run)
{
	run_say(run, "timed sync");
	expect(run, "timed sync", manual_background_sync(run->store), 0);
}

static void unpin(struct run *run, struct run_pin *pin)
{
	if (XXH3_64bits(pin->ref.data, run->oracle.vector_bytes) != pin->hash)
		run_fail(run, "the pinned version of %" PRIu64 " has changed", pin->ref.id);
	quiver_unref(run->store, &pin->ref);
	pin->held = false;
}

/* Hold on to a version, or let go of it. */
static void step_pin(struct run *run)
{
	struct run_pin *pin = &run->pins[chance_below(&run->chance, RUN_PINS_MAX)];
	unsigned i = any_id(run);
	const struct oracle_entry *entry = &oracle_now(&run->oracle)->entries[i];

	if (pin->held) {
		unpin(run, pin);
		return;
	}
	if (!entry->present)
		return;
	expect(run, "get", quiver_get(run->store, oracle_id(i), 0, &pin->ref), 0);
	pin->held = true;
	pin->hash = entry->hash;
	if (XXH3_64bits(pin->ref.data, run->oracle.vector_bytes) != pin->hash)
		run_fail(run, "vector %" PRIu64 " is not what was put", oracle_id(i));
}

static void step_hold(struct run *run)
{
	uint64_t bytes;
	int fd;

	if (run->column_held)
		quiver_column_release(run->store, QUIVER_COLUMN_VECTORS);
	else
		expect(run, "column_hold",
		       quiver_column_hold(run->store, QUIVER_COLUMN_VECTORS, &fd, &bytes), 0);
	run->column_held = !run->column_held;
}

void workload_compare(struct run *run, const char *when)
{
	struct oracle_state state;
	char why[WHY_BYTES];

	if (oracle_read(run->store, run->oracle.vector_bytes, &state, why, sizeof(why)) != 0 ||
	    oracle_find(&run->oracle, &state, run->oracle.count - 1, run->oracle.count - 1, why,
	                sizeof(why)) == SIZE_MAX)
		run_fail(run, "%s: %s", when, why);
}

static void step_compare(struct run *run)
{
	workload_compare(run, "while running");
}

void workload_let_go(struct run *run)
{
	for (size_t i = 0; i < RUN_PINS_MAX; i++)
		if (run->pins[i].held)
			unpin(run, &run->pins[i]);
	if (run->column_held)
		step_hold(run);
	snapshots_let_go(run);
}

struct choice {
	unsigned weight;
	void (*step)(struct run *run);
};

static const struct choice without_faults[] = {
	{ 30, step_put },
	{ 8, step_batch },
	{ 10, step_remove },
	{ 10, step_rename },
	{ 9, step_attr },
	{ 2, step_dir_attr },
	{ 4, step_flush },
	{ 5, step_checkpoint },
	{ 3, step_compact },
	{ 2, step_mode },
	{ 2, step_reserve },
	{ 6, step_keep_house },
	{ 2, step_timer },
	{ 5, step_pin },
	{ 1, step_hold },
	{ 1, step_compare },
	{ 3, step_failing_put },
	{ 4, step_snapshot_make },
	{ 3, step_snapshot_remove },
	{ 2, step_snapshot_read },
	{ 3, step_snapshot_hold },
	{ 0, NULL },
};

static const struct choice with_faults[] = {
	{ 15, step_group },
	{ 15, step_put },
	{ 5, step_batch },
	{ 8, step_remove },
	{ 8, step_rename },
	{ 8, step_attr },
	{ 2, step_dir_attr },
	{ 6, step_flush },
	{ 6, step_checkpoint },
	{ 4, step_compact },
	{ 4, step_mode },
	{ 2, step_reserve },
	{ 6, step_keep_house },
	{ 4, step_timer },
	{ 3, step_pin },
	{ 1, step_compare },
	{ 3, step_failing_put },
	{ 5, step_snapshot_make },
	{ 4, step_snapshot_remove },
	{ 1, step_snapshot_read },
	{ 2, step_snapshot_hold },
	{ 0, NULL },
};

void workload_step(struct run *run)
{
	const struct choice *choices = run->faults ? with_faults : without_faults;
	unsigned total = 0;
	uint64_t at;

	for (size_t i = 0; choices[i].step; i++)
		total += choices[i].weight;
	run->logged_anyway = false;
	clock_step(&run->clock_chance);
	manual_background_prefetch(run->store);
	workload_nearest(run);
	run_settle(run);
	if (run->dead)
		return;
	at = chance_below(&run->chance, total);
	while (at >= choices->weight)
		at -= choices++->weight;
	choices->step(run);
}
