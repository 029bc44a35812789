/*
 * description.h - what a description of a store may say.
 */
#ifndef QUIVER_DESCRIPTION_H
#define QUIVER_DESCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

/* Whether `length` bytes are UTF-8 (RFC 3629) without control characters: no C0, DEL or C1, so what
 * is shown cannot steer a terminal. Any thread. */
bool description_label_is_valid(const char *text, size_t length);
/* Whether vectors of `dtype` can be compared so; false for a number that is no metric. */
bool description_fits_metric(enum quiver_dtype dtype, uint32_t metric);

#endif
