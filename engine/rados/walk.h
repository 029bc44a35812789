/*
 * walk.h - all objects of a collection, each with its rows, and many at once.
 */
#ifndef QUIVER_RADOS_WALK_H
#define QUIVER_RADOS_WALK_H

#include "engine/rados/collection.h"
#include "engine/rados/flight.h"
#include "engine/rados/rows.h"
#include "engine/rados/scan.h"

struct walk {
	struct connection *connection;
	const char *collection; /* its name */
	struct layout layout;
	bool with_bytes; /* the flight also brings what the object's slots hold */
	/*
	 * Called by the thread of walk_run for each data object, in no order, as it was at one
	 * moment, but that `removed` may be missing. `flight` has landed; its `bytes` are the
	 * object's, `bytes_read` of them. Where with_bytes has failed with -EIO, as of a damaged
	 * replica, its bytes are NULL: it is told with its rows alone. Who keeps the flight sets
	 * *flight to NULL. Not 0 ends the walk.
	 */
	int (*object)(void *arg, uint64_t number, struct flight **flight, const struct rows *rows);
	/* For what a repair has moved aside; may be NULL. */
	int (*lost)(void *arg, const char *object);
	/* For an object that the cluster did not answer for in time, as one whose replicas are all
	 * lost; NULL: that ends the walk with -ETIMEDOUT. */
	int (*unread)(void *arg, const char *object);
	void *arg;
};

/* 0; what a callback has returned; what librados says, -EINTR, -ENOMEM. An object that goes
 * meanwhile is left out: whether the collection is there has to be asked. */
int walk_run(const struct walk *walk);

#endif
