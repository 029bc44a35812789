/*
 * index_table.h - the table inside an index; index.c and index_file.c only.
 */
#ifndef QUIVER_INDEX_TABLE_H
#define QUIVER_INDEX_TABLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_EMPTY 0u
#define INDEX_TOMB 1u
#define INDEX_SLOT0 2u /* an entry is the slot plus this */

struct index_table {
	size_t bytes; /* of the mapping */
	uint64_t mask; /* entries - 1 */
	_Atomic uint32_t entries[];
};

/* All empty; NULL without memory. `entries` is a power of two. */
struct index_table *index_table_new(uint64_t entries);
void index_table_free(struct index_table *table);

#endif
