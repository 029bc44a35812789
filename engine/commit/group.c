#include "engine/commit/group.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/commit/apply.h"

/* Requests that one leader takes at once. More would make the first wait for the last. */
#define GROUP_MAX 64
/* Of the time that a group's sync takes, what the leader at most waits for writers to come. */
#define PATIENCE_SHARE 2
/* Each time they did not come it waits half as long, but goes on trying. */
#define DOUBTS_MAX 6
/* How much of a new measurement of the sync goes into the mean. */
#define SYNC_SMOOTHING 8

static bool names(const struct commit_request *request, uint64_t id)
{
	const struct commit_op *op = &request->ops[0];

	return op->id == id || (op->type == WAL_RENAME && op->from == id);
}

static bool clashes(const struct commit_request *a, const struct commit_request *b)
{
	/* What sets some of the directory's attributes inherits the rest from what came before. */
	if (a->ops[0].type == WAL_DIRATTR || b->ops[0].type == WAL_DIRATTR)
		return true;
	return names(a, b->ops[0].id) || (b->ops[0].type == WAL_RENAME && names(a, b->ops[0].from));
}

/* Take requests from the queue that can go as one group: each plans on what is published, so
 * no two may name the same ID, a batch goes alone, and who must not wait never goes with who
 * may. Queue lock held. */
static size_t take_group(struct commit_queue *queue, struct commit_request **group)
{
	size_t n = 0;

	while (queue->first && n < GROUP_MAX) {
		struct commit_request *request = queue->first;

		if (n > 0 && (request->count > 1 || group[0]->count > 1 ||
		              ((request->flags ^ group[0]->flags) & QUIVER_NOWAIT)))
			break;
		for (size_t i = 0; i < n; i++)
			if (clashes(group[i], request))
				return n;
		queue->first = request->next;
		if (!queue->first)
			queue->last = &queue->first;
		queue->count--;
		group[n++] = request;
	}
	return n;
}

/* Whether the next group ends in a sync. Queue lock held. */
static bool group_syncs(struct committer *commits)
{
	return (commits->queue.first->flags & QUIVER_SYNC) ||
	       atomic_load(&commits->durability) == QUIVER_ALWAYS;
}

/* The writers of a group come back microseconds after its sync; a leader that syncs at once for
 * the first of them lets all others wait for the sync after that. So it waits until as many are
 * there as last time, for a part of what the sync takes, and less and less where they do not
 * come. As PostgreSQL's commit_delay, but measured. Queue lock held. */
static void await_company(struct commit_queue *queue)
{
	uint64_t wait_ns = queue->sync_ns / PATIENCE_SHARE >> queue->doubts;
	struct timespec until;
	int r = 0;

	if (queue->count >= queue->expected)
		return;
	commit_turn_away(queue);
	until = clock_timespec(clock_monotonic_ns() + wait_ns);
	queue->awaited = queue->expected;
	while (r == 0 && queue->count < queue->awaited)
		r = pthread_cond_timedwait(&queue->arrived, &queue->lock, &until);
	queue->awaited = 0;
	atomic_store(&queue->syncing, false);
	if (r == 0)
		queue->doubts = 0;
	else if (queue->doubts < DOUBTS_MAX)
		queue->doubts++;
}

/* What a group that ended in a sync tells about the next. */
static void learn(struct commit_queue *queue, size_t group, uint64_t took_ns)
{
	pthread_mutex_lock(&queue->lock);
	if (queue->sync_ns == 0)
		queue->sync_ns = took_ns;
	queue->sync_ns += took_ns / SYNC_SMOOTHING - queue->sync_ns / SYNC_SMOOTHING;
	queue->expected = group + queue->count;
	if (queue->expected > GROUP_MAX)
		queue->expected = GROUP_MAX;
	pthread_mutex_unlock(&queue->lock);
}

/* Who leads no more calls the next: one that pauses the commits, else who waits longest. Each
 * is woken by itself, since all at once would meet at the lock. Queue lock held. */
