/*
 * build.h - lists of what a store holds, made anew.
 */
#ifndef QUIVER_LISTS_BUILD_H
#define QUIVER_LISTS_BUILD_H

#include "engine/base/sizes.h"
#include "engine/lists/kmeans.h"
#include "engine/lists/lists.h"

/* What the points of the sample may take. */
#define BUILD_SAMPLE_BYTES (UINT64_C(256) << 20)

/*
 * Centroids of a sample, lists of all vectors, and how well they do: lists that are watched, with all of
 * their page but the LSN, or, where comparing all is as fast, with page.no_help. `metric`, `uuid` and
 * `build` go into the page. Vectors come and go meanwhile; they are pending then. 0; -ENODATA fewer than
 * NEAREST_INDEX_LEAST; -EINVAL a metric that does not go with the dtype; -EINTR stopped; -ENOMEM; -EBUSY two are
 * watched already. Takes long, and waits for the disk. Takes BUILD_SAMPLE_BYTES of memory beside the lists, at most.
 */
int build_lists(struct catalog *catalog, enum quiver_metric metric, const uint8_t uuid[16],
                uint64_t build, struct lists **lists, struct lists_work *work);

#endif
