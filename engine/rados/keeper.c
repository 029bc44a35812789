#include "engine/rados/keeper.h"

#include <errno.h>
#include <time.h>

#include "engine/base/latency.h"
#include "engine/rados/directory.h"
#include "engine/rados/flight.h"
#include "engine/rados/watch.h"

/* For its last words; then the cluster is taken not to answer. */
#define END_WAIT_NS (UINT64_C(2) * 1000000000)

void keeper_init(struct collection *collection)
{
	struct keeper *keeper = &collection->keeper;
	pthread_condattr_t attr;

	/* None of these can fail on Linux with such attributes. */
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&keeper->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&keeper->lock, NULL);
}

void keeper_destroy(struct collection *collection)
{
	(void)pthread_mutex_destroy(&collection->keeper.lock);
	(void)pthread_cond_destroy(&collection->keeper.wake);
}

/* Until somebody wakes it or the time comes (0: never). The lock held. */
static void wait_for(struct keeper *keeper, uint64_t until_ns)
{
	struct timespec end = clock_timespec(until_ns);
	int r = 0;

	while (r != ETIMEDOUT && !keeper->is_woken)
		r = until_ns ? pthread_cond_timedwait(&keeper->wake, &keeper->lock, &end)
		             : pthread_cond_wait(&keeper->wake, &keeper->lock);
	keeper->is_woken = false;
}

static uint64_t sooner(uint64_t a_ns, uint64_t b_ns)
{
	if (a_ns == 0 || b_ns == 0)
		return a_ns + b_ns;
	return a_ns < b_ns ? a_ns : b_ns;
}

static void *run(void *arg)
{
	struct collection *collection = arg;
	struct keeper *keeper = &collection->keeper;

	flight_stop(&keeper->stop);
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->is_ending) {
		uint64_t watch_ns;
		uint64_t directory_ns;

		pthread_mutex_unlock(&keeper->lock);
		watch_ns = watch_keep(collection);
		directory_ns = directory_keep(collection, false);
		pthread_mutex_lock(&keeper->lock);
		if (!keeper->is_ending)
			wait_for(keeper, sooner(watch_ns, directory_ns));
	}
	pthread_mutex_unlock(&keeper->lock);
	(void)directory_keep(collection, true); /* nobody is left to call it again */
	pthread_mutex_lock(&keeper->lock);
	keeper->is_done = true;
	pthread_cond_broadcast(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	return NULL;
}

int keeper_start(struct collection *collection)
{
	int r = pthread_create(&collection->keeper.thread, NULL, run, collection);

	collection->keeper.is_running = r == 0;
	return -r;
}

void keeper_stop(struct collection *collection)
{
	struct keeper *keeper = &collection->keeper;
	struct timespec end = clock_timespec(clock_monotonic_ns() + END_WAIT_NS);
	int r = 0;

	if (!keeper->is_running)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->is_ending = true;
	keeper->is_woken = true;
	pthread_cond_broadcast(&keeper->wake);
	while (r != ETIMEDOUT && !keeper->is_done)
		r = pthread_cond_timedwait(&keeper->wake, &keeper->lock, &end);
	pthread_mutex_unlock(&keeper->lock);
	atomic_store(&keeper->stop, true);
	(void)pthread_join(keeper->thread, NULL); /* ours, and joined once */
	keeper->is_running = false;
}
