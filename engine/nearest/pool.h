/*
 * pool.h - threads of low priority that compute together.
 */
#ifndef QUIVER_NEAREST_POOL_H
#define QUIVER_NEAREST_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* More processors than that do not read memory faster. */
#define POOL_THREADS_MAX 32u

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t begun, ended;
	pthread_t threads[POOL_THREADS_MAX];
	unsigned count; /* lock; threads there are */
	void (*work)(void *arg, unsigned number); /* lock; NULL: nothing to do */
	void *arg; /* lock */
	unsigned wanted; /* lock; threads that have yet to begin */
	unsigned running; /* lock */
	bool stop; /* lock */
};

void pool_init(struct pool *pool);
/* End the threads. Nobody is inside. */
void pool_destroy(struct pool *pool);
/* How many threads compute what is worth `most`: the processors that this process may use, or fewer. */
unsigned pool_threads(unsigned most);
/*
 * Have `count` threads, at most POOL_THREADS_MAX, call `work` with 0 ... count - 1, and wait until all
 * have returned; meanwhile call `look` every POOL_LOOK_MS, which may be NULL. Threads are made the first
 * time. One caller at a time. 0; -EAGAIN, -ENOMEM not a single thread can be made: nothing was done. Where
 * there are fewer threads than asked for, fewer call it, and *count says how many.
 */
#define POOL_LOOK_MS 50
int pool_run(struct pool *pool, unsigned *count, void (*work)(void *arg, unsigned number),
             void *arg, void (*look)(void *arg));

#endif
