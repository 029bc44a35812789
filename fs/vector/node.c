/* node.c - the vectors that are open now: handles, versions, the cache rule. */
#include "fs/vector/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/charge.h"
#include "fs/base/clock.h"
#include "fs/vector/copies.h"
#include "fs/vector/nodes.h"
#include "fs/vector/proven.h"
#include "fs/vector/stage.h"

int nodes_new(struct quiver *store, struct nodes **nodes)
{
	struct nodes *n = calloc(1, sizeof(*n));
	struct quiver_stats stats = { .size = sizeof(stats) };

	int err;

	if (n == NULL)
		return -ENOMEM;
	quiver_stats(store, &stats);
	err = proven_new(stats.lsn, stats.slots_used, &n->proven);
	if (err != 0) {
		free(n);
		return err;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		/* Neither can fail with default attributes on Linux. */
		(void)pthread_mutex_init(&n->shards[i].lock.mutex, NULL);
		(void)pthread_cond_init(&n->shards[i].lock.idle, NULL);
		n->shards[i].lock.changes = &n->changes;
	}
	(void)pthread_mutex_init(&n->renamed_lock, NULL);
	(void)pthread_mutex_init(&n->change_lock, NULL);
	(void)pthread_cond_init(&n->change_over, NULL);
	*nodes = n;
	return 0;
}

/* Close all handles of all nodes of a chain; the last one frees its node. */
static void close_bucket(struct fs *fs, struct node *node)
{
	while (node != NULL) {
		struct node *next_node = node->next;
		struct handle *h = node->handles;

		while (h != NULL) {
			struct handle *next = h->next;

			node_close(fs, h);
			h = next;
		}
		node = next_node;
	}
}

void nodes_free(struct fs *fs, struct nodes *nodes)
{
	if (nodes == NULL)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *shard = &nodes->shards[i];

		for (unsigned b = 0; b < SHARD_BUCKETS; b++)
			close_bucket(fs, shard->buckets[b]);
		pthread_cond_destroy(&shard->lock.idle);
		pthread_mutex_destroy(&shard->lock.mutex);
	}
	pthread_cond_destroy(&nodes->change_over);
	pthread_mutex_destroy(&nodes->change_lock);
	pthread_mutex_destroy(&nodes->renamed_lock);
	proven_free(nodes->proven);
	free(nodes);
}

/* Put `h` at the head of the handles of `id`. -ENOMEM. The caller holds the lock. */
static int attach_handle(struct nodes *nodes, struct shard *shard, uint64_t id, struct handle *h)
{
	struct node *node = nodes_find(shard, id);

	if (node == NULL) {
		struct node **bucket = nodes_bucket(shard, id);

		node = calloc(1, sizeof(*node));
		if (node == NULL)
			return -ENOMEM;
		node->id = id;
		node->shard = shard;
		node->next = *bucket;
		*bucket = node;
	}
	h->node = node;
	h->lock = &shard->lock;
	h->id = id;
	h->next = node->handles;
	if (h->next != NULL)
		h->next->prev = h;
	node->handles = h;
	node->writable += h->writable;
	atomic_fetch_add(&nodes->writable, h->writable);
	return 0;
}

/* Take `h` out, and its node where it was the last. The caller holds the lock. */
static void detach_handle(struct nodes *nodes, struct shard *shard, struct handle *h)
{
	struct node *node = h->node;
	struct node **p;

	if (h->prev != NULL)
		h->prev->next = h->next;
	else
		node->handles = h->next;
	if (h->next != NULL)
		h->next->prev = h->prev;
	node->writable -= h->writable;
	atomic_fetch_sub(&nodes->writable, h->writable);
	if (h->id != node->id)
		nodes_unlist_renamed(nodes, h);
	if (node->handles != NULL)
		return;
	for (p = nodes_bucket(shard, node->id); *p != node; p = &(*p)->next)
		;
	*p = node->next;
	free(node);
}

/* `h` fills the page cache from `version`, which is or becomes the node's cached
 * one. The caller holds the lock. */
