/*
 * node.h - the vectors that are open now.
 *
 * A node exists for as long as a vector has an open handle, and is found by its
 * ID. Everything here is spread over a fixed number of shards by ID; "shard lock"
 * beside a field means the lock of the shard of the node's ID. It is held for
 * short steps only: never while the store is called, never during a reply.
 *
 * What changes a handle and may have to wait (a commit, the bytes to patch on)
 * marks it busy under the lock, works without the lock, and marks it idle again.
 * Others that want to change the handle wait for that: on a worker; on a ring
 * thread they get -EAGAIN and the request is handed to a worker.
 */
#ifndef NODE_H
#define NODE_H

#include <pthread.h>

#include "fs/base/attempt.h"
#include "fs/base/fs.h"
#include "fs/base/handoff.h"
#include "fs/vector/stage.h"

/* A pinned version of a vector, for as long as it has users. */
struct version {
	struct quiver_ref ref;
	_Atomic unsigned users;
};

struct node {
	uint64_t id;
	struct shard *shard;
	struct node *next; /* shard lock */
	struct handle *handles; /* shard lock; newest first */
	unsigned writable; /* shard lock; how many of them */
	/* The one version that the page cache of this ID may hold, and how many
	 * handles fill it. */
	struct version *cached; /* shard lock */
	unsigned cached_users; /* shard lock */
};

struct handle {
	struct handoff handoff; /* given before each reply that others may follow */
	struct node *node;
	struct handle *next, *prev; /* shard lock */
	pid_t tid; /* the thread that opened it */
	bool writable;
	bool durable; /* O_SYNC or O_DSYNC: commits are on stable storage */
	bool exclusive; /* shard lock; O_EXCL: its first commit must be the first */
	bool created; /* shard lock; made the vector and has not committed yet */
	bool touched; /* shard lock; has had a request since it was opened */
	bool orphan; /* shard lock; its vector was removed: what it commits is lost */
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
	struct stage stage; /* shard lock; the buffer's bytes also while busy */
	/* A RELEASE on its way through a worker, which must not fail for memory. */
	struct attempt release;
};

/* The handle that a request came with. */
static inline struct handle *node_handle(const struct fuse_file_info *fi)
{
	struct handle *h = (struct handle *)(uintptr_t)fi->fh;

	handoff_take(&h->handoff);
	return h;
}

/* Before any request for `store` is served. -ENOMEM. */
int nodes_new(struct quiver *store, struct nodes **nodes);
/* Also drops every handle that is left, as after an aborted connection. */
void nodes_free(struct fs *fs, struct nodes *nodes);

/* The lock of a handle's shard. */
void node_lock(struct handle *h);
void node_unlock(struct handle *h);

/* Wait (without the lock) until the handle is idle. The caller holds the lock and
 * has it again on return. -EAGAIN where it is busy and the caller must not wait. */
int node_enter(struct handle *h, bool may_wait);
/* Mark idle again and wake those who wait. The caller holds the lock. */
void node_leave(struct handle *h);

/* How a handle uses the page cache of its ID. */
enum node_caching {
	NODE_UNCACHED, /* not: another version is in it (direct_io) */
	NODE_DROPS_CACHE, /* fills it anew: the kernel drops what is there at open */
	NODE_KEEPS_CACHE, /* fills it; what is there is this version (keep_cache) */
};

/*
 * Open `id` for reading. On success *handle is to be given to node_close, and the open
 * is to be answered as *caching says. -ENOENT no such vector, -EIO, -ENOMEM.
 */
int node_open_reader(struct fs *fs, uint64_t id, pid_t tid, struct handle **handle,
                     enum node_caching *caching);

/* Open `id` for writing; `pin` what is committed now, so that reads see one version.
 * Where there is no vector, `create` (if not NULL) gives the attributes of the one
 * to be, and handle->created is set. Errors as above. */
int node_open_writer(struct fs *fs, uint64_t id, pid_t tid, bool pin,
                     const struct quiver_attr *create, struct handle **handle);

/* Give a handle back and drop its stage. No other use of it may be under way. */
void node_close(struct fs *fs, struct handle *h);

/* What reads of `h` see: the handle's version, or the latest, which then becomes
 * the handle's. *version is to be given to version_drop. -ENOENT, -EIO, -ENOMEM.
 * The caller holds no lock. */
int node_version(struct fs *fs, struct handle *h, struct version **version);

/* What a read for the page cache gets (private mappings, sendfile): the version
 * that is cached already, else the handle's own, which is then the cached one for
 * as long as the handle is open. Errors as above. */
int node_cache_version(struct fs *fs, struct handle *h, struct version **version);

/* Forget the handle's pinned version after it has committed. The caller holds the
 * lock; the version returned, if not NULL, goes to version_drop after unlocking. */
struct version *node_unpin(struct handle *h);
/* One user less; the last one unpins it. NULL is allowed. No lock is held. */
void version_drop(struct fs *fs, struct version *version);

/* Whether no other handle has its vector open. The caller holds the lock. */
bool node_is_alone(const struct handle *h);

/* Whether `id` is open for writing, so that its attributes must not be cached. */
bool node_is_written(struct fs *fs, uint64_t id);

/* What an open vector looks like to fstat that is not there by name, or differs. */
struct node_view {
	struct quiver_attr attr;
	uint64_t size; /* bytes staged, to the thread that writes; N to any other */
	unsigned links;
	bool mtime_staged; /* by thread `tid`: attr.mtime_ns is the commit's */
};
/* The view of the handle of thread `tid`, else of the newest writable, else of the
 * newest. False where nobody has `id` open. */
bool node_view(struct fs *fs, uint64_t id, pid_t tid, struct node_view *view);

/* The length that fstat shows for an uncommitted handle: what is staged. But the
 * kernel keeps one length for an ID, so where others still have a former vector of
 * that ID open, it stays theirs. The caller holds the lock. */
uint32_t node_size(const struct fs *fs, const struct handle *h);

/* Hand attributes on to a stage of `id`: to that of thread `tid`; else, where
 * `others`, to the newest. False where there is no such stage. An mtime that is
 * not explicit is left to the commit. */
bool node_stage_attr(struct fs *fs, uint64_t id, pid_t tid, bool others,
                     const struct quiver_attr *attr, unsigned mask, bool explicit_mtime);

/* Empty the stage of the newest writable handle that has had no request, one
 * opened by `tid` first: this is O_TRUNC. False where there is none. */
bool node_truncate_newest(struct fs *fs, uint64_t id, pid_t tid);

/* A vector was removed: its writers have nothing to commit to any more. */
void node_removed(struct fs *fs, uint64_t id);
/* A vector was renamed: its writers follow. */
void node_renamed(struct fs *fs, uint64_t from, uint64_t to);

#endif
