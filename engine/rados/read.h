/*
 * read.h - reading one vector: calls of the kind; kind.h.
 */
#ifndef QUIVER_RADOS_READ_H
#define QUIVER_RADOS_READ_H

#include "engine/store/kind.h"

/* A ref is a copy of the whole vector, read and compared at once. */
int read_get(struct quiver *store, uint64_t id, unsigned flags, struct quiver_ref *ref);
void read_unref(struct quiver *store, struct quiver_ref *ref);
int read_ref_verify(struct quiver *store, const struct quiver_ref *ref, unsigned flags);
int read_ref_read(struct quiver *store, const struct quiver_ref *ref, uint64_t offset,
                  size_t length, unsigned flags, void *to);
bool read_ref_resident(struct quiver *store, const struct quiver_ref *ref);
int read_get_copy(struct quiver *store, uint64_t id, void *to, struct quiver_attr *attr,
                  uint64_t *lsn);
int read_stat(struct quiver *store, uint64_t id, unsigned flags, struct quiver_attr *attr,
              uint64_t *lsn);

#endif
