/*
 * seen.h - what one read has found of a vector: its row, and its bytes where they were asked for.
 */
#ifndef QUIVER_RADOS_SEEN_H
#define QUIVER_RADOS_SEEN_H

#include "engine/rados/collection.h"
#include "engine/rados/flight.h"
#include "engine/rados/hints.h"

enum { SEEN_BYTES = 1, SEEN_REMOVED = 2 }; /* what to read besides the row */

struct seen {
	/* What a change compares: the values as they were, whatever they say; NULL and 0 bytes
	 * where there was none. Of the flight. */
	const char *row_value;
	size_t row_bytes;
	const char *removed_value;
	size_t removed_bytes;
	int verdict; /* of row_decode: 0, -ENOENT, -EUCLEAN; -EUCLEAN also where the bytes do not
	              * fit it */
	struct row row; /* where the verdict is 0 */
	struct guess guess; /* of seen_guess: where the values are */
	struct flight *flight; /* its `bytes` are the vector's, where they were asked for */
};

/*
 * Read vector `id` in one operation. 0, and then seen_free; what the call is to return where the
 * cluster did not let it (reported). An object that is not there is as one without rows: whether
 * the collection is, has to be asked (watch_confirm).
 */
int seen_get(struct collection *collection, uint64_t id, unsigned what, struct seen *seen);
/* What is known of its row without reading it, and of `removed` where it has none; seen_free all the
 * same. It need not be so any more: only for what compares it. */
bool seen_guess(struct collection *collection, uint64_t id, struct seen *seen);
void seen_free(struct seen *seen);

#endif
