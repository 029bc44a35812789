/*
 * index.h - the table from ID to slot: open addressing, linear probing, 4 bytes an
 * entry; keys are compared in the ids column. One writer (the store's writer lock),
 * readers without locks inside an epoch section.
 */
#ifndef QUIVER_INDEX_H
#define QUIVER_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "columns.h"
#include "io.h"

struct index_table;

struct index {
	const struct columns *columns;
	struct index_table *_Atomic table; /* written under the writer lock */
	_Atomic uint64_t count; /* writer lock */
	uint64_t tombs; /* writer lock; removed entries that still cost probes */
};

/* An empty table with room for `expected` IDs. 0 or -ENOMEM. */
int index_init(struct index *index, const struct columns *columns, uint64_t expected);
void index_destroy(struct index *index);

/* Slot of `id`, or SLOT_NONE. Inside an epoch section, or under the writer lock. */
uint64_t index_find(const struct index *index, uint64_t id);
/* For an ID that was not found: whether every row that the search has passed matches its
 * checksum. One that does not may be the row of that ID. As index_find. */
bool index_way_is_sound(const struct index *index, uint64_t id);

/* Make sure that `count` inserts will not need memory. 0 or -ENOMEM. Writer lock; may
 * rebuild the table, and then waits for readers of the old one. */
int index_make_room(struct index *index, uint64_t count);
/* Rebuild without removed entries, where there are any. As index_make_room. */
int index_drop_tombs(struct index *index);
/* Add an ID that is not there. Its row must be written. Writer lock. */
void index_insert(struct index *index, uint64_t id, uint64_t slot);
/* The ID moves from slot `old` to `slot`. Writer lock. */
void index_replace(struct index *index, uint64_t id, uint64_t old, uint64_t slot);
/* Writer lock. */
void index_remove(struct index *index, uint64_t id, uint64_t slot);

uint64_t index_bytes(const struct index *index);

/* The snapshot, FORMAT.md. What it is of: */
struct index_stamp {
	uint8_t uuid[16];
	uint64_t lsn;
	uint64_t slots_used;
};
/* Write the file `index` (through `index.new`, synced, renamed, folder synced). `live`
 * is the live map, slots_used bits. Writer lock, nobody else there. 0 or -errno. */
int index_save(struct index *index, const struct quiver_io *io, int dir_fd,
               const struct index_stamp *stamp, const uint64_t *live);
/* Read it. On success the index is initialised (table in memory, count set) and *live
 * (malloc'd, the caller frees) holds the map. -ENOENT, -ESTALE it is of something else,
 * -EBADMSG damaged: rebuild then; -ENOMEM; -errno of the reads. */
int index_load(struct index *index, const struct columns *columns, const struct quiver_io *io,
               int dir_fd, const struct index_stamp *stamp, uint64_t **live);

#endif
