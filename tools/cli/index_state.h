/*
 * index_state.h - how an index of nearest neighbours is, as the engine or control/nearest_index tell it.
 */
#ifndef INDEX_STATE_H
#define INDEX_STATE_H

#include "engine/quiver.h"

#include <stdio.h>

/* Room for what control/nearest_index reads. */
#define INDEX_STATE_BYTES_MAX 2048u

/* Of an open store. Never waits for the disk. */
void index_state_of(struct quiver *store, struct quiver_nearest_status *status);

/* Of the lines "key value" of control/nearest_index, which are taken apart. What they do not tell is 0. */
void index_state_parse(char *text, struct quiver_nearest_status *status);

/* "none", "building", "ready" or "no_help"; static. */
const char *index_state_name(enum quiver_nearest_state state);

/* Write it as facts of control/stats. */
void index_state_print(const struct quiver_nearest_status *status, FILE *out);

#endif
