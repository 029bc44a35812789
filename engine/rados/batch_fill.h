/*
 * batch_fill.h - the operation that writes those vectors of a batch that are in one object.
 */
#ifndef QUIVER_RADOS_BATCH_FILL_H
#define QUIVER_RADOS_BATCH_FILL_H

#include "engine/rados/collection.h"
#include "engine/rados/flight.h"
#include "engine/rados/rows.h"

struct batch_call { /* as it came */
	struct collection *collection;
	const struct quiver_record *records;
	const struct quiver_attr *attr;
	unsigned attr_mask;
	/* Those of `records` that count, by their IDs. */
	uint32_t *order;
	size_t count;
};

/* What the operation relies on; FORMAT.md, "Who writes what". */
enum batch_guard {
	BATCH_NO_OBJECT,
	BATCH_VERSION, /* the object's, of the flight that brought the rows */
	BATCH_ROWS, /* each one's row, and `removed` */
};

struct batch_part { /* of one object */
	size_t first; /* in `order` */
	uint32_t count;
	enum batch_guard guard;
	uint64_t version;
	struct tag tag; /* of its first; each next one's counter is one more */
};

/* `rows` is NULL where there is no object. 0 or -ENOMEM. */
int batch_fill(struct flight *flight, const struct batch_call *call, const struct batch_part *part,
               const struct rows *rows);

#endif
