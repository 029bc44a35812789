/*
 * passthrough.h - whether reads and maps of matrix.npy and ids.npy go to the store's own files
 * without a request.
 */
#ifndef PASSTHROUGH_H
#define PASSTHROUGH_H

#include <stdbool.h>

#include "fs/base/fs.h"

/* Whether they do, or will where none has been opened yet. */
bool passthrough_is_used(const struct fs *fs);

/* Why, or why not, in words; valid until the thread's next call of quiver_strerror. */
const char *passthrough_reason(const struct fs *fs);

#endif
