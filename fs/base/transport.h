/*
 * transport.h - how requests get from the kernel to us.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdint.h>

#include "fs/base/fs.h"

/* Largest batch that one write(2) to control/put may carry, for vectors of
 * `vector_bytes`. One page less than the largest request: what the kernel cuts a
 * longer write(2) into is always more than this, so that it is refused as a whole
 * instead of being committed in pieces. */
uint32_t transport_put_bytes(uint32_t vector_bytes);

/* The largest request: the above and the page more that a buffer needs which does
 * not begin on a page. A multiple of the page size. */
uint32_t transport_request_bytes(uint32_t vector_bytes);

/* "io_uring" or "dev_fuse": what is used now. Static strings. */
const char *transport_name(const struct fs *fs);

/* Why it is that one, in words; valid as long as fs. */
const char *transport_reason(const struct fs *fs);

#endif
