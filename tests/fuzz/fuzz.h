/*
 * fuzz.h - what the fuzz targets share. Each defines LLVMFuzzerTestOneInput; replay.c runs the
 * same on files, where there is no libFuzzer.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../fault/folder.h"
#include "../fault/world.h"
#include "io.h"
#include "quiver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold; ends the process with a line, which libFuzzer takes for a crash. */
#define FUZZ_CHECK(holds) fuzz_check((holds), #holds, __FILE__, __LINE__)
void fuzz_check(bool holds, const char *what, const char *file, int line);

/* An input read piece by piece; zeros behind its end. */
struct fuzz_input {
	const uint8_t *data;
	size_t size;
};
uint64_t fuzz_take(struct fuzz_input *input, unsigned bytes);

/* The real table, but files grow by holes. */
const struct quiver_io *fuzz_io(void);
/* A folder in memory of this process; removed when it ends. */
const char *fuzz_folder(void);

/* A store of 16 KiB vectors with IDs 1 to 12 (version 1), checkpointed, then open and killed
 * (`killed`) or closed; and what is in it. */
#define FUZZ_BYTES 16384u
#define FUZZ_IDS 12u
void fuzz_store(bool killed, struct image *image, struct world *world);
/* A put of a version with its attributes. */
int fuzz_put(struct quiver *store, uint32_t id, uint32_t version);
/* Whatever is listed reads whole or as damage; true where there is none of that. */
bool fuzz_read_all(struct quiver *store);

#endif
