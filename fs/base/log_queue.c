/* log_queue.c - lines on their way to the log. */
#include "fs/base/log_queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

int log_queue_init(struct log_queue *queue)
{
	pthread_condattr_t attr;
	int err;

	err = pthread_condattr_init(&attr);
	if (err != 0)
		return -err;
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* it is one that is allowed */
	err = pthread_cond_init(&queue->changed, &attr);
	(void)pthread_condattr_destroy(&attr); /* always 0 */
	if (err == 0)
		err = pthread_mutex_init(&queue->lock, NULL);
	return -err;
}

/* The next free line. The lock is held, and there is room. */
static struct log_queue_line *push(struct log_queue *queue, int priority, bool refusal)
{
	struct log_queue_line *line =
		&queue->lines[(queue->first + queue->count++) % LOG_QUEUE_LINES];

	line->priority = priority;
	line->refusal = refusal;
	queue->refusals += refusal;
	return line;
}

/* Say what was dropped. The lock is held, and there is room. */
static void tell_dropped(struct log_queue *queue)
{
	struct log_queue_line *line = push(queue, LOG_WARNING, false);

	(void)snprintf(line->text, sizeof(line->text),
	               "%" PRIu64 " lines were dropped here, because nobody read the log",
	               queue->untold);
	queue->untold = 0;
}

void log_queue_add(struct log_queue *queue, int priority, bool refusal, const char *text)
{
	unsigned need;

	pthread_mutex_lock(&queue->lock);
	need = queue->untold > 0 ? 2 : 1;
	if (queue->count + need > LOG_QUEUE_LINES ||
	    (refusal && queue->refusals >= LOG_QUEUE_REFUSALS_MAX)) {
		queue->dropped++;
		queue->untold++;
	} else {
		struct log_queue_line *line;

		if (queue->untold > 0)
			tell_dropped(queue);
		line = push(queue, priority, refusal);
		(void)snprintf(line->text, sizeof(line->text), "%s", text);
		(void)pthread_cond_broadcast(&queue->changed); /* always 0 */
	}
	pthread_mutex_unlock(&queue->lock);
}

bool log_queue_peek(struct log_queue *queue, struct log_queue_line *line)
{
	bool found;

	pthread_mutex_lock(&queue->lock);
	while (queue->count == 0 && queue->untold == 0 && !queue->ending)
		pthread_cond_wait(&queue->changed, &queue->lock);
	if (queue->count == 0 && queue->untold > 0)
		tell_dropped(queue);
	found = queue->count > 0;
	if (found)
		*line = queue->lines[queue->first];
	pthread_mutex_unlock(&queue->lock);
	return found;
}

void log_queue_pop(struct log_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->refusals -= queue->lines[queue->first].refusal;
	queue->first = (queue->first + 1) % LOG_QUEUE_LINES;
	queue->count--;
	(void)pthread_cond_broadcast(&queue->changed); /* always 0 */
	pthread_mutex_unlock(&queue->lock);
}

bool log_queue_wait(struct log_queue *queue, unsigned timeout_ms)
{
	struct timespec until;
	bool empty;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&queue->lock);
	while (err == 0 && (queue->count > 0 || queue->untold > 0))
		err = pthread_cond_timedwait(&queue->changed, &queue->lock, &until);
	empty = queue->count == 0 && queue->untold == 0;
	pthread_mutex_unlock(&queue->lock);
	return empty;
}

void log_queue_end(struct log_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->ending = true;
	(void)pthread_cond_broadcast(&queue->changed); /* always 0 */
	pthread_mutex_unlock(&queue->lock);
}

uint64_t log_queue_dropped(struct log_queue *queue)
{
	uint64_t dropped;

	if (queue == NULL)
		return 0;
	pthread_mutex_lock(&queue->lock);
	dropped = queue->dropped;
	pthread_mutex_unlock(&queue->lock);
	return dropped;
}
