/*
 * sweep.h - the objects of a collection that has been removed; FORMAT.md, "Removing a collection".
 */
#ifndef QUIVER_RADOS_SWEEP_H
#define QUIVER_RADOS_SWEEP_H

#include "engine/rados/connection.h"

/*
 * Remove all objects of the collection that `connection` names, whose header is gone, and all rows
 * that are of no collection that is there. What one of the same name has written that somebody has
 * made since stays. *removed gets how many objects went. 0, -EINTR, -ENOMEM, what librados says;
 * then some are left, and it can be called again.
 */
int sweep(struct connection *connection, uint64_t *removed);

#endif
