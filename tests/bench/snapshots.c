/*
 * snapshots.c - what snapshots cost: to make, to keep, to read, to remove.
 *
 * Rows, each in a new store of `count` vectors at PATH:
 *   make          one, and a plain checkpoint, after `ops` vectors were overwritten, by turns
 *   keep          memory and files of `snapshots` of them, and of `ops` vectors that they keep
 *   overwrite     `ops` vectors in a store without a snapshot, with one and with 100, by turns
 *   read          listing, get and opening of one that has `ops` vectors which the store has not
 *   pause-make, pause-remove   snapshot_pause.c
 * One in the store of `count` vectors that is at PATH: change, which overwrites `ops` of them.
 */
#include "tests/bench/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How often each thing is done by turns, in one process. */
#define TURNS 5u
/* ... and where it takes a minute. */
#define TURNS_FEW 2u
#define COUNT_MANY 1000000u
/* Of what is put by turns in several stores. */
#define CHUNKS 100u
/* Gets between two looks at the clock. */
#define STRIDE 100u
#define LIST_IDS 4096u
/* Vectors that change between two of the 100 snapshots. */
#define BETWEEN_SNAPSHOTS 100u
#define PATH_BYTES 4096

/* ---- what is said ---------------------------------------------------------- */

static unsigned said;

static void say_name(const char *name)
{
	if (printf("%s\"%s\": ", said++ > 0 ? ", " : "{", name) < 0)
		bench_die("standard output: %s", strerror(errno));
}

void say(const char *name, uint64_t value)
{
	say_name(name);
	(void)printf("%" PRIu64, value); /* looked at when all is flushed */
}

void say_list(const char *name, const uint64_t *values, size_t count)
{
	say_name(name);
	for (size_t i = 0; i < count; i++)
		(void)printf("%s%" PRIu64, i > 0 ? ", " : "[", values[i]);
	(void)printf("]");
}

void say_percentiles(const char *name, uint64_t *samples, size_t count)
{
	struct bench_result result = { 0 };

	bench_percentiles(samples, count, &result);
	say_name(name);
	(void)printf("{\"ops\": %zu, \"p50\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64
	             ", \"max\": %" PRIu64 "}",
	             count, result.p50_ns, result.p99_ns, result.p999_ns, result.max_ns);
}

/* ---- shared ---------------------------------------------------------------- */

static void name_of(unsigned number, char name[NAME_BYTES])
{
	(void)snprintf(name, NAME_BYTES, "s%u", number);
}

void make_snapshot(struct quiver *store, unsigned number)
{
	char name[NAME_BYTES];

	name_of(number, name);
	bench_check("snapshot", quiver_snapshot_create(store, name, NULL));
}

void remove_snapshot(struct quiver *store, unsigned number)
{
	char name[NAME_BYTES];

	name_of(number, name);
	bench_check("remove a snapshot", quiver_snapshot_remove(store, name));
}

enum quiver_durability durability_of(const struct bench_args *args)
{
	enum quiver_durability durability = QUIVER_FSYNC;

	if (args->mode[0] != '\0')
		bench_check(args->mode, quiver_durability_parse(args->mode, &durability));
	return durability;
}

static struct quiver *filled_store(const struct bench_args *args, const char *path)
{
	struct quiver *store = bench_new_store(path, args->bytes, durability_of(args));

	bench_load(store, 0, args->count);
	bench_check("checkpoint", quiver_checkpoint(store));
	return store;
}

/* ---- rows ------------------------------------------------------------------ */

static void row_make(const struct bench_args *args)
{
	struct quiver *store = filled_store(args, args->path);
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t checkpoints[TURNS], made[TURNS], removed[TURNS];
	const unsigned turns = args->count > COUNT_MANY ? TURNS_FEW : TURNS;
	uint64_t before;

	for (unsigned i = 0; i < turns; i++) {
		bench_overwrite(store, ids, args->ops);
		before = bench_now_ns();
		bench_check("checkpoint", quiver_checkpoint(store));
		checkpoints[i] = bench_now_ns() - before;
		bench_overwrite(store, ids, args->ops);
		before = bench_now_ns();
		make_snapshot(store, 0);
		made[i] = bench_now_ns() - before;
		before = bench_now_ns();
		remove_snapshot(store, 0);
		removed[i] = bench_now_ns() - before;
	}
	free(ids);
	say_list("checkpoint", checkpoints, turns);
	say_list("make", made, turns);
	say_list("remove", removed, turns);
	bench_check("close", quiver_close(store));
}

static void say_memory(struct quiver *store, const char *memory, const char *versions)
{
	struct quiver_stats stats = { .size = sizeof(stats) };

	bench_check("checkpoint", quiver_checkpoint(store));
	quiver_stats(store, &stats);
	say(memory, bench_anonymous_bytes());
	say(versions, stats.versions_bytes);
}

