#include "engine/commit/commit_queue.h"

#include <assert.h>
#include <errno.h>

void commit_queue_init(struct commit_queue *queue)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->arrived, &monotonic);
	pthread_condattr_destroy(&monotonic);
	queue->first = NULL;
	queue->last = &queue->first;
	pthread_cond_init(&queue->landed, NULL);
	queue->pausing = 0;
	queue->count = queue->awaited = queue->expected = queue->flights = queue->aloft = 0;
	queue->doubts = 0;
	queue->landed_ns = queue->gather_ns = queue->sync_ns = 0;
	queue->led = false;
	atomic_init(&queue->waits, 0);
}

void commit_queue_destroy(struct commit_queue *queue)
{
	assert(!queue->first && !queue->led && queue->flights == 0);
	pthread_cond_destroy(&queue->landed);
	pthread_cond_destroy(&queue->arrived);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
}

static bool names(const struct commit_request *request, uint64_t id)
{
	size_t count = request->each ? request->count : 1;

	for (size_t i = 0; i < count; i++) {
		const struct commit_op *op = &request->ops[i];

		if (op->id == id || (op->type == WAL_RENAME && op->from == id))
			return true;
	}
	return false;
}

bool commit_requests_clash(const struct commit_request *a, const struct commit_request *b)
{
	/* What sets some of the directory's attributes inherits the rest from what came before. */
	if (a->ops[0].type == WAL_DIRATTR || b->ops[0].type == WAL_DIRATTR)
		return true;
	for (size_t i = 0; i < (b->each ? b->count : 1); i++)
		if (names(a, b->ops[i].id) ||
		    (b->ops[i].type == WAL_RENAME && names(a, b->ops[i].from)))
			return true;
	return false;
}

void commit_request_end(struct commit_request *request)
{
	request->done = true;
	(void)sem_post(&request->woken); /* cannot fail: it is posted once */
}

void commit_turn_away(struct commit_queue *queue)
{
	struct commit_request **at = &queue->first;

	atomic_fetch_add(&queue->waits, 1);
	while (*at) {
		struct commit_request *request = *at;

		if (!(request->flags & QUIVER_NOWAIT)) {
			at = &request->next;
			continue;
		}
		*at = request->next;
		queue->count--;
		request->result = -EAGAIN;
		commit_request_end(request);
	}
	queue->last = at;
}

void commit_wait_begin(struct commit_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	commit_turn_away(queue);
	pthread_mutex_unlock(&queue->lock);
}

void commit_wait_end(struct commit_queue *queue)
{
	unsigned were = atomic_fetch_sub(&queue->waits, 1);

	assert(were > 0);
	(void)were;
}
