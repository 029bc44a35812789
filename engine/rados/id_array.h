/*
 * id_array.h - IDs in memory, 8 bytes each, that are added one by one and sorted in their place.
 */
#ifndef QUIVER_RADOS_ID_ARRAY_H
#define QUIVER_RADOS_ID_ARRAY_H

#include <stddef.h>
#include <stdint.h>

struct id_array { /* zeros at first */
	uint64_t *ids; /* malloc'd; given back with free */
	size_t count;
	size_t room;
};

/* 0 or -ENOMEM. */
int id_array_add(struct id_array *array, uint64_t id);
/* In ascending order, each once, and no more memory than that. Takes none of its own. */
void id_array_finish(struct id_array *array);

#endif
