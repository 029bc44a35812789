/*
 * verify.h - verification: every vector's checksum is compared, while everyone else goes on.
 */
#ifndef QUIVER_VERIFY_H
#define QUIVER_VERIFY_H

#include "engine/index/catalog.h"

/* How a run is followed, by whoever started it. */
struct verification {
	const _Atomic bool *stop; /* end soon */
	/* Vectors looked at, in all, and damaged ones so far; by this thread. */
	void (*progress)(void *arg, uint64_t done, uint64_t total, uint64_t mismatches);
	void *arg;
};

/* Run one. 0; -EIO there are mismatches (reported); -ENOMEM. No lock held. */
int verify_run(struct catalog *catalog, const struct verification *verification);

#endif
