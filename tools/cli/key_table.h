/*
 * key_table.h - which number each of many strings has.
 *
 * Exact, and all of it in memory: the bytes of the strings and about 20 for each. One thread.
 */
#ifndef KEY_TABLE_H
#define KEY_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct key_table {
	char *bytes; /* of all keys, one after another */
	size_t bytes_used, bytes_room;
	struct key_entry *entries;
	size_t count, room;
	uint32_t *slots; /* of a power of two: an entry and one, 0 is free */
	size_t slots_count;
	uint64_t seed; /* so that nobody can choose keys that meet in one slot */
};

/* Zeros are an empty table. */

/* The number of a key, to *number: the one it has, or else `next`, which it has from now on. 1 where
 * it is new, 0, or -ENOMEM. */
int key_table_add(struct key_table *table, const char *key, size_t length, uint64_t next,
                  uint64_t *number);

/* Give the memory back. */
void key_table_free(struct key_table *table);

#endif
