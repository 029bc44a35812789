/*
 * upgrades.c - kept stores of format 1 are opened for writing, opened to read, checked and
 * repaired, while every call fails in turn: each I/O call and each allocation. Then they are
 * opened once more, and hold what they held.
 *
 * usage: fault_upgrades STORES TRUTHS io|alloc
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../old/truth.h"
#include "faults.h"
#include "folder.h"
#include "runner.h"

#define SHORT_RUN_CASES 1500u
#define SHORT_RUN_SECONDS 20u

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
	{ "short once", FAULT_SHORT, true },
	{ "short for good", FAULT_SHORT, false },
	{ "EIO behind the write once", FAULT_LATE, true },
	{ "EIO behind the write for good", FAULT_LATE, false },
	{ "with maps, EIO once", -EIO, true, true },
	{ "with maps, EIO amid the store once", FAULT_SHORT, true, true },
	{ "with maps, ENOSPC for good", -ENOSPC, false, true },
};
static const struct how alloc_hows[] = {
	{ "no memory once", -ENOMEM, true },
	{ "no memory for good", -ENOMEM, false },
};

enum action { OPEN, OPEN_READ_ONLY, CHECK, REPAIR, ACTIONS };

static const char *const action_names[ACTIONS] = { "open", "open read-only", "check", "repair" };

/* The last is made of the first, by an upgrade that ended before its last step. */
#define STORES 7
#define INTERRUPTED (STORES - 1)

static const char *const store_names[STORES] = {
	"clean-f4", "clean-holes", "bad-vector", "killed-fsync", "killed-none", "empty", "clean-f4",
};

struct sweep_case {
	unsigned store;
	enum action action;
	const struct how *how;
	long call;
};

struct sweep {
	struct image images[STORES];
	struct truth truths[STORES];
	struct sweep_case *cases;
	uint64_t count;
	bool allocations;
	char base[FOLDER_PATH_BYTES];
};

/* A case on its way. */
struct trial {
	const struct sweep *sweep;
	const struct sweep_case *what;
	char path[FOLDER_PATH_BYTES + 24];
	char *why;
};

