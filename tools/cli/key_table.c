/*
 * key_table.c - which number each of many strings has.
 */
#include "tools/cli/key_table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define FIRST_ROOM 1024u

struct key_entry {
	size_t offset; /* in the bytes of all */
	uint64_t number;
	uint32_t length;
	uint32_t hash; /* the half that does not choose the slot */
};

static uint64_t hash_of(const struct key_table *table, const char *key, size_t length)
{
	return XXH3_64bits_withSeed(key, length, table->seed);
}

/* Room for one thing more, `size` bytes each. */
static int grow(void **things, size_t *room, size_t needed, size_t size)
{
	size_t more = *room > 0 ? *room : FIRST_ROOM;
	void *grown;

	if (needed <= *room)
		return 0;
	while (more < needed) {
		if (more > SIZE_MAX / 2 / size)
			return -ENOMEM;
		more *= 2;
	}
	grown = realloc(*things, more * size);
	if (grown == NULL)
		return -ENOMEM;
	*things = grown;
	*room = more;
	return 0;
}

/* The slot of a key, or the free one that it would get. */
static size_t find(const struct key_table *table, uint64_t hash, const char *key, size_t length)
{
	size_t slot = (size_t)hash & (table->slots_count - 1);

	for (; table->slots[slot] != 0; slot = (slot + 1) & (table->slots_count - 1)) {
		const struct key_entry *entry = &table->entries[table->slots[slot] - 1];

		if (entry->hash == (uint32_t)(hash >> 32) && entry->length == length &&
		    memcmp(table->bytes + entry->offset, key, length) == 0)
			break;
	}
	return slot;
}

/* Twice as many slots, before two of three are taken. */
static int make_slots(struct key_table *table)
{
	size_t count = table->slots_count > 0 ? table->slots_count * 2 : FIRST_ROOM;
	uint32_t *before = table->slots, *slots;

	if (table->count + 1 <= table->slots_count / 3 * 2)
		return 0;
	if (table->count == 0 &&
	    getrandom(&table->seed, sizeof(table->seed), 0) != (ssize_t)sizeof(table->seed))
		return -EIO;
	if (table->count + 1 >= UINT32_MAX)
		return -ENOMEM;
	slots = calloc(count, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	table->slots = slots;
	table->slots_count = count;
	for (size_t i = 0; i < table->count; i++) {
		const struct key_entry *entry = &table->entries[i];
		const char *key = table->bytes + entry->offset;
		uint64_t hash = hash_of(table, key, entry->length);

		slots[find(table, hash, key, entry->length)] = (uint32_t)i + 1;
	}
	free(before);
	return 0;
}

int key_table_add(struct key_table *table, const char *key, size_t length, uint64_t next,
                  uint64_t *number)
{
	struct key_entry *entry;
	int result = make_slots(table);
	uint64_t hash;
	size_t slot;

	if (result < 0)
		return result;
	hash = hash_of(table, key, length);
	slot = find(table, hash, key, length);
	if (table->slots[slot] != 0) {
		*number = table->entries[table->slots[slot] - 1].number;
		return 0;
	}
	if (length > UINT32_MAX ||
	    grow((void **)&table->bytes, &table->bytes_room, table->bytes_used + length, 1) < 0 ||
	    grow((void **)&table->entries, &table->room, table->count + 1, sizeof(*entry)) < 0)
		return -ENOMEM;
	entry = &table->entries[table->count++];
	entry->offset = table->bytes_used;
	entry->number = next;
	entry->length = (uint32_t)length;
	entry->hash = (uint32_t)(hash >> 32);
	memcpy(table->bytes + table->bytes_used, key, length);
	table->bytes_used += length;
	table->slots[slot] = (uint32_t)table->count;
	*number = next;
	return 1;
}

void key_table_free(struct key_table *table)
{
	free(table->bytes);
	free(table->entries);
	free(table->slots);
	memset(table, 0, sizeof(*table));
}
