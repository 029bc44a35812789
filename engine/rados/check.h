/*
 * check.h - reading all of a collection and comparing it, and moving aside what does not fit; while
 * others have it open.
 */
#ifndef QUIVER_RADOS_CHECK_H
#define QUIVER_RADOS_CHECK_H

#include "engine/rados/collection.h"

/* As quiver_check_with. */
int collection_check(const char *path, const char *access, bool repair,
                     void (*say)(void *arg, const char *line), void *arg,
                     struct quiver_check_result *result, struct quiver_error *error);

#endif
