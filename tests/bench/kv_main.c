/*
 * kv_main.c - the rows that all stores in process have.
 *
 * Rows: load (an untimed filling, in batches), load-holes (the same, and then each 16th vector is
 * removed), put, batch, overwrite, remove (each in a new store), open, get-ref, get-check, get-copy,
 * get-copy-check, get-touch (of a loaded store), get-absent (of one with holes: those IDs).
 */
#include "engine/base/xxh3.h" /* the same function for all */
#include "kv.h"

#include <stdlib.h>
#include <string.h>

/* Lookups take less time than a look at the clock. */
#define GET_STRIDE 64u
/* Of the vectors of a store with holes one in so many is missing: between others, where looking for it
 * ends at a place by chance. */
#define HOLE_EVERY 16u

struct rows {
	const struct bench_args *args;
	struct kv *kv;
	const uint64_t *ids;
	uint64_t id_count;
	enum kv_take take;
	char *batch; /* BENCH_BATCH vectors */
};

/* A session with a buffer of its own. */
struct worker {
	struct kv_session *session;
	char *buffer;
};

static volatile uint64_t sink;

void kv_use(enum kv_take take, const void *data, size_t size, void *to)
{
	if (take == KV_COPY || take == KV_COPY_CHECK) {
		memcpy(to, data, size);
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	if (take == KV_CHECK || take == KV_COPY_CHECK)
		sink = XXH3_64bits(take == KV_CHECK ? data : to, size);
	else if (take == KV_TOUCH)
		sink = *(const volatile uint64_t *)data;
	else
		__asm__ volatile("" : : "r"(data));
}

static void *begin(void *arg, unsigned index)
{
	const struct rows *rows = arg;
	struct worker *worker = bench_alloc(sizeof(*worker));

	worker->session = kv_begin(rows->kv);
	worker->buffer = bench_alloc(rows->args->bytes);
	bench_fill(worker->buffer, rows->args->bytes, rows->args->seed + index);
	return worker;
}

static void end(void *arg, void *session)
{
	struct worker *worker = session;

	(void)arg;
	kv_end(worker->session);
	free(worker->buffer);
	free(worker);
}

static void op_put(void *arg, void *session, uint64_t i)
{
	const struct rows *rows = arg;
	struct worker *worker = session;

	memcpy(worker->buffer, &i, sizeof(i));
	kv_put(worker->session, rows->ids[i % rows->id_count], worker->buffer);
}

static void op_batch(void *arg, void *session, uint64_t i)
{
	const struct rows *rows = arg;
	struct worker *worker = session;

	kv_put_batch(worker->session, i * BENCH_BATCH, BENCH_BATCH, rows->batch);
}

static void op_remove(void *arg, void *session, uint64_t i)
{
	const struct rows *rows = arg;
	struct worker *worker = session;

	kv_remove(worker->session, rows->ids[i]);
}

static void op_get(void *arg, void *session, uint64_t i)
{
	const struct rows *rows = arg;
	struct worker *worker = session;

	kv_get(worker->session, rows->ids[i % rows->id_count], rows->take, worker->buffer);
}

static void op_get_absent(void *arg, void *session, uint64_t i)
{
	const struct rows *rows = arg;
	struct worker *worker = session;

	kv_get_absent(worker->session, rows->ids[i % rows->id_count] / HOLE_EVERY * HOLE_EVERY);
}

/* IDs 0 to count - 1, in order. */
static void load(struct rows *rows, uint64_t count)
{
	struct kv_session *session = kv_begin(rows->kv);

	for (uint64_t id = 0; id < count; id += BENCH_BATCH) {
		uint64_t left = count - id;

		kv_put_batch(session, id, left < BENCH_BATCH ? left : BENCH_BATCH, rows->batch);
	}
	kv_end(session);
}

static void make_holes(struct rows *rows, uint64_t count)
{
	struct kv_session *session = kv_begin(rows->kv);

	for (uint64_t id = 0; id < count; id += HOLE_EVERY)
		kv_remove(session, id);
	kv_end(session);
}

static void run(struct rows *rows, void (*op)(void *, void *, uint64_t), uint64_t ops,
                uint64_t stride, struct bench_result *result)
{
	struct bench_job job = { .ops = ops,
		                 .workers = rows->args->workers,
		                 .stride = stride,
		                 .arg = rows,
		                 .begin = begin,
		                 .op = op,
		                 .end = end };

	bench_run(&job, result);
}

static void row_in_new_store(struct rows *rows, struct bench_result *result)
{
	const struct bench_args *args = rows->args;
	const char *row = args->row;

	rows->kv = kv_open(args, true);
	if (strcmp(row, "load") == 0) {
		load(rows, args->count);
	} else if (strcmp(row, "load-holes") == 0) {
		load(rows, args->count);
		make_holes(rows, args->count);
	} else if (strcmp(row, "put") == 0) {
		run(rows, op_put, args->ops, 1, result);
	} else if (strcmp(row, "batch") == 0) {
		run(rows, op_batch, args->ops / BENCH_BATCH, 1, result);
		result->ops *= BENCH_BATCH;
	} else if (strcmp(row, "overwrite") == 0) {
		load(rows, args->count);
		run(rows, op_put, args->ops, 1, result);
	} else {
		load(rows, args->ops);
		run(rows, op_remove, args->ops, 1, result);
	}
	result->bytes = result->ops * args->bytes;
	kv_close(rows->kv);
}

static void row_get(struct rows *rows, enum kv_take take, void (*op)(void *, void *, uint64_t),
                    struct bench_result *result)
{
	const struct bench_args *args = rows->args;
	struct bench_result ignored;

	rows->kv = kv_open(args, false);
	rows->take = take;
	/* Once round, so that everything is in memory and mapped. */
	run(rows, op, args->count, GET_STRIDE, &ignored);
	run(rows, op, args->ops, GET_STRIDE, result);
	result->bytes = args->ops * args->bytes;
	kv_close(rows->kv);
}

static void row_open(struct rows *rows, struct bench_result *result)
{
	uint64_t before = bench_now_ns();

	rows->kv = kv_open(rows->args, false);
	result->ns = bench_now_ns() - before;
	result->ops = 1;
	kv_close(rows->kv);
}

int main(int argc, char **argv)
{
	static const char *const gets[] = { "get-ref", "get-check", "get-copy", "get-copy-check",
		                            "get-touch" };
	static const char *const news[] = { "load",  "load-holes", "put",
		                            "batch", "overwrite",  "remove" };
	struct bench_args args;
	struct bench_result result = { 0 };
	struct rows rows = { .args = &args };
	uint64_t *ids;
	bool done = false;

	bench_args_parse(argc, argv, &args);
	rows.id_count = args.count > 0 ? args.count : args.ops;
	rows.ids = ids = bench_shuffled(rows.id_count, args.seed);
	rows.batch = bench_alloc((size_t)BENCH_BATCH * args.bytes);
	bench_fill(rows.batch, (size_t)BENCH_BATCH * args.bytes, args.seed);

	for (unsigned i = 0; i < sizeof(gets) / sizeof(gets[0]); i++) {
		if (strcmp(args.row, gets[i]) == 0) {
			row_get(&rows, (enum kv_take)i, op_get, &result);
			done = true;
		}
	}
	for (unsigned i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
		if (strcmp(args.row, news[i]) == 0) {
			row_in_new_store(&rows, &result);
			done = true;
		}
	}
	if (strcmp(args.row, "open") == 0)
		row_open(&rows, &result);
	else if (strcmp(args.row, "get-absent") == 0)
		row_get(&rows, KV_REF, op_get_absent, &result);
	else if (!done)
		bench_die("no row %s", args.row);
	bench_print(&result);
	free(rows.batch);
	free(ids);
	return 0;
}
