/*
 * stores.h - which collections there are in a place.
 */
#ifndef QUIVER_RADOS_STORES_H
#define QUIVER_RADOS_STORES_H

#include "engine/quiver.h"

/* As quiver_stores. */
int stores_list(const char *place, const char *access, void (*found)(void *arg, const char *name),
                void *arg, struct quiver_error *error);

#endif
