/*
 * hints.h - rows as they were seen last, so that who changes one of these vectors need not read it
 * first. They are no more than guesses: whatever is done because of one compares it.
 */
#ifndef QUIVER_RADOS_HINTS_H
#define QUIVER_RADOS_HINTS_H

#include "engine/rados/collection.h"

struct guess {
	uint8_t row_bytes; /* ROW_BYTES; 0: there is no row */
	uint8_t row[ROW_BYTES];
	/* Where there is no row: the value of the key `removed` of its object. */
	uint8_t removed_bytes;
	uint8_t removed[TAG_BYTES];
};

/* Vector `id` has, or had when it was read, the row `row` of `row_bytes`: ROW_BYTES, or 0 for none.
 * Any thread, as all here. */
void hints_keep(struct collection *collection, uint64_t id, const void *row, size_t row_bytes);
/* The key `removed` of its object is, or was, that; another value than a tag or nothing is not kept. */
void hints_keep_removed(struct collection *collection, uint64_t id, const void *removed,
                        size_t removed_bytes);
/* Nothing is known of either. */
void hints_drop(struct collection *collection, uint64_t id);
/* Whether all is known that a change of `id` has to compare. */
bool hints_find(struct collection *collection, uint64_t id, struct guess *guess);

#endif
