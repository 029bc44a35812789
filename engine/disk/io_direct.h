/*
 * io_direct.h - reading past the kernel's cache, as fast as the device is: what the disk itself
 * has, which after a write that failed may be less than the kernel shows.
 */
#ifndef QUIVER_IO_DIRECT_H
#define QUIVER_IO_DIRECT_H

#include "engine/disk/io.h"

/* Of offset, length and memory: any disk is content with it. */
#define IO_DIRECT_BYTES UINT64_C(4096)

/* Memory for `bytes` bytes to be read to, in huge pages where the kernel has any: a request to the
 * device then names a few pieces and not hundreds, which is twice as fast. The caller frees it;
 * NULL: there is none. */
uint8_t *io_direct_alloc(uint64_t bytes);
/* Read `length` bytes from `offset` on, through a descriptor that was opened with O_DIRECT. Both
 * `offset` and `to` are multiples of IO_DIRECT_BYTES, and there is room for `length` rounded up to
 * one. 0; -ENODATA the file ends before; -EINVAL this filesystem has no such thing; -errno. */
int io_read_direct(const struct quiver_io *io, int fd, uint8_t *to, uint64_t length,
                   uint64_t offset);

#endif
