/*
 * scale.c - what each step of a store's life costs, whatever the number of its vectors, which are
 * those of make_store.c. scale.py drives it.
 *
 * Rows: fill (makes the store), open, get, list, change (new ones, overwrites and removals, `ops` of
 * each), crash (the same, then ends as a killed process does), compact (after `ops` removals). A row
 * prints one line of JSON: ns of its parts, and the most memory that was not the page cache.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/quiver.h"
#include "tests/bench/store.h"
#include "tests/common/random.h"

#define VECTOR_BYTES 8u
#define LOOK_US 2000u
#define LIST_AT_ONCE 4096u
#define STATUS_LINE_BYTES 256

/* ---- memory ---- */

static _Atomic bool watching = true;
static _Atomic uint64_t peak_bytes;

/* Private memory of the process now, without files that it has mapped. */
static uint64_t anonymous_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[STATUS_LINE_BYTES];
	uint64_t kib = 0;

	if (!file)
		bench_die("/proc/self/status cannot be read");
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "RssAnon:", 8) == 0)
			kib = strtoull(line + 8, NULL, 10);
	(void)fclose(file); /* it was only read */
	return kib << 10;
}

static void *watch(void *arg)
{
	(void)arg;
	while (atomic_load(&watching)) {
		uint64_t bytes = anonymous_bytes();

		if (bytes > atomic_load(&peak_bytes))
			atomic_store(&peak_bytes, bytes);
		(void)usleep(LOOK_US);
	}
	return NULL;
}

/* ---- what is printed ---- */

static unsigned parts;

static void print_part(const char *name, uint64_t value)
{
	(void)printf("%s\"%s\": %" PRIu64, parts++ > 0 ? ", " : "{", name, value);
}

static void print_since(const char *name, uint64_t before_ns)
{
	print_part(name, bench_now_ns() - before_ns);
}

static void print_end(void)
{
	print_part("peak_bytes", atomic_load(&peak_bytes));
	(void)puts("}");
	(void)fflush(stdout);
}

/* ---- steps ---- */

static struct quiver *open_store(const char *path)
{
	uint64_t before = bench_now_ns();
	struct quiver *store = bench_open(path, QUIVER_FSYNC);

	print_since("open_ns", before);
	return store;
}

static void close_store(struct quiver *store)
{
	uint64_t before = bench_now_ns();

	bench_check("close", quiver_close(store));
	print_since("close_ns", before);
}

static uint64_t random_below(uint64_t *seed, uint64_t below)
{
	return test_random(seed) % below;
}

static void get_one(struct quiver *store, uint64_t id)
{
	struct quiver_ref ref;

	bench_check("get", quiver_get(store, id, 0, &ref));
	bench_check("verify", quiver_ref_verify(store, &ref, 0));
	quiver_unref(store, &ref);
}

static void row_fill(const struct bench_args *args)
{
	const struct quiver_geometry geometry = { .dim = VECTOR_BYTES, .dtype = QUIVER_U1 };
	struct quiver_record records[BENCH_BATCH];
	uint64_t vectors[BENCH_BATCH];
	struct quiver_error error = { "" };
	uint64_t before = bench_now_ns();
	struct quiver *store;
	size_t n;

	if (quiver_create(args->path, &geometry, NULL, NULL, &error) != 0)
		bench_die("%s", error.text);
	store = open_store(args->path);
	for (uint64_t id = 0; id < args->count; id += n) {
		for (n = 0; n < BENCH_BATCH && id + n < args->count; n++) {
			vectors[n] = id + n;
			records[n] = (struct quiver_record){ .id = id + n, .data = &vectors[n] };
		}
		bench_check("batch", quiver_put_batch(store, records, n, &bench_attr,
		                                      QUIVER_ATTR_ALL, 0, NULL));
	}
	print_since("fill_ns", before);
	before = bench_now_ns();
	bench_check("checkpoint", quiver_checkpoint(store));
	print_since("checkpoint_ns", before);
	close_store(store);
}

static void row_open(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t seed = args->seed;
	uint64_t before = bench_now_ns();

	get_one(store, random_below(&seed, args->count));
	print_since("first_get_ns", before);
	before = bench_now_ns();
	quiver_stats(store, &stats);
	print_since("stats_ns", before);
	print_part("count", stats.count);
	print_part("replayed", stats.replayed);
	print_part("index_bytes", stats.index_bytes);
	close_store(store);
}

