/*
 * map_store.h - a range of a file, mapped to be stored in: the one way in which the engine
 * writes without a call.
 *
 * What such stores leave on disk, FORMAT.md: the kernel writes a page out whenever it likes, also
 * while it is being stored in, so until a sync that began after a store each word of 8 bytes may
 * have reached the disk or not, whatever the others have. No order of stores helps against that;
 * it does only against the end of the process, which finds what was stored before.
 */
#ifndef QUIVER_MAP_STORE_H
#define QUIVER_MAP_STORE_H

#include <errno.h>
#include <stdbool.h>

#include "engine/base/fault.h"
#include "engine/disk/io.h"

/* All zero: nothing is mapped. Copies stand for the same map, of which one is closed. */
struct map_store {
	uint8_t *map; /* owned; NULL: nothing, `end` is 0 */
	uint64_t from; /* offset in the file, at a page */
	uint64_t end; /* likewise, of what is behind */
};

/* Map a range. False where that cannot be; then nothing is mapped. Any thread. */
bool map_store_open(struct map_store *store, const struct quiver_io *io, int fd, uint64_t from,
                    uint64_t bytes);
/* Unmap it; nobody stores any more. 0 or -errno; also where nothing is mapped. */
int map_store_close(struct map_store *store, const struct quiver_io *io);
/* Have all its pages there and dirty, so that storing in them does not fault. 0 or -errno. */
int map_store_populate(const struct map_store *store);
/* Unmap the pages of `bytes` from offset `at` on, to be mapped again when they are stored in: for
 * who is about to sync. Pages that are written to the disk are unmapped before, each by itself,
 * which interrupts every core that the process runs on; so all at once. It is a matter of speed
 * alone, and in vain where the process has locked its memory. Any thread. */
void map_store_drop(const struct map_store *store, uint64_t at, uint64_t bytes);

/* Whether all of `length` bytes at offset `at` are mapped. */
static inline bool map_store_covers(const struct map_store *store, uint64_t at, uint64_t length)
{
	return at >= store->from && at + length <= store->end;
}

/* Store words of 8 bytes at offset `at` of the file, each at once for who reads the file's maps;
 * `at` and `length` are multiples of 8. 0; -EAGAIN not all of it is mapped; -EIO a page cannot be
 * stored in: then some may be, and a write of the same by a call says why. After fault_init. Any
 * thread. */
static inline int map_store_words(const struct map_store *store, const struct quiver_io *io,
                                  uint64_t at, const void *words, size_t length)
{
	uint8_t *to;

	if (!map_store_covers(store, at, length))
		return -EAGAIN;
	to = store->map + (at - store->from);
	if (__builtin_expect(io->store != NULL, 0))
		return io->store(io, to, words, length);
	return fault_store(to, words, length);
}

/* The same of bytes: the parts, one after the other, which are `length` bytes in all. What others
 * read of them meanwhile is anything. */
int map_store_fill(const struct map_store *store, const struct quiver_io *io, uint64_t at,
                   uint64_t length, const struct iovec *parts, int count);

#endif
