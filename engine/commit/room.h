/*
 * room.h - slots for what is about to be put: taken where there are any, with the columns grown
 * and, on a full disk, what is superseded freed.
 */
#ifndef QUIVER_ROOM_H
#define QUIVER_ROOM_H

#include "engine/commit/checkpoint.h"

/* Take `count` free slots, with blocks behind them, growing if need be. With nowait -EAGAIN
 * instead of growing. 0, -ENOSPC, -errno. No lock held. */
int room_take(struct checkpointer *checkpointer, size_t count, bool nowait, uint64_t *slots);

#endif