static void join_cache(struct nodes *nodes, struct handle *h, struct version *version)
{
	if (h->node->cached == NULL) {
		h->node->cached = version_share(version);
		proven_fills(nodes->proven, &version->ref);
	}
	h->node->cached_users++;
	h->fills_cache = true;
}

/* The counterpart; returns what is to be dropped after unlocking, or NULL. */
static struct version *leave_cache(struct handle *h)
{
	struct version *version = NULL;

	if (!h->fills_cache)
		return NULL;
	h->fills_cache = false;
	h->node->cached_users--;
	if (h->node->cached_users == 0) {
		version = h->node->cached;
		h->node->cached = NULL;
	}
	return version;
}

/* How a new handle of `version` uses the page cache. The caller holds the lock. */
static enum node_caching caching_of(struct nodes *nodes, const struct node *node,
                                    const struct version *version)
{
	/* Of a file just made the kernel may have its size, none, and reads no further. */
	for (const struct handle *p = node->handles; p != NULL; p = p->next) {
		if (p->created)
			return NODE_UNCACHED;
	}
	if (node->cached != NULL && node->cached->ref.lsn != version->ref.lsn)
		return NODE_BESIDE_CACHE;
	return proven_is(nodes->proven, &version->ref) ? NODE_KEEPS_CACHE : NODE_DROPS_CACHE;
}

/* How many changes of names there have been that may concern `id`. Where a change takes long, as
 * across a network, who opens another vector meanwhile need not do so again. */
static uint64_t changes_of(struct fs *fs, uint64_t id)
{
	return fs->shared ? copies_loss_stamp(fs, id) : atomic_load(&fs->nodes->changed);
}

/*
 * Put `h`, which has found `id` as it was after `changed` changes of names, on its list. Was
 * another made since, that may have missed the handle: -EAGAIN, find it anew. Called with the
 * lock held.
 */
static int attach_found(struct fs *fs, struct shard *shard, uint64_t id, struct handle *h,
                        uint64_t changed)
{
	if (changes_of(fs, id) != changed)
		return -EAGAIN;
	return attach_handle(fs->nodes, shard, id, h);
}

/* What becomes of a new reader's handle; the caller holds the lock. Returns what is to be
 * dropped after unlocking, or NULL. */
static struct version *begin_reading(struct nodes *nodes, struct handle *h, struct version *version,
                                     enum node_caching *caching)
{
	struct version *spare = NULL;

	*caching = caching_of(nodes, h->node, version);
	if (!node_is_uncached(*caching) && h->node->cached != NULL) {
		spare = version;
		version = version_share(h->node->cached);
	}
	h->version = version;
	h->stage.attr = version->ref.attr;
	h->drops_cache = *caching == NODE_DROPS_CACHE;
	if (!node_is_uncached(*caching))
		join_cache(nodes, h, version);
	return spare;
}

/* A new handle, charged for the copy of the vector that it holds where there is no memory map. NULL with
 * the reason in *err: -ENOMEM, -EDQUOT, -ENFILE; the latter two are told. */
static struct handle *handle_new(struct fs *fs, uint64_t id, int *err)
{
	uint64_t n = fs->geometry.vector_bytes;
	struct handle *h = calloc(1, sizeof(*h));
	char name[32];

	*err = h == NULL ? -ENOMEM : 0;
	if (h == NULL || !fs->shared)
		return h;
	h->charged = true;
	*err = charge_take(fs, CHARGE_OPEN_BYTES, caller_uid, n);
	if (*err == 0)
		return h;
	free(h);
	if (*err != -EDQUOT && *err != -ENOSPC)
		return NULL;
	(void)snprintf(name, sizeof(name), "vector %" PRIu64, id);
	(void)charge_refuse(fs, name, CHARGE_OPEN_BYTES, caller_uid, n, *err);
	if (*err == -ENOSPC)
		*err = -ENFILE;
	return NULL;
}

static void handle_free(struct fs *fs, struct handle *h)
{
	if (h->charged)
		charge_give(fs, CHARGE_OPEN_BYTES, h->uid, fs->geometry.vector_bytes);
	free(h);
}

