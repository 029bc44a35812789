/* The thread that keeps the lists of an index of nearest neighbours. */
#include <errno.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/latency.h"
#include "engine/store/local.h"
#include "engine/store/store.h"

/* What nobody signals, as a commit, is looked at this often. */
#define TICK_NS UINT64_C(500000000)
/* The lowest there is: it runs where nobody else wants the processor. */
#define NICE 19

void nearest_thread_init(struct nearest_thread *thread)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&thread->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&thread->wake, &attr);
	pthread_condattr_destroy(&attr);
}

void nearest_thread_destroy(struct nearest_thread *thread)
{
	pthread_cond_destroy(&thread->wake);
	pthread_mutex_destroy(&thread->lock);
}

/* Lock held. */
static void nap(struct nearest_thread *thread, bool idle)
{
	const struct timespec until = clock_timespec(clock_monotonic_ns() + TICK_NS);

	while (idle && !thread->stop && !thread->woken)
		(void)pthread_cond_wait(&thread->wake, &thread->lock);
	if (!thread->stop && !thread->woken)
		(void)pthread_cond_timedwait(&thread->wake, &thread->lock, &until);
}

static void *run(void *arg)
{
	struct quiver *store = arg;
	struct nearest_thread *thread = &store->nearest_index.thread;

	/* Of this thread alone; anybody may lower it. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	pthread_mutex_lock(&thread->lock);
	while (!thread->stop) {
		struct quiver_description description;
		bool more;

		thread->woken = false;
		pthread_mutex_unlock(&thread->lock);
		local_describe(store, &description);
		more = upkeep_step(&store->nearest_index.upkeep, description.metric);
		pthread_mutex_lock(&thread->lock);
		if (!more)
			nap(thread, upkeep_is_idle(&store->nearest_index.upkeep));
	}
	pthread_mutex_unlock(&thread->lock);
	return NULL;
}

int nearest_thread_start(struct quiver *store)
{
	struct nearest_thread *thread = &store->nearest_index.thread;
	int r = 0;

	pthread_mutex_lock(&thread->lock);
	thread->woken = true;
	if (!thread->runs) {
		thread->stop = false;
		r = -pthread_create(&thread->thread, NULL, run, store);
		thread->runs = r == 0;
	}
	pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&thread->lock);
	return r;
}

void nearest_thread_stop(struct quiver *store)
{
	struct nearest_thread *thread = &store->nearest_index.thread;
	bool runs;

	pthread_mutex_lock(&thread->lock);
	runs = thread->runs;
	thread->runs = false;
	thread->stop = true;
	pthread_cond_signal(&thread->wake);
	pthread_mutex_unlock(&thread->lock);
	if (runs)
		(void)pthread_join(thread->thread, NULL);
}
