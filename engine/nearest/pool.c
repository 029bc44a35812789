#include "engine/nearest/pool.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Beside a thread of the usual priority it gets a tenth of a processor, and all of it where nobody else
 * wants it: who reads a file beside a question does not wait for it. */
#define NICE 10

void pool_init(struct pool *pool)
{
	pthread_condattr_t attr;

	*pool = (struct pool){ 0 };
	pthread_mutex_init(&pool->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool->begun, NULL);
	pthread_cond_init(&pool->ended, &attr);
	pthread_condattr_destroy(&attr);
}

void pool_destroy(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->begun);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++)
		(void)pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->ended);
	pthread_cond_destroy(&pool->begun);
	pthread_mutex_destroy(&pool->lock);
}

unsigned pool_threads(unsigned most)
{
	cpu_set_t set;
	unsigned count = 1;

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		count = (unsigned)CPU_COUNT(&set);
	if (count > POOL_THREADS_MAX)
		count = POOL_THREADS_MAX;
	return count < most ? count : most;
}

static void *body(void *arg)
{
	struct pool *pool = arg;

	/* Of this thread alone; anybody may lower it. Where not, it is as all others are. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		unsigned number;

		while (!pool->stop && pool->wanted == 0)
			pthread_cond_wait(&pool->begun, &pool->lock);
		if (pool->stop)
			break;
		number = --pool->wanted;
		pthread_mutex_unlock(&pool->lock);
		pool->work(pool->arg, number);
		pthread_mutex_lock(&pool->lock);
		if (--pool->running == 0)
			pthread_cond_signal(&pool->ended);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Lock held. Signals are for others. */
static int add_threads(struct pool *pool, unsigned count)
{
	sigset_t all, before;
	int r = 0;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGBUS); /* fault.h */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	while (r == 0 && pool->count < count) {
		r = -pthread_create(&pool->threads[pool->count], NULL, body, pool);
		if (r == 0)
			pool->count++;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pool->count > 0 ? 0 : r;
}

static struct timespec look_again(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += POOL_LOOK_MS * 1000000L;
	if (at.tv_nsec >= 1000000000L) {
		at.tv_nsec -= 1000000000L;
		at.tv_sec++;
	}
	return at;
}

int pool_run(struct pool *pool, unsigned *count, void (*work)(void *arg, unsigned number),
             void *arg, void (*look)(void *arg))
{
	struct timespec at;
	int r;

	pthread_mutex_lock(&pool->lock);
	r = add_threads(pool, *count);
	if (r == 0) {
		if (*count > pool->count)
			*count = pool->count;
		pool->work = work;
		pool->arg = arg;
		pool->wanted = pool->running = *count;
		pthread_cond_broadcast(&pool->begun);
	}
	while (pool->running > 0) {
		at = look_again();
		if (pthread_cond_timedwait(&pool->ended, &pool->lock, &at) != ETIMEDOUT || !look)
			continue;
		pthread_mutex_unlock(&pool->lock);
		look(arg);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}
