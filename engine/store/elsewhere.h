/*
 * elsewhere.h - stores that are not a local folder: the module that brings their kind.
 */
#ifndef QUIVER_ELSEWHERE_H
#define QUIVER_ELSEWHERE_H

#include "engine/store/kind.h"

/*
 * The module for the store that `path` names, loaded where it is not yet; it stays. NULL where the
 * path is a local folder (*r is 0), or where there is none that fits: then *r is -EOPNOTSUPP and
 * `error`, if not NULL, says what is missing. Any thread.
 */
const struct quiver_module *elsewhere_module(const char *path, int *r, struct quiver_error *error);

/* -EINVAL, said in `error`, where there are words on how a local folder is reached; else 0. */
int elsewhere_refuse(const char *path, const char *access, struct quiver_error *error);

/* Whether the calling thread is to stop waiting: quiver_set_interrupt. */
bool elsewhere_is_interrupted(void);

#endif
