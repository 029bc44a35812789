/*
 * transport.h - how requests get from the kernel to us.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/base/fs.h"
#include "fs/daemon/options.h"

/* Largest batch that one write(2) to control/put may carry, for vectors of
 * `vector_bytes`. One page less than the largest request: what the kernel cuts a
 * longer write(2) into is always more than this, so that it is refused as a whole
 * instead of being committed in pieces. */
uint32_t transport_put_bytes(uint32_t vector_bytes);

/* The largest request: the above and the page more that a buffer needs which does
 * not begin on a page. A multiple of the page size. */
uint32_t transport_request_bytes(uint32_t vector_bytes);

/* Requests in flight for each core under io_uring. */
unsigned transport_queue_depth(uint32_t request_bytes);

/*
 * Whether io_uring can be used, as far as it can be told before the mount: sets
 * fs->want_io_uring and fs->transport_reason. Changes nothing in the system.
 * -ENOTSUP where `wish` is IO_URING_ON and it cannot; the reason is set.
 */
int transport_choose(struct fs *fs, enum io_uring_wish wish);

/* "io_uring" or "dev_fuse": what is used now. Static strings. */
const char *transport_name(const struct fs *fs);

/* Why it is that one, in words; valid as long as fs. */
const char *transport_reason(const struct fs *fs);

#endif
