/*
 * node.h - the vectors that are open now.
 *
 * A node exists for as long as a vector has an open handle, and is found by its ID. All of
 * them are spread over a fixed number of shards by ID, each with a lock (handle.h).
 */
#ifndef NODE_H
#define NODE_H

#include "fs/vector/handle.h"

/* Before any request for `store` is served. -ENOMEM. */
int nodes_new(struct quiver *store, struct nodes **nodes);
/* Also drops every handle that is left, as after an aborted connection. */
void nodes_free(struct fs *fs, struct nodes *nodes);

/* How a handle uses the page cache of its ID. */
enum node_caching {
	NODE_UNCACHED, /* not: the kernel may have the size of a file just made (direct_io) */
	NODE_BESIDE_CACHE, /* not: another version is in it (direct_io) */
	NODE_DROPS_CACHE, /* fills it anew: the kernel drops what is there at open */
	NODE_KEEPS_CACHE, /* fills it; what is there is this version (keep_cache) */
};

static inline bool node_is_uncached(enum node_caching caching)
{
	return caching == NODE_UNCACHED || caching == NODE_BESIDE_CACHE;
}

/*
 * Open `id` for reading. On success *handle is to be given to node_close, and the open
 * is to be answered as *caching says. `flags`: 0 or QUIVER_NOWAIT. -ENOENT no such vector, -EIO,
 * -ENOMEM, -EAGAIN.
 */
int node_open_reader(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct handle **handle,
                     enum node_caching *caching);

/* Open `id` for writing; `pin` what is committed now, so that reads see one version.
 * Where there is no vector, `create` (if not NULL) gives the attributes of the one
 * to be, and handle->created is set. Errors as above. */
int node_open_writer(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, bool pin,
                     const struct quiver_attr *create, struct handle **handle);

/* Give a handle back and drop its stage. No other use of it may be under way. */
void node_close(struct fs *fs, struct handle *h);

/* What a read for the page cache gets (private mappings, sendfile): the version
 * that is cached already, else the handle's own, which is then the cached one for
 * as long as the handle is open. Errors as above. */
int node_cache_version(struct fs *fs, struct handle *h, unsigned flags, struct version **version);

/* Whether no other handle has its vector open. The caller holds the lock. */
bool node_is_alone(const struct handle *h);

/* Tell the other handles of its thread that `h` follows them. */
void node_follow(struct handle *h);

/* Whether `id` is open for writing, so that its attributes must not be cached. */
bool node_is_written(struct fs *fs, uint64_t id);

/* Who asks. The kernel says the thread, and only in some requests by which open file. */
struct node_user {
	pid_t tid; /* 0: of another pid namespace, so it is nobody known */
	struct handle *handle; /* or NULL */
	bool elsewhere; /* not by the vector's node: of handles, he means such */
};

/* What an open vector looks like to fstat that is not there by name, or differs. */
struct node_view {
	struct quiver_attr attr;
	uint64_t size; /* bytes staged */
	bool own; /* it is the user's own */
	pid_t tids[2]; /* threads that have used it, or 0: these see the size above */
	unsigned links;
	bool mtime_staged; /* by the user: attr.mtime_ns is the commit's, and attr.ctime_ns
	                      when that was said */
	bool created; /* made by the user and not committed */
	bool orphan; /* the vector was removed or replaced */
	bool renamed; /* it is vector: */
	uint64_t id;
};
/* The view of the user's own handle, else of the newest writable, else of the
 * newest. False where nobody has `id` open. */
bool node_view(struct fs *fs, uint64_t id, const struct node_user *user, struct node_view *view);

/* The length that fstat shows for an uncommitted handle: what is staged. But the
 * kernel keeps one length for an ID, so where others still have a former vector of
 * that ID open, it stays theirs. The caller holds the lock. */
uint32_t node_size(const struct fs *fs, const struct handle *h);

/* Hand attributes on to a stage of what was opened as `id` and is vector `now`: to the user's own;
 * else, where `others`, to the newest. False where there is no such stage. An mtime that is
 * not explicit is left to the commit. */
bool node_stage_attr(struct fs *fs, uint64_t id, uint64_t now, const struct node_user *user,
                     bool others, const struct quiver_attr *attr, unsigned mask,
                     bool explicit_mtime);

/* The mode of what was opened as `id` is set: what was staged before takes no set-ID bits from it. */
void node_keep_setid(struct fs *fs, uint64_t id);

/* Set attributes of a vector that is gone, for all that had it open with the handle that
 * node_view has found. */
void node_set_orphan_attr(struct fs *fs, uint64_t id, const struct node_user *user,
                          const struct quiver_attr *attr, unsigned mask);

/*
 * O_TRUNC, which the kernel sends after the OPEN as a change of size that names no file: empty
 * the stage that `tid` has opened, or of those from other pid namespaces the one opened this
 * moment, if it has had no request since. `cuts`: its caller has no right to keep set-ID bits.
 * False where there is none: it is a truncate(2).
 */
bool node_truncate_opened(struct fs *fs, uint64_t id, pid_t tid, bool cuts);
/* `tid` asks for attributes, so the O_TRUNC of what it has opened, if it was to come, is past. */
void node_opened(struct fs *fs, uint64_t id, pid_t tid);

#endif
