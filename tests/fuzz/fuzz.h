/*
 * fuzz.h - what the fuzz targets share. Each defines LLVMFuzzerTestOneInput and fuzz_seed;
 * replay.c runs the same on files, where there is no libFuzzer, and writes the seeds.
 *
 * The engine under them has its disk in memory (memdisk.h), small steps of growth
 * (engine/base/sizes.h), and the work of its threads is done when a target says so
 * (../crash/manual_background.h): an input does the same in every process.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../crash/manual_background.h"
#include "../fault/world.h"
#include "engine/quiver.h"
#include "memdisk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seed `number` of the target, from a real store where it reads what stores write; its size,
 * at most `room`, or FUZZ_NO_SEED behind the last. */
#define FUZZ_NO_SEED SIZE_MAX
size_t fuzz_seed(unsigned number, uint8_t *to, size_t room);

/* What must hold; ends the process with a line, which libFuzzer takes for a crash. */
#define FUZZ_CHECK(holds) fuzz_check((holds), #holds, __FILE__, __LINE__)
void fuzz_check(bool holds, const char *what, const char *file, int line);

/* An input read piece by piece; zeros behind its end. */
struct fuzz_input {
	const uint8_t *data;
	size_t size;
};
uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes);

/* The disk is emptied, and an empty store is made on it. */
void fuzz_create(uint32_t dim, enum quiver_dtype dtype);
struct quiver *fuzz_open(enum quiver_durability mode);

/* Vectors of a size that is no multiple of a sector. */
#define FUZZ_BYTES 1000u
#define FUZZ_IDS 12u

/* A new store of FUZZ_BYTES x u1 with the IDs 1 to FUZZ_IDS (version 1), checkpointed; what is
 * in it. LSN FUZZ_IDS is its last. */
struct quiver *fuzz_begin(struct world *world);

/* What a store was used for after that. */
enum fuzz_use {
	FUZZ_UNUSED,
	FUZZ_OVERWRITTEN,
	FUZZ_REMOVED,
	FUZZ_RENAMED,
	FUZZ_BATCHED,
	FUZZ_ATTRIBUTES, /* set anew, not in their rows yet */
	FUZZ_UNLOGGED, /* mode none, then a checkpoint */
	FUZZ_COMPACTED,
	FUZZ_USE_COUNT,
};
void fuzz_use(struct quiver *store, enum fuzz_use use, struct world *world);

/* Such a store on the disk, closed or (`killed`) as kill -9 leaves it, and a copy of it. */
void fuzz_store(enum fuzz_use use, bool killed, struct memdisk_image *image, struct world *world);

/* Make of a copy of a store, which holds no bad row, what it would be in format 1. */
void fuzz_downgrade(struct memdisk_image *image);

/* A put of a version with its attributes. */
int fuzz_put(struct quiver *store, uint32_t id, uint32_t version);
/* Whatever is listed reads whole or as damage; true where there is none of that. */
bool fuzz_read_all(struct quiver *store);

#endif
