/*
 * world.h - what a store should hold, kept outside of it: the oracle.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/quiver.h"

#define WORLD_IDS 100u
/* A few of these fill a log segment, and a store of some of them is quickly copied. */
#define WORLD_BYTES_MAX 16384u

struct world_entry {
	uint32_t version; /* 0: not there */
	uint32_t origin; /* ID under which it was put: a rename takes the bytes along */
	uint32_t attr; /* version of the attributes */
	int64_t ctime_ns; /* 0 where it is not known */
};

struct world {
	struct world_entry ids[WORLD_IDS];
	uint32_t dir; /* version of the directory's attributes; 0 = as created */
	uint32_t label; /* its version; 0 = none */
};

/* The bytes of a version, and attributes. */
void world_bytes(uint32_t origin, uint32_t version, uint32_t length, uint8_t *to);
struct quiver_attr world_attr(uint32_t version);

/* A label of a version, in both of its sectors of the superblock; "" of 0. Its length. */
size_t world_label(uint32_t version, char to[QUIVER_LABEL_BYTES_MAX + 1]);
/* Whether that is the store's. */
bool world_has_label(struct quiver *store, uint32_t version);

/* How vector `id` in the store compares: 0 as in the world, else a reason. `damage_passes`: an
 * -EIO is as good as the right bytes. */
const char *world_compare_id(const struct world *world, struct quiver *store, uint64_t id,
                             bool damage_passes);
/* The whole store: the set of IDs, too. NULL where it is as in the world, else a reason and the
 * ID concerned. */
const char *world_compare(const struct world *world, struct quiver *store, uint64_t *id);
uint64_t world_count(const struct world *world);

#endif
