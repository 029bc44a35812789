/*
 * search.h - a pass over the lists that are near the questions, over what is in none yet, and over what
 * is published meanwhile: as scanner_pass (engine/nearest/scan.h), but for what lies in other lists.
 */
#ifndef QUIVER_LISTS_SEARCH_H
#define QUIVER_LISTS_SEARCH_H

#include "engine/lists/lists.h"
#include "engine/nearest/comparing.h"

/* How many lists each of `count` questions for `k` neighbours looks at; 0: all vectors are compared, sooner, or since it is
 * not known how many would do. Any thread. */
uint32_t search_probes(const struct lists *lists, uint32_t k, size_t count);
/*
 * The questions of a round, each for `k` neighbours and of `probes` lists, under the metric of the lists;
 * its tops are empty. `stopped` is asked now and then. 0; -EAGAIN all have to be compared: there are too few in the lists;
 * -EOVERFLOW so much was changed meanwhile that it is not known what; -EINTR `stopped` said so; -ENOMEM.
 * Any thread. Waits for the disk.
 */
int search_pass(struct lists *lists, struct round *round, uint32_t k, uint32_t probes,
                bool (*stopped)(void));
/* Squared distances of `n` questions, as vectors, to the centroids: of the `probes` nearest of each, the
 * nearest first, the list's number is at lists_of[j * probes]. 0 or -ENOMEM. */
int search_rank(const struct lists *lists, const void *const *questions, size_t n, uint32_t probes,
                uint32_t *lists_of);

#endif
