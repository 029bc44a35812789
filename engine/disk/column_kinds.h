/*
 * column_kinds.h - what distinguishes the three files of the columns; FORMAT.md.
 */
#ifndef QUIVER_COLUMN_KINDS_H
#define QUIVER_COLUMN_KINDS_H

#include <stdint.h>

#include "engine/quiver.h"

#define COLUMNS 3
/* What meta.npy is called while a store is being upgraded. */
#define META_NEW_NAME "meta.npy.new"

/* Strings are static. */
struct column_kind {
	const char *name;
	const char *descr; /* NumPy's dtype */
	uint32_t row_items; /* 0 = one axis */
	uint32_t row_bytes;
};

/* Those of vectors.npy, ids.npy and meta.npy, of a store of `version`. Any thread. */
void column_kinds(const struct quiver_geometry *geometry, uint32_t version,
                  struct column_kind kinds[COLUMNS]);

#endif
