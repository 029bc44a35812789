/*
 * create.h - making a collection.
 */
#ifndef QUIVER_RADOS_CREATE_H
#define QUIVER_RADOS_CREATE_H

#include "engine/quiver.h"

/* As struct quiver_module's create; kind.h. */
int collection_create(const char *path, const struct quiver_geometry *geometry,
                      const struct quiver_description *description,
                      const struct quiver_create_options *options, struct quiver_error *error);

#endif
