#include "engine/commit/row_watch.h"

#include <assert.h>

void row_watch_init(struct row_watch *watch)
{
	pthread_mutex_init(&watch->lock, NULL);
	pthread_cond_init(&watch->settled, NULL);
}

void row_watch_destroy(struct row_watch *watch)
{
	assert(watch->settling == 0);
	pthread_cond_destroy(&watch->settled);
	pthread_mutex_destroy(&watch->lock);
}

void row_watch_start(struct row_watch *watch, const struct quiver_watcher *watcher)
{
	pthread_mutex_lock(&watch->lock);
	watch->watcher = *watcher;
	atomic_store(&watch->on, true);
	/* The counterpart of the one below: either what is stored there is read by whoever watches
	 * from now on, or he is seen there. */
	atomic_thread_fence(memory_order_seq_cst);
	pthread_mutex_unlock(&watch->lock);
}

void row_watch_end(struct row_watch *watch, bool wait)
{
	pthread_mutex_lock(&watch->lock);
	atomic_store(&watch->on, false);
	while (wait && watch->settling > 0)
		pthread_cond_wait(&watch->settled, &watch->lock);
	pthread_mutex_unlock(&watch->lock);
}

void row_watch_changed(struct row_watch *watch, uint64_t first, uint64_t count)
{
	/* The rows were stored before; who has not been seen here yet reads them as they are. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!row_watch_is_on(watch))
		return;
	pthread_mutex_lock(&watch->lock);
	if (atomic_load(&watch->on))
		watch->watcher.changed(watch->watcher.arg, first, count);
	pthread_mutex_unlock(&watch->lock);
}

void row_watch_settle(struct row_watch *watch)
{
	struct quiver_watcher watcher;

	if (!row_watch_is_on(watch))
		return;
	pthread_mutex_lock(&watch->lock);
	if (!atomic_load(&watch->on)) {
		pthread_mutex_unlock(&watch->lock);
		return;
	}
	watcher = watch->watcher;
	watch->settling++;
	pthread_mutex_unlock(&watch->lock);
	watcher.settle(watcher.arg);
	pthread_mutex_lock(&watch->lock);
	if (--watch->settling == 0)
		pthread_cond_broadcast(&watch->settled);
	pthread_mutex_unlock(&watch->lock);
}
