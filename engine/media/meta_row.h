/*
 * meta_row.h - slots and the rows of meta.npy, in memory; FORMAT.md.
 */
#ifndef QUIVER_META_ROW_H
#define QUIVER_META_ROW_H

#include <stdint.h>

#include "engine/quiver.h"

#define COLUMN_HEADER_BYTES QUIVER_COLUMN_HEADER_BYTES
#define META_ROW_BYTES 56u
#define META_ROW_1_BYTES 40u /* in a store of version 1 */
#define SLOT_MAX (UINT32_MAX - UINT64_C(2)) /* slots have 32 bits in the index */
#define SLOT_NONE UINT64_MAX

struct meta_row { /* in memory; on disk only through meta_row_codec.h */
	uint64_t lsn; /* 0 = free */
	uint64_t sum;
	struct quiver_attr attr;
	uint64_t attr_lsn; /* of the commit that set the attributes */
};

/* The sum of a vector, from the hash of its bytes: FORMAT.md. */
uint64_t vector_sum(uint64_t id, uint64_t lsn, uint64_t bytes_hash);

#endif
