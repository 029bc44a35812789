/*
 * inspect.h - every vector of a collection, read and compared with its row.
 */
#ifndef QUIVER_RADOS_INSPECT_H
#define QUIVER_RADOS_INSPECT_H

#include "engine/rados/collection.h"

/* What an object has besides its vectors. */
struct inspected {
	char name[OBJECT_NAME_BYTES];
	bool is_beyond; /* of IDs that no vector has: nothing else is told of it */
	uint32_t vectors; /* damaged ones as well */
	uint32_t left; /* rows of a collection of this name that has been removed */
	uint32_t others; /* keys that mean nothing */
	bool has_more; /* there may be more of those */
};

struct inspection {
	struct collection *collection;
	/* Each vector: `fault` is what is wrong with it, NULL where all fits. Not 0 ends the
	 * inspection. */
	int (*vector)(void *arg, uint64_t id, const char *fault);
	/* Each object, behind its vectors. As vector. May be NULL. */
	int (*object)(void *arg, const struct inspected *object);
	int (*lost)(void *arg, const char *object); /* as that of a walk; may be NULL */
	int (*unread)(void *arg, const char *object); /* the same */
	void *arg;
};

/* 0; what a callback has returned; what the call is to return (reported). The calling thread may be
 * told to stop (flight_stop, quiver_set_interrupt): -EINTR. */
int inspect(const struct inspection *inspection);

#endif