/* What the files of a folder of the store take on the disk. */
static uint64_t folder_bytes(const char *path, const char *name)
{
	char folder[PATH_BYTES];
	uint64_t blocks = 0;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	(void)snprintf(folder, sizeof(folder), "%s/%s", path, name);
	dir = opendir(folder);
	if (!dir)
		bench_die("%s: %s", folder, strerror(errno));
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (entry->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			bench_die("%s/%s: %s", folder, entry->d_name, strerror(errno));
		blocks += (uint64_t)st.st_blocks;
	}
	if (errno != 0 || closedir(dir) != 0)
		bench_die("%s: %s", folder, strerror(errno));
	return blocks * 512;
}

/* Twice the vectors have been there before it is looked at: what the store needs for the places of
 * those that are kept is not the snapshots'. */
static void row_keep(const struct bench_args *args)
{
	struct quiver *store = filled_store(args, args->path);
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t before;

	bench_check("reserve", quiver_reserve(store, args->count + args->ops));
	bench_overwrite(store, ids, args->ops);
	say_memory(store, "memory", "versions");
	before = bench_now_ns();
	for (unsigned i = 0; i < args->snapshots; i++)
		make_snapshot(store, i);
	say("ns", bench_now_ns() - before);
	say_memory(store, "memory with snapshots", "versions with snapshots");
	bench_overwrite(store, ids, args->ops);
	say_memory(store, "memory with kept", "versions with kept");
	say("files of snapshots", folder_bytes(args->path, "snapshots"));
	free(ids);
	bench_check("close", quiver_close(store));
}

static const unsigned many[] = { 0, 1, 100 };
#define STORES (sizeof(many) / sizeof(many[0]))

/* Each of the 100 has something that the others have not; then none has what is overwritten. */
static struct quiver *store_with(const struct bench_args *args, unsigned snapshots,
                                 const uint64_t *ids)
{
	char path[PATH_BYTES];
	struct quiver *store;

	(void)snprintf(path, sizeof(path), "%s-%u", args->path, snapshots);
	store = filled_store(args, path);
	for (unsigned i = 0; i < snapshots; i++) {
		bench_overwrite(store, ids, BETWEEN_SNAPSHOTS);
		make_snapshot(store, i);
	}
	/* As many places for all of them. */
	bench_check("reserve", quiver_reserve(store, 2 * args->count + 100 * BETWEEN_SNAPSHOTS));
	return store;
}

static void say_for(const char *what, unsigned snapshots, uint64_t value)
{
	char name[2 * NAME_BYTES];

	(void)snprintf(name, sizeof(name), "%s %u", what, snapshots);
	say(name, value);
}

/* One vector after the other; how long each takes. */
static void put_some(struct quiver *store, const uint64_t *ids, uint64_t count, const char *vector,
                     uint64_t *samples)
{
	uint64_t before = bench_now_ns();

	for (uint64_t i = 0; i < count; i++) {
		uint64_t now;

		bench_check("put", quiver_put(store, ids[i], vector, &bench_attr, QUIVER_ATTR_ALL,
		                              0, NULL));
		now = bench_now_ns();
		samples[i] = now - before;
		before = now;
	}
}

static void say_overwriting(struct quiver *store, unsigned snapshots, uint64_t *samples,
                            uint64_t count)
{
	char name[2 * NAME_BYTES];
	uint64_t sum = 0;
	uint64_t before = bench_now_ns();

	bench_check("checkpoint", quiver_checkpoint(store));
	say_for("checkpoint", snapshots, bench_now_ns() - before);
	for (uint64_t i = 0; i < count; i++)
		sum += samples[i];
	say_for("put", snapshots, sum);
	(void)snprintf(name, sizeof(name), "each %u", snapshots);
	say_percentiles(name, samples, count);
}

/* Each vector once: the first time that one is overwritten is when it is kept. */
static void row_overwrite(const struct bench_args *args)
{
	struct quiver *stores[STORES];
	uint64_t *samples[STORES];
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	char *vector = bench_alloc(args->bytes);
	const uint64_t chunk = (args->ops + CHUNKS - 1) / CHUNKS;

	if (args->ops > args->count)
		bench_die("each vector is overwritten once at most");
	bench_fill(vector, args->bytes, args->seed);
	for (size_t i = 0; i < STORES; i++) {
		samples[i] = bench_alloc(args->ops * sizeof(uint64_t));
		stores[i] = store_with(args, many[i], ids);
	}
	for (uint64_t done = 0; done < args->ops; done += chunk) {
		uint64_t left = args->ops - done;

		for (size_t i = 0; i < STORES; i++)
			put_some(stores[i], ids + done, left < chunk ? left : chunk, vector,
			         samples[i] + done);
	}
	for (size_t i = 0; i < STORES; i++) {
		say_overwriting(stores[i], many[i], samples[i], args->ops);
		free(samples[i]);
		bench_check("close", quiver_close(stores[i]));
	}
	free(vector);
	free(ids);
}

