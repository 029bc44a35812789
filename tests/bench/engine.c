/*
 * engine.c - what only our engine has: checkpoint, compaction, recovery, memory, and how
 * long readers wait while something large goes on.
 *
 * Rows, each in a new store at PATH: checkpoint, compact, compact-put (overwrites beside it), crash
 * (leaves a full log behind and says the bytes of its records and of the vectors, wherever they are;
 * mode batch, single or durable), overwritten (a checkpoint after each tenth vector was overwritten, by
 * chance), memory, pause-quiet, pause-growth, pause-checkpoint, pause-compact, pause-copy (no work of
 * the engine, but bare calls that copy and sync in another file what a compaction moves).
 * Rows on a store that is there: dirty (overwrite `ops` of its vectors, and end as a killed process
 * does), recover (after crash or dirty).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/quiver.h"
#include "tests/bench/store.h"

/* Looks a reader takes, one sample each, at most. */
#define SAMPLES_MAX 20000000u
/* A reader is watched at least this long. */
#define WATCH_NS UINT64_C(500000000)
/* Between two looks at the clock: with two cores, each takes one from the reader. */
#define REST_US 50000u
#define LOOK_US 500u
/* Of the vectors, before a compaction. */
#define DELETED_PERCENT 30u
/* One in so many is overwritten before a checkpoint. */
#define OVERWRITTEN_PART 10u
/* A little less than what makes the engine checkpoint. */
#define LOG_BYTES (UINT64_C(240) << 20)
#define RECORD_BYTES 128u /* of the log for a vector, beside its own; FORMAT.md */

static void remove_some(struct quiver *store, const struct bench_args *args)
{
	uint64_t *ids = bench_shuffled(args->count, args->seed);

	for (uint64_t i = 0; i < args->count * DELETED_PERCENT / 100; i++)
		bench_check("remove", quiver_remove(store, ids[i], 0, NULL));
	free(ids);
	bench_check("checkpoint", quiver_checkpoint(store));
}

static void compact(struct quiver *store, useconds_t look_us)
{
	struct quiver_job_status status;

	bench_check("compact", quiver_job_start(store, QUIVER_COMPACT));
	do {
		(void)usleep(look_us);
		quiver_job_status(store, QUIVER_COMPACT, &status);
	} while (status.running);
	bench_check("compact", status.result);
}

/* ---- rows that take a while ---------------------------------------------- */

static void row_checkpoint(const struct bench_args *args, struct bench_result *result)
{
	struct quiver *store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC);
	uint64_t before;

	bench_load(store, 0, args->ops);
	before = bench_now_ns();
	bench_check("checkpoint", quiver_checkpoint(store));
	result->ns = bench_now_ns() - before;
	result->ops = args->ops;
	result->bytes = args->ops * args->bytes;
	bench_check("close", quiver_close(store));
}

static void row_overwritten(const struct bench_args *args, struct bench_result *result)
{
	struct quiver *store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC);
	const uint64_t count = args->count / OVERWRITTEN_PART;
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t before;

	bench_load(store, 0, args->count);
	bench_check("checkpoint", quiver_checkpoint(store));
	bench_overwrite(store, ids, count);
	before = bench_now_ns();
	bench_check("checkpoint", quiver_checkpoint(store));
	result->ns = bench_now_ns() - before;
	result->ops = count;
	result->bytes = count * args->bytes;
	free(ids);
	bench_check("close", quiver_close(store));
}

static void row_compact(const struct bench_args *args, struct bench_result *result)
{
	struct quiver *store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC);
	struct quiver_stats stats = { .size = sizeof(stats) };
	uint64_t before;

	bench_load(store, 0, args->count);
	remove_some(store, args);
	before = bench_now_ns();
	compact(store, LOOK_US);
	result->ns = bench_now_ns() - before;
	quiver_stats(store, &stats);
	result->ops = stats.moved;
	result->bytes = stats.moved * args->bytes;
	bench_check("close", quiver_close(store));
}

