/*
 * sweep.c - every call fails once: each I/O call and each allocation of each script in turn,
 * once and then for good.
 *
 * usage: sweep io|alloc
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "script.h"

/* A short run; a long one takes every case there is. */
#define SHORT_RUN_CASES 2000u
#define SHORT_RUN_SECONDS 60u

struct how {
	const char *text;
	int error;
	bool once;
	bool maps;
};

static const struct how io_hows[] = {
	{ "EIO once", -EIO, true },
	{ "EIO for good", -EIO, false },
	{ "ENOSPC once", -ENOSPC, true },
	{ "ENOSPC for good", -ENOSPC, false },
	{ "EINTR once", -EINTR, true },
	{ "EINTR for good", -EINTR, false },
	{ "short once", FAULT_SHORT, true },
	{ "short for good", FAULT_SHORT, false },
	{ "EIO behind the write once", FAULT_LATE, true },
	{ "EIO behind the write for good", FAULT_LATE, false },
	{ "with maps, EIO once", -EIO, true, true },
	{ "with maps, EIO for good", -EIO, false, true },
	{ "with maps, EIO amid the store once", FAULT_SHORT, true, true },
	{ "with maps, EIO behind the store once", FAULT_LATE, true, true },
};
static const struct how alloc_hows[] = {
	{ "no memory once", -ENOMEM, true },
	{ "no memory for good", -ENOMEM, false },
};

struct sweep_case {
	const struct script *script;
	const struct how *how;
	long call;
};

struct sweep {
	struct images images;
	struct sweep_case *cases;
	uint64_t count;
	bool allocations;
	char base[FOLDER_PATH_BYTES]; /* of this process's folders */
};

static int errno_of(const struct how *how)
{
	return how->error > 0 ? -EIO : how->error;
}

/* Play a script with its fault armed. The number of calls that were made. */
static long play(const struct sweep *sweep, const struct sweep_case *c, struct run *run)
{
	long calls;

	if (c->script->image != IMAGE_NONE)
		image_write(&sweep->images.stores[c->script->image], run->path);
	run->now = sweep->images.worlds[c->script->image];
	memcpy(run->snapshots, sweep->images.snapshots[c->script->image], sizeof(run->snapshots));
	run->allocations = sweep->allocations;
	run->once = c->how->once;
	run->dies = !sweep->allocations && c->call % 2 == 0;
	run->error = errno_of(c->how);
	faults.maps = c->how->maps;
	faults_arm(sweep->allocations, c->call, c->how->once ? TROUBLE_ONCE : TROUBLE_FROM,
	           c->how->error);
	c->script->play(run);
	calls = faults_calls();
	faults_disarm();
	faults.maps = false;
	return calls;
}

/* Which call it was that failed first. */
static void tell_call(char why[RUNNER_WHY_BYTES])
{
	size_t used = strlen(why);
	int file = atomic_load(&faults.first_file);

	snprintf(why + used, RUNNER_WHY_BYTES - used, " [the call was of kind %d, file %c]",
	         atomic_load(&faults.first_kind), file ? file : '-');
}

static bool run_case(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES])
{
	const struct sweep *sweep = arg;
	struct run *run = calloc(1, sizeof(*run));
	long live;
	long files;
	bool good;

	if (!run)
		abort();
	run->why = why;
	snprintf(run->path, sizeof(run->path), "%s/%ld", sweep->base, (long)getpid());
	folder_remove(run->path);
	live = atomic_load(&faults.live);
	files = atomic_load(&faults.open_files);
	(void)play(sweep, &sweep->cases[number], run);
	run_verify(run, sweep->cases[number].script);
	if (atomic_load(&faults.live) != live)
		run_wrong(run, "%ld allocations were not given back",
		          atomic_load(&faults.live) - live);
	if (atomic_load(&faults.open_files) != files)
		run_wrong(run, "%ld files were not closed",
		          atomic_load(&faults.open_files) - files);
	good = why[0] == '\0';
	if (!good)
		tell_call(why);
	folder_remove(run->path);
	free(run);
	return good;
}

static void describe(void *arg, uint64_t number, char *to, size_t room)
{
	const struct sweep *sweep = arg;
	const struct sweep_case *c = &sweep->cases[number];

	snprintf(to, room, "%s, call %ld, %s%s", c->script->name, c->call, c->how->text,
	         c->call % 2 == 0 ? ", then killed" : "");
}

/* How many calls a script makes on a sound machine. */
static long count_calls(const struct sweep *sweep, const struct script *script, bool maps)
{
	const struct how none = { "nothing", -EIO, true, maps };
	struct sweep_case c = { .script = script, .how = &none };
	struct run *run = calloc(1, sizeof(*run));
	char why[RUNNER_WHY_BYTES] = "";
	long calls;

	if (!run)
		abort();
	run->why = why;
	snprintf(run->path, sizeof(run->path), "%s/count", sweep->base);
	calls = play(sweep, &c, run);
	run_verify(run, script);
	if (why[0]) {
		printf("FAILED %s with nothing failing: %s\n", script->name, why);
		exit(1);
	}
	folder_remove(run->path);
	free(run);
	return calls;
}

static void add_cases(struct sweep *sweep, const struct script *script, bool maps)
{
	const struct how *hows = sweep->allocations ? alloc_hows : io_hows;
	size_t ways = sweep->allocations ? 2 : sizeof(io_hows) / sizeof(io_hows[0]);
	long calls = count_calls(sweep, script, maps);
	struct sweep_case *grown = realloc(sweep->cases, (sweep->count + (size_t)calls * ways) *
	                                                         sizeof(*sweep->cases));

	if (!grown)
		abort();
	sweep->cases = grown;
	printf("# %s%s: %ld calls\n", script->name, maps ? " with maps" : "", calls);
	for (long call = 1; call <= calls; call++)
		for (size_t i = 0; i < ways; i++)
			if (hows[i].maps == maps)
				sweep->cases[sweep->count++] = (struct sweep_case){
					.script = script, .how = &hows[i], .call = call
				};
}

int main(int argc, char **argv)
{
	static struct sweep sweep;
	struct runner runner = { .run = run_case, .describe = describe, .arg = &sweep };
	uint64_t failures;

	if (argc != 2 || (strcmp(argv[1], "io") != 0 && strcmp(argv[1], "alloc") != 0)) {
		fprintf(stderr, "usage: sweep io|alloc\n");
		return 2;
	}
	sweep.allocations = strcmp(argv[1], "alloc") == 0;
	folder_make(sweep.base);
	images_make(&sweep.images);
	for (size_t i = 0; i < script_count; i++)
		for (int maps = 0; maps <= !sweep.allocations; maps++)
			add_cases(&sweep, &scripts[i], maps);
	runner.name = sweep.allocations ? "every allocation fails" : "every I/O call fails";
	runner.cases = sweep.count;
	runner.short_cases = SHORT_RUN_CASES;
	runner.short_seconds = SHORT_RUN_SECONDS;
	failures = runner_run(&runner);
	images_free(&sweep.images);
	free(sweep.cases);
	folder_remove(sweep.base);
	return failures > 0;
}
