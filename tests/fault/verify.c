/*
 * verify.c - what must hold after a script, whatever has failed on the way.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/store/store.h"
#include "script.h"

/* The first line; it tells of damage only where the result counts some. */
static void say(void *arg, const char *line)
{
	char *first = arg;

	if (!first[0])
		snprintf(first, RUNNER_WHY_BYTES / 2, "%s", line);
}

static void check_is_clean(struct run *run, const char *when, bool closed)
{
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	char first[RUNNER_WHY_BYTES / 2] = "";
	int r = quiver_check(run->path, false, say, first, &result, &error);

	if (r)
		run_wrong(run, "check %s: %s: %s", when, strerror(-r), error.text);
	else if (result.damage > 0)
		run_wrong(run, "check %s: damage: %s", when, first);
	else if (closed && !result.clean)
		run_wrong(run, "check %s: not clean though closed", when);
}

static struct quiver *reopen(struct run *run)
{
	static const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                       .durability = QUIVER_ALWAYS };
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r = quiver_open(run->path, &options, &store, &error);

	if (r)
		run_wrong(run, "does not open again: %s: %s", strerror(-r), error.text);
	return store;
}

/* The store is in the state that was acknowledged, or in another that may be. */
static void compare(struct run *run, struct quiver *store)
{
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t id;
	uint64_t other;
	const char *why = world_compare(&run->now, store, &id);

	for (size_t i = 0; why && i < run->past_count; i++)
		if (!world_compare(&run->past[i], store, &other)) {
			run->now = run->past[i];
			why = NULL;
		}
	if (why)
		run_wrong(run, "opened again: vector %llu: %s", (unsigned long long)id, why);
	quiver_stats(store, &stats);
	if (stats.slots_used - stats.slots_free - stats.slots_retired - stats.slots_held !=
	    stats.count)
		run_wrong(run, "opened again: slots have leaked");
	run_verify_snapshots(run, store);
}

/* It takes writes again, and keeps them. */
static void use(struct run *run, struct quiver *store)
{
	static uint8_t bytes[WORLD_BYTES_MAX];
	struct quiver_attr attr = world_attr(999);
	int r;

	world_bytes(99, 999, WORLD_BYTES_MAX, bytes);
	r = quiver_put(store, 99, bytes, &attr, QUIVER_ATTR_ALL, 0, NULL);
	if (r)
		run_wrong(run, "opened again: put: %s", strerror(-r));
	else
		run->now.ids[99] =
			(struct world_entry){ .version = 999, .origin = 99, .attr = 999 };
	r = quiver_close(store);
	if (r)
		run_wrong(run, "opened again: close: %s", strerror(-r));
}

/* What create made is gone where it failed, unless removing fails, too. */
static void verify_create(struct run *run)
{
	if (run->stopped && run->once && access(run->path, F_OK) == 0)
		run_wrong(run, "create failed and left its folder");
	if (run->stopped) {
		folder_remove(run->path);
		run->stopped = false;
		step_create(run);
	}
}

void run_verify(struct run *run, const struct script *script)
{
	struct quiver *store;

	if (run->store)
		step_close(run);
	if (run->why[0])
		return;
	if (script->image == IMAGE_NONE)
		verify_create(run);
	if (!run->loses)
		check_is_clean(run, "after the script", false);
	store = reopen(run);
	if (!store)
		return;
	if (!run->loses)
		compare(run, store);
	use(run, store);
	if (run->why[0] || run->loses)
		return;
	check_is_clean(run, "after all", true);
	store = reopen(run);
	if (!store)
		return;
	compare(run, store);
	run_remove_snapshots(run, store);
	if (quiver_close(store) != 0)
		run_wrong(run, "the last close failed");
}
