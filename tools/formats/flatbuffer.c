/*
 * flatbuffer.c - FlatBuffers, in which Arrow's headers are, read and written.
 */
#include "tools/formats/flatbuffer.h"

#include <stdlib.h>
#include <string.h>

#define OFFSET_BYTES 4u
/* Before the fields of a table's own description: its bytes, and the table's. */
#define DESCRIPTION_BYTES 4u
#define FIELD_BYTES 2u
#define ROOM_MIN 1024u

/* ---- reading ---- */

/* Whether so many bytes are at a place; else it is bad. */
static bool within(struct flat *flat, size_t at, size_t length)
{
	if (at <= flat->length && flat->length - at >= length)
		return true;
	flat->bad = true;
	return false;
}

static uint64_t get(const struct flat *flat, size_t at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)flat->bytes[at + i] << (8 * i);
	return value;
}

/* The table at a place. */
static struct flat_table open_table(struct flat *flat, size_t at)
{
	struct flat_table table = { 0 };
	int64_t description;
	size_t bytes;

	if (!within(flat, at, OFFSET_BYTES))
		return table;
	description = (int64_t)at - (int32_t)get(flat, at, OFFSET_BYTES);
	if (description < 0 || !within(flat, (size_t)description, DESCRIPTION_BYTES)) {
		flat->bad = true;
		return table;
	}
	bytes = (size_t)get(flat, (size_t)description, FIELD_BYTES);
	if (bytes < DESCRIPTION_BYTES || !within(flat, (size_t)description, bytes)) {
		flat->bad = true;
		return table;
	}
	table.at = at;
	table.fields = (size_t)description + DESCRIPTION_BYTES;
	table.fields_count = (bytes - DESCRIPTION_BYTES) / FIELD_BYTES;
	return table;
}

/* Where an offset leads to; 0 where it is bad. */
static size_t follow(struct flat *flat, size_t at)
{
	size_t to;

	if (!within(flat, at, OFFSET_BYTES))
		return 0;
	to = at + (size_t)get(flat, at, OFFSET_BYTES);
	return to != at && within(flat, to, OFFSET_BYTES) ? to : 0;
}

struct flat_table flat_root(struct flat *flat)
{
	size_t at = follow(flat, 0);

	return at != 0 ? open_table(flat, at) : (struct flat_table){ 0 };
}

/* Where a field of so many bytes is; 0 where it was left out. */
static size_t find_field(struct flat *flat, const struct flat_table *table, unsigned field,
                         size_t bytes)
{
	size_t offset;

	if (table->at == 0 || field >= table->fields_count)
		return 0;
	offset = (size_t)get(flat, table->fields + FIELD_BYTES * field, FIELD_BYTES);
	return offset != 0 && within(flat, table->at + offset, bytes) ? table->at + offset : 0;
}

int64_t flat_integer(struct flat *flat, const struct flat_table *table, unsigned field,
                     unsigned bytes, int64_t otherwise)
{
	size_t at = find_field(flat, table, field, bytes);
	unsigned unused = 64 - 8 * bytes;

	if (at == 0)
		return otherwise;
	return (int64_t)(get(flat, at, bytes) << unused) >> unused;
}

struct flat_table flat_table(struct flat *flat, const struct flat_table *table, unsigned field)
{
	size_t at = find_field(flat, table, field, OFFSET_BYTES);

	at = at != 0 ? follow(flat, at) : 0;
	return at != 0 ? open_table(flat, at) : (struct flat_table){ 0 };
}

struct flat_vector flat_vector(struct flat *flat, const struct flat_table *table, unsigned field,
                               size_t element_bytes)
{
	size_t at = find_field(flat, table, field, OFFSET_BYTES);
	size_t count;

	at = at != 0 ? follow(flat, at) : 0;
	if (at == 0)
		return (struct flat_vector){ 0 };
	count = (size_t)get(flat, at, OFFSET_BYTES);
	at += OFFSET_BYTES;
	if (!within(flat, at, count * element_bytes)) /* both are below 2^32 */
		return (struct flat_vector){ 0 };
	return (struct flat_vector){ at, count };
}

