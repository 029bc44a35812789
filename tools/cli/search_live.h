/*
 * search_live.h - control/nearest of a live mount: questions in binary.
 */
#ifndef SEARCH_LIVE_H
#define SEARCH_LIVE_H

#include "engine/quiver.h"

#include <stddef.h>

/* Open it; the descriptor, to be closed by the caller, or a negative errno, with nothing said: -ENOENT
 * there is none, since the mount is read-only, a snapshot or of an older daemon. */
int search_live_open(int mount_fd);

/*
 * Ask by the descriptor `fd`, as quiver_nearest, with each vector being of `vector_bytes`. After an error
 * the descriptor is of no use any more. Errors of quiver_nearest, -ENOTCONN the daemon is gone, -EPROTO it
 * answers something else, others of read(2) and write(2).
 */
int search_live_ask(int fd, const struct quiver_question *question, size_t vector_bytes,
                    struct quiver_neighbour *answers, uint32_t *found);

#endif