static void row_get(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);
	struct quiver_ref ref;
	uint64_t seed = args->seed;
	uint64_t before = bench_now_ns();

	for (uint64_t i = 0; i < args->ops; i++)
		get_one(store, random_below(&seed, args->count));
	print_since("get_ns", before);
	before = bench_now_ns();
	for (uint64_t i = 0; i < args->ops; i++)
		if (quiver_get(store, (UINT64_C(1) << 40) + random_below(&seed, args->count), 0,
		               &ref) == 0)
			bench_die("a vector is there that was never put");
	print_since("absent_ns", before);
	close_store(store);
}

static void row_list(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);
	uint64_t ids[LIST_AT_ONCE];
	struct quiver_list *list;
	uint64_t before = bench_now_ns();
	uint64_t position = 0;
	uint64_t sum = 0;
	int64_t n;

	bench_check("list", quiver_list_open(store, 0, &list));
	print_since("list_open_ns", before);
	before = bench_now_ns();
	while ((n = quiver_list_read(store, list, position, 0, ids, LIST_AT_ONCE)) > 0) {
		for (int64_t i = 0; i < n; i++)
			sum += ids[i];
		position += (uint64_t)n;
	}
	bench_check("list", (int)n);
	print_since("list_read_ns", before);
	print_part("listed", position);
	print_part("sum", sum);
	quiver_list_close(store, list);
	close_store(store);
}

/* `ops` each of new IDs, overwrites and removals, which lie far from each other. */
static void change(struct quiver *store, const struct bench_args *args)
{
	uint64_t step = args->count / (2 * args->ops) * 2;
	uint64_t before = bench_now_ns();

	for (uint64_t i = 0; i < args->ops; i++) {
		uint64_t id = args->start + i;

		bench_check("put",
		            quiver_put(store, id, &id, &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
		if (i == 0)
			print_since("first_put_ns", before);
	}
	print_since("put_ns", before);
	before = bench_now_ns();
	for (uint64_t i = 0; i < args->ops; i++) {
		uint64_t id = i * step;

		bench_check("overwrite",
		            quiver_put(store, id, &id, &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
	}
	print_since("overwrite_ns", before);
	before = bench_now_ns();
	for (uint64_t i = 0; i < args->ops; i++)
		bench_check("remove", quiver_remove(store, args->start + i, 0, NULL));
	print_since("remove_ns", before);
}

static void row_change(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);
	uint64_t before;

	change(store, args);
	before = bench_now_ns();
	bench_check("checkpoint", quiver_checkpoint(store));
	print_since("checkpoint_ns", before);
	close_store(store);
}

static void row_crash(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);

	change(store, args);
	print_end();
	_exit(0);
}

/* Removes the first `ops`, in whose place the last ones come. */
static void row_compact(const struct bench_args *args)
{
	struct quiver *store = open_store(args->path);
	struct quiver_job_status status;
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t before = bench_now_ns();

	for (uint64_t i = 0; i < args->ops; i++)
		bench_check("remove", quiver_remove(store, args->start + i, 0, NULL));
	print_since("remove_ns", before);
	before = bench_now_ns();
	bench_check("compact", quiver_job_start(store, QUIVER_COMPACT));
	do {
		(void)usleep(LOOK_US);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	bench_check("compact", status.result);
	print_since("compact_ns", before);
	quiver_stats(store, &stats);
	print_part("moved", stats.moved);
	print_part("slots", stats.slots);
	close_store(store);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const struct bench_args *args);
	} rows[] = {
		{ "fill", row_fill },       { "open", row_open },     { "get", row_get },
		{ "list", row_list },       { "change", row_change }, { "crash", row_crash },
		{ "compact", row_compact },
	};
	struct bench_args args;
	pthread_t watcher;
	size_t at = 0;

	bench_args_parse(argc, argv, &args);
	while (at < sizeof(rows) / sizeof(rows[0]) && strcmp(rows[at].name, args.row) != 0)
		at++;
	if (at == sizeof(rows) / sizeof(rows[0]))
		bench_die("%s: no such row", args.row);
	if (pthread_create(&watcher, NULL, watch, NULL) != 0)
		bench_die("no thread");
	rows[at].run(&args);
	atomic_store(&watching, false);
	(void)pthread_join(watcher, NULL);
	print_end();
	return 0;
}
