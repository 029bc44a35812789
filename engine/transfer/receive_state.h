/*
 * receive_state.h - whether what is live of a store is one of its snapshots, and going back to that.
 */
#ifndef QUIVER_RECEIVE_STATE_H
#define QUIVER_RECEIVE_STATE_H

#include "engine/quiver.h"

struct state_difference {
	uint64_t vectors; /* that are there in one alone, or with other bytes or attributes */
	bool folder; /* its attributes */
	bool description; /* label or metric */
};

/* Compare what is live of `store` with its snapshot `name`: of vectors whose versions differ the
 * bytes, too, but ctimes nowhere. Nobody else changes the store. 0 or -errno; `error` may get why. */
int state_compare(struct quiver *store, const char *name, struct state_difference *difference,
                  struct quiver_error *error);
/* Make what is live that snapshot again, changing what differs alone. Interrupted, it can be begun
 * anew. 0 or -errno; `error` may get why. */
int state_go_back(struct quiver *store, const char *name, struct quiver_error *error);

#endif