static void wrong(struct trial *trial, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void wrong(struct trial *trial, const char *format, ...)
{
	va_list args;

	if (trial->why[0])
		return;
	va_start(args, format);
	(void)vsnprintf(trial->why, RUNNER_WHY_BYTES, format, args);
	va_end(args);
}

static bool has_new_meta(const char *path)
{
	char full[FOLDER_PATH_BYTES + 64];

	(void)snprintf(full, sizeof(full), "%s/meta.npy.new", path);
	return access(full, F_OK) == 0;
}

static int open_at(const char *path, const struct quiver_io *io, bool read_only,
                   struct quiver **store, struct quiver_error *error)
{
	struct quiver_options options = { .size = sizeof(struct quiver_options),
		                          .read_only = read_only,
		                          .commit_interval_ms = 3600000,
		                          .io = io };

	return quiver_open(path, &options, store, error);
}

/* What the call returned: success, or the fault. */
static void judge(struct trial *trial, int r, const struct quiver_error *error)
{
	const struct how *how = trial->what->how;
	int given = how->error > 0 ? -EIO : how->error;

	if (r == 0)
		return;
	if (!faults_fired())
		wrong(trial, "fails with nothing failing: %s: %s", strerror(-r), error->text);
	if (r != given && r != -EIO && !(trial->sweep->allocations && r == -EAGAIN))
		wrong(trial, "fails with %s, which is not the fault", strerror(-r));
	if (!error->text[0])
		wrong(trial, "fails (%s) without a word", strerror(-r));
}

static void act(struct trial *trial)
{
	enum action action = trial->what->action;
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	struct quiver *store = NULL;
	int r;

	if (action == CHECK || action == REPAIR)
		r = quiver_check(trial->path, action == REPAIR, NULL, NULL, &result, &error);
	else
		r = open_at(trial->path, faults_table(), action == OPEN_READ_ONLY, &store, &error);
	faults_disarm();
	judge(trial, r, &error);
	if (r && store)
		wrong(trial, "the open failed, and gave a store");
	if (store) {
		const char *why =
			truth_compare(&trial->sweep->truths[trial->what->store], store, true);

		if (why)
			wrong(trial, "%s", why);
		r = quiver_close(store);
		if (r)
			wrong(trial, "close: %s", strerror(-r));
	}
}

/* The faults of a machine that is mended. */
static void first_line(void *arg, const char *line)
{
	char *first = arg;

	if (!first[0])
		(void)snprintf(first, RUNNER_WHY_BYTES / 2, "%s", line);
}

static void check(struct trial *trial, bool closed)
{
	const struct truth *truth = &trial->sweep->truths[trial->what->store];
	char first[RUNNER_WHY_BYTES / 2] = "";
	struct quiver_check_result result;
	struct quiver_error error = { "" };
	int r = quiver_check(trial->path, false, first_line, first, &result, &error);

	if (r)
		wrong(trial, "check afterwards: %s", error.text);
	else if ((result.damage > 0) != truth->has_damage)
		wrong(trial, "check afterwards: %" PRIu64 " faults: %s", result.damage, first);
	else if (closed && !result.clean)
		wrong(trial, "check after a close: not clean");
}

static void open_again(struct trial *trial)
{
	const struct truth *truth = &trial->sweep->truths[trial->what->store];
	struct quiver_error error = { "" };
	struct quiver *store;
	const char *why;
	int r = open_at(trial->path, NULL, false, &store, &error);

	if (r) {
		wrong(trial, "does not open afterwards: %s", error.text);
		return;
	}
	why = truth_compare(truth, store, true);
	if (why)
		wrong(trial, "opened afterwards: %s", why);
	if (has_new_meta(trial->path))
		wrong(trial, "opened afterwards, and meta.npy.new is still there");
	r = quiver_close(store);
	if (r)
		wrong(trial, "close afterwards: %s", strerror(-r));
}

/* A repair takes the damaged vector away, which is not what is looked at here. */
static bool repairs_damage(const struct sweep *sweep, const struct sweep_case *what)
{
	return what->action == REPAIR && sweep->truths[what->store].has_damage;
}

/* The number of calls that were made. */
static long play(struct trial *trial)
{
	const struct sweep_case *what = trial->what;
	long live;
	long files;
	long calls;

	image_write(&trial->sweep->images[what->store], trial->path);
	live = atomic_load(&faults.live);
	files = atomic_load(&faults.open_files);
	faults.maps = what->how->maps;
	faults_arm(trial->sweep->allocations, what->call,
	           what->how->once ? TROUBLE_ONCE : TROUBLE_FROM, what->how->error);
	act(trial);
	calls = faults_calls();
	faults.maps = false;
	if (atomic_load(&faults.live) != live)
		wrong(trial, "%ld allocations were not given back",
		      atomic_load(&faults.live) - live);
	if (atomic_load(&faults.open_files) != files)
		wrong(trial, "%ld files were not closed", atomic_load(&faults.open_files) - files);
	check(trial, false);
	open_again(trial);
	check(trial, true);
	return calls;
}

static void tell_call(char why[RUNNER_WHY_BYTES])
{
	size_t used = strlen(why);
	int file = atomic_load(&faults.first_file);

	(void)snprintf(why + used, RUNNER_WHY_BYTES - used, " [the call was of kind %d, file %c]",
	               atomic_load(&faults.first_kind), file ? file : '-');
}

static bool run_case(void *arg, uint64_t number, char why[RUNNER_WHY_BYTES])
{
	struct sweep *sweep = arg;
	struct trial trial = { .sweep = sweep, .what = &sweep->cases[number], .why = why };
	bool good;

	(void)snprintf(trial.path, sizeof(trial.path), "%s/%ld", sweep->base, (long)getpid());
	folder_remove(trial.path);
	(void)play(&trial);
	good = why[0] == '\0';
	if (!good)
		tell_call(why);
	folder_remove(trial.path);
	return good;
}

static const char *name_of(unsigned store)
{
	return store == INTERRUPTED ? "an interrupted upgrade" : store_names[store];
}

static void describe(void *arg, uint64_t number, char *to, size_t room)
{
	const struct sweep *sweep = arg;
	const struct sweep_case *c = &sweep->cases[number];

	(void)snprintf(to, room, "%s, %s, call %ld, %s", name_of(c->store), action_names[c->action],
	               c->call, c->how->text);
}

static long count_calls(const struct sweep *sweep, struct sweep_case what, bool maps)
{
	const struct how none = { "nothing", -EIO, true, maps };
	char why[RUNNER_WHY_BYTES] = "";
	struct trial trial = { .sweep = sweep, .what = &what, .why = why };
	long calls;

	what.how = &none;
	(void)snprintf(trial.path, sizeof(trial.path), "%s/count", sweep->base);
	calls = play(&trial);
	if (why[0]) {
		printf("FAILED %s of %s with nothing failing: %s\n", action_names[what.action],
		       name_of(what.store), why);
		exit(1);
	}
	folder_remove(trial.path);
	return calls;
}

static void add_cases(struct sweep *sweep, unsigned store, enum action action, bool maps)
{
	const struct how *hows = sweep->allocations ? alloc_hows : io_hows;
	size_t ways = sweep->allocations ? 2 : sizeof(io_hows) / sizeof(io_hows[0]);
	struct sweep_case c = { .store = store, .action = action };
	struct sweep_case *grown;
	long calls;

	if (repairs_damage(sweep, &c))
		return;
	calls = count_calls(sweep, c, maps);
	grown = realloc(sweep->cases,
	                (sweep->count + (size_t)calls * ways) * sizeof(*sweep->cases));
	if (!grown)
		abort();
	sweep->cases = grown;
	printf("# %s, %s%s: %ld calls\n", name_of(store), action_names[action],
	       maps ? " with maps" : "", calls);
	for (c.call = 1; c.call <= calls; c.call++)
		for (size_t i = 0; i < ways; i++)
			if (hows[i].maps == maps) {
				c.how = &hows[i];
				sweep->cases[sweep->count++] = c;
			}
}

/* An upgrade that fails where the superblock is on disk and the new file has its old name. */
static void interrupt(struct sweep *sweep)
{
	char path[FOLDER_PATH_BYTES + 24];
	struct image *image = &sweep->images[INTERRUPTED];
	struct image_file *superblock;

	(void)snprintf(path, sizeof(path), "%s/interrupted", sweep->base);
	for (long call = 1;; call++) {
		struct quiver *store = NULL;
		int r;

		image_write(&sweep->images[0], path);
		faults_arm(false, call, TROUBLE_FROM, -EIO);
		r = open_at(path, faults_table(), false, &store, NULL);
		faults_disarm();
		if (r == 0) {
			fprintf(stderr, "no upgrade can be interrupted\n");
			exit(1);
		}
		image_load(image, path);
		superblock = image_find(image, "superblock");
		folder_remove(path);
		/* FORMAT.md: the version; either copy may be the newer one. */
		if (image_find(image, "meta.npy.new") &&
		    (superblock->bytes[8] == 2 || superblock->bytes[4096 + 8] == 2))
			return;
		image_free(image);
	}
}

static void load_store(struct sweep *sweep, unsigned store, const char *stores, const char *truths)
{
	char path[FOLDER_PATH_BYTES + 64];

	(void)snprintf(path, sizeof(path), "%s/%s.truth", truths, store_names[store]);
	truth_load(&sweep->truths[store], path);
	if (store == INTERRUPTED) {
		interrupt(sweep);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/%s", stores, store_names[store]);
	image_load(&sweep->images[store], path);
}

int main(int argc, char **argv)
{
	static struct sweep sweep;
	struct runner runner = { .run = run_case, .describe = describe, .arg = &sweep };
	uint64_t failures;

	if (argc != 4 || (strcmp(argv[3], "io") != 0 && strcmp(argv[3], "alloc") != 0)) {
		fprintf(stderr, "usage: fault_upgrades STORES TRUTHS io|alloc\n");
		return 2;
	}
	sweep.allocations = strcmp(argv[3], "alloc") == 0;
	folder_make(sweep.base);
	for (unsigned i = 0; i < STORES; i++)
		load_store(&sweep, i, argv[1], argv[2]);
	for (unsigned i = 0; i < STORES; i++)
		for (int action = 0; action < ACTIONS; action++)
			for (int maps = 0; maps <= !sweep.allocations; maps++)
				add_cases(&sweep, i, (enum action)action, maps);
	runner.name = sweep.allocations ? "every allocation of an upgrade fails"
	                                : "every I/O call of an upgrade fails";
	runner.cases = sweep.count;
	runner.short_cases = SHORT_RUN_CASES;
	runner.short_seconds = SHORT_RUN_SECONDS;
	failures = runner_run(&runner);
	for (unsigned i = 0; i < STORES; i++) {
		image_free(&sweep.images[i]);
		truth_free(&sweep.truths[i]);
	}
	free(sweep.cases);
	folder_remove(sweep.base);
	return failures > 0;
}
