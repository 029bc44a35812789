/*
 * fault.h - read and store in a memory map that may raise SIGBUS.
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

/* As fault_copy, word by word, beside a fault_store of the same bytes: words may be of before and
 * after it. `from` is at a multiple of 8, and `length` is one. 0 or -EIO (`to` then holds
 * rubbish). Any thread. */
int fault_load(void *to, const void *from, size_t length);
/* Store words of 8 bytes in a map, each at once for who loads it; `to`, which is at a
 * multiple of 8, and `length` in bytes. 0 or -EIO (some may be stored). Any thread. */
int fault_store(void *to, const void *from, size_t length);

/* memcpy into a shared map. 0 or -EIO (some may be stored). Any thread. */
int fault_fill(void *to, const void *from, size_t length);

/* XXH3-64 of bytes in a map, in *hash. 0 or -EIO. Any thread. */
int fault_hash(const void *from, size_t length, uint64_t *hash);

/* Call `read` with `arg`, which reads in `length` bytes from `from` on, and may be left at any place:
 * it takes no lock, no memory, and changes nothing that has to be whole. 0 or -EIO. Any thread. */
int fault_run(const void *from, size_t length, void (*read)(void *arg), void *arg);

/* For words of a map that are read too often to be guarded one by one: from now on a page of
 * these bytes that cannot be read is replaced, until it is mapped anew, by one of 0xFF. The map
 * begins at a page. 0; -EMFILE FAULT_COVERS_MAX are covered. After fault_init. Any thread. */
#define FAULT_COVERS_MAX 256 /* stores that one process has open */
int fault_cover(const void *map, size_t length);
/* Before the map goes. NULL is allowed. */
void fault_uncover(const void *map);
/* How many pages of the process were replaced, or are just being; 0: no 0xFF stands for what was
 * not read. */
uint64_t fault_covered(void);

#endif
