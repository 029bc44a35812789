/*
 * deferred_frees.h - slots whose vectors were superseded or removed: they are free once a
 * checkpoint has made that durable and no reader is inside.
 */
#ifndef QUIVER_DEFERRED_FREES_H
#define QUIVER_DEFERRED_FREES_H

#include <stddef.h>
#include <stdint.h>

struct deferred_free {
	uint64_t slot;
	uint64_t id; /* whose it was */
	uint64_t lsn; /* of the commit that superseded it */
};

/* Whoever has one guards it. */
struct deferred_free_list {
	struct deferred_free *items;
	size_t count;
	size_t capacity;
};

/* A list of slots. */
struct slot_list {
	uint64_t *items;
	size_t count;
	size_t capacity;
};

/* Room for `count` more. 0 or -ENOMEM. */
int deferred_frees_make_room(struct deferred_free_list *list, size_t count);
int slot_list_make_room(struct slot_list *list, size_t count);

#endif
