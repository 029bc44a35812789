/* worker.c - threads for whatever may wait. */
#include "fs/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "fs/base/clock.h"

#define NS_PER_MS INT64_C(1000000)

/* Threads of each kind; they are started when there is work for them. Commits get
 * the most: those that wait together share one sync of the log. */
static const unsigned threads_max[WORKER_CLASSES] = {
	[WORKER_READ] = 32,   [WORKER_COMMIT] = 64,  [WORKER_SYNC] = 16,
	[WORKER_MATRIX] = 16, [WORKER_TELL] = 1,     [WORKER_CONTROL] = 4,
	[WORKER_GET] = 16,    [WORKER_NEAREST] = 16, [WORKER_NEAREST_LARGE] = 4,
};
/* The same where each waits for other machines: as many clients can be answered, and be interrupted,
 * while nothing comes back from there. */
static const unsigned threads_max_far[WORKER_CLASSES] = {
	[WORKER_READ] = 256,  [WORKER_COMMIT] = 256, [WORKER_SYNC] = 64,
	[WORKER_MATRIX] = 64, [WORKER_TELL] = 1,     [WORKER_CONTROL] = 16,
	[WORKER_GET] = 64,    [WORKER_NEAREST] = 64, [WORKER_NEAREST_LARGE] = 8,
};

/* Deep enough for the engine, whose frames reach a quarter of it; only what is used
 * takes memory. */
#define WORKER_STACK_BYTES (1u << 20)

#define WORKER_THREADS_MAX 256

/* Of a fair pool one part in so many is left to others. */
#define FAIR_PARTS 4u

struct pool {
	struct workers *workers; /* back pointer, constant */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct work *head; /* lock; oldest first */
	struct work **tail; /* lock */
	unsigned queued; /* lock */
	unsigned idle; /* lock */
	unsigned started; /* lock */
	unsigned limit;
	bool stop; /* lock */
	/* Of a fair pool: how many threads a user may have; 0: it is none. Constant. */
	unsigned user_limit;
	uid_t users[WORKER_THREADS_MAX]; /* lock; whose work runs, */
	unsigned running; /* lock; so many pieces */
	pthread_t threads[WORKER_THREADS_MAX]; /* lock */
};

struct workers {
	struct pool pools[WORKER_CLASSES];
	cpu_set_t cpus; /* that the process may use; constant */
	bool cpus_known; /* constant */
	_Atomic unsigned long unfinished; /* queued or running, in all pools */
	pthread_mutex_t drain_lock;
	pthread_cond_t drained; /* drain_lock; `unfinished` became 0 */
};

/* A piece of work is done. */
static void work_finished(struct workers *workers)
{
	if (atomic_fetch_sub(&workers->unfinished, 1) != 1)
		return;
	/* Under the lock, so that it cannot fall between a drainer's look and wait. */
	pthread_mutex_lock(&workers->drain_lock);
	pthread_cond_broadcast(&workers->drained);
	pthread_mutex_unlock(&workers->drain_lock);
}

/* How many threads work for a user. The lock is held. */
static unsigned running_of(const struct pool *pool, uid_t user)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pool->running; i++)
		count += pool->users[i] == user;
	return count;
}

/* The link to what is to be run next: the oldest; in a fair pool of those who have fewest threads, and
 * nothing of who has as many as he may. NULL: nothing. The lock is held. */
static struct work **choose(struct pool *pool)
{
	struct work **best = NULL;
	unsigned least = pool->user_limit;

	if (pool->user_limit == 0)
		return pool->head != NULL ? &pool->head : NULL;
	for (struct work **p = &pool->head; *p != NULL && least > 0; p = &(*p)->next) {
		unsigned has = running_of(pool, (*p)->user);

		if (has < least) {
			best = p;
			least = has;
		}
	}
	return best;
}

/* Take it out. NULL: there is nothing to be run now. The lock is held. */
static struct work *take(struct pool *pool)
{
	struct work **link = choose(pool);
	struct work *work = link != NULL ? *link : NULL;

	if (work == NULL)
		return NULL;
	*link = work->next;
	if (*link == NULL)
		pool->tail = link;
	pool->queued--;
	if (pool->user_limit > 0)
		pool->users[pool->running++] = work->user;
	return work;
}

/* A piece of `user` has been run. The lock is held. */
static void taken_back(struct pool *pool, uid_t user)
{
	unsigned at = 0;

	if (pool->user_limit == 0)
		return;
	while (pool->users[at] != user)
		at++;
	pool->users[at] = pool->users[--pool->running];
}

