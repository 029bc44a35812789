/*
 * scan.h - the objects of a pool and namespace by their names.
 *
 * librados lists while its caller waits, and cannot be interrupted: threads of the scan do it, each
 * a part of the objects, and put what they find into a queue that is bounded.
 */
#ifndef QUIVER_RADOS_SCAN_H
#define QUIVER_RADOS_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/rados/connection.h"
#include "engine/rados/layout.h"

struct scan_item {
	enum layout_what what; /* never LAYOUT_OTHER */
	uint64_t object; /* of LAYOUT_DATA */
	char name[OBJECT_NAME_BYTES]; /* of the object */
	uint8_t collection_bytes; /* of it the name of the collection */
};

struct scan;
/* Of one collection, or of all where `collection` is NULL. 0; -ENOMEM, -EAGAIN no thread. Given back
 * with scan_end. */
int scan_begin(struct connection *connection, const char *collection, struct scan **out);
/*
 * The next: 1 and one in *item; 0 there are no more; -EAGAIN none yet (only without `wait`);
 * -EINTR this thread is to stop waiting; what librados says of a listing. An object that is there
 * all the while comes once; one that comes or goes meanwhile may.
 */
int scan_next(struct scan *scan, bool wait, struct scan_item *item);
/* Its threads end when librados lets them. NULL is allowed. */
void scan_end(struct scan *scan);

#endif
