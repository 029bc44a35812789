#include "engine/commit/commit.h"

#include <errno.h>
#include <time.h>

#include "engine/commit/apply.h"
#include "engine/commit/group.h"

/* Shorter than this is not worth a sleep: it is added to the next turn. */
#define SLEEP_NS_MIN UINT64_C(100000)

/* The slots of what was not committed. */
static void give_back(struct committer *commits, const struct commit_request *request)
{
	/* After a failure of the log a slot may be named by a record that is on disk. */
	if (health_failed(commits->catalog->health))
		return;
	for (size_t i = 0; i < request->count; i++)
		if (commit_op_has_slot(&request->ops[i]) &&
		    (!request->published || request->ops[i].result != 0))
			slots_give(&commits->catalog->slots, request->ops[i].slot);
}

/* In mode none, which has no log, a commit that has to be durable gets one for itself: with all
 * before it checkpointed it is logged, synced and only then published, as in mode always, and
 * the next checkpoint comes before anything that is not logged. */
static void submit_logged(struct checkpointer *checkpointer, struct commit_request *request)
{
	struct committer *commits = checkpointer->commits;
	int r;

	commit_pause(commits);
	if (atomic_load(&commits->durability) != QUIVER_NONE) { /* not any more */
		commit_resume(commits);
		group_submit(commits, request);
		return;
	}
	request->result = checkpoint_run(checkpointer);
	if (request->result == 0) {
		atomic_store(&commits->logs_anyway, true);
		apply_group(commits, &request, 1);
		r = checkpoint_run(checkpointer);
		/* The commit is on disk, but none may follow. */
		if (!health_failed(commits->catalog->health))
			(void)health_judge(commits->catalog->health, HEALTH_CHECKPOINT_AFTER, r);
		atomic_store(&commits->logs_anyway, false);
	}
	commit_resume(commits);
}

/* Each turn waits for a checkpoint, after which others may have been quicker. */
static void submit_any(struct checkpointer *checkpointer, struct commit_request *request)
{
	int r = 0;

	group_submit(checkpointer->commits, request);
	while (r == 0 && (request->result == -ECANCELED || request->result == -ENOBUFS)) {
		if (request->result == -ECANCELED) {
			submit_logged(checkpointer, request);
			continue;
		}
		r = checkpoint_run(checkpointer);
		if (r)
			request->result = r;
		else
			group_submit(checkpointer->commits, request);
	}
}

/* Log that no checkpoint has covered. */
static uint64_t uncovered_bytes(const struct checkpointer *checkpointer)
{
	uint64_t covered = atomic_load(&checkpointer->log_bytes);

	return atomic_load(&checkpointer->commits->wal->appended_bytes) - covered;
}

/* Whether nothing may follow before a checkpoint. */
static bool is_full(const struct checkpointer *checkpointer)
{
	const struct backlog *backlog = &checkpointer->backlog;

	return uncovered_bytes(checkpointer) >= backlog->max_bytes ||
	       atomic_load(&checkpointer->commits->catalog->attr_deltas.count) >=
	               backlog->attrs_max;
}

static void sleep_until(uint64_t ns)
{
	struct timespec until = clock_timespec(ns);

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		continue;
}

/* What the log may take of it. */
static uint64_t bytes_of(const struct checkpointer *checkpointer,
                         const struct commit_request *request)
{
	uint32_t vector_bytes = checkpointer->commits->catalog->columns.geometry.vector_bytes;

	return request->count *
	       wal_record_bytes(request->ops[0].type == WAL_PUT ? vector_bytes : 0);
}

/* Where checkpoints are slower than those who write: wait for one's turn, or, where that is not
 * wanted, -EAGAIN. 0, or errors of checkpoint_run. */
static int await_turn(struct checkpointer *checkpointer, const struct commit_request *request)
{
	struct backlog *backlog = &checkpointer->backlog;
	uint64_t bytes = uncovered_bytes(checkpointer);
	bool full = is_full(checkpointer);
	uint64_t now_ns;
	uint64_t turn_ns;

	if (!full && (bytes < backlog->slow_bytes || !backlog_knows(backlog)))
		return 0;
	if (request->flags & QUIVER_NOWAIT) {
		wish_checkpoint(checkpointer->commits->wishes);
		return -EAGAIN;
	}
	if (full)
		return checkpoint_run_while(checkpointer, is_full);
	now_ns = clock_monotonic_ns();
	turn_ns = backlog_turn_ns(backlog, bytes, bytes_of(checkpointer, request), now_ns);
	if (turn_ns > now_ns + SLEEP_NS_MIN)
		sleep_until(turn_ns);
	return 0;
}

/* Whatever became of it: where it failed the rows were written and taken back. */
static void tell(struct row_watch *watch, const struct commit_request *request)
{
	for (size_t i = 0; i < request->count; i++)
		if (commit_op_has_slot(&request->ops[i]))
			row_watch_changed(watch, request->ops[i].slot, 1);
	row_watch_settle(watch);
}

int commit_submit(struct checkpointer *checkpointer, struct commit_request *request)
{
	uint64_t began = clock_monotonic_ns();

	request->published = false;
	request->result = await_turn(checkpointer, request);
	if (request->result == 0)
		submit_any(checkpointer, request);
	/* The disk is full, but a checkpoint lets go of the log there is. */
	if (request->result && !(request->flags & QUIVER_NOWAIT) &&
	    health_verdict(HEALTH_LOG_SEGMENT, request->result) == HEALTH_RETRY &&
	    checkpoint_run(checkpointer) == 0)
		submit_any(checkpointer, request);
	/* Who does not wait has left the queue before anybody watched. */
	if (row_watch_is_on(checkpointer->commits->row_watch) && !(request->flags & QUIVER_NOWAIT))
		tell(checkpointer->commits->row_watch, request);
	if (!request->published || request->each)
		give_back(checkpointer->commits, request);
	if (request->result == 0)
		latency_add(&checkpointer->commits->catalog->health->counters.commit,
		            clock_monotonic_ns() - began);
	return request->result;
}