static void resign(struct commit_queue *queue)
{
	if (queue->pausing > 0 || !queue->first) {
		queue->led = false;
		pthread_cond_broadcast(&queue->changed);
	} else {
		(void)sem_post(&queue->first->woken);
	}
}

/* Lead until one's own request is done. Queue lock held, and held on return. */
static void lead(struct committer *commits, const struct commit_request *own)
{
	struct commit_queue *queue = &commits->queue;
	struct commit_request *group[GROUP_MAX];

	while (!own->done) {
		bool syncs = group_syncs(commits);
		uint64_t began_ns;
		size_t n;

		if (syncs)
			await_company(queue);
		if (own->done) /* turned away */
			break;
		n = take_group(queue, group);
		pthread_mutex_unlock(&queue->lock);
		began_ns = clock_monotonic_ns();
		apply_group(commits, group, n);
		if (syncs)
			learn(queue, n, clock_monotonic_ns() - began_ns);
		/* Without the lock, at which they would all meet again. */
		for (size_t i = 0; i < n; i++)
			commit_request_end(group[i]);
		pthread_mutex_lock(&queue->lock);
	}
	resign(queue);
}

/* Who pauses takes the lead and does not use it. */
void commit_pause(struct committer *commits)
{
	struct commit_queue *queue = &commits->queue;

	pthread_mutex_lock(&queue->lock);
	queue->pausing++;
	while (queue->led)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->pausing--;
	queue->led = true;
	commit_turn_away(queue);
	pthread_mutex_unlock(&queue->lock);
}

void commit_resume(struct committer *commits)
{
	struct commit_queue *queue = &commits->queue;

	pthread_mutex_lock(&queue->lock);
	atomic_store(&queue->syncing, false);
	resign(queue);
	pthread_mutex_unlock(&queue->lock);
}

/* Whether the commit would have to wait for the disk, or for who watches the rows. Queue lock
 * held. */
static bool would_wait(struct committer *commits, const struct commit_request *request)
{
	return (request->flags & QUIVER_SYNC) ||
	       (row_watch_is_on(commits->row_watch) && commit_op_has_slot(&request->ops[0])) ||
	       atomic_load(&commits->durability) == QUIVER_ALWAYS ||
	       atomic_load(&commits->queue.syncing) || !index_is_whole(&commits->catalog->index);
}

/* Into the queue, and until the request is done or called to lead. Queue lock held; on return it
 * is held by who is to lead, and not by whose request is done. */
static void wait_in_queue(struct commit_queue *queue, struct commit_request *request)
{
	*queue->last = request;
	queue->last = &request->next;
	queue->count++;
	if (queue->awaited > 0 && queue->count >= queue->awaited)
		pthread_cond_signal(&queue->arrived);
	if (!queue->led) {
		queue->led = true;
		return;
	}
	pthread_mutex_unlock(&queue->lock);
	while (sem_wait(&request->woken) != 0)
		assert(errno == EINTR);
	if (!request->done)
		pthread_mutex_lock(&queue->lock);
}

void group_submit(struct committer *commits, struct commit_request *request)
{
	struct commit_queue *queue = &commits->queue;

	request->done = request->published = false;
	request->next = NULL;
	request->result = health_writable(commits->catalog->health);
	if (request->result)
		return;
	(void)sem_init(&request->woken, 0, 0); /* cannot fail: the value is 0 */
	pthread_mutex_lock(&queue->lock);
	/* Asked with the lock held: who begins to wait turns away who is in the queue then. */
	if ((request->flags & QUIVER_NOWAIT) && would_wait(commits, request)) {
		pthread_mutex_unlock(&queue->lock);
		request->result = -EAGAIN;
		return;
	}
	wait_in_queue(queue, request);
	if (request->done)
		return;
	lead(commits, request);
	pthread_mutex_unlock(&queue->lock);
}
