/*
 * damage.h - the line for a vector that does not fit its checksum.
 */
#ifndef QUIVER_RADOS_DAMAGE_H
#define QUIVER_RADOS_DAMAGE_H

#include "engine/rados/collection.h"

/* -EIO, counted and reported. Any thread. */
int damage_report(struct collection *collection, uint64_t id);

#endif
