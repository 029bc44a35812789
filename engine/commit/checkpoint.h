/*
 * checkpoint.h - making everything up to an LSN durable in the data files, so that the log
 * behind it can go and superseded slots can be used again.
 */
#ifndef QUIVER_CHECKPOINT_H
#define QUIVER_CHECKPOINT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "engine/commit/backlog.h"
#include "engine/commit/committer.h"
#include "engine/commit/deferred_frees.h"
#include "engine/commit/space.h"
#include "engine/disk/superblock_file.h"

/* LSNs below the ceiling are handed out without writing the superblock. 2^40 are never used
 * up between two checkpoints, and 2^23 unclean opens would use all there are. */
#define CHECKPOINT_LSN_STEP (UINT64_C(1) << 40)

struct checkpointer {
	struct committer *commits; /* not owned, as the next two */
	struct space *space;
	struct superblock_file *superblock;
	pthread_mutex_t lock; /* one checkpoint at a time */
	struct deferred_free_list pinned; /* lock; freed on disk, a reader still inside */
	int64_t last_ns; /* lock; when one began, CLOCK_MONOTONIC */
	bool lacks_index; /* lock; it was said that none could be kept */
	bool index_last; /* lock; the last one was refused after it had written the index */
	uint64_t kept_bytes; /* lock; what commits had written when an index was kept last */
	_Atomic uint64_t lsn; /* of the last one; written under the lock */
	_Atomic uint64_t log_bytes; /* wal.appended_bytes at that LSN; written under the lock */
	struct backlog backlog;
};

/* All-zero memory becomes a checkpointer. */
void checkpointer_init(struct checkpointer *checkpointer, struct committer *commits,
                       struct space *space, struct superblock_file *superblock);
void checkpointer_destroy(struct checkpointer *checkpointer);

/* 0 (also on a read-only store), -EROFS the store has failed, -errno. No lock held. Waits for
 * the disk, and does not stop writers. */
int checkpoint_run(struct checkpointer *checkpointer);
/* One after the other for as long as `wanted` says so; none where others have made enough of them
 * meanwhile. 0, -EROFS also on a read-only store, -errno. No lock held. */
int checkpoint_run_while(struct checkpointer *checkpointer,
                         bool (*wanted)(const struct checkpointer *checkpointer));
/* As checkpoint_run, and `snapshot` is one of its LSN from then on, of which that and the counts are set; it
 * belongs to the versions then. On an error there is none. Checkpoint lock, and room for one
 * (versions_snapshot_room). -EROFS also on a read-only store. */
int checkpoint_run_for(struct checkpointer *checkpointer, struct snapshot *snapshot);
/* Let go of what no snapshot has any more, say so in the superblock, and give its space back. Checkpoint
 * lock. 0 or -errno. */
int checkpoint_tidy(struct checkpointer *checkpointer);
/* Superseded slots that nobody is in any more become free. Checkpoint lock. */
void checkpoint_free_unpinned(struct checkpointer *checkpointer);
/* Make of a superblock what opening the store for use writes first; the first LSN that is
 * handed out then. */
uint64_t checkpoint_begin_life(struct superblock *sb);

#endif
