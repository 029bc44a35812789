/*
 * pause.h - how long to wait before a change that another client was faster with is tried again.
 */
#ifndef QUIVER_RADOS_PAUSE_H
#define QUIVER_RADOS_PAUSE_H

#include <stdint.h>

/* So many failures in a row mean that something is wrong: of a hundred clients that overwrite one
 * vector as fast as they can, each has its turn long before. */
#define PAUSES_MAX 1000u

struct pause { /* zeros at first; of one thread */
	unsigned taken;
	uint64_t random;
};

/* Waits: not at all before the second attempt, then a random time up to a bound that doubles to 64
 * ms. 0; -EBUSY after PAUSES_MAX; -EINTR as flight_fly, but nothing is under way then. */
int pause_take(struct pause *pause);

#endif
