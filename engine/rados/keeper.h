/*
 * keeper.h - the thread of an open collection that does what nobody waits for: watching anew, and
 * telling the header when the directory has changed.
 */
#ifndef QUIVER_RADOS_KEEPER_H
#define QUIVER_RADOS_KEEPER_H

#include "engine/rados/collection.h"

/* Its lock and condition, before the collection is used. */
void keeper_init(struct collection *collection);
void keeper_destroy(struct collection *collection);
/* 0 or what pthread_create says, negative. */
int keeper_start(struct collection *collection);
/* Ends it, once it has told what is left to be told; waits a few seconds at most. Nothing happens
 * where it does not run. */
void keeper_stop(struct collection *collection);

#endif