struct flat_table flat_element(struct flat *flat, const struct flat_vector *vector, size_t index)
{
	size_t at = index < vector->count ? follow(flat, vector->at + OFFSET_BYTES * index) : 0;

	return at != 0 ? open_table(flat, at) : (struct flat_table){ 0 };
}

int64_t flat_int64(struct flat *flat, size_t at)
{
	return within(flat, at, 8) ? (int64_t)get(flat, at, 8) : 0;
}

/* ---- writing ---- */

void flat_builder_free(struct flat_builder *builder)
{
	free(builder->bytes);
	memset(builder, 0, sizeof(*builder));
}

/* Append bytes, or zeros where they are NULL. */
static void append(struct flat_builder *builder, const void *bytes, size_t length)
{
	size_t needed = builder->length + length;

	if (builder->failed || length == 0)
		return;
	if (needed > builder->room) {
		size_t room = 2 * needed > ROOM_MIN ? 2 * needed : ROOM_MIN;
		unsigned char *grown = realloc(builder->bytes, room);

		if (grown == NULL) {
			builder->failed = true;
			return;
		}
		builder->bytes = grown;
		builder->room = room;
	}
	if (bytes != NULL)
		memcpy(builder->bytes + builder->length, bytes, length);
	else
		memset(builder->bytes + builder->length, 0, length);
	builder->length = needed;
}

void flat_put(struct flat_builder *builder, const void *bytes, size_t length)
{
	append(builder, bytes, length);
}

void flat_align(struct flat_builder *builder, size_t alignment)
{
	append(builder, NULL, (alignment - builder->length % alignment) % alignment);
}

void flat_set(struct flat_builder *builder, size_t place, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && !builder->failed; i++)
		builder->bytes[place + i] = (unsigned char)(value >> (8 * i));
}

size_t flat_put_table(struct flat_builder *builder, const unsigned char *sizes, unsigned count,
                      size_t *places)
{
	size_t description, table, offset = OFFSET_BYTES;

	flat_align(builder, OFFSET_BYTES);
	description = builder->length;
	append(builder, NULL, DESCRIPTION_BYTES + FIELD_BYTES * count);
	/* so that a field is aligned where its offset is */
	flat_align(builder, 8);
	table = builder->length;
	for (unsigned i = 0; i < count; i++) {
		places[i] = 0;
		if (sizes[i] == 0)
			continue;
		offset += (sizes[i] - offset % sizes[i]) % sizes[i];
		places[i] = table + offset;
		flat_set(builder, description + DESCRIPTION_BYTES + FIELD_BYTES * i, offset,
		         FIELD_BYTES);
		offset += sizes[i];
	}
	append(builder, NULL, offset);
	flat_set(builder, table, table - description, OFFSET_BYTES);
	flat_set(builder, description, DESCRIPTION_BYTES + FIELD_BYTES * count, FIELD_BYTES);
	flat_set(builder, description + FIELD_BYTES, offset, FIELD_BYTES);
	return table;
}

void flat_refer(struct flat_builder *builder, size_t place, size_t alignment)
{
	flat_align(builder, alignment);
	flat_set(builder, place, builder->length - place, OFFSET_BYTES);
}

size_t flat_put_vector(struct flat_builder *builder, size_t place, size_t count, size_t alignment)
{
	unsigned char bytes[OFFSET_BYTES];

	/* what is aligned is the first element, behind the count */
	while (!builder->failed && (builder->length + OFFSET_BYTES) % alignment != 0)
		append(builder, NULL, 1);
	flat_align(builder, OFFSET_BYTES);
	flat_set(builder, place, builder->length - place, OFFSET_BYTES);
	for (unsigned i = 0; i < OFFSET_BYTES; i++)
		bytes[i] = (unsigned char)(count >> (8 * i));
	append(builder, bytes, sizeof(bytes));
	return builder->length;
}

void flat_put_string(struct flat_builder *builder, size_t place, const char *text)
{
	(void)flat_put_vector(builder, place, strlen(text), OFFSET_BYTES);
	append(builder, text, strlen(text) + 1);
}
