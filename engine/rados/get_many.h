/*
 * get_many.h - reading many vectors at once: a call of the kind; kind.h.
 */
#ifndef QUIVER_RADOS_GET_MANY_H
#define QUIVER_RADOS_GET_MANY_H

#include "engine/store/kind.h"

/* One operation for those of one object, many at once. */
int get_many(struct quiver *store, const uint64_t *ids, size_t count, void *to,
             struct quiver_attr *attrs, int *results);

#endif
