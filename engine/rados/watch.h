/*
 * watch.h - whether the collection is still there.
 *
 * RADOS answers -ENOENT for a vector that is not there and for a collection or a pool that has
 * been removed. A watch on the header tells which: it breaks when the header is removed. Where
 * there is none, as after a fault of the network, the header is asked.
 */
#ifndef QUIVER_RADOS_WATCH_H
#define QUIVER_RADOS_WATCH_H

#include "engine/rados/collection.h"

/* Watch from now on; the header has been read. Where it is not to be had, the header will be
 * asked: 0. */
void watch_start(struct collection *collection);
/* The keeper is gone. Waits a few seconds at most. */
void watch_stop(struct collection *collection);

/* Something was not there. 0: then there is no such thing, and the collection is; -EIO it is gone
 * or this client is fenced (reported); what asking its header failed with (reported). Waits, where
 * the watch does not hold. */
int watch_confirm(struct collection *collection);
/* Before anything is asked for: 0, or -EIO where it is known to be gone, or this client to be fenced
 * (reported). Never waits. */
int watch_refuse(struct collection *collection);
/* Before something is written, which must not be to a collection that is gone. As watch_confirm,
 * but costs nothing while the watch holds. */
int watch_permit(struct collection *collection);

/* For the keeper: watch anew where that is needed. When it wants to be called again
 * (CLOCK_MONOTONIC, ns), 0: not by itself. */
uint64_t watch_keep(struct collection *collection);

#endif
