/*
 * rows.h - what the omap of one data object says, as a flight has brought it.
 */
#ifndef QUIVER_RADOS_ROWS_H
#define QUIVER_RADOS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/rados/flight.h"
#include "engine/rados/layout.h"

/* A value as it was found, whatever it says; of the flight. */
struct value {
	const char *bytes; /* NULL: no such key */
	size_t length;
};

struct rows {
	struct value *slots; /* one for each slot */
	uint32_t slot_count;
	struct value removed;
	uint32_t present; /* slots that have a value */
	uint32_t others; /* keys of another form */
	bool has_more; /* there may be more of those; set by who asked */
};

/* For objects of `slot_count` slots. 0 or -ENOMEM; given back with rows_free. */
int rows_make(struct rows *rows, uint32_t slot_count);
void rows_free(struct rows *rows);

/* Have a flight bring them, before it is sent. It may come back with rows_more, as the OSDs have a
 * bound of their own: then not all are there, and the other is the way. */
void rows_ask(struct flight *flight, uint32_t slot_count);
/* Those of these slots (NULL: of all below `count`), and `removed`: always all of them. 0 or
 * -ENOMEM. */
int rows_ask_keys(struct flight *flight, const uint32_t *slots, uint32_t count);

/* What it brought: valid until flight_free. */
void rows_take(struct rows *rows, struct flight *flight);

#endif
