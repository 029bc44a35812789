/*
 * list_slots.h - what a listing has: the slots that held a vector at its moment, and whose they were.
 *
 * The map of the slots is copied at that moment, a bit for each. Whose they were is read from the
 * columns as somebody asks, which takes as long as the disk does; nobody waits for it. So whoever
 * empties a row says first which ID was in it (list_slots_row_goes).
 */
#ifndef QUIVER_LIST_SLOTS_H
#define QUIVER_LIST_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;

/* Slots whose rows have been emptied since, and the IDs that were in them. */
struct list_gone {
	uint32_t *slots; /* malloc'd; slot + 1, 0: nothing in this place */
	uint64_t *ids; /* malloc'd */
	uint64_t places; /* a power of two, or 0 */
	uint64_t count;
};

/* Its vectors are numbered from 0 on in the order of their slots, damaged ones too. */
struct list_slots {
	struct list_slots *next; /* fill lock */
	uint64_t *words; /* malloc'd; the map of slots */
	uint64_t *before; /* malloc'd; for each block of words: bits in those before it */
	uint64_t room; /* words that there is memory for */
	uint64_t count; /* words */
	uint64_t bits;
	struct list_gone gone; /* fill lock */
	int error; /* fill lock; -ENOMEM: one that has gone could not be noted */
	uint64_t known; /* fill lock; so many were read, from the first on */
	uint64_t *
		damaged; /* fill lock; malloc'd: those of them whose rows do not match, ascending */
	size_t damaged_count, damaged_room; /* fill lock */
};

/* Memory for the slots in use now. 0 or -ENOMEM. No lock held. */
int list_slots_make_room(struct list_slots *slots, struct catalog *catalog);
/* The slots of this moment; told of rows that go from now on. 0; -EAGAIN there are more than there is
 * room for. The publish lock held. */
int list_slots_take(struct list_slots *slots, struct catalog *catalog);
/* Before the first read: count them. No lock held. */
void list_slots_count(struct list_slots *slots);
/* Not told any more, and all memory freed. Also of one for which nothing was taken. */
void list_slots_end(struct list_slots *slots, struct catalog *catalog);

/* IDs from `position` on, which counts those that are not damaged: how many, at most `max`; 0 at the
 * end; -ENOMEM; with QUIVER_NOWAIT -EAGAIN where a row would have to be read from the disk, as far as
 * can be seen. Damaged ones are reported when they are met first. Any thread. */
int64_t list_slots_read(struct list_slots *slots, struct catalog *catalog, uint64_t position,
                        unsigned flags, uint64_t *ids, size_t max);
/* Damaged ones that were met. Any thread. */
size_t list_slots_damaged(struct list_slots *slots, struct catalog *catalog);
/* Whether there was no memory to note a row that has gone, so that it cannot be read. Any thread. */
bool list_slots_failed(struct list_slots *slots, struct catalog *catalog);
/* Memory of it, but for what is noted of rows that go. */
uint64_t list_slots_bytes(const struct list_slots *slots);

/* The row of a slot is about to be emptied that was that of `id`. The fill lock held. */
void list_slots_row_goes(struct list_slots *slots, uint64_t slot, uint64_t id);

#endif
