/*
 * header.h - the content of a collection's header object, as bytes; FORMAT.md.
 */
#ifndef QUIVER_RADOS_HEADER_H
#define QUIVER_RADOS_HEADER_H

#include <stdint.h>

#include "engine/quiver.h"
#include "engine/rados/layout.h"
#include "engine/rados/row.h"

#define COLLECTION_VERSION 1u
#define COLLECTION_HEADER_BYTES 4096u
/* Of the snapshots, of a kept index, of an index of nearest neighbours; as the superblock's. */
#define COLLECTION_KEPT_BYTES 96u

struct collection_header { /* in memory */
	struct quiver_geometry geometry;
	struct layout layout;
	struct tag tag; /* of the write that made it what it is */
	struct quiver_attr dir;
	struct quiver_description description;
	/* Such that a program must know to change the collection: where any is set here, it is
	 * opened to read only. */
	uint64_t features_to_change;
	uint64_t features_to_pass;
	uint8_t kept[COLLECTION_KEPT_BYTES]; /* fields of features, as they were found */
};

void collection_header_encode(const struct collection_header *header,
                              uint8_t to[COLLECTION_HEADER_BYTES]);
/*
 * Of the first `length` bytes of the object, of which COLLECTION_HEADER_BYTES are looked at. 0;
 * -EINVAL it is no header; -EUCLEAN damage; -ENOTSUP a newer version, or a feature that this program must know to open it.
 */
int collection_header_decode(const void *bytes, size_t length, struct collection_header *header);

#endif
