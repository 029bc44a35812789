/*
 * wal.h - the write-ahead log: segments, appending, syncing, cutting; FORMAT.md.
 */
#ifndef QUIVER_WAL_H
#define QUIVER_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/health.h"
#include "engine/disk/io.h"
#include "engine/log/wal_state.h"
#include "engine/media/wal_record.h"

/* Start a log in the folder wal/ of the store with an empty segment `number`, which must be
 * above those of any file there. `health` hears of what fails from then on. Waits for the disk.
 * 0 or -errno (nothing to stop then). */
int wal_start(struct wal *wal, const struct quiver_io *io, struct health *health, int dir_fd,
              const uint8_t uuid[16], uint64_t number, uint64_t last_lsn);
/* How to sync the slots of `vector_bytes` that PUTSLOT records name: 0 or -errno, called with
 * the sync lock held. Before the first of them, and before there are other threads. */
void wal_set_slots(struct wal *wal, uint32_t vector_bytes, int (*sync_slots)(void *arg), void *arg);
/* Whether there is any segment in wal/. 1, 0 (also where there is no such folder) or -errno. */
int wal_has_segments(const struct quiver_io *io, int dir_fd);
/* Make wal/ where there is none: it is empty where a store is closed, and copies that leave out empty
 * folders have lost nothing with it. 0 or -errno. */
int wal_make_folder(const struct quiver_io *io, int dir_fd);
/* Remove every segment in wal/: a superblock durably says that none is needed. 0 or -errno. */
int wal_clear(const struct quiver_io *io, int dir_fd);
/* Close all; where `remove`, the log is empty by a checkpoint and its files go. 0 or the
 * first error. */
int wal_stop(struct wal *wal, bool remove);

/* Bytes that a record with `payload` bytes takes. */
uint64_t wal_record_bytes(uint32_t payload_bytes);

/* Make sure one append of `bytes` will fit without making a segment then. -EAGAIN where
 * `nowait` and one must be made; -E2BIG more than a segment may hold; -ENOSPC;
 * -errno. Where the log cannot go on the store has been stopped. Writer lock. */
int wal_make_room(struct wal *wal, uint64_t bytes, bool nowait);

/* Append records; salt, previous LSN and durable LSN are filled in. All of them are with the
 * kernel on return 0. On -errno the log is as before: what was written is wiped and the wipe
 * synced; where even that failed the store has been stopped. Room must have been made. One alone goes through the map, unless `sync_next`: what is stored there
 * has to be unmapped before a sync, on every core. Writer lock. */
int wal_append(struct wal *wal, struct wal_record *records, const void *const *payloads,
               size_t count, bool sync_next);

/* Append what `next` gives, some at a time until it gives 0: records without payload, at least one.
 * They are in memory only while they are written, however many there are; while that lasts no other
 * is appended. Otherwise as wal_append. -ENOMEM. Writer lock. */
int wal_append_stream(struct wal *wal,
                      size_t (*next)(void *arg, struct wal_record *records, size_t room),
                      void *arg);

/* Sync until LSN `lsn` is durable; shared between callers. 0, or -EIO: then nothing after
 * the last durable LSN can be trusted to be on disk, every further call fails, too, and the
 * store has been stopped. Any thread. */
int wal_sync(struct wal *wal, uint64_t lsn);

/* Have a next segment ready, off the commit path. 0, also where a line told that there is none,
 * or -ENOSPC. One of the store's threads. */
int wal_prepare(struct wal *wal);
/* Whether wal_prepare has something to do. Any thread. */
bool wal_wants_prepare(struct wal *wal);

/* Records up to `lsn` are not needed any more: let go of the segments that hold nothing
 * else. The store's superblock must say so already, durably. 0 or -errno. */
int wal_cut(struct wal *wal, uint64_t lsn);
/* Number of the first segment that may hold a record above `lsn`. */
uint64_t wal_first_above(struct wal *wal, uint64_t lsn);
/* If the active segment is well used and the next is ready, go on in that, so that the old
 * one can be cut. Writer lock. */
void wal_rotate(struct wal *wal);

/* Segments in use and bytes of all files of the log. Any thread. */
void wal_usage(struct wal *wal, uint64_t *segments, uint64_t *file_bytes);

#endif
