/*
 * flatbuffer.h - FlatBuffers, in which Arrow's headers are, read and written.
 *
 * Whatever is read is checked to lie within the bytes; what does not is told at the end, by
 * `bad`, and is 0 or not there until then. One thread.
 */
#ifndef FLATBUFFER_H
#define FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes to read. */
struct flat {
	const unsigned char *bytes;
	size_t length;
	bool bad;
};

/* A table in them; `at` 0: there is none. */
struct flat_table {
	size_t at, fields, fields_count;
};

/* Some elements in them. */
struct flat_vector {
	size_t at, count;
};

struct flat_table flat_root(struct flat *flat);
/* Field `field`, counted from 0, as a little-endian integer of `bytes` bytes with a sign; or
 * what it is where it was left out. */
int64_t flat_integer(struct flat *flat, const struct flat_table *table, unsigned field,
                     unsigned bytes, int64_t otherwise);
struct flat_table flat_table(struct flat *flat, const struct flat_table *table, unsigned field);
/* A vector of elements of so many bytes each; a string has elements of 1. */
struct flat_vector flat_vector(struct flat *flat, const struct flat_table *table, unsigned field,
                               size_t element_bytes);
/* Of a vector of tables, whose elements have 4 bytes. */
struct flat_table flat_element(struct flat *flat, const struct flat_vector *vector, size_t index);
/* The little-endian int64 at a place in a vector. */
int64_t flat_int64(struct flat *flat, size_t at);

/* Bytes that are written, from front to back: a table before what is in it. */
struct flat_builder {
	unsigned char *bytes;
	size_t length, room;
	bool failed; /* no memory */
};

void flat_builder_free(struct flat_builder *builder);
void flat_put(struct flat_builder *builder, const void *bytes, size_t length);
/* Zeros up to a multiple of `alignment`. */
void flat_align(struct flat_builder *builder, size_t alignment);
/* A table whose field i has sizes[i] bytes, 0: it is left out; ended where they are. All are 0
 * until they are set. *places gets where each is. */
size_t flat_put_table(struct flat_builder *builder, const unsigned char *sizes, unsigned count,
                      size_t *places);
/* Set an integer at a place. */
void flat_set(struct flat_builder *builder, size_t place, uint64_t value, unsigned bytes);
/* Let the 4 bytes at a place lead to what comes next, once it is aligned. */
void flat_refer(struct flat_builder *builder, size_t place, size_t alignment);
/* A vector's count; its elements, aligned to `alignment`, follow. Returns where those are. */
size_t flat_put_vector(struct flat_builder *builder, size_t place, size_t count, size_t alignment);
void flat_put_string(struct flat_builder *builder, size_t place, const char *text);

#endif
