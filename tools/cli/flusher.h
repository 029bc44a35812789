/*
 * flusher.h - has a disk busy while there is more to come: what is written is made durable
 * from time to time by a thread, so that little is left to wait for at the end.
 */
#ifndef FLUSHER_H
#define FLUSHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct flusher {
	int (*flush)(void *arg);
	void *arg;
	pthread_t thread;
	bool running; /* set before the thread is there */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t bytes; /* lock; written since the last flush began */
	bool stop; /* lock */
};

/* Begin. `flush` is called by the thread, with `arg`; its errors show again at the flush that
 * the caller ends with. Without a thread nothing is flushed ahead. */
void flusher_start(struct flusher *flusher, int (*flush)(void *arg), void *arg);
/* So much more is written. Never waits for the disk. Any thread. */
void flusher_add(struct flusher *flusher, uint64_t bytes);
/* End, after the flush that is under way. */
void flusher_stop(struct flusher *flusher);

#endif
