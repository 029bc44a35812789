/*
 * thrift.c - Thrift's compact protocol, in which Parquet's headers are written.
 */
#include "tools/formats/thrift.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_TRUE 1
#define TYPE_FALSE 2
#define TYPE_I8 3
#define TYPE_I64 6
#define TYPE_LIST 9
/* A list's length, or how far a field's number is from the last one, up to which it is beside the
 * type. */
#define SHORT_MAX 14u
#define DELTA_MAX 15
#define ROOM_MIN 256u

void thrift_free(struct thrift *thrift)
{
	free(thrift->bytes);
	memset(thrift, 0, sizeof(*thrift));
}

void thrift_clear(struct thrift *thrift)
{
	thrift->length = 0;
	thrift->depth = 0;
	thrift->last[0] = 0;
}

void thrift_raw(struct thrift *thrift, const void *bytes, size_t length)
{
	size_t needed;

	if (thrift->failed || length == 0)
		return;
	needed = thrift->length + length;
	if (needed > thrift->room) {
		size_t room = 2 * needed > ROOM_MIN ? 2 * needed : ROOM_MIN;
		unsigned char *grown = realloc(thrift->bytes, room);

		if (grown == NULL) {
			thrift->failed = true;
			return;
		}
		thrift->bytes = grown;
		thrift->room = room;
	}
	memcpy(thrift->bytes + thrift->length, bytes, length);
	thrift->length = needed;
}

static void put_byte(struct thrift *thrift, unsigned value)
{
	unsigned char byte = (unsigned char)value;

	thrift_raw(thrift, &byte, 1);
}

void thrift_varint(struct thrift *thrift, uint64_t number)
{
	for (; number >= 0x80; number >>= 7)
		put_byte(thrift, (unsigned)(number & 0x7f) | 0x80);
	put_byte(thrift, (unsigned)number);
}

/* A signed number: small ones are short, whatever their sign. */
static void put_signed(struct thrift *thrift, int64_t number)
{
	thrift_varint(thrift, (uint64_t)number << 1 ^ (uint64_t)(number >> 63));
}

static void put_field(struct thrift *thrift, int field, unsigned type)
{
	int *last = &thrift->last[thrift->depth];
	int delta = field - *last;

	*last = field;
	if (delta > 0 && delta <= DELTA_MAX) {
		put_byte(thrift, (unsigned)delta << 4 | type);
		return;
	}
	put_byte(thrift, type);
	put_signed(thrift, field);
}

void thrift_bool(struct thrift *thrift, int field, bool value)
{
	put_field(thrift, field, value ? TYPE_TRUE : TYPE_FALSE);
}

void thrift_i8(struct thrift *thrift, int field, int8_t value)
{
	put_field(thrift, field, TYPE_I8);
	thrift_raw(thrift, &value, 1);
}

void thrift_i32(struct thrift *thrift, int field, int32_t value)
{
	put_field(thrift, field, THRIFT_I32);
	put_signed(thrift, value);
}

void thrift_i64(struct thrift *thrift, int field, int64_t value)
{
	put_field(thrift, field, TYPE_I64);
	put_signed(thrift, value);
}

void thrift_element_string(struct thrift *thrift, const char *text)
{
	size_t length = strlen(text);

	thrift_varint(thrift, length);
	thrift_raw(thrift, text, length);
}

void thrift_string(struct thrift *thrift, int field, const char *text)
{
	put_field(thrift, field, THRIFT_BINARY);
	thrift_element_string(thrift, text);
}

void thrift_element_struct(struct thrift *thrift)
{
	if (thrift->depth + 1 == THRIFT_DEPTH_MAX) {
		thrift->failed = true;
		return;
	}
	thrift->last[++thrift->depth] = 0;
}

void thrift_struct(struct thrift *thrift, int field)
{
	put_field(thrift, field, THRIFT_STRUCT);
	thrift_element_struct(thrift);
}

void thrift_list(struct thrift *thrift, int field, enum thrift_type type, size_t count)
{
	put_field(thrift, field, TYPE_LIST);
	if (count <= SHORT_MAX) {
		put_byte(thrift, (unsigned)count << 4 | type);
		return;
	}
	put_byte(thrift, 0xf0 | type);
	thrift_varint(thrift, count);
}

void thrift_element_i32(struct thrift *thrift, int32_t value)
{
	put_signed(thrift, value);
}

/* The outermost struct is open from the beginning. */
void thrift_end(struct thrift *thrift)
{
	put_byte(thrift, 0);
	if (thrift->depth > 0)
		thrift->depth--;
}