static uint64_t time_list(struct quiver *store)
{
	uint64_t ids[LIST_IDS];
	struct quiver_list *list;
	uint64_t before = bench_now_ns();
	uint64_t at = 0;
	int64_t n;

	bench_check("list", quiver_list_open(store, 0, &list));
	while ((n = quiver_list_read(store, list, at, 0, ids, LIST_IDS)) > 0)
		at += (uint64_t)n;
	bench_check("list", (int)n);
	quiver_list_close(store, list);
	return bench_now_ns() - before;
}

/* ns for each of STRIDE gets. */
static uint64_t time_gets(struct quiver *store, const uint64_t *ids, char *vector)
{
	uint64_t before = bench_now_ns();

	for (unsigned i = 0; i < STRIDE; i++)
		bench_check("get", quiver_get_copy(store, ids[i], vector, NULL, NULL));
	return (bench_now_ns() - before) / STRIDE;
}

/* By turns from the store and from the snapshot: of those that both have, no vector twice, and those
 * that the snapshot alone has, which are other vectors in the store. */
static void read_by_turns(const struct bench_args *args, struct quiver *store,
                          struct quiver *snapshot, const uint64_t *ids)
{
	const uint64_t both = args->count - args->ops;
	const uint64_t strides = (args->ops < both / 2 ? args->ops : both / 2) / STRIDE;
	const uint64_t *shared = ids + args->ops;
	char *vector = bench_alloc(args->bytes);
	uint64_t *samples[3];

	for (size_t i = 0; i < 3; i++)
		samples[i] = bench_alloc(strides * sizeof(uint64_t));
	for (uint64_t i = 0; i < strides; i++) {
		samples[0][i] = time_gets(store, shared + 2 * i * STRIDE, vector);
		samples[1][i] = time_gets(snapshot, shared + (2 * i + 1) * STRIDE, vector);
		samples[2][i] = time_gets(snapshot, ids + i * STRIDE, vector);
	}
	say_percentiles("get, live", samples[0], strides);
	say_percentiles("get, of both", samples[1], strides);
	say_percentiles("get, kept", samples[2], strides);
	for (size_t i = 0; i < 3; i++)
		free(samples[i]);
	free(vector);
}

/* As another process opens it. */
static void open_alone(const struct bench_args *args)
{
	const struct quiver_options options = { .size = sizeof(struct quiver_options),
		                                .read_only = true };
	struct quiver_error error = { "" };
	uint64_t took[TURNS], memory = bench_anonymous_bytes();
	char path[PATH_BYTES];
	struct quiver *alone;

	(void)snprintf(path, sizeof(path), "%s@s0", args->path);
	for (unsigned i = 0; i < TURNS; i++) {
		uint64_t before = bench_now_ns();

		if (quiver_open(path, &options, &alone, &error) != 0)
			bench_die("%s", error.text);
		took[i] = bench_now_ns() - before;
		if (i == 0)
			say("alone, memory", bench_anonymous_bytes() - memory);
		bench_check("close", quiver_close(alone));
	}
	say_list("alone, open", took, TURNS);
}

static void row_read(const struct bench_args *args)
{
	struct quiver *store = filled_store(args, args->path);
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t live[TURNS], listed[TURNS], opened;
	struct quiver *snapshot;

	if (args->ops >= args->count)
		bench_die("some vectors are to be the snapshot's and the store's");
	make_snapshot(store, 0);
	bench_overwrite(store, ids, args->ops);
	bench_check("checkpoint", quiver_checkpoint(store));
	opened = bench_now_ns();
	bench_check("open", quiver_snapshot_open(store, "s0", &snapshot));
	say("open", bench_now_ns() - opened);
	for (unsigned i = 0; i < TURNS; i++) {
		live[i] = time_list(store);
		listed[i] = time_list(snapshot);
	}
	say_list("list, live", live, TURNS);
	say_list("list, snapshot", listed, TURNS);
	read_by_turns(args, store, snapshot, ids);
	bench_check("close", quiver_close(snapshot));
	open_alone(args);
	free(ids);
	bench_check("close", quiver_close(store));
}

static void row_change(const struct bench_args *args)
{
	struct quiver *store = bench_open(args->path, durability_of(args));
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t before = bench_now_ns();

	bench_overwrite(store, ids, args->ops);
	say("ns", bench_now_ns() - before);
	free(ids);
	bench_check("close", quiver_close(store));
}

static const struct {
	const char *name;
	void (*run)(const struct bench_args *args);
} rows[] = {
	{ "change", row_change },       { "make", row_make }, { "keep", row_keep },
	{ "overwrite", row_overwrite }, { "read", row_read }, { "pause-make", row_pause },
	{ "pause-remove", row_pause },
};

int main(int argc, char **argv)
{
	struct bench_args args;

	bench_args_parse(argc, argv, &args);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, args.row) == 0) {
			rows[i].run(&args);
			if (printf("}\n") < 0 || fflush(stdout) != 0 || ferror(stdout))
				bench_die("standard output: %s", strerror(errno));
			return 0;
		}
	}
	bench_die("no row %s", args.row);
}
