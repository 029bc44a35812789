/*
 * handoff.h - objects that the kernel carries from one thread to the next.
 *
 * The pointer in fi->fh comes back with a later request, often on another thread.
 * The kernel sees to the order, but nothing in the language knows it. So whoever is
 * done with such an object gives it, before the reply, and whoever gets it with a
 * request takes it first.
 */
#ifndef HANDOFF_H
#define HANDOFF_H

#include <stdatomic.h>

struct handoff {
	_Atomic unsigned count; /* wraps; only its order matters */
};

static inline void handoff_give(struct handoff *handoff)
{
	atomic_fetch_add_explicit(&handoff->count, 1, memory_order_release);
}

static inline void handoff_take(struct handoff *handoff)
{
	(void)atomic_load_explicit(&handoff->count, memory_order_acquire);
}

#endif
