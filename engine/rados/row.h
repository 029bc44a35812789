/*
 * row.h - what is kept of one vector beside its bytes, as the value of an omap key; FORMAT.md.
 */
#ifndef QUIVER_RADOS_ROW_H
#define QUIVER_RADOS_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

#define ROW_BYTES 80u
#define TAG_BYTES 16u

/* Unique for each commit of anybody. */
struct tag {
	uint64_t client; /* random, of one opening of a collection */
	uint64_t counter; /* from 1 on */
};

struct row { /* in memory; as bytes only through the functions below */
	uint64_t id;
	struct tag tag;
	struct quiver_attr attr;
	uint64_t sum;
	uint32_t revision; /* how often the attributes were set since the commit */
};

/* What a row says of the collection it belongs to. */
uint64_t row_collection(const uint8_t uuid[16]);

/* The row of `collection` as its bytes. */
void row_encode(const struct row *row, uint64_t collection, uint8_t to[ROW_BYTES]);
/*
 * 0; -ENOENT no row: nothing there (`length` 0), or a good row of another collection of the same
 * name, now removed; -EUCLEAN damage, and a row of another ID. Who then writes over any of them
 * compares the bytes as they were found.
 */
int row_decode(const void *bytes, size_t length, uint64_t collection, uint64_t id, struct row *row);

/* What `sum` is to be, of the vector's bytes. */
uint64_t row_sum(uint64_t id, const struct tag *tag, const void *data, size_t length);
/* Whether these are the bytes that the row tells. */
bool row_fits(const struct row *row, const void *data, size_t length);

/* The value of the key `removed`. */
void tag_encode(const struct tag *tag, uint8_t to[TAG_BYTES]);
/* What quiver.h calls the LSN: differs for each commit, and is not 0. */
uint64_t tag_version(const struct tag *tag);

#endif
