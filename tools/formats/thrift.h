/*
 * thrift.h - Thrift's compact protocol, in which Parquet's headers are written.
 *
 * A field is put with its number, in ascending order within its struct. One thread; what had no
 * memory is told at the end, by `failed`.
 */
#ifndef THRIFT_H
#define THRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Structs within structs. */
#define THRIFT_DEPTH_MAX 8

struct thrift {
	unsigned char *bytes;
	size_t length, room;
	unsigned depth;
	int last[THRIFT_DEPTH_MAX]; /* number of the last field of each open struct */
	bool failed;
};

enum thrift_type {
	THRIFT_I32 = 5,
	THRIFT_BINARY = 8,
	THRIFT_STRUCT = 12,
};

/* Give the memory back. */
void thrift_free(struct thrift *thrift);
/* Forget what was put; the memory stays. */
void thrift_clear(struct thrift *thrift);

/* Bytes as they are. */
void thrift_raw(struct thrift *thrift, const void *bytes, size_t length);
/* A number of 7 bits a byte. */
void thrift_varint(struct thrift *thrift, uint64_t number);

void thrift_bool(struct thrift *thrift, int field, bool value);
void thrift_i8(struct thrift *thrift, int field, int8_t value);
void thrift_i32(struct thrift *thrift, int field, int32_t value);
void thrift_i64(struct thrift *thrift, int field, int64_t value);
void thrift_string(struct thrift *thrift, int field, const char *text);
/* A struct as a field, ended by thrift_end. */
void thrift_struct(struct thrift *thrift, int field);
/* A list as a field, whose `count` elements follow. */
void thrift_list(struct thrift *thrift, int field, enum thrift_type type, size_t count);
/* Elements of a list; a struct is ended by thrift_end. */
void thrift_element_struct(struct thrift *thrift);
void thrift_element_i32(struct thrift *thrift, int32_t value);
void thrift_element_string(struct thrift *thrift, const char *text);
void thrift_end(struct thrift *thrift);

#endif
