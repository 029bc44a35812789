/*
 * invalidate.h - having the kernel forget what it was told.
 */
#ifndef INVALIDATE_H
#define INVALIDATE_H

#include "fs/base/fs.h"

/* Have the kernel forget the attributes of vectors that were committed other than
 * through their own files (control/put), and those of vectors/. Call it after the
 * commit and before the reply, on a worker, with no lock held. */
void invalidate_vectors(struct fs *fs, const uint64_t *ids, size_t count);

#endif
