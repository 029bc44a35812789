/*
 * row_watch.h - telling somebody outside which rows of the columns have changed: who keeps
 * copies of their bytes (quiver_column_watch).
 *
 * Whoever has changed rows says so with row_watch_changed, after it has and with whatever locks
 * it holds, and calls row_watch_settle before the call returns and before rows that became free
 * are used again. While nobody watches each is a branch.
 */
#ifndef QUIVER_ROW_WATCH_H
#define QUIVER_ROW_WATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

struct row_watch {
	_Atomic bool on; /* written under the lock */
	pthread_mutex_t lock; /* below all other locks of the store */
	pthread_cond_t settled; /* lock; `settling` became 0 */
	struct quiver_watcher watcher; /* lock */
	unsigned settling; /* lock; calls of watcher.settle that run */
};

/* All-zero memory becomes one that nobody watches through. */
void row_watch_init(struct row_watch *watch);
void row_watch_destroy(struct row_watch *watch);

/* Begin; what has changed before is not told. Any thread. */
void row_watch_start(struct row_watch *watch, const struct quiver_watcher *watcher);
/* End; with `wait` once no call of settle runs any more. Any thread. */
void row_watch_end(struct row_watch *watch, bool wait);

/* Commits ask so: row_watch_start is followed by a pause of theirs. */
static inline bool row_watch_is_on(const struct row_watch *watch)
{
	return __builtin_expect(atomic_load_explicit(&watch->on, memory_order_relaxed), 0);
}

/* `count` rows from `first` on have changed. Any thread, any lock. */
void row_watch_changed(struct row_watch *watch, uint64_t first, uint64_t count);
/* Wait until all is known that row_watch_changed was called for before. No lock held but the
 * checkpoint lock. */
void row_watch_settle(struct row_watch *watch);

#endif
