/*
 * proven.h - which vectors the kernel's page cache may go on with when they are opened.
 *
 * "Version L of vector X is proven" means: every page that the kernel caches of X is of
 * version L. Then an open of X that reads L may keep these pages (keep_cache), and a
 * vector that was read before is read again without a READ.
 *
 * What is remembered of L fits no other version, of X or of another vector:
 *   - Of what was there before the mount, a bit for its slot: what comes into a slot later
 *     is not asked for by that bit.
 *   - Of what was committed since, a mark: its LSN, counted from the mount. The marks are a
 *     fixed number, chosen by ID; one that is taken for another vector costs the former a
 *     READ. A mark that is not NOTHING_YET also ends what the bits say of its vectors, for
 *     good: a younger version has been in the cache.
 * So a commit, a removal or a move of X need not clear anything: the younger version is not
 * proven. What fills the cache is watched by node.c, under the lock of X's shard:
 *   - proven_fills: version L may fill the cache from now on. Nothing else of X is proven.
 *   - proven_set: the cache holds nothing but L. That is known when a READ arrives through
 *     a handle that has filled the cache with L from its open on and was opened without
 *     keep_cache. The kernel drops all pages after the reply to such an open and before
 *     the opener goes on: at the reply itself others could still find the old ones.
 *
 * Memory: a bit for each slot that was in use at the mount, and 4 bytes for each vector that
 * was committed and read since, up to PROVEN_MARKS of them.
 */
#ifndef PROVEN_H
#define PROVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

/* 4 MiB where all are in use: then the kernel caches at least 4 GiB of pages of them. */
#define PROVEN_MARKS (1u << 20)
/* Of later ones nothing is kept until the next mount. */
#define PROVEN_COMMITS_MAX (UINT32_MAX - 1)

struct proven;

/* `lsn`: of the last commit before any request is served. `slots`: how many can have been
 * in use then. -ENOMEM. */
int proven_new(uint64_t lsn, uint64_t slots, struct proven **proven);
void proven_free(struct proven *proven);

/* For the version that is pinned by `ref`, of vector ref->id. Of one ID these three are
 * called under one lock; of different IDs by any threads. */
bool proven_is(const struct proven *proven, const struct quiver_ref *ref);
void proven_set(struct proven *proven, const struct quiver_ref *ref);
void proven_fills(struct proven *proven, const struct quiver_ref *ref);

#endif
