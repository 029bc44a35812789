/*
 * batch.h - writing many vectors at once: a call of the kind; kind.h.
 */
#ifndef QUIVER_RADOS_BATCH_H
#define QUIVER_RADOS_BATCH_H

#include "engine/store/kind.h"

/* One operation for those of one object, many at once: whole or not for each object, and not for
 * the batch. */
int batch_put(struct quiver *store, const struct quiver_record *records, size_t count,
              const struct quiver_attr *attr, unsigned attr_mask, unsigned flags, uint64_t *lsn);

#endif
