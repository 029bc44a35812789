#include "commit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apply.h"

/* Requests that one leader takes at once. More would make the first wait for the last. */
#define GROUP_MAX 64

void commit_queue_init(struct commit_queue *queue)
{
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->first = NULL;
	queue->last = &queue->first;
	queue->led = false;
	atomic_init(&queue->syncing, false);
}

void commit_queue_destroy(struct commit_queue *queue)
{
	assert(!queue->first && !queue->led);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
}

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
		group[n++] = request;
	}
	return n;
}

/* Lead until one's own request is done. Queue lock held, and held on return. */
static void lead(struct quiver *store, const struct commit_request *own)
{
	struct commit_queue *queue = &store->queue;
	struct commit_request *group[GROUP_MAX];

	queue->led = true;
	while (!own->done) {
		size_t n = take_group(queue, group);

		pthread_mutex_unlock(&queue->lock);
		apply_group(store, group, n);
		pthread_mutex_lock(&queue->lock);
		for (size_t i = 0; i < n; i++)
			group[i]->done = true;
		pthread_cond_broadcast(&queue->changed);
	}
	queue->led = false;
}

/* Queue lock held. */
static void turn_away(struct commit_queue *queue)
{
	struct commit_request **at = &queue->first;

	atomic_store(&queue->syncing, true);
	while (*at) {
		struct commit_request *request = *at;

		if (!(request->flags & QUIVER_NOWAIT)) {
			at = &request->next;
			continue;
		}
		*at = request->next;
		request->result = -EAGAIN;
		request->done = true;
	}
	queue->last = at;
	pthread_cond_broadcast(&queue->changed);
}

void commit_wait_begin(struct quiver *store)
{
	pthread_mutex_lock(&store->queue.lock);
	turn_away(&store->queue);
	pthread_mutex_unlock(&store->queue.lock);
}

void commit_wait_end(struct quiver *store)
{
	atomic_store(&store->queue.syncing, false);
}

/* Who pauses takes the lead and does not use it. */
void commit_pause(struct quiver *store)
{
	struct commit_queue *queue = &store->queue;

	pthread_mutex_lock(&queue->lock);
	while (queue->led)
		pthread_cond_wait(&queue->changed, &queue->lock);
	queue->led = true;
	turn_away(queue);
	pthread_mutex_unlock(&queue->lock);
}

void commit_resume(struct quiver *store)
{
	struct commit_queue *queue = &store->queue;

	pthread_mutex_lock(&queue->lock);
	queue->led = false;
	atomic_store(&queue->syncing, false);
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}

/* Whether the commit would have to wait for the disk. */
static bool would_wait(struct quiver *store, const struct commit_request *request)
{
	return (request->flags & QUIVER_SYNC) || atomic_load(&store->durability) == QUIVER_ALWAYS ||
	       atomic_load(&store->queue.syncing) || !index_is_whole(&store->index);
}

static void give_back(struct quiver *store, const struct commit_request *request)
{
	/* After a failure of the log a slot may be named by a record that is on disk. */
	if (atomic_load(&store->failed))
		return;
	for (size_t i = 0; i < request->count; i++)
		if (commit_op_has_slot(&request->ops[i]))
			slots_give(&store->slots, request->ops[i].slot);
}

/* Through the queue once. The result is the request's. */
static void submit(struct quiver *store, struct commit_request *request)
{
	struct commit_queue *queue = &store->queue;

	request->done = request->published = false;
	request->next = NULL;
	request->result = store_writable(store);
	if (request->result)
		return;
	pthread_mutex_lock(&queue->lock);
	/* Asked with the lock held: who begins to wait turns away who is in the queue then. */
	if ((request->flags & QUIVER_NOWAIT) && would_wait(store, request)) {
		request->result = -EAGAIN;
	} else {
		*queue->last = request;
		queue->last = &request->next;
		while (!request->done && queue->led)
			pthread_cond_wait(&queue->changed, &queue->lock);
		if (!request->done)
			lead(store, request);
	}
	pthread_mutex_unlock(&queue->lock);
}

/* In mode none, which has no log, a commit that has to be durable gets one for itself: with all
 * before it checkpointed it is logged, synced and only then published, as in mode always, and
 * the next checkpoint comes before anything that is not logged. */
static void submit_logged(struct quiver *store, struct commit_request *request)
{
	int r;

	commit_pause(store);
	if (atomic_load(&store->durability) != QUIVER_NONE) { /* not any more */
		commit_resume(store);
		submit(store, request);
		return;
	}
	request->result = checkpoint_run(store);
	if (request->result == 0) {
		atomic_store(&store->logs_anyway, true);
		apply_group(store, &request, 1);
		r = checkpoint_run(store);
		/* The commit is on disk, but none may follow. */
		if (r && !atomic_load(&store->failed))
			store_fail(store, "a checkpoint", r);
		atomic_store(&store->logs_anyway, false);
	}
	commit_resume(store);
}

static void submit_any(struct quiver *store, struct commit_request *request)
{
	submit(store, request);
	while (request->result == -ECANCELED)
		submit_logged(store, request);
}

int commit_submit(struct quiver *store, struct commit_request *request)
{
	uint64_t began = clock_monotonic_ns();

	submit_any(store, request);
	/* The disk is full, but a checkpoint lets go of the log there is. */
	if (request->result == -ENOSPC && !(request->flags & QUIVER_NOWAIT) &&
	    checkpoint_run(store) == 0)
		submit_any(store, request);
	if (!request->published)
		give_back(store, request);
	if (request->result == 0)
		latency_add(&store->counters.commit, clock_monotonic_ns() - began);
	return request->result;
}
