/*
 * store.h - what an open store is made of; the engine's own files only.
 *
 * Locks, in the order in which they may be taken:
 *   job lock > checkpoint lock > grow lock > writer lock > publish lock, queue lock,
 *   and below all of them the locks inside wal, slots, attr_deltas and report.
 */
#ifndef QUIVER_STORE_H
#define QUIVER_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/health.h"
#include "engine/commit/wishes.h"
#include "engine/disk/io.h"
#include "engine/disk/superblock_file.h"
#include "engine/index/catalog.h"
#include "engine/log/wal.h"
#include "engine/quiver.h"
#include "engine/store/kind.h"

#define STORE_COMMIT_INTERVAL_MS 5000u /* DESIGN section 5, commit= */
/* A checkpoint begins by itself at this much log: what a crash has to replay. */
#define STORE_CHECKPOINT_LOG_BYTES (UINT64_C(256) << 20)
/* ... or this many superseded slots (memory: 24 bytes each), */
#define STORE_CHECKPOINT_DEFERRED 262144u
/* ... or this many vectors with attributes set since (memory: 128 to 256 bytes each), */
#define STORE_CHECKPOINT_ATTRS 65536u
/* ... or, in mode none, this many written (memory: 8 bytes each, and some 250 while the
 * checkpoint logs them), */
#define STORE_CHECKPOINT_UNLOGGED 262144u
/* ... or after this long with anything to do, so that superseded slots come back. */
#define STORE_CHECKPOINT_INTERVAL_NS INT64_C(30000000000)
/* LSNs below the ceiling are handed out without writing the superblock. 2^40 are never used
 * up between two checkpoints, and 2^23 unclean opens would use all there are. */
#define STORE_LSN_STEP (UINT64_C(1) << 40)

/* A slot whose vector was superseded or removed. */
struct deferred_free {
	uint64_t slot;
	uint64_t id; /* whose it was */
	uint64_t lsn; /* of the commit that superseded it */
};

struct deferred_free_list {
	struct deferred_free *items;
	size_t count;
	size_t capacity;
};

/* A list of slots written in mode none since the last checkpoint. */
struct slot_list {
	uint64_t *items;
	size_t count;
	size_t capacity;
};

struct commit_request;

struct commit_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct commit_request *first; /* lock; a list, oldest first */
	struct commit_request **last; /* lock */
	size_t count; /* lock; requests in the list */
	bool led; /* lock; a leader is at work, or called */
	unsigned pausing; /* lock; who waits for `changed` */
	pthread_cond_t arrived; /* lock; as many requests as the leader waits for */
	size_t awaited; /* lock; so many, 0 while it does not wait */
	size_t expected; /* the leader; requests of the last group, and behind it */
	unsigned doubts; /* the leader; halvings of the time that it waits for them */
	uint64_t sync_ns; /* the leader; what a group that waits for the disk takes */
	_Atomic bool syncing; /* the leader waits for the disk */
};

struct job {
	pthread_mutex_t lock;
	pthread_t thread; /* lock; valid while started and not joined */
	bool joinable; /* lock */
	bool closed; /* lock; the store is being closed: autocompact must not start another */
	enum quiver_job kind; /* lock */
	struct quiver_job_status status[2]; /* lock; by kind */
	_Atomic bool stop;
};

/* How far pages of vectors.npy were asked for ahead of who writes them; only hints. prefetch.c. */
struct prefetch {
	_Atomic uint64_t tail; /* of the slots at the end of the file, all below */
	_Atomic uint64_t holes_enough; /* who takes a slot from this one on asks for more holes */
	/* The prefetcher's: those that were asked for lie from here to below there. */
	uint64_t holes_from, holes_to;
	uint64_t asked_ns; /* the prefetcher's; when pages of the tail were last asked for */
	uint64_t syncs; /* the prefetcher's; syncs of the slots until then */
};

struct quiver {
	struct quiver_head head; /* of every kind of store; here kind is NULL */
	const struct quiver_io *io;
	struct quiver_geometry geometry; /* fixed at open */
	struct quiver_options options; /* fixed at open; mount_point not kept */
	int dir_fd;
	int lock_fd;
	struct superblock_file superblock;

	struct catalog catalog;
	struct wal wal;
	bool wal_started; /* set at open */
	struct health health;

	uint64_t next_lsn; /* writer lock */
	_Atomic uint64_t lsn; /* of the last commit; written under the writer lock */
	_Atomic uint64_t lsn_ceiling; /* the superblock's, durable; checkpoint lock */
	_Atomic uint64_t checkpoint_lsn; /* checkpoint lock */
	_Atomic uint64_t checkpoint_bytes; /* wal.appended_bytes at the checkpoint's LSN */
	/* Bytes of vectors put since a client last asked for a sync: the more there are, the less
	 * that sync will mind writing slots as well. Raised under the writer lock. */
	_Atomic uint64_t unsynced_bytes;
	struct deferred_free_list deferred_frees; /* writer lock; ascending LSN */
	_Atomic uint64_t deferred_count; /* both lists: for stats and triggers */
	struct slot_list unlogged; /* writer lock; mode none */
	_Atomic uint64_t unlogged_count; /* of them; written under the writer lock */
	pthread_mutex_t dir_lock; /* so that readers of `dir` need not wait for a commit */
	struct quiver_attr dir; /* written under writer lock and dir lock */
	_Atomic int durability; /* writer lock; enum quiver_durability */
	/* Of mode none, while one commit that has to be durable is logged all the same: changed
	 * by who has paused the commits, when a checkpoint has nothing to do. */
	_Atomic bool logs_anyway;

