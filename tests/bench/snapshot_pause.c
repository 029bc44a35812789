/*
 * snapshot_pause.c - how long writers and a reader wait while a snapshot is made or removed.
 *
 * They work all the time, at a pace, through steps of this kind and that one by turns; each operation counts
 * for the steps that it was in. So what else the machine does hits all kinds.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/snapshots.h"
#include "tests/common/random.h"

#define WATCHERS_MAX 17u
#define SAMPLES_MAX (UINT64_C(1) << 22)
/* Between two operations of each: all that a processor can do would be more dirty vectors with each
 * checkpoint, which takes longer for it. */
#define PACE_US 20u
/* Of a step in which nothing happens: as long as what it is compared with, within these. */
#define QUIET_NS_MIN UINT64_C(5000000)
#define QUIET_NS_MAX UINT64_C(200000000)
/* Between two of what is measured: for the writers to make some vectors dirty. */
#define REST_US 20000u
#define WARM_UP_US 200000u

enum kind {
	QUIET,
	BETWEEN, /* measured by nobody */
	CHECKPOINT,
	MAKE,
	REMOVE,
	KINDS,
};

static const char *const kind_names[KINDS] = {
	[QUIET] = "quiet",
	[CHECKPOINT] = "checkpoint",
	[MAKE] = "make",
	[REMOVE] = "remove",
};

static const enum kind make_cycle[] = { QUIET, CHECKPOINT, BETWEEN, QUIET, MAKE, BETWEEN };
static const enum kind remove_cycle[] = { BETWEEN, QUIET, REMOVE };

struct scene {
	const struct bench_args *args;
	struct quiver *store;
	const enum kind *cycle;
	size_t cycle_length;
	_Atomic size_t step; /* which of all steps of all cycles it is */
	atomic_bool stop;
};

struct watcher {
	struct scene *scene;
	pthread_t thread;
	bool writes;
	uint64_t seed;
	uint64_t *samples; /* ns * KINDS + kind; owned */
	size_t count;
};

static enum kind kind_of(const struct scene *scene, size_t first, size_t last)
{
	enum kind kind = QUIET;

	for (size_t i = first; i <= last; i++) {
		enum kind one = scene->cycle[i % scene->cycle_length];

		kind = one > kind ? one : kind;
	}
	return kind;
}

static void do_one(struct watcher *watcher, char *vector)
{
	struct scene *scene = watcher->scene;
	uint64_t id = test_random(&watcher->seed) % scene->args->count;

	if (watcher->writes)
		bench_check("put", quiver_put(scene->store, id, vector, &bench_attr,
		                              QUIVER_ATTR_ALL, 0, NULL));
	else
		bench_check("get", quiver_get_copy(scene->store, id, vector, NULL, NULL));
}

static void *watch(void *arg)
{
	struct watcher *watcher = arg;
	struct scene *scene = watcher->scene;
	char *vector = bench_alloc(scene->args->bytes);

	bench_fill(vector, scene->args->bytes, watcher->seed);
	while (!atomic_load_explicit(&scene->stop, memory_order_relaxed)) {
		size_t step = atomic_load(&scene->step);
		uint64_t began = bench_now_ns();
		uint64_t took;
		enum kind kind;

		do_one(watcher, vector);
		took = bench_now_ns() - began;
		kind = kind_of(scene, step, atomic_load(&scene->step));
		if (kind != BETWEEN && watcher->count < SAMPLES_MAX)
			watcher->samples[watcher->count++] = took * KINDS + kind;
		(void)usleep(PACE_US);
	}
	free(vector);
	return NULL;
}

static void start(struct watcher *watcher, struct scene *scene, unsigned number)
{
	int err;

	*watcher = (struct watcher){ .scene = scene,
		                     .writes = number > 0,
		                     .seed = scene->args->seed + number,
		                     .samples = bench_alloc(SAMPLES_MAX * sizeof(uint64_t)) };
	err = pthread_create(&watcher->thread, NULL, watch, watcher);
	bench_check("thread", -err);
}

static void rest(uint64_t ns)
{
	(void)usleep((useconds_t)(ns / 1000));
}