/* Overwrites of one writer from the beginning of a compaction to its end. */
static void row_compact_put(const struct bench_args *args, struct bench_result *result)
{
	const uint64_t vectors = args->count * (100 - DELETED_PERCENT) / 100;
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	uint64_t *samples = bench_alloc(SAMPLES_MAX * sizeof(uint64_t));
	struct quiver *store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC);
	struct quiver_job_status status = { .running = true };
	char *data = bench_alloc(args->bytes);
	uint64_t before, now;

	bench_fill(data, args->bytes, args->seed);
	bench_load(store, 0, args->count);
	remove_some(store, args);
	before = bench_now_ns();
	bench_check("compact", quiver_job_start(store, QUIVER_COMPACT));
	for (; status.running && result->ops < SAMPLES_MAX; before = now) {
		uint64_t id = ids[args->count - 1 - result->ops % vectors];

		bench_check("put",
		            quiver_put(store, id, data, &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
		quiver_job_status(store, QUIVER_COMPACT, &status);
		now = bench_now_ns();
		samples[result->ops++] = now - before;
		result->ns += now - before;
	}
	bench_check("compact", status.result);
	bench_percentiles(samples, result->ops, result);
	result->bytes = result->ops * args->bytes;
	free(samples);
	free(ids);
	free(data);
	bench_check("close", quiver_close(store));
}

/* Put until the log is as full as it gets before a checkpoint, or `ops` vectors; then end
 * as a killed process does. Of a batch the log names the slots only, which count for it; it has the
 * bytes of what is durable when the put returns. */
static void row_crash(const struct bench_args *args, struct bench_result *result)
{
	const bool durable = strcmp(args->mode, "durable") == 0;
	struct quiver *store =
		bench_new_store(args->path, args->bytes, durable ? QUIVER_ALWAYS : QUIVER_FSYNC);
	const uint64_t each = RECORD_BYTES + args->bytes;
	size_t bytes = (size_t)BENCH_BATCH * args->bytes;
	char *data = bench_alloc(bytes);

	bench_fill(data, bytes, args->seed);
	do {
		if (durable || strcmp(args->mode, "batch") == 0)
			bench_put_batch(store, result->ops, BENCH_BATCH, data);
		for (uint64_t i = 0; strcmp(args->mode, "single") == 0 && i < BENCH_BATCH; i++)
			bench_check("put",
			            quiver_put(store, result->ops + i, data + i * args->bytes,
			                       &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
		result->ops += BENCH_BATCH;
	} while (result->ops < args->ops && (result->ops + BENCH_BATCH) * each <= LOG_BYTES);
	result->bytes = result->ops * each;
	bench_print(result);
	_exit(0);
}

static void row_dirty(const struct bench_args *args, struct bench_result *result)
{
	struct quiver *store = bench_open(args->path, QUIVER_FSYNC);
	uint64_t *ids = bench_shuffled(args->count, args->seed);
	char *data = bench_alloc(args->bytes);

	bench_fill(data, args->bytes, args->seed);
	for (; result->ops < args->ops; result->ops++)
		bench_check("put", quiver_put(store, ids[result->ops % args->count], data,
		                              &bench_attr, QUIVER_ATTR_ALL, 0, NULL));
	result->bytes = result->ops * RECORD_BYTES;
	bench_print(result);
	_exit(0);
}

static void row_recover(const struct bench_args *args, struct bench_result *result)
{
	uint64_t before = bench_now_ns();
	struct quiver *store = bench_open(args->path, QUIVER_FSYNC);
	struct quiver_stats stats = { .size = sizeof(stats) };

	result->ns = bench_now_ns() - before;
	quiver_stats(store, &stats);
	result->ops = stats.replayed;
	bench_check("close", quiver_close(store));
}

/* ---- memory --------------------------------------------------------------- */

/* Of each further vector: what a store needs at any size is left out. */
static void row_memory(const struct bench_args *args, struct bench_result *result)
{
	struct quiver *store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC);
	const uint64_t some = args->count / 10;
	uint64_t before, after;

	bench_load(store, 0, some);
	bench_check("checkpoint", quiver_checkpoint(store));
	before = bench_anonymous_bytes();
	bench_load(store, some, args->count - some);
	bench_check("checkpoint", quiver_checkpoint(store));
	after = bench_anonymous_bytes();
	result->bytes = after > before ? after - before : 0;
	result->ops = args->count - some;
	bench_check("close", quiver_close(store));
}

/* ---- pauses of readers ----------------------------------------------------- */

struct reader {
	struct quiver *store;
	const struct bench_args *args;
	uint64_t *ids;
	uint64_t *samples;
	size_t count;
	sem_t warm; /* posted when each vector was read once */
	atomic_bool stop;
};

static void *read_on(void *arg)
{
	struct reader *reader = arg;
	const uint64_t vectors = reader->args->count * (100 - DELETED_PERCENT) / 100;
	const uint64_t *ids = reader->ids + (reader->args->count - vectors);
	char *to = bench_alloc(reader->args->bytes);
	uint64_t i, before;

	/* Once round, so that everything is in memory and mapped. */
	for (i = 0; i < vectors; i++)
		bench_check("get", quiver_get_copy(reader->store, ids[i], to, NULL, NULL));
	if (sem_post(&reader->warm) != 0)
		bench_die("sem_post: %s", strerror(errno));
	before = bench_now_ns();
	while (!atomic_load_explicit(&reader->stop, memory_order_relaxed)) {
		uint64_t now;

		bench_check("get",
		            quiver_get_copy(reader->store, ids[i++ % vectors], to, NULL, NULL));
		now = bench_now_ns();
		if (reader->count < SAMPLES_MAX)
			reader->samples[reader->count++] = now - before;
		before = now;
	}
	free(to);
	return NULL;
}

/* A file of as many vectors, synced; its name is gone. */
static int bare_file(const struct bench_args *args)
{
	char *vector = bench_alloc(args->bytes);
	int fd = open(args->path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_die("%s: %s", args->path, strerror(errno));
	for (uint64_t i = 0; i < args->count; i++) {
		bench_fill(vector, args->bytes, i);
		if (pwrite(fd, vector, args->bytes, (off_t)(i * args->bytes)) != args->bytes)
			bench_die("a bare file: %s", strerror(errno));
	}
	if (fsync(fd) != 0)
		bench_die("a bare file: %s", strerror(errno));
	free(vector);
	return fd;
}

/* The tail of the file to places below, as a compaction does it. */
static void bare_copy(int fd, const struct bench_args *args)
{
	uint64_t below = args->count * (100 - DELETED_PERCENT) / 100;
	uint64_t count = below * DELETED_PERCENT / 100;
	char *vector = bench_alloc(args->bytes);

	for (uint64_t i = 0; i < count; i++) {
		off_t from = (off_t)((args->count - 1 - i) * args->bytes);
		off_t to = (off_t)(i * 100 / DELETED_PERCENT * args->bytes);

		if (pread(fd, vector, args->bytes, from) != args->bytes ||
		    pwrite(fd, vector, args->bytes, to) != args->bytes)
			bench_die("a bare copy: %s", strerror(errno));
	}
	if (fdatasync(fd) != 0)
		bench_die("a bare copy: %s", strerror(errno));
	free(vector);
}

static void disturb(struct quiver *store, const struct bench_args *args, int bare_fd)
{
	uint64_t before = bench_now_ns();

	if (strcmp(args->row, "pause-growth") == 0)
		bench_check("reserve", quiver_reserve(store, args->count * 2));
	else if (strcmp(args->row, "pause-checkpoint") == 0)
		bench_check("checkpoint", quiver_checkpoint(store));
	else if (strcmp(args->row, "pause-compact") == 0)
		compact(store, REST_US);
	else if (bare_fd >= 0)
		bare_copy(bare_fd, args);
	while (bench_now_ns() - before < WATCH_NS)
		(void)usleep(REST_US);
}

/* The reader reads what no row deletes. */
static void row_pause(const struct bench_args *args, struct bench_result *result)
{
	struct reader reader = { .args = args,
		                 .store = bench_new_store(args->path, args->bytes, QUIVER_FSYNC) };
	int bare_fd = strcmp(args->row, "pause-copy") == 0 ? bare_file(args) : -1;
	pthread_t thread;
	int err;

	reader.ids = bench_shuffled(args->count, args->seed);
	reader.samples = bench_alloc(SAMPLES_MAX * sizeof(uint64_t));
	bench_load(reader.store, 0, args->count);
	bench_check("checkpoint", quiver_checkpoint(reader.store));
	if (strcmp(args->row, "pause-compact") == 0)
		remove_some(reader.store, args);
	if (strcmp(args->row, "pause-checkpoint") == 0)
		bench_load(reader.store, args->count, args->ops);
	err = sem_init(&reader.warm, 0, 0);
	if (err == 0)
		err = pthread_create(&thread, NULL, read_on, &reader);
	bench_check("thread", -err);
	while (sem_wait(&reader.warm) != 0)
		if (errno != EINTR)
			bench_die("sem_wait: %s", strerror(errno));
	disturb(reader.store, args, bare_fd);
	atomic_store(&reader.stop, true);
	err = pthread_join(thread, NULL);
	bench_check("thread", -err);
	result->ops = reader.count;
	bench_percentiles(reader.samples, reader.count, result);
	result->ns = result->p999_ns * reader.count;
	free(reader.ids);
	free(reader.samples);
	if (bare_fd >= 0 && close(bare_fd) != 0)
		bench_die("a bare file: %s", strerror(errno));
	bench_check("close", quiver_close(reader.store));
}

static const struct {
	const char *name;
	void (*run)(const struct bench_args *args, struct bench_result *result);
} rows[] = {
	{ "checkpoint", row_checkpoint },   { "overwritten", row_overwritten },
	{ "compact", row_compact },         { "dirty", row_dirty },
	{ "compact-put", row_compact_put }, { "crash", row_crash },
	{ "recover", row_recover },         { "memory", row_memory },
	{ "pause-quiet", row_pause },       { "pause-growth", row_pause },
	{ "pause-checkpoint", row_pause },  { "pause-compact", row_pause },
	{ "pause-copy", row_pause },
};

int main(int argc, char **argv)
{
	struct bench_result result = { 0 };
	struct bench_args args;

	bench_args_parse(argc, argv, &args);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, args.row) == 0) {
			rows[i].run(&args, &result);
			bench_print(&result);
			return 0;
		}
	}
	bench_die("no row %s", args.row);
}
