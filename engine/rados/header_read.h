/*
 * header_read.h - the header object, read and changed.
 */
#ifndef QUIVER_RADOS_HEADER_READ_H
#define QUIVER_RADOS_HEADER_READ_H

#include "engine/rados/header.h"

#include <rados/librados.h>

/* As it was found. */
struct found_header {
	uint8_t bytes[COLLECTION_HEADER_BYTES];
	struct collection_header header;
	int64_t changed_ns; /* the last creation or removal that it was told of; 0: none */
};

/* 0; -ENOENT no such object; errors of collection_header_decode, -EUCLEAN also where the bytes are
 * too few; errors of a flight, as they come. */
int header_fetch(rados_ioctx_t io, const char *name, struct found_header *found);

/* Write `header`, with a tag of its own, if the object still has the bytes of `found`: 0;
 * -ECANCELED it has not; errors of a flight. */
int header_replace(rados_ioctx_t io, const char *name, const struct found_header *found,
                   const struct collection_header *header);

/* Make the object with `header` in it. 0, -EEXIST, -EOPNOTSUPP the pool has no omap; errors of a
 * flight. */
int header_create(rados_ioctx_t io, const char *name, const struct collection_header *header);

/* A vector was created or removed at `changed_ns`: told the header, unless it knows of a later one.
 * 0; errors of a flight. */
int header_touch(rados_ioctx_t io, const char *name, int64_t changed_ns);

/* Whether this client may write it: 0, -EPERM, errors of a flight. Changes nothing. */
int header_try(rados_ioctx_t io, const char *name);

#endif
