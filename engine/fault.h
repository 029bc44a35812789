/*
 * fault.h - read from a memory map that may raise SIGBUS.
 *
 * A disk that fails under the map, or a file cut behind our back, raises
 * SIGBUS in the thread that touches the page. These functions turn it into
 * -EIO. The handler is installed once per process by the first fault_init and
 * passes every SIGBUS that is not ours on to the handler that was there.
 */
#ifndef QUIVER_FAULT_H
#define QUIVER_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* Install the handler; later calls do nothing. 0 or -errno. Any thread. */
int fault_init(void);

/* memcpy from a map. 0 or -EIO (`to` then holds rubbish). Any thread. */
int fault_copy(void *to, const void *from, size_t length);

/* XXH3-64 of bytes in a map, in *hash. 0 or -EIO. Any thread. */
int fault_hash(const void *from, size_t length, uint64_t *hash);

#endif