/* One thread: run work, oldest first, until told to stop and nothing is left. */
static void *pool_thread(void *arg)
{
	struct pool *pool = arg;

	/* One that was started by a ring's thread would stay on that one's core. Neither is
	 * needed for it to work. */
	(void)pthread_setname_np(pthread_self(), "quiverfs-worker");
	if (pool->workers->cpus_known)
		(void)sched_setaffinity(0, sizeof(cpu_set_t), &pool->workers->cpus);
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct work *work = take(pool);
		uid_t user;

		if (work == NULL) {
			if (pool->stop) /* what is left is of who has a thread, which goes on with it */
				break;
			pool->idle++;
			pthread_cond_wait(&pool->wake, &pool->lock);
			pool->idle--;
			continue;
		}
		user = pool->user_limit > 0 ? work->user : 0;
		pthread_mutex_unlock(&pool->lock);
		work->run(work);
		work_finished(pool->workers);
		pthread_mutex_lock(&pool->lock);
		taken_back(pool, user);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* Start one more thread. Signals stay with the main thread. The caller holds the
 * lock. -EAGAIN, -ENOMEM; then the threads there are do the work. */
static int pool_grow(struct pool *pool)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	err = pthread_attr_init(&attr);
	if (err != 0)
		return -err;
	err = pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES);
	if (err == 0) {
		sigfillset(&all);
		/* An error of the disk under the memory map; blocked, it kills the process. */
		sigdelset(&all, SIGBUS);
		pthread_sigmask(SIG_BLOCK, &all, &old);
		err = pthread_create(&pool->threads[pool->started], &attr, pool_thread, pool);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_attr_destroy(&attr);
	if (err == 0)
		pool->started++;
	return -err;
}

/* The first thread of each pool is made here, so that submitting cannot fail. */
static int pool_init(struct pool *pool, unsigned limit, bool fair)
{
	int err;

	err = pthread_mutex_init(&pool->lock, NULL);
	if (err != 0)
		return -err;
	err = pthread_cond_init(&pool->wake, NULL);
	if (err != 0) {
		pthread_mutex_destroy(&pool->lock);
		return -err;
	}
	pool->tail = &pool->head;
	pool->limit = limit;
	pool->user_limit = fair ? limit - limit / FAIR_PARTS : 0;
	pthread_mutex_lock(&pool->lock);
	err = pool_grow(pool);
	pthread_mutex_unlock(&pool->lock);
	if (err != 0) {
		pthread_cond_destroy(&pool->wake);
		pthread_mutex_destroy(&pool->lock);
	}
	return err;
}

/* Run what is left and end the threads. */
static void pool_fini(struct pool *pool)
{
	unsigned started;

	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	started = pool->started;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
}

static int drain_init(struct workers *workers)
{
	int err = pthread_mutex_init(&workers->drain_lock, NULL);
	pthread_condattr_t clock;

	if (err != 0)
		return -err;
	err = pthread_condattr_init(&clock);
	if (err == 0) {
		(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC); /* one that is allowed */
		err = pthread_cond_init(&workers->drained, &clock);
		(void)pthread_condattr_destroy(&clock); /* always 0 */
	}
	if (err != 0)
		pthread_mutex_destroy(&workers->drain_lock);
	return -err;
}

static void drain_fini(struct workers *workers)
{
	pthread_cond_destroy(&workers->drained);
	pthread_mutex_destroy(&workers->drain_lock);
}

int workers_new(bool far, struct workers **workers)
{
	struct workers *w = calloc(1, sizeof(*w));
	int err = 0;
	unsigned made;

	if (w == NULL)
		return -ENOMEM;
	err = drain_init(w);
	if (err != 0) {
		free(w);
		return err;
	}
	w->cpus_known = sched_getaffinity(0, sizeof(w->cpus), &w->cpus) == 0;
	for (made = 0; made < WORKER_CLASSES; made++) {
		w->pools[made].workers = w;
		err = pool_init(&w->pools[made], far ? threads_max_far[made] : threads_max[made],
		                made == WORKER_NEAREST || made == WORKER_NEAREST_LARGE);
		if (err != 0)
			break;
	}
	if (err != 0) {
		while (made-- > 0)
			pool_fini(&w->pools[made]);
		drain_fini(w);
		free(w);
		return err;
	}
	*workers = w;
	return 0;
}

void workers_free(struct workers *workers)
{
	if (workers == NULL)
		return;
	for (unsigned i = 0; i < WORKER_CLASSES; i++)
		pool_fini(&workers->pools[i]);
	drain_fini(workers);
	free(workers);
}

void workers_drain(struct workers *workers)
{
	pthread_mutex_lock(&workers->drain_lock);
	while (atomic_load(&workers->unfinished) > 0)
		pthread_cond_wait(&workers->drained, &workers->drain_lock);
	pthread_mutex_unlock(&workers->drain_lock);
}

bool workers_drain_for(struct workers *workers, unsigned wait_ms)
{
	int64_t until_ns = clock_steady_ns() + wait_ms * NS_PER_MS;
	struct timespec until = { .tv_sec = until_ns / CLOCK_NS_PER_S,
		                  .tv_nsec = until_ns % CLOCK_NS_PER_S };
	int err = 0;

	pthread_mutex_lock(&workers->drain_lock);
	while (atomic_load(&workers->unfinished) > 0 && err == 0)
		err = pthread_cond_timedwait(&workers->drained, &workers->drain_lock, &until);
	pthread_mutex_unlock(&workers->drain_lock);
	return atomic_load(&workers->unfinished) == 0;
}

void workers_submit(struct workers *workers, enum worker_class kind, struct work *work)
{
	struct pool *pool = &workers->pools[kind];

	work->next = NULL;
	atomic_fetch_add(&workers->unfinished, 1);
	pthread_mutex_lock(&pool->lock);
	*pool->tail = work;
	pool->tail = &work->next;
	pool->queued++;
	/* An idle thread may have been woken for earlier work already. */
	if (pool->queued > pool->idle && pool->started < pool->limit && !pool->stop)
		(void)pool_grow(pool); /* those there are will get to it */
	pthread_cond_signal(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
}
