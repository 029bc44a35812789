/*
 * blocking.h - calls of librados that cannot be sent and waited for, and that nobody can interrupt:
 * made by a thread of their own, so that who wants the answer may leave before it is there.
 */
#ifndef QUIVER_RADOS_BLOCKING_H
#define QUIVER_RADOS_BLOCKING_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/rados/client.h"

/*
 * What `run` returns for a copy of `bytes` bytes at `arg`, which is copied back when it has
 * returned: 0 or whatever it says; -EINTR the calling thread is to stop waiting (then `arg` is as it
 * was, and the copy goes when `run` has returned); -ENOMEM, -EAGAIN no thread. `run` must not point to what may go before
 * it returns; the connection stays open for it.
 */
int blocking_call(struct connection *connection,
                  int (*run)(const struct connection *connection, void *arg), void *arg,
                  size_t bytes);

#endif
