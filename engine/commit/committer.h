/*
 * committer.h - what commits go by: the queue of who waits, the LSNs, the mode, and what the
 * next checkpoint has to do. Commits change the catalog through it and nothing else does.
 */
#ifndef QUIVER_COMMITTER_H
#define QUIVER_COMMITTER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "engine/commit/commit_flight.h"
#include "engine/commit/commit_queue.h"
#include "engine/commit/deferred_frees.h"
#include "engine/commit/regions.h"
#include "engine/commit/row_watch.h"
#include "engine/commit/wishes.h"
#include "engine/index/catalog.h"
#include "engine/log/wal.h"

/* A checkpoint begins by itself at so many superseded slots (memory: 24 bytes each), */
#define COMMITTER_DEFERRED_MAX 262144u
/* ... or so many vectors with attributes set since (memory: 128 to 256 bytes each), */
#define COMMITTER_ATTRS_MAX 65536u
/* ... or, in mode none, so many written (memory: 8 bytes each). */
#define COMMITTER_UNLOGGED_MAX 262144u
/* In mode none commits wait for a checkpoint at so many of all three, with those that a running
 * one has taken: it logs them as one, and puts them back where it fails. */
#define COMMITTER_NONE_MAX 1048576u

struct committer {
	struct catalog *catalog; /* not owned, as the next three */
	struct wal *wal;
	struct wishes *wishes;
	struct row_watch *row_watch;
	struct commit_queue queue;
	struct commit_flights flights; /* writer lock; logged, and not visible yet */
	struct regions regions; /* where rows may have been stored since a checkpoint */

	uint64_t next_lsn; /* writer lock; above those of the flights */
	bool told_full; /* writer lock; that there is no room for what snapshots keep */
	_Atomic uint64_t lsn; /* of the last commit; written under the writer lock */
	_Atomic uint64_t lsn_ceiling; /* the superblock's, durable; checkpoint lock */
	/* Bytes of vectors put since a client last asked for a sync: the more there are, the less
	 * that sync will mind writing slots as well. Raised under the writer lock. */
	_Atomic uint64_t unsynced_bytes;
	struct deferred_free_list deferred; /* writer lock; ascending LSN */
	_Atomic uint64_t deferred_count; /* of them and of the checkpointer's: for stats and
	                                    triggers */
	struct slot_list unlogged; /* writer lock; written in mode none since the checkpoint */
	_Atomic uint64_t unlogged_count; /* of them; written under the writer lock */
	_Atomic uint64_t taken_count; /* of both lists, by the checkpoint that runs; its lock */
	pthread_mutex_t dir_lock; /* so that readers of `dir` need not wait for a commit */
	struct quiver_attr dir; /* written under writer lock and dir lock */
	int64_t ctime_max_ns; /* writer lock; no row has a later ctime */
	_Atomic int durability; /* writer lock; enum quiver_durability */
	/* Of mode none, while one commit that has to be durable is logged all the same: changed
	 * by who has paused the commits, when a checkpoint has nothing to do. */
	_Atomic bool logs_anyway;
};

/* All-zero memory becomes a committer. */
void committer_init(struct committer *commits, struct catalog *catalog, struct wal *wal,
                    struct wishes *wishes, struct row_watch *row_watch,
                    enum quiver_durability durability);
/* Nobody commits any more. */
void committer_destroy(struct committer *commits);

/* The writer lock, when no group is under way: the LSN, the lists and what is published are of one
 * moment, up to the end of the log. No lock held that who commits may want. */
void committer_lock_settled(struct committer *commits);

/* The mode that commits and checkpoints go by: in mode none that of a commit which is logged all
 * the same. Any thread. */
enum quiver_durability committer_mode(const struct committer *commits);
/* The directory's attributes. Any thread. */
void committer_dir(struct committer *commits, struct quiver_attr *attr);

#endif
