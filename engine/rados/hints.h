/*
 * hints.h - rows as they were seen last, so that who changes one of these vectors need not read it
 * first. They are no more than guesses: whatever is done because of one compares it.
 */
#ifndef QUIVER_RADOS_HINTS_H
#define QUIVER_RADOS_HINTS_H

#include "engine/rados/collection.h"
#include "engine/rados/row.h"

/* Row `id` is now, or was when it was read, `row` (ROW_BYTES). Any thread. */
void hints_keep(struct collection *collection, uint64_t id, const void *row);
/* Nothing is known of it. Any thread. */
void hints_drop(struct collection *collection, uint64_t id);
/* Whether something is: then to `row`. Any thread. */
bool hints_find(struct collection *collection, uint64_t id, uint8_t row[ROW_BYTES]);

#endif
