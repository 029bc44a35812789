/*
 * write.h - changing one vector: calls of the kind; kind.h.
 *
 * Each change is one operation that takes effect only if the row is still the one that was read
 * before: what has timed out may come later, and must not undo what others were told has happened
 * meanwhile; FORMAT.md, "Who writes what".
 */
#ifndef QUIVER_RADOS_WRITE_H
#define QUIVER_RADOS_WRITE_H

#include "engine/store/kind.h"

int write_put(struct quiver *store, uint64_t id, const void *data, const struct quiver_attr *attr,
              unsigned attr_mask, unsigned flags, uint64_t *lsn);
int write_remove(struct quiver *store, uint64_t id, unsigned flags, uint64_t *lsn);
int write_set_attr(struct quiver *store, uint64_t id, const struct quiver_attr *attr, unsigned mask,
                   unsigned flags);

#endif
