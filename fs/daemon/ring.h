/*
 * ring.h - whether requests can come by io_uring.
 */
#ifndef RING_H
#define RING_H

#include <stdint.h>

#include "fs/base/fs.h"
#include "fs/daemon/options.h"

/* Requests in flight for each core under io_uring. */
unsigned ring_queue_depth(uint32_t request_bytes);

/*
 * Whether io_uring can be used, as far as it can be told before the mount: sets
 * fs->want_io_uring and fs->transport_reason. Changes nothing in the system.
 * -ENOTSUP where `wish` is IO_URING_ON and it cannot; the reason is set.
 */
int ring_choose(struct fs *fs, enum io_uring_wish wish);

#endif
