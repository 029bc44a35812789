/*
 * snapshot_steps.c - the engine's calls for snapshots, each held against the worlds that they are of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/store/store.h"
#include "faults.h"
#include "script.h"

static const char *name_of(unsigned n)
{
	static const char *const names[SCRIPT_SNAPSHOTS] = { "one", "2.b", "_3:c" };

	return names[n];
}

static bool has_failed(const struct run *run)
{
	return run->store && health_failed(&run->store->health);
}

static bool is_there(struct run *run, unsigned n)
{
	struct quiver_snapshot told;

	return quiver_snapshot_stat(run->store, name_of(n), &told) == 0;
}

/* What is seen of one, where it need not be all that can be read. */
static void compare_view(struct run *run, const char *when, unsigned n, struct quiver *view,
                         const struct world *world)
{
	const char *why = NULL;
	uint64_t id = 0;

	if (!faults_fired())
		why = world_compare(world, view, &id);
	if (faults_fired()) { /* meanwhile, perhaps */
		why = NULL;
		for (id = 0; !why && id < WORLD_IDS; id++)
			why = world_compare_id(world, view, id, true);
	}
	if (why)
		run_wrong(run, "%s: vector %llu of snapshot %s: %s", when, (unsigned long long)id,
		          name_of(n), why);
}

void step_snapshot(struct run *run, unsigned n)
{
	struct snapshot_world *snapshot = &run->snapshots[n];
	bool exists = snapshot->kind == SNAPSHOT_THERE;
	bool failed = has_failed(run);
	int r;

	if (run->stopped || snapshot->kind == SNAPSHOT_MAYBE)
		return;
	r = quiver_snapshot_create(run->store, name_of(n), NULL);
	run_judge_change(run, "snapshot_create", r, exists ? -EEXIST : 0, failed);
	if (exists)
		return;
	snapshot->world = run->now;
	snapshot->kind = r == 0 ? SNAPSHOT_THERE : SNAPSHOT_NONE;
	/* Where what is there of it can neither be made whole nor be removed, nobody knows until it
	 * is opened again, and it is as if it were there. */
	if (r == -EIO || (r && !run->once))
		snapshot->kind = SNAPSHOT_MAYBE;
	if (r == 0 && !is_there(run, n))
		run_wrong(run, "a snapshot that was made is not there");
	if (r && run->once && is_there(run, n))
		run_wrong(run, "a snapshot that was not made is there");
	if (r == 0)
		run_kept(run);
}

void step_snapshot_remove(struct run *run, unsigned n)
{
	struct snapshot_world *snapshot = &run->snapshots[n];
	bool exists = snapshot->kind == SNAPSHOT_THERE;
	long syncs_failed = faults_syncs_failed();
	int r;

	if (run->stopped || snapshot->kind == SNAPSHOT_MAYBE)
		return;
	r = quiver_snapshot_remove(run->store, name_of(n));
	/* Once it is gone for good, what it held may stop the store. */
	run_judge(run, "snapshot_remove", r, exists ? 0 : -ENOENT);
	/* Where the sync of the folder has failed, with whatever errno, it is known on disk alone. */
	if (r == 0)
		snapshot->kind = SNAPSHOT_NONE;
	else if (r == -EIO || faults_syncs_failed() > syncs_failed)
		snapshot->kind = SNAPSHOT_MAYBE;
}

/* Of one alone the reason is told. */
static int open_one(struct run *run, unsigned n, bool alone, struct quiver **view)
{
	struct quiver_error error = { "" };
	int r;

	struct quiver_options options = { .size = sizeof(options),
		                          .read_only = true,
		                          .io = faults_table() };
	char path[sizeof(run->path) + QUIVER_SNAPSHOT_NAME_MAX + 2];

	if (!alone)
		return quiver_snapshot_open(run->store, name_of(n), view);
	(void)snprintf(path, sizeof(path), "%s@%s", run->path, name_of(n));
	r = quiver_open(path, &options, view, &error);
	if (r && error.text[0] == '\0')
		run_wrong(run, "opening a snapshot alone failed (%s) without a word", strerror(-r));
	return r;
}