	struct commit_queue queue;

	pthread_mutex_t checkpoint_lock; /* one checkpoint at a time */
	struct deferred_free_list
		deferred_pinned; /* checkpoint lock; freed on disk, a reader still inside */
	int64_t last_checkpoint_ns; /* checkpoint lock */

	pthread_mutex_t grow_lock; /* changing the size of the columns */
	/* A bit for each chunk of vectors.npy: known to have blocks / known to be a hole. Neither
	 * is known of what an earlier life left. Bits of a chunk change only by who has taken
	 * slots in it; the words are shared, hence atomic. */
	_Atomic uint64_t *backed;
	_Atomic uint64_t *punched;
	uint64_t chunk_words; /* of each; fixed at open */
	struct prefetch prefetch;
	pthread_mutex_t hold_lock;
	uint64_t holds; /* hold lock; columns open as files */
	bool cut_wanted; /* hold lock; a cut was put off by a hold or a reader */

	struct job job;
	_Atomic uint32_t autocompact_percent;
	struct wishes wishes;
	pthread_t threads[WISH_THREADS]; /* valid while the wishes are open */
};

/* The mode that commits and checkpoints go by: in mode none that of a commit which is logged all
 * the same. Any thread. */
enum quiver_durability store_mode(const struct quiver *store);

/* ---- store.c ---- */
/* Folder, lock, superblock and columns, with nothing in index and slots yet (the index is not
 * initialised). With touch_nothing not even what a crash leaves in the columns is put right. */
int store_open_files(const char *path, const struct quiver_options *options, bool touch_nothing,
                     struct quiver **out, struct quiver_error *error);
/* Close and free what store_open_files gave, as it stands. 0 or the first error. */
int store_discard(struct quiver *store);
/* Make of a superblock what opening the store for use writes first; the first LSN that is
 * handed out then. */
uint64_t store_begin(struct superblock *sb);

/* ---- space.c ---- */
/* Memory for what is known of chunks. 0 or -ENOMEM. */
int space_init(struct quiver *store);
void space_destroy(struct quiver *store);
/* Take `count` free slots, with blocks behind them, growing if need be. With nowait -EAGAIN
 * instead of growing. 0, -ENOSPC, -errno. No lock held. */
int space_take(struct quiver *store, size_t count, bool nowait, uint64_t *slots);
/* As space_take, but only holes below `below`; how many were taken, or -errno. */
int64_t space_take_below(struct quiver *store, uint64_t below, size_t count, uint64_t *slots);
/* Room for `count` more slots than are taken. */
int space_grow(struct quiver *store, uint64_t count, bool exactly);
/* True when the headroom is below what growing ahead should keep. Any thread. */
bool space_is_low(struct quiver *store);
/* Cut the files behind the last used slot, keeping `keep` free ones; 0 also where a hold
 * forbids it (then noted in cut_wanted). Freed bytes are added to *freed. Checkpoint lock. */
int space_cut(struct quiver *store, uint64_t keep, uint64_t *freed);
/* A reader is in a slot at the tail: cut once it has left. */
void space_cut_later(struct quiver *store);
/* Give free runs back to the filesystem, but for the first `keep` free slots. Freed bytes are
 * added to *freed. Checkpoint lock. */
int space_punch(struct quiver *store, uint64_t keep, uint64_t *freed);

/* ---- prefetch.c ---- */
/* Of a store whose geometry is known. */
void prefetch_init(struct quiver *store);
/* Slots were taken, ascending: ask for the pages of those that come next, if that is due. Any
 * thread. */
void prefetch_taken(struct quiver *store, const uint64_t *slots, size_t count);
/* Slots have become free, so there may be holes that nobody has asked for. Any thread. */
void prefetch_freed(struct quiver *store);
/* The files end after `rows`. */
void prefetch_cut(struct quiver *store, uint64_t rows);
/* Have the pages of the slots that will be taken next in memory. The prefetcher. */
void prefetch_ahead(struct quiver *store);
/* Slots that growing ahead keeps free. */
uint64_t space_headroom(const struct quiver *store);

/* ---- checkpoint.c ---- */
/* 0 (also on a read-only store), -EROFS the store has failed, -errno. No lock held. */
int checkpoint_run(struct quiver *store);
/* Retired slots nobody is in any more become free. Checkpoint lock. */
void checkpoint_free_unpinned(struct quiver *store);
/* Room for `count` more. 0 or -ENOMEM. The lock of the list held. */
int deferred_frees_make_room(struct deferred_free_list *list, size_t count);
int slot_list_make_room(struct slot_list *list, size_t count);

/* ---- background.c ---- */
int background_start(struct quiver *store);
void background_stop(struct quiver *store);

/* ---- change.c ---- */
/* Move vector `id` from one slot to another, which is taken; on failure that is given back.
 * `buffer` holds N bytes. -ESTALE it is not in from_slot any more; -ENOENT; as quiver_put. */
int store_move(struct quiver *store, uint64_t id, uint64_t from_slot, uint64_t to_slot,
               void *buffer);

/* ---- job.c ---- */
void job_init(struct job *job);
void job_end(struct quiver *store);
int compact_run(struct quiver *store);
int verify_run(struct quiver *store);
/* Steps done and in all. Any thread. */
void job_progress(struct quiver *store, uint64_t done, uint64_t total);

#endif