int node_open_reader(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct handle **handle,
                     enum node_caching *caching)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct version *version = NULL;
	uint64_t changed;
	bool again;
	int err;
	struct handle *h = handle_new(fs, id, &err);

	if (h == NULL)
		return err;
	h->tid = tid;
	h->uid = caller_uid;
	do {
		changed = changes_of(fs, id);
		h->opened_change = atomic_load(&fs->nodes->changes.begun);
		version = copies_take(fs, id, tid);
		err = version != NULL ? 0 : version_get(fs, id, flags, &version);
		if (err != 0)
			break;
		h->opened_lsn = version->ref.lsn;
		pthread_mutex_lock(&shard->lock.mutex);
		err = attach_found(fs, shard, id, h, changed);
		again = err == -EAGAIN;
		if (err == 0)
			version = begin_reading(fs->nodes, h, version, caching);
		pthread_mutex_unlock(&shard->lock.mutex);
		version_drop(fs, version);
	} while (again);
	if (err != 0)
		handle_free(fs, h);
	else
		*handle = h;
	return err;
}

/* What a new writer finds at `id`, now. Errors of opening. */
static int find_written(struct fs *fs, uint64_t id, unsigned flags, bool pin,
                        const struct quiver_attr *create, struct handle *h)
{
	int err = 0;

	if (create != NULL && copies_take_none(fs, id, h->tid))
		err = -ENOENT;
	else
		h->version = copies_take(fs, id, h->tid);
	if (err != 0) {
		/* nothing is asked */
	} else if (h->version != NULL || pin) {
		if (h->version == NULL)
			err = version_get(fs, id, flags, &h->version);
		if (err == 0) {
			h->stage.attr = h->version->ref.attr;
			h->opened_lsn = h->version->ref.lsn;
		}
	} else {
		err = quiver_stat(fs->store, id, flags, &h->stage.attr, &h->opened_lsn);
	}
	if (err == -ENOENT && create != NULL) {
		h->created = true;
		h->stage.active = true;
		h->stage.attr = *create;
		err = 0;
	}
	return err;
}

int node_open_writer(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, bool pin,
                     const struct quiver_attr *create, struct handle **handle)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	const struct handle begin = {
		.tid = tid,
		.uid = caller_uid,
		.writable = true,
		.charged = fs->shared,
		.opened_ns = clock_now_ns(),
	};
	uint64_t changed;
	bool again;
	int err;
	struct handle *h = handle_new(fs, id, &err);

	if (h == NULL)
		return err;
	do {
		*h = begin;
		changed = changes_of(fs, id);
		h->opened_change = atomic_load(&fs->nodes->changes.begun);
		err = find_written(fs, id, flags, pin, create, h);
		if (err != 0)
			break;
		h->dir_seen = atomic_load(&fs->dir_attr_given);
		pthread_mutex_lock(&shard->lock.mutex);
		err = attach_found(fs, shard, id, h, changed);
		pthread_mutex_unlock(&shard->lock.mutex);
		again = err == -EAGAIN;
		if (err != 0)
			version_drop(fs, h->version);
	} while (again);
	if (err != 0)
		handle_free(fs, h);
	else
		*handle = h;
	return err;
}

void node_close(struct fs *fs, struct handle *h)
{
	struct shard *shard = h->node->shard;
	struct version *cached;

	pthread_mutex_lock(&shard->lock.mutex);
	cached = leave_cache(h);
	stage_drop(fs, h);
	detach_handle(fs->nodes, shard, h);
	pthread_mutex_unlock(&shard->lock.mutex);
	version_drop(fs, cached);
	version_drop(fs, h->version);
	handle_free(fs, h);
}

/* What the page cache is filled from by a handle where nobody else fills it. A writer's own version
 * may be older than what is committed by now; of a vector that is gone it is the last. */
static int version_to_cache(struct fs *fs, struct handle *h, unsigned flags,
                            struct version **version)
{
	bool latest, again = false;
	uint64_t id;
	int err;

	do {
		handle_lock(h);
		id = h->id;
		latest = h->writable && !h->orphan;
		handle_unlock(h);
		err = latest ? version_get(fs, id, flags, version) : -ENOENT;
		if (err == -ENOENT)
			err = handle_version(fs, h, flags, version);
		if (err != 0 || !latest)
			break;
		handle_lock(h);
		again = h->orphan || h->id != id; /* what was found may be another's */
		handle_unlock(h);
		if (again)
			version_drop(fs, *version);
	} while (again);
	return err;
}

