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
	queue->pausing = 0;
	queue->count = queue->awaited = queue->expected = 0;
	queue->doubts = 0;
	queue->sync_ns = 0;
	queue->led = false;
	atomic_init(&queue->syncing, false);
}

void commit_queue_destroy(struct commit_queue *queue)
{
	assert(!queue->first && !queue->led);
	pthread_cond_destroy(&queue->arrived);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
}

void commit_request_end(struct commit_request *request)
{
	request->done = true;
	(void)sem_post(&request->woken); /* cannot fail: it is posted once */
}

void commit_turn_away(struct commit_queue *queue)
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
	atomic_store(&queue->syncing, false);
}
