/* Snapshots are made, read, kept open and removed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "workload.h"

#define WHY_BYTES 1024

static struct snapshots_place place_of(const struct run *run, char *why)
{
	return (struct snapshots_place){ .store = run->store,
		                         .path = run->root,
		                         .oracle = &run->oracle,
		                         .why = why,
		                         .room = WHY_BYTES };
}

static bool is_open_alone(const struct run *run, size_t n)
{
	for (size_t v = 0; v < RUN_VIEWS_MAX; v++)
		if (run->views[v].store && run->views[v].n == n && run->views[v].alone)
			return true;
	return false;
}

void step_snapshot_make(struct run *run)
{
	size_t n = chance_below(&run->chance, SNAPSHOTS_MAX);
	struct snapshot_known *item = &run->snapshots.items[n];
	bool exists = item->kind == SNAPSHOT_THERE;
	struct quiver_snapshot made;
	int r;

	if (item->kind == SNAPSHOT_MAYBE)
		return;
	run_say(run, "snapshot %s", snapshots_name(n));
	if (!exists)
		*item = (struct snapshot_known){ .kind = SNAPSHOT_MAYBE,
			                         .k = run->oracle.count - 1,
			                         .state = *oracle_now(&run->oracle) };
	run->had_snapshots = true;
	r = quiver_snapshot_create(run->store, snapshots_name(n), &made);
	expect(run, "snapshot", r, exists ? -EEXIST : 0);
	if (r)
		return; /* where a sync has failed it may be there */
	if (made.created_ns != clock_now())
		run_fail(run, "the snapshot was not made now");
	item->kind = SNAPSHOT_THERE;
	durable(run);
}

void step_snapshot_remove(struct run *run)
{
	size_t n = chance_below(&run->chance, SNAPSHOTS_MAX);
	struct snapshot_known *item = &run->snapshots.items[n];
	bool unknown = item->kind == SNAPSHOT_MAYBE;
	bool busy = is_open_alone(run, n);
	int wanted = 0;
	int r;

	if (item->kind == SNAPSHOT_NONE)
		wanted = -ENOENT;
	else if (busy)
		wanted = -EBUSY;
	run_say(run, "snapshot %s is removed", snapshots_name(n));
	if (!wanted)
		item->kind = SNAPSHOT_MAYBE;
	r = quiver_snapshot_remove(run->store, snapshots_name(n));
	if (unknown && r == -ENOENT)
		r = 0; /* it is not there, now and after any crash */
	expect(run, "removal of a snapshot", r, wanted);
	if (r == 0)
		item->kind = SNAPSHOT_NONE;
}

void snapshots_must_fit(struct run *run, const char *when)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, why);

	if (snapshots_look(&place, &run->snapshots, false) != 0)
		run_fail(run, "%s: %s", when, why);
}

void step_snapshot_read(struct run *run)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, why);

	run_say(run, "snapshots are read");
	for (size_t n = 0; n < SNAPSHOTS_MAX; n++)
		if (run->snapshots.items[n].kind == SNAPSHOT_MAYBE)
			return; /* known when the store is opened again */
	if (chance_percent(&run->chance, 50))
		snapshots_must_fit(run, "while running");
	else if (snapshots_look_alone(&place, &run->snapshots) != 0)
		run_fail(run, "while running: %s", why);
}

static void close_view(struct run *run, struct run_view *view)
{
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, why);

	if (snapshots_compare(&place, view->n, view->store, &view->state) != 0)
		run_fail(run, "open for a while: %s", why);
	if (quiver_close(view->store) != 0)
		run_fail(run, "a snapshot cannot be closed");
	view->store = NULL;
}

/* Keep one open, whatever happens to it meanwhile, or let go of it. */
void step_snapshot_hold(struct run *run)
{
	struct run_view *view = &run->views[chance_below(&run->chance, RUN_VIEWS_MAX)];
	size_t n = chance_below(&run->chance, SNAPSHOTS_MAX);
	bool alone = chance_percent(&run->chance, 30);
	const struct snapshot_known *item = &run->snapshots.items[n];
	char why[WHY_BYTES];
	struct snapshots_place place = place_of(run, why);
	int r;

	if (view->store) {
		close_view(run, view);
		return;
	}
	if (item->kind == SNAPSHOT_MAYBE)
		return;
	run_say(run, "snapshot %s is opened%s", snapshots_name(n), alone ? " alone" : "");
	r = snapshots_open(&place, n, alone, &view->store);
	if (r != (item->kind == SNAPSHOT_THERE ? 0 : -ENOENT))
		run_fail(run, "opening snapshot %s%s: %s", snapshots_name(n), alone ? " alone" : "",
		         strerror(-r));
	if (r) {
		view->store = NULL;
		return;
	}
	view->n = n;
	view->alone = alone;
	view->state = item->state;
}

void snapshots_let_go(struct run *run)
{
	for (size_t v = 0; v < RUN_VIEWS_MAX; v++)
		if (run->views[v].store)
			close_view(run, &run->views[v]);
}
