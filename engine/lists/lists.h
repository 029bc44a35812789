/*
 * lists.h - inverted lists over the slots of a store: which vectors are near which centroid.
 *
 * One thread at a time puts slots into lists; any thread reads them, within an epoch section. A slot that
 * is in a list counts as that only while its cell says so (engine/index/cells.h): it may be in others from
 * earlier times, or there twice.
 */
#ifndef QUIVER_LISTS_LISTS_H
#define QUIVER_LISTS_LISTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/index/catalog.h"
#include "engine/index/cells.h"
#include "engine/lists/points.h"
#include "engine/media/nearest_page.h"

struct list_slots;

/* Parts of vectors.npy whose pages were asked for lately, by their number, modulo. */
#define LISTS_PARTS_SEEN 65536u

struct lists {
	struct catalog *catalog; /* not owned */
	/* That of the centroids. Its measures are changed by the thread that keeps the lists, and read by
	 * it; what others want of it is in the atomics below. */
	struct nearest_page page;
	struct points points; /* fixed, as the next three */
	float *centroids; /* malloc'd; page.rows of page.width numbers */
	struct cells *cells;
	struct list_slots *_Atomic *lists; /* malloc'd; NULL: an empty one */
	bool is_shared; /* others may read: what is replaced is freed behind an epoch_wait */
	uint64_t memory; /* bytes of the machine's; fixed */
	_Atomic uint32_t
		*seen; /* malloc'd; fetch.c: the second in which a part's pages were there */
	struct list_slots *former; /* what was replaced since the last */
	_Atomic uint64_t users; /* questions in it */
	_Atomic uint32_t probes[NEAREST_PROBES];
	_Atomic uint64_t gain_percent; /* by how much a question takes less than comparing all */
	_Atomic uint64_t memory_bytes; /* of all but the cells */
	_Atomic uint64_t assigned; /* since it was made, and were not loaded */
};

/* Empty lists of `page`, which is whole, and of its centroids, which it takes over on success: not
 * watched yet. NULL: no memory. */
struct lists *lists_create(struct catalog *catalog, const struct nearest_page *page,
                           float *centroids);
/* Nobody is inside, and its cells are not watched. NULL is allowed. */
void lists_free(struct lists *lists);

/* Let questions go by what is measured in the page. The thread that keeps the lists, or before there are
 * questions. */
void lists_go_by(struct lists *lists);

/* Have the lists told of all that is published from now on. 0, or -ENOMEM. */
int lists_watch(struct lists *lists);
/* Not any more. */
void lists_unwatch(struct lists *lists);

/* Put a slot into a list, where its cell was `was`; it counts there from now on, if nothing else is in the
 * slot meanwhile. 0 or -ENOMEM. The thread that keeps the lists. */
int lists_put(struct lists *lists, uint64_t slot, uint32_t was, uint32_t list);
/* Free what was replaced. The same thread, in no epoch section. */
void lists_settle(struct lists *lists);

/* The slots of a list that count, in the order in which they came, into *slots, which is malloc'd anew
 * where *room is too small: how many, or -ENOMEM. Any thread, in no epoch section. */
int64_t lists_slots(const struct lists *lists, uint32_t list, uint32_t **slots, size_t *room);

#endif
