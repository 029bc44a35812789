/*
 * proven.h - which vectors the kernel's page cache may go on with when they are opened.
 *
 * "Version L of vector X is proven" means: every page that the kernel caches of X is of
 * version L. Then an open of X that reads L may keep these pages (keep_cache), and a
 * vector that was read before is read again without a READ.
 *
 * The versions of all commits have different LSNs, for ever, so an entry needs nothing
 * more than the LSN: a commit, a removal or a move of X leaves an entry that fits no open
 * any more. What fills the cache is watched by node.c, under the lock of X's shard:
 *   - proven_fills: version L may fill the cache from now on. An entry of X that names
 *     another one goes.
 *   - proven_set: the cache holds nothing but L. That is known when a READ arrives through
 *     a handle that has filled the cache with L from its open on and was opened without
 *     keep_cache. The kernel drops all pages after the reply to such an open and before
 *     the opener goes on: at the reply itself others could still find the old ones.
 *
 * The entries are a fixed number, chosen by ID; one that is taken for another vector
 * costs the former one READ. Of a vector that is never read no entry is touched, so
 * memory is 8 bytes for each vector that was, up to PROVEN_ENTRIES of them.
 */
#ifndef PROVEN_H
#define PROVEN_H

#include <stdbool.h>
#include <stdint.h>

/* 8 MiB where all are in use: then the kernel caches at least 4 GiB of pages. */
#define PROVEN_ENTRIES (1u << 20)

struct proven;

/* -ENOMEM. */
int proven_new(struct proven **proven);
void proven_free(struct proven *proven);

/* Of one ID these three are called under one lock; of different IDs by any threads. */
bool proven_is(const struct proven *proven, uint64_t id, uint64_t lsn);
void proven_set(struct proven *proven, uint64_t id, uint64_t lsn);
void proven_fills(struct proven *proven, uint64_t id, uint64_t lsn);

#endif
