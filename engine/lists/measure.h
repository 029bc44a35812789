/*
 * measure.h - how much the lists find, and how fast: on questions out of the store itself.
 */
#ifndef QUIVER_LISTS_MEASURE_H
#define QUIVER_LISTS_MEASURE_H

#include "engine/lists/kmeans.h"
#include "engine/lists/lists.h"

/* What is promised, and what is set so that it holds for other questions, too. */
#define MEASURE_PROMISED 0.95
#define MEASURE_SET 0.97
/* Lists that find less than that by now are made anew. */
#define MEASURE_DRIFTED 0.93

struct measures {
	uint32_t probes[NEAREST_PROBES]; /* that find MEASURE_SET */
	double recall; /* of the 10 nearest, with those probes */
	double recall_before; /* with as many probes as were set */
	double exact_ms, index_ms; /* of processor time, a question */
};

/*
 * Ask questions of vectors of the store, each left out of its own answer, and compare all with them; each
 * slot in use is a step that is done. Vectors come and go meanwhile. 0; -ENODATA none can be asked; -EINTR
 * stopped; -ENOMEM. By the thread that keeps the lists.
 */
int measure(struct lists *lists, uint64_t *random, struct measures *measures,
            struct lists_work *work);

/* Set what was measured, and have questions go by it. The same thread. */
void measure_set(struct lists *lists, const struct measures *measures);

#endif
