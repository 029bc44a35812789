#include "engine/commit/commit.h"

#include <errno.h>

#include "engine/commit/apply.h"
#include "engine/commit/group.h"

static void give_back(struct committer *commits, const struct commit_request *request)
{
	/* After a failure of the log a slot may be named by a record that is on disk. */
	if (health_failed(commits->catalog->health))
		return;
	for (size_t i = 0; i < request->count; i++)
		if (commit_op_has_slot(&request->ops[i]))
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

	submit_any(checkpointer, request);
	/* The disk is full, but a checkpoint lets go of the log there is. */
	if (request->result && !(request->flags & QUIVER_NOWAIT) &&
	    health_verdict(HEALTH_LOG_SEGMENT, request->result) == HEALTH_RETRY &&
	    checkpoint_run(checkpointer) == 0)
		submit_any(checkpointer, request);
	/* Who does not wait has left the queue before anybody watched. */
	if (row_watch_is_on(checkpointer->commits->row_watch) && !(request->flags & QUIVER_NOWAIT))
		tell(checkpointer->commits->row_watch, request);
	if (!request->published)
		give_back(checkpointer->commits, request);
	if (request->result == 0)
		latency_add(&checkpointer->commits->catalog->health->counters.commit,
		            clock_monotonic_ns() - began);
	return request->result;
}
