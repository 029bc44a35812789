/*
 * put_records.h - the records in one write(2) to control/put. Pure functions.
 */
#ifndef PUT_RECORDS_H
#define PUT_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

/*
 * Split `size` bytes into records, each an ID as little-endian uint64 and a vector
 * of `vector_bytes`. *records, to be freed by the caller, points into `bytes`.
 * -EINVAL no whole records, none, or an ID out of range: error says what;
 * -ENOMEM. *records is NULL on failure.
 */
int put_records(const char *bytes, size_t size, uint32_t vector_bytes,
                struct quiver_record **records, size_t *count, struct quiver_error *error);

#endif