int node_cache_version(struct fs *fs, struct handle *h, unsigned flags, struct version **version)
{
	struct version *own;
	int err;

	handle_lock(h);
	if (h->drops_cache) {
		h->drops_cache = false; /* done, as it reads */
		proven_set(fs->nodes->proven, &h->node->cached->ref);
	}
	if (h->node->cached != NULL) {
		if (!h->fills_cache)
			join_cache(fs->nodes, h, h->node->cached);
		*version = version_share(h->node->cached);
		handle_unlock(h);
		return 0;
	}
	handle_unlock(h);
	err = version_to_cache(fs, h, flags, &own);
	if (err != 0)
		return err;
	handle_lock(h);
	if (!h->fills_cache)
		join_cache(fs->nodes, h, own);
	*version = version_share(h->node->cached);
	handle_unlock(h);
	version_drop(fs, own);
	return 0;
}

/* Whether a vector that is `id` now, and was another when it was opened, is open for writing. */
static bool is_written_renamed(struct nodes *nodes, uint64_t id)
{
	const struct handle *h;

	if (atomic_load(&nodes->renamed) == 0)
		return false;
	pthread_mutex_lock(&nodes->renamed_lock);
	for (h = nodes->renamed_first; h != NULL; h = h->renamed_next) {
		if (h->writable && h->id == id)
			break;
	}
	pthread_mutex_unlock(&nodes->renamed_lock);
	return h != NULL;
}

bool node_is_written(struct fs *fs, uint64_t id)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct node *node;
	bool written;

	if (atomic_load(&fs->nodes->writable) == 0) /* mostly, and cheaper */
		return false;
	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	written = node != NULL && node->writable > 0;
	pthread_mutex_unlock(&shard->lock.mutex);
	return written || is_written_renamed(fs->nodes, id);
}

static bool is_own(const struct handle *h, const struct node_user *user)
{
	return h == user->handle ||
	       (h->elsewhere == user->elsewhere && user->tid != 0 &&
	        (h->tid == user->tid || atomic_load(&h->user_tid) == user->tid));
}

/* The handle that a request is taken to mean: the user's own, else the newest writable, else the
 * newest. NULL. */
static struct handle *pick(const struct node *node, const struct node_user *user)
{
	struct handle *newest = NULL;

	if (user->handle != NULL && user->handle->node == node)
		return user->handle;
	for (struct handle *h = node->handles; h != NULL; h = h->next) {
		if (h->elsewhere != user->elsewhere)
			continue;
		if (h->writable && is_own(h, user))
			return h;
		if (newest == NULL || (h->writable && !newest->writable))
			newest = h;
	}
	return newest;
}

void node_follow(struct handle *h)
{
	handle_lock(h);
	for (struct handle *p = h->node->handles; p != NULL; p = p->next)
		p->followed = p->followed || (p != h && p->tid == h->tid);
	handle_unlock(h);
}

bool node_is_alone(const struct handle *h)
{
	return h->node->handles == h && h->next == NULL;
}

uint32_t node_size(const struct fs *fs, const struct handle *h)
{
	if (!h->stage.active)
		return fs->geometry.vector_bytes;
	/* Also of one that was removed: the kernel would cut its reads at a shorter length. */
	for (const struct handle *p = h->node->handles; p != NULL; p = p->next) {
		if (!p->created)
			return fs->geometry.vector_bytes;
	}
	return h->stage.size;
}

bool node_view(struct fs *fs, uint64_t id, const struct node_user *user, struct node_view *view)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct handle *h;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	h = node != NULL ? pick(node, user) : NULL;
	if (h == NULL) {
		pthread_mutex_unlock(&shard->lock.mutex);
		return false;
	}
	view->attr = h->stage.attr;
	view->size = node_size(fs, h);
	view->own = is_own(h, user);
	view->tids[0] = h->tid;
	view->tids[1] = atomic_load(&h->user_tid);
	view->links = h->created && !h->orphan;
	view->created = h->created;
	view->orphan = h->orphan;
	view->renamed = !h->orphan && h->id != id;
	view->id = h->id;
	view->mtime_staged = h->writable && view->own && h->stage.active &&
	                     (h->stage.attr_mask & QUIVER_ATTR_MTIME) != 0;
	pthread_mutex_unlock(&shard->lock.mutex);
	return true;
}

