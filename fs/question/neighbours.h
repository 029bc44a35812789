/*
 * neighbours.h - the nearest among the vectors that who asks may read.
 */
#ifndef NEIGHBOURS_H
#define NEIGHBOURS_H

#include "fs/question/exchange.h"

/* Who is to answer so many questions with k neighbours each. */
enum worker_class neighbours_worker(uint64_t count, uint64_t k);

/*
 * As quiver_nearest, but vectors that the asker may not read are no answers, as if they were not there:
 * neither their IDs nor that there are any can be told from it. What that takes of memory is charged
 * to him. Waits. Errors of quiver_nearest, of which those about what was asked are told; -EDQUOT,
 * -ENOSPC: told.
 */
int neighbours_ask(const struct question *question, const struct quiver_question *asked,
                   struct quiver_neighbour *answers, uint32_t *found);

#endif
