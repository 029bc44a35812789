/*
 * write_window.h - the slots that are taken next, mapped to be stored in: a vector is written with no
 * call, into pages that are there. Only they are: the map that readers have is read-only.
 *
 * At most WRITE_WINDOWS of them, each of WRITE_WINDOW_BYTES of vectors.npy, which one thread moves on as
 * slots are taken.
 */
#ifndef QUIVER_WRITE_WINDOW_H
#define QUIVER_WRITE_WINDOW_H

#include "engine/disk/column.h"

/* Have windows over the WRITE_WINDOWS - 1 parts of vectors.npy behind the one that holds `offset`, as far
 * as they are whole below `end`; that one keeps what it has, since whoever is in it without a
 * window would only be in the way. Their pages become dirty, so it is for who is about to fill them. Whether
 * there are any now. One thread at a time, and not inside an epoch. */
bool write_windows_follow(struct columns *columns, uint64_t offset, uint64_t end);
/* Unmap the pages of all windows, to be mapped again when they are stored in: for who is about to
 * sync, as map_store_drop says. Any thread. */
void write_windows_unmap(struct columns *columns);
/* Nobody writes any more. 0 or -errno. */
int write_windows_close(struct columns *columns);
/* Write at `offset`: as io_writev_all, through a window where one covers all `length` bytes that
 * the parts have. 0 or -errno. Any thread. */
int write_window_write(struct columns *columns, uint64_t offset, uint64_t length,
                       struct iovec *parts, int count);

#endif
