/*
 * error.h - fill a quiver_error.
 */
#ifndef QUIVER_ERROR_H
#define QUIVER_ERROR_H

#include "engine/quiver.h"

/* printf-like; a longer text is cut. `error` may be NULL. */
void error_set(struct quiver_error *error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
