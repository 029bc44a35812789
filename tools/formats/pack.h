/*
 * pack.h - bytes packed as gzip and zstd pack them, as they come.
 *
 * Memory is one buffer and what the library needs, below 10 MiB. One thread.
 */
#ifndef PACK_H
#define PACK_H

#include "tools/formats/unpack.h"

#include <stddef.h>

struct pack;

/* Begin to pack for `write`, which returns 0 or a negative errno. One member or frame, with its
 * checksum, at the level that the programs gzip and zstd have by default, and the same bytes for the
 * same input. NULL without memory. */
struct pack *pack_begin(enum unpack_kind kind,
                        int (*write)(void *arg, const void *bytes, size_t length), void *arg);

/* Pack more bytes. 0, or what `write` returned; -EIO where the library fails. */
int pack_write(struct pack *pack, const void *bytes, size_t length);

/* Pack what is left, and the end. As pack_write; once. */
int pack_finish(struct pack *pack);

void pack_end(struct pack *pack); /* NULL: nothing to do */

#endif