void step_snapshot_read(struct run *run, unsigned n, bool alone)
{
	const struct snapshot_world *snapshot = &run->snapshots[n];
	bool exists = snapshot->kind == SNAPSHOT_THERE;
	struct quiver *view = NULL;
	int r;

	if (run->stopped || snapshot->kind == SNAPSHOT_MAYBE)
		return;
	r = open_one(run, n, alone, &view);
	/* What the disk does not give is damage of what is in it. */
	if (r == -EUCLEAN && faults_fired() && !run->once)
		r = -EIO;
	run_judge(run, alone ? "opening a snapshot alone" : "snapshot_open", r,
	          exists ? 0 : -ENOENT);
	if (r)
		return;
	if (!run->allocations) /* the list needs memory */
		compare_view(run, alone ? "alone" : "while open", n, view, &snapshot->world);
	run_judge(run, "closing a snapshot", quiver_close(view), 0);
}

void step_view_open(struct run *run, unsigned n)
{
	int r;

	if (run->stopped || run->snapshots[n].kind != SNAPSHOT_THERE)
		return;
	r = open_one(run, n, false, &run->view);
	run_judge(run, "snapshot_open", r, 0);
	if (r)
		run->view = NULL;
	run->view_number = n;
	run->view_world = run->snapshots[n].world;
}

void step_view_close(struct run *run)
{
	if (!run->view)
		return;
	if (!run->allocations)
		compare_view(run, "kept open", run->view_number, run->view, &run->view_world);
	run_judge(run, "closing a snapshot", quiver_close(run->view), 0);
	run->view = NULL;
}

/* With nothing failing any more: those that are known are there, and no others. */
void run_verify_snapshots(struct run *run, struct quiver *store)
{
	struct quiver_snapshot told;
	size_t there = 0;
	struct quiver_snapshot *all;
	size_t count;

	for (unsigned n = 0; n < SCRIPT_SNAPSHOTS; n++) {
		struct snapshot_world *snapshot = &run->snapshots[n];
		int r = quiver_snapshot_stat(store, name_of(n), &told);
		struct quiver *view;
		const char *why;
		uint64_t id;

		if (snapshot->kind == SNAPSHOT_MAYBE)
			snapshot->kind = r == 0 ? SNAPSHOT_THERE : SNAPSHOT_NONE;
		if (r != (snapshot->kind == SNAPSHOT_THERE ? 0 : -ENOENT))
			run_wrong(run, "opened again: snapshot %s: %s", name_of(n),
			          r ? strerror(-r) : "is there");
		if (r)
			continue;
		there++;
		if (told.damaged)
			run_wrong(run, "opened again: snapshot %s is damaged", name_of(n));
		r = quiver_snapshot_open(store, name_of(n), &view);
		if (r) {
			run_wrong(run, "opened again: opening snapshot %s: %s", name_of(n),
			          strerror(-r));
			continue;
		}
		why = world_compare(&snapshot->world, view, &id);
		if (why)
			run_wrong(run, "opened again: vector %llu of snapshot %s: %s",
			          (unsigned long long)id, name_of(n), why);
		if (quiver_close(view) != 0)
			run_wrong(run, "opened again: snapshot %s does not close", name_of(n));
	}
	if (quiver_snapshots(store, &all, &count) != 0)
		abort();
	free(all);
	if (count != there)
		run_wrong(run, "opened again: %zu snapshots, and %zu known", count, there);
}

/* All go, and with them what they held. */
void run_remove_snapshots(struct run *run, struct quiver *store)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	int r = 0;

	for (unsigned n = 0; n < SCRIPT_SNAPSHOTS; n++) {
		if (run->snapshots[n].kind == SNAPSHOT_THERE)
			r = r ? r : quiver_snapshot_remove(store, name_of(n));
		run->snapshots[n].kind = SNAPSHOT_NONE;
	}
	r = r ? r : quiver_checkpoint(store);
	if (r)
		run_wrong(run, "opened again: removing all snapshots: %s", strerror(-r));
	quiver_stats(store, &stats);
	if (stats.slots_held || stats.snapshots || stats.versions_bytes)
		run_wrong(run, "without snapshots %llu slots are held, %llu bytes kept",
		          (unsigned long long)stats.slots_held,
		          (unsigned long long)stats.versions_bytes);
}
