/*
 * handle.h - an open vector: what one open(2) has, and the lock that guards it.
 *
 * Handles are spread over a fixed number of shards by the ID that they were opened as
 * (node.h); "shard lock" beside a field means the lock of its shard. It is held for short
 * steps only: never while the store is called, never during a reply.
 *
 * What changes a handle and may have to wait (a commit, the bytes to patch on)
 * marks it busy under the lock, works without the lock, and marks it idle again.
 * Others that want to change the handle wait for that: on a worker; on a ring
 * thread they get -EAGAIN and the request is handed to a worker.
 */
#ifndef HANDLE_H
#define HANDLE_H

#include <pthread.h>

#include "fs/base/attempt.h"
#include "fs/base/fs.h"
#include "fs/base/handoff.h"

struct node; /* node.h */

/* A pinned version of a vector, for as long as it has users. */
struct version {
	struct quiver_ref ref;
	_Atomic unsigned users;
};

/* One user more; less, and the last one unpins it (NULL is allowed; no lock is held). */
struct version *version_share(struct version *version);
void version_drop(struct fs *fs, struct version *version);
/* Pin the committed version of `id`, with one user. `flags`: 0 or
 * QUIVER_NOWAIT. -ENOENT, -EIO, -ENOMEM, -EAGAIN. */
int version_get(struct fs *fs, uint64_t id, unsigned flags, struct version **version);

/* What has been written and not committed; stage.h. */
struct stage {
	bool active; /* there is something to commit, or too little of it */
	int failed; /* what its last commit failed with, which was reported; 0: it has not */
	bool reported; /* it was reported as incomplete as it is now */
	unsigned char *data; /* N bytes, zero from `size` on; NULL: none needed yet */
	uint32_t size; /* bytes so far: the length of the file for its writer */
	uint32_t filled; /* bytes from the start without a gap */
	uint64_t base_lsn; /* the version whose bytes it began with; 0: none */
	struct quiver_attr attr; /* of the vector, should it be new */
	unsigned attr_mask; /* what was set by hand since the last write */
};

/* The vectors that are being removed, replaced or renamed now; change.h. */
struct changes {
	_Atomic bool active;
	_Atomic uint64_t from, to; /* while it is */
	_Atomic unsigned waiting; /* handles whose users wait for the end of it */
	_Atomic uint64_t begun; /* how many there have been */
};

struct shard_lock {
	pthread_mutex_t mutex;
	pthread_cond_t idle; /* a handle of this shard is no longer busy, or a change is over */
	struct changes *changes; /* constant; one for all shards */
};

struct handle {
	struct handoff handoff; /* given before each reply that others may follow */
	struct node *node;
	struct shard_lock *lock; /* constant; of the node's shard */
	struct handle *next, *prev; /* shard lock */
	struct handle *renamed_next, *renamed_prev; /* nodes->renamed_lock */
	pid_t tid; /* the thread that opened it; 0: of another pid namespace, so any */
	uid_t uid; /* constant; and whose it was: pays for the stage, whoever writes */
	_Atomic pid_t user_tid; /* the thread that wrote through it last; 0 likewise */
	bool charged; /* constant; for the bytes that it may hold */
	uint64_t opened_lsn; /* of the version that it opened; 0: it made the vector */
	uint64_t opened_change; /* changes.begun, from before it was found */
	int64_t opened_ns; /* a writer's: when */
	bool elsewhere; /* shard lock; its requests come by another node: of a view, or of a scratch file */
	bool writable;
	bool durable; /* O_SYNC or O_DSYNC: commits are on stable storage */
	bool exclusive; /* shard lock; O_EXCL: its first commit must be the first */
	bool created; /* shard lock; made the vector and has not committed yet */
	bool touched; /* shard lock; has had a request since it was opened */
	bool followed; /* shard lock; its thread has opened the vector again to write it */
	bool orphan; /* shard lock; its vector was removed or replaced: what it commits is lost */
	uint64_t orphan_lsn; /* shard lock; by which commit: the same for all that had it open */
	bool busy; /* shard lock; see above */
	bool verified; /* shard lock; checksum of `version` was compared */
	bool fills_cache; /* shard lock; counted in cached_users */
	bool drops_cache; /* shard lock; opened as NODE_DROPS_CACHE, no READ for the
	                     cache has come yet */
	bool cache_verified; /* shard lock; checksum of node->cached was compared,
	                        for a handle that reads another version */
	uint64_t id; /* shard lock; what it commits to: follows a rename */
	uint64_t dir_seen; /* dir_attr_given when it was created */
	struct version *version; /* shard lock; what it reads; NULL: the latest */
	/* shard lock; the buffer's bytes also while busy. stage.attr: an orphan's are those of
	 * the vector that is gone, whether it has staged anything or not. */
	struct stage stage;
	/* A RELEASE on its way through a worker, which must not fail for memory. */
	struct attempt release;
};

/* The handle that a request came with. */
static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	struct handle *h = (struct handle *)(uintptr_t)fi->fh;

	handoff_take(&h->handoff);
	return h;
}

/* The lock of a handle's shard. */
void handle_lock(struct handle *h);
void handle_unlock(struct handle *h);

/* Wait (without the lock) until the handle is idle and its vector is not amid a change of
 * names. The caller holds the lock and has it again on return. -EAGAIN where it would wait and
 * must not. */
int handle_enter(struct handle *h, bool may_wait);
/* Mark idle again and wake those who wait. The caller holds the lock. */
void handle_leave(struct handle *h);

/*
 * Whether a change of size to 0, by `tid` and without a handle, may be the O_TRUNC of this one: the
 * kernel sends it right after the OPEN, before anything else of that thread. `touched`: it has had
 * a request since. `h` may be NULL. The caller holds the lock of what lists it.
 */
bool handle_may_be_cut(const struct handle *h, bool touched, pid_t tid);

/* What reads of `h` see: the handle's version, or the latest, which then becomes
 * the handle's. *version is to be given to version_drop. `flags`: 0 or
 * QUIVER_NOWAIT. -ENOENT, -EIO, -ENOMEM, -EAGAIN.
 * The caller holds no lock. */
int handle_version(struct fs *fs, struct handle *h, unsigned flags, struct version **version);

/* Forget the handle's pinned version after it has committed. The caller holds the
 * lock; the version returned, if not NULL, goes to version_drop after unlocking. */
struct version *handle_unpin(struct handle *h);

#endif
