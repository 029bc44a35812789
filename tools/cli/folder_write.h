/*
 * folder_write.h - one vector as a file of a folder, which appears whole.
 */
#ifndef FOLDER_WRITE_H
#define FOLDER_WRITE_H

#include "engine/quiver.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Write `length` bytes to the file that has the ID for its name, with what `mask` means of the
 * attributes, under a temporary name first. -EEXIST something is there that is no regular file, and
 * stays; errors of openat(2), write(2), renameat(2); nothing is said, and nothing stays behind. Any
 * thread.
 */
int folder_write(int folder_fd, uint64_t id, const void *bytes, size_t length,
                 const struct quiver_attr *attr, unsigned mask);

#endif
