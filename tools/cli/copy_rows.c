/*
 * copy_rows.c - rows into a store or a live mount, read by one thread while another writes.
 */
#include "tools/cli/copy_rows.h"
#include "tools/cli/file_attr.h"
#include "tools/cli/flusher.h"
#include "tools/cli/live.h"
#include "tools/cli/progress.h"
#include "tools/cli/sink.h"
#include "tools/cli/workers.h"
#include "tools/formats/interrupt.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

/* One reads while the other writes. */
#define WORKERS 2

/* What the workers share. */
struct copy {
	struct quiver_attr attr;
	struct flusher flusher;
	pthread_mutex_t lock;
	struct rows *rows; /* lock */
	struct existing existing; /* lock */
	bool ended; /* lock; no row is left */
	struct progress progress; /* lock */
	uint64_t read; /* lock; rows handed to a worker, or skipped */
	uint64_t written; /* lock */
	uint64_t whole; /* lock; no row below is missing; UINT64_MAX before anything failed */
	int result; /* lock; of what failed first */
};

struct worker {
	struct copy *copy;
	struct sink sink;
};

/* Say of a row that its ID is there, which ends the import. Under the lock. */
static void say_there(const struct copy *copy, size_t row, uint64_t id)
{
	bool skip = copy->existing.mode == EXISTING_SKIP;
	char text[320];

	(void)snprintf(text, sizeof(text), "vector %" PRIu64 " exists already%s", id,
	               skip ? "; if this row were skipped, that vector would get its key; "
	                      "--start-id N starts at an ID that is free, and "
	                      "--on-duplicate=replace replaces the vector"
	                    : " (--on-duplicate=skip skips it)");
	rows_say(copy->rows, row, text);
}

/* Take rows and leave out what is not wanted; the number to write, *count of rows dealt
 * with. Under the lock. Says errors. */
static int64_t take_rows(struct copy *copy, struct sink *sink, int64_t *count)
{
	size_t looked;
	int64_t kept;

	*count = rows_read(copy->rows, sink->vectors, sink->ids, sink->batch_rows);
	if (*count <= 0)
		return *count;
	kept = existing_sift(&copy->existing, sink->vectors, sink->ids, (size_t)*count);
	looked = copy->existing.looked;
	if (kept < 0 || looked == (size_t)*count)
		return kept;
	say_there(copy, looked, sink->ids[looked]);
	copy->result = -EEXIST;
	*count = (int64_t)looked;
	return kept;
}

/* The next rows; how many, 0 at the end, an error or a signal. *first is that of
 * the first. Says errors. */
static size_t next_rows(struct worker *worker, uint64_t *first)
{
	struct copy *copy = worker->copy;
	int64_t count, kept = 0;

	pthread_mutex_lock(&copy->lock);
	while (kept == 0 && !copy->ended && copy->result == 0 && !interrupted()) {
		*first = copy->read;
		kept = take_rows(copy, &worker->sink, &count);
		if (kept < 0) {
			/* a signal is no failure */
			copy->result = kept == -EINTR ? 0 : (int)kept;
			break;
		}
		copy->ended = count == 0 && copy->result == 0;
		copy->read += (uint64_t)count;
	}
	pthread_mutex_unlock(&copy->lock);
	return kept > 0 ? (size_t)kept : 0;
}

/* The rows from `first` on are written, or `result` says why not. Says errors. */
static void rows_written(struct worker *worker, uint64_t first, size_t count, int result)
{
	struct copy *copy = worker->copy;

	pthread_mutex_lock(&copy->lock);
	if (result < 0) {
		if (first < copy->whole)
			copy->whole = first;
		/* a signal is no failure */
		if (copy->result == 0 && !(result == -EINTR && interrupted())) {
			copy->result = result;
			progress_end(&copy->progress);
			sink_say_failed(worker->sink.session, result);
		}
	} else {
		copy->written += count;
		copy->progress.total = rows_estimate(copy->rows, copy->read);
		if (copy->result == 0)
			progress_update(&copy->progress, copy->written);
	}
	pthread_mutex_unlock(&copy->lock);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct sink *sink = &worker->sink;
	uint64_t first;
	size_t count;

	while ((count = next_rows(worker, &first)) > 0) {
		int result = sink_put(sink, count);

		rows_written(worker, first, count, result);
		flusher_add(&worker->copy->flusher, count * sink->session->geometry.vector_bytes);
	}
	return NULL;
}

/* Of rows with one ID the last counts, or the first: then they are written in their order. */
static bool in_order(const struct rows *rows, enum existing_mode mode)
{
	return rows->brings_ids || mode != EXISTING_REPLACE;
}

/* Move the rows with workers that are open. Says errors. */
static int copy_opened(struct session *session, struct copy *copy, struct worker *workers,
                       unsigned count)
{
	pthread_mutex_init(&copy->lock, NULL);
	progress_start(&copy->progress, "import", "vectors", 0, rows_estimate(copy->rows, 0));
	flusher_start(&copy->flusher, session_flush, session);
	workers_run(work, workers, sizeof(workers[0]), count);
	flusher_stop(&copy->flusher);
	progress_end(&copy->progress);
	pthread_mutex_destroy(&copy->lock);
	return copy->result;
}

int copy_rows(struct session *session, struct rows *rows, enum existing_mode mode,
              struct outcome *outcome)
{
	struct copy copy = { .rows = rows, .whole = UINT64_MAX, .existing.folder_fd = -1 };
	struct worker workers[WORKERS];
	unsigned count = in_order(rows, mode) ? 1 : WORKERS;
	unsigned opened = 0;
	int result = 0;

	file_attr_new(&copy.attr);
	while (result == 0 && opened < count) {
		workers[opened].copy = &copy;
		result = sink_open(session, &workers[opened].sink);
		workers[opened++].sink.attr = &copy.attr;
	}
	if (result == 0)
		result = existing_open(session, rows, mode, workers[0].sink.batch_rows,
		                       &copy.existing);
	if (result == 0)
		result = copy_opened(session, &copy, workers, count);
	/* rows before the first that is missing */
	outcome->done = copy.read < copy.whole ? copy.read : copy.whole;
	outcome->skipped = copy.existing.skipped;
	outcome->complete = copy.ended && result == 0;
	existing_close(&copy.existing);
	while (opened > 0) {
		int closed = sink_close(&workers[--opened].sink);

		result = result ? result : closed;
	}
	return result;
}
