/*
 * scan.h - a pass over all slots of a catalog, by many threads, while others change it.
 *
 * Each slot that holds a vector is compared once, 64 at a time. A vector that was
 * overwritten or moved meanwhile may have gone from a slot that the pass had not come to yet to one that
 * it had passed: so at the end the slots that were published since it began (published.h) are compared,
 * too. What was found may be gone by then, or be another version's; who asks proves it (ask.h).
 */
#ifndef QUIVER_NEAREST_SCAN_H
#define QUIVER_NEAREST_SCAN_H

#include <stdatomic.h>
#include <stdint.h>

#include "engine/index/catalog.h"
#include "engine/nearest/comparing.h"
#include "engine/nearest/pool.h"

/* Parts of vectors.npy whose pages were asked for lately, by their number, modulo. */
#define SCAN_PARTS_SEEN 65536u

struct scanner {
	struct catalog *catalog; /* not owned */
	const struct quiver_io *io; /* not owned */
	struct pool pool; /* of one pass at a time */
	_Atomic uint32_t
		seen[SCAN_PARTS_SEEN]; /* the second in which the part's pages were there */
};

void scanner_init(struct scanner *scanner, struct catalog *catalog, const struct quiver_io *io);
void scanner_destroy(struct scanner *scanner);
/* Compare all vectors; `stopped`, with `arg`, is asked now and then by the calling thread. 0; -EINTR it
 * said so; -EOVERFLOW so much was changed meanwhile that it is not known what; -ENOMEM, -EAGAIN. One pass
 * at a time; waits for the disk. */
int scanner_pass(struct scanner *scanner, struct round *round, bool (*stopped)(void *arg),
                 void *arg);

/* The row of a slot. */
const void *scan_row(const struct catalog *catalog, uint64_t slot);

#endif