/* ns that each step took. */
static void run_cycle(struct scene *scene, uint64_t quiet_ns, uint64_t took[KINDS])
{
	for (size_t i = 0; i < scene->cycle_length; i++) {
		enum kind kind = scene->cycle[i];
		uint64_t before = bench_now_ns();

		if (kind == QUIET)
			rest(quiet_ns);
		else if (kind == BETWEEN)
			(void)usleep(REST_US);
		else if (kind == CHECKPOINT)
			bench_check("checkpoint", quiver_checkpoint(scene->store));
		else if (kind == MAKE)
			make_snapshot(scene->store, 0);
		else
			remove_snapshot(scene->store, 0);
		took[kind] = bench_now_ns() - before;
		atomic_fetch_add(&scene->step, 1);
		if (kind == MAKE)
			remove_snapshot(scene->store, 0); /* in the step between, that follows */
	}
}

/* A snapshot that alone has each vector of before. */
static void give_it_all(struct scene *scene, const uint64_t *ids)
{
	make_snapshot(scene->store, 0);
	bench_overwrite(scene->store, ids, scene->args->count);
	bench_check("checkpoint", quiver_checkpoint(scene->store));
}

static void say_of(struct watcher *watchers, unsigned count, const char *who, bool writes)
{
	char name[2 * NAME_BYTES];

	for (unsigned kind = 0; kind < KINDS; kind++) {
		uint64_t *samples;
		size_t n = 0;

		if (!kind_names[kind])
			continue;
		samples = bench_alloc(count * SAMPLES_MAX * sizeof(*samples));
		for (unsigned i = 0; i < count; i++) {
			for (size_t k = 0; watchers[i].writes == writes && k < watchers[i].count;
			     k++)
				if (watchers[i].samples[k] % KINDS == kind)
					samples[n++] = watchers[i].samples[k] / KINDS;
		}
		(void)snprintf(name, sizeof(name), "%s %s", who, kind_names[kind]);
		if (n > 0)
			say_percentiles(name, samples, n);
		free(samples);
	}
}

/* `ops` cycles, `workers` writers and one reader. */
void row_pause(const struct bench_args *args)
{
	const bool makes = strcmp(args->row, "pause-make") == 0;
	struct scene scene = {
		.args = args,
		.store = bench_new_store(args->path, args->bytes, durability_of(args)),
		.cycle = makes ? make_cycle : remove_cycle,
		.cycle_length = makes ? sizeof(make_cycle) / sizeof(make_cycle[0])
		                      : sizeof(remove_cycle) / sizeof(remove_cycle[0])
	};
	const enum kind kind = makes ? MAKE : REMOVE;
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t *each = bench_alloc(args->ops * sizeof(*each));
	struct watcher watchers[WATCHERS_MAX];
	uint64_t took[KINDS] = { 0 };
	uint64_t quiet_ns = QUIET_NS_MIN;

	if (args->workers >= WATCHERS_MAX)
		bench_die("at most %u workers", WATCHERS_MAX - 1);
	bench_load(scene.store, 0, args->count);
	bench_check("checkpoint", quiver_checkpoint(scene.store));
	for (unsigned i = 0; i <= args->workers; i++)
		start(&watchers[i], &scene, i);
	(void)usleep(WARM_UP_US);
	for (uint64_t i = 0; i < args->ops; i++) {
		if (!makes)
			give_it_all(&scene, ids);
		run_cycle(&scene, quiet_ns, took);
		each[i] = took[kind];
		quiet_ns = took[kind] > QUIET_NS_MIN ? took[kind] : QUIET_NS_MIN;
		if (quiet_ns > QUIET_NS_MAX)
			quiet_ns = QUIET_NS_MAX;
	}
	atomic_store(&scene.stop, true);
	for (unsigned i = 0; i <= args->workers; i++)
		bench_check("thread", -pthread_join(watchers[i].thread, NULL));
	say_list("took", each, args->ops);
	say_of(watchers, args->workers + 1, "writers", true);
	say_of(watchers, args->workers + 1, "reader", false);
	for (unsigned i = 0; i <= args->workers; i++)
		free(watchers[i].samples);
	free(each);
	free(ids);
	bench_check("close", quiver_close(scene.store));
}
