/*
 * versions_table.h - rows that have ended, found by ID and by slot. No locks: versions.h tells who may.
 */
#ifndef QUIVER_VERSIONS_TABLE_H
#define QUIVER_VERSIONS_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct version {
	uint64_t id;
	uint64_t born; /* LSN of the row: since when the slot has had these bytes */
	uint64_t from; /* since when the row has held */
	uint64_t until; /* ... and until when */
	uint32_t slot;
	uint32_t place; /* of its record in the file; of a pending one unused */
	uint32_t next_of_id; /* its number and one, 0 at the end */
	uint32_t next_of_slot;
	uint8_t kind; /* enum version_kind */
};

struct versions_table {
	struct version *items; /* owned, as the next two */
	uint32_t *by_id; /* number and one of the first of a chain, 0: none */
	uint32_t *by_slot;
	size_t count;
	size_t capacity; /* of items */
	size_t chains; /* of each, a power of two; 0: nothing has been made */
};

/* Room for `capacity` at least. 0, -ENOMEM, -ENOSPC more than can be numbered. */
int versions_table_make(struct versions_table *table, size_t capacity);
/* The same items, in their order, with room for `capacity` at least, which is not below their number.
 * 0, -ENOMEM, -ENOSPC. */
int versions_table_copy(const struct versions_table *table, size_t capacity,
                        struct versions_table *copy);
void versions_table_free(struct versions_table *table);
/* There is room; its links are set here. */
void versions_table_add(struct versions_table *table, const struct version *version);
/* Walk the chain in which an ID, or a slot, would be: number and one of an item, 0 at its end. Other
 * IDs are in it, too. */
uint32_t versions_table_id_chain(const struct versions_table *table, uint64_t id);
uint32_t versions_table_slot_chain(const struct versions_table *table, uint64_t slot);

#endif
