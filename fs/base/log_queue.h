/*
 * log_queue.h - lines on their way to the log.
 *
 * A log is a pipe, a terminal or a socket, and each of them stands still where nobody reads it.
 * So whoever has something to say, a thread that serves requests above all, leaves it here, and
 * one thread carries it on (fs/daemon/log.c). What does not fit is dropped and counted; a line
 * says so as soon as there is room again.
 */
#ifndef LOG_QUEUE_H
#define LOG_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_QUEUE_LINE_BYTES 1024u /* a longer line is cut */
/* 256 KiB, which are touched only where the log stands still. */
#define LOG_QUEUE_LINES 256u
/* Refusals, which anybody can cause, leave the other half to everything else. */
#define LOG_QUEUE_REFUSALS_MAX 128u

struct log_queue_line {
	int priority; /* as in syslog(3) */
	bool refusal;
	char text[LOG_QUEUE_LINE_BYTES];
};

/* All of it is log_queue.c's. */
struct log_queue {
	pthread_mutex_t lock; /* of all below; held for a copy of a line at most */
	pthread_cond_t changed; /* a line came or went, or `ending` was set */
	struct log_queue_line lines[LOG_QUEUE_LINES];
	unsigned first, count;
	unsigned refusals; /* among them */
	bool ending;
	uint64_t dropped; /* ever */
	uint64_t untold; /* of those, for which no line has said so */
};

/* Before any other call. -ENOMEM, -EAGAIN. */
int log_queue_init(struct log_queue *queue);

/* Add a line, or drop it where there is no room. Any thread; waits for nothing. */
void log_queue_add(struct log_queue *queue, int priority, bool refusal, const char *text);

/* Wait for a line and copy the oldest one, which stays until log_queue_pop. False where there is
 * none and there shall be no more. One thread. */
bool log_queue_peek(struct log_queue *queue, struct log_queue_line *line);
void log_queue_pop(struct log_queue *queue);

/* Wait until all lines have gone, but not longer than this. Whether they have. */
bool log_queue_wait(struct log_queue *queue, unsigned timeout_ms);

/* From now on log_queue_peek does not wait. */
void log_queue_end(struct log_queue *queue);

/* How many lines were dropped. NULL is allowed: none. Any thread. */
uint64_t log_queue_dropped(struct log_queue *queue);

#endif