/* The writer of what is vector `now`: the user's own, else, where it is not known by which open
 * file he asks, the newest; NULL. */
static struct handle *pick_writer(const struct node *node, uint64_t now,
                                  const struct node_user *user)
{
	struct handle *newest = NULL;

	for (struct handle *h = node->handles; h != NULL; h = h->next) {
		if (!h->writable || h->orphan || h->id != now)
			continue;
		if (user->handle != NULL && h != user->handle)
			continue;
		if (is_own(h, user))
			return h;
		if (newest == NULL)
			newest = h;
	}
	return newest;
}

bool node_stage_attr(struct fs *fs, uint64_t id, uint64_t now, const struct node_user *user,
                     bool others, const struct quiver_attr *attr, unsigned mask,
                     bool explicit_mtime)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct handle *h = NULL;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	if (node != NULL)
		h = pick_writer(node, now, user);
	if (h != NULL && (!(others || is_own(h, user)) || !h->stage.active))
		h = NULL;
	if (h != NULL) {
		attr_merge(&h->stage.attr, attr, mask);
		h->stage.attr.ctime_ns = clock_now_ns();
		if ((mask & QUIVER_ATTR_MTIME) && !explicit_mtime) {
			mask &= ~(unsigned)QUIVER_ATTR_MTIME;
			h->stage.attr_mask &= ~(unsigned)QUIVER_ATTR_MTIME;
		}
		h->stage.attr_mask |= mask;
	}
	pthread_mutex_unlock(&shard->lock.mutex);
	return h != NULL;
}

void node_keep_setid(struct fs *fs, uint64_t id)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	for (struct handle *h = node != NULL ? node->handles : NULL; h != NULL; h = h->next)
		h->stage.attr_mask &= ~(unsigned)QUIVER_ATTR_DROP_SETID;
	pthread_mutex_unlock(&shard->lock.mutex);
}

void node_set_orphan_attr(struct fs *fs, uint64_t id, const struct node_user *user,
                          const struct quiver_attr *attr, unsigned mask)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	int64_t now_ns = clock_now_ns();
	struct node *node;
	struct handle *h;

	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	h = node != NULL ? pick(node, user) : NULL;
	for (struct handle *p = h != NULL ? node->handles : NULL; p != NULL; p = p->next) {
		if (!p->orphan || p->orphan_lsn != h->orphan_lsn)
			continue;
		attr_merge(&p->stage.attr, attr, mask);
		p->stage.attr.ctime_ns = now_ns;
	}
	pthread_mutex_unlock(&shard->lock.mutex);
}

bool node_truncate_opened(struct fs *fs, uint64_t id, pid_t tid, bool cuts)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct handle *found = NULL;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	found = node != NULL ? node->handles : NULL;
	while (found != NULL && !handle_may_be_cut(found, found->touched, tid))
		found = found->next;
	if (found != NULL) {
		/* No request yet, so nothing but perhaps an empty stage. */
		found->touched = true;
		found->stage.active = true;
		if (cuts)
			found->stage.attr_mask |= QUIVER_ATTR_DROP_SETID;
	}
	pthread_mutex_unlock(&shard->lock.mutex);
	return found != NULL;
}

void node_opened(struct fs *fs, uint64_t id, pid_t tid)
{
	struct shard *shard = nodes_shard(fs->nodes, id);
	struct node *node;

	if (tid == 0)
		return;
	pthread_mutex_lock(&shard->lock.mutex);
	node = nodes_find(shard, id);
	for (struct handle *h = node != NULL ? node->handles : NULL; h != NULL; h = h->next) {
		if (h->writable && h->tid == tid)
			h->touched = true;
	}
	pthread_mutex_unlock(&shard->lock.mutex);
}
