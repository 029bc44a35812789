/*
 * put_records.h - the records in one write(2) to control/put. Pure functions.
 */
#ifndef PUT_RECORDS_H
#define PUT_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/quiver.h"

/*
 * Two forms. Records of an ID as little-endian uint64 and a vector; or, where the first of them
 * would have an ID that there is not, this head and records with attributes:
 *
 *   head    0  8  PUT_MARK
 *           8  4  bytes before the vector in each record: 32
 *          12  4  0
 *   record  0  8  ID
 *           8  8  mtime, ns since 1970
 *          16  4  uid
 *          20  4  gid
 *          24  4  mode, 07777 at most
 *          28  4  which of the four are meant: QUIVER_ATTR_*
 *          32  N  vector
 */
#define PUT_MARK UINT64_C(0xffffffff31415651) /* "QVA1" */
#define PUT_HEAD_BYTES 16u
#define PUT_RECORD_BYTES 32u

/*
 * Split `size` bytes into records with a vector of `vector_bytes` each. *records, to be freed by
 * the caller, points into `bytes` and into itself; records of the first form have no attributes
 * of their own.
 * -EINVAL no whole records, none, an ID or attributes out of range: error says what;
 * -ENOMEM. *records is NULL on failure.
 */
int put_records(const char *bytes, size_t size, uint32_t vector_bytes,
                struct quiver_record **records, size_t *count, struct quiver_error *error);

#endif
