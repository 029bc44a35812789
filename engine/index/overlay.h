/*
 * overlay.h - rows of live slots whose attributes have changed since the last checkpoint.
 *
 * A live row on disk may change only when a synced log record can mend it, so
 * quiver_set_attr changes it here; the checkpoint writes it to meta.npy later.
 */
#ifndef QUIVER_OVERLAY_H
#define QUIVER_OVERLAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/disk/columns.h"

struct overlay_row {
	uint64_t slot; /* SLOT_NONE: an empty place */
	uint64_t id;
	uint64_t lsn; /* of the commit that set the attributes */
	struct meta_row row;
};

struct overlay {
	pthread_mutex_t lock;
	struct overlay_row *rows; /* lock; open addressing */
	size_t places; /* lock; a power of two, or 0 */
	_Atomic size_t count; /* changed under the lock; read without it to pass by */
};

void overlay_init(struct overlay *overlay);
void overlay_destroy(struct overlay *overlay);
/* Room for `count` more; gives back what a burst has left. 0 or -ENOMEM. Writer lock. */
int overlay_make_room(struct overlay *overlay, size_t count);
/* Room must have been made. Writer lock. */
void overlay_put(struct overlay *overlay, const struct overlay_row *row);
/* True and *row where `slot` has one. Any thread. */
bool overlay_get(struct overlay *overlay, uint64_t slot, struct meta_row *row);
/* The slot's row is gone (retired) - or was written at the checkpoint, in which case only if
 * it is not newer than `lsn`. */
void overlay_drop(struct overlay *overlay, uint64_t slot, uint64_t lsn);
/* A copy of all rows, malloc'd; *count of them. 0 or -ENOMEM. */
int overlay_copy(struct overlay *overlay, struct overlay_row **rows, size_t *count);

#endif
