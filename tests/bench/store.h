/*
 * store.h - what the workers that use libquiver share: a store, and what is in it.
 */
#ifndef BENCH_STORE_H
#define BENCH_STORE_H

#include <stdint.h>

#include "engine/quiver.h"
#include "tests/bench/bench.h"

/* Of every vector that is put. */
extern const struct quiver_attr bench_attr;

/* Ends the program where `err`, a negative errno, is not 0. */
void bench_check(const char *what, int err);
struct quiver *bench_open(const char *path, enum quiver_durability durability);
/* The path of a new, empty store of vectors of `bytes`. */
struct quiver *bench_new_store(const char *path, uint32_t bytes, enum quiver_durability durability);
/* At most BENCH_BATCH vectors, in one commit: IDs `first` and up. */
void bench_put_batch(struct quiver *store, uint64_t first, uint64_t count, const char *data);
/* IDs from `first`, in order, in batches. */
void bench_load(struct quiver *store, uint64_t first, uint64_t count);
/* These IDs, in this order, in batches. */
void bench_overwrite(struct quiver *store, const uint64_t *ids, uint64_t count);
/* Memory of this process that is not the page cache, without what was freed. */
uint64_t bench_anonymous_bytes(void);

#endif
