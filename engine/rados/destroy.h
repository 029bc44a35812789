/*
 * destroy.h - removing a collection with all that is in it.
 */
#ifndef QUIVER_RADOS_DESTROY_H
#define QUIVER_RADOS_DESTROY_H

#include "engine/quiver.h"

/* As quiver_destroy. */
int collection_destroy(const char *path, const char *access, struct quiver_error *error);

#endif
