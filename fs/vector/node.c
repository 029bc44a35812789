/* node.c - the vectors that are open now: handles, versions, the cache rule. */
#include "fs/vector/node.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/clock.h"
#include "fs/vector/proven.h"
#include "fs/vector/stage.h"

#define SHARDS 64u
#define SHARD_BUCKETS 256u

struct shard {
	struct shard_lock lock;
	struct node *buckets[SHARD_BUCKETS]; /* lock */
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

struct nodes {
	struct shard shards[SHARDS];
	/* Handles whose vector has another ID now than when it was opened. */
	_Atomic unsigned renamed;
	_Atomic unsigned writable; /* handles that are; of one ID: node.writable */
	struct proven *proven; /* of each ID: the lock of its shard */
};

/* Spreads neighbouring IDs: the golden ratio times 2^64. */
static uint64_t hash_id(uint64_t id)
{
	return id * UINT64_C(0x9E3779B97F4A7C15);
}

static struct shard *shard_of(struct nodes *nodes, uint64_t id)
{
	return &nodes->shards[(hash_id(id) >> 58) % SHARDS];
}

static struct node **bucket_of(struct shard *shard, uint64_t id)
{
	return &shard->buckets[(hash_id(id) >> 40) % SHARD_BUCKETS];
}

/* The caller holds the shard's lock. */
static struct node *find_node(struct shard *shard, uint64_t id)
{
	struct node *node = *bucket_of(shard, id);

	while (node != NULL && node->id != id)
		node = node->next;
	return node;
}

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
	}
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
	proven_free(nodes->proven);
	free(nodes);
}

/* Put `h` at the head of the handles of `id`. -ENOMEM. The caller holds the lock. */
static int attach_handle(struct nodes *nodes, struct shard *shard, uint64_t id, struct handle *h)
{
	struct node *node = find_node(shard, id);

	if (node == NULL) {
		struct node **bucket = bucket_of(shard, id);

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
		atomic_fetch_sub(&nodes->renamed, 1);
	if (node->handles != NULL)
		return;
	for (p = bucket_of(shard, node->id); *p != node; p = &(*p)->next)
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
		return NODE_UNCACHED;
	return proven_is(nodes->proven, &version->ref) ? NODE_KEEPS_CACHE : NODE_DROPS_CACHE;
}

int node_open_reader(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct handle **handle,
                     enum node_caching *caching)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct handle *h = calloc(1, sizeof(*h));
	struct version *version = NULL;
	struct version *spare = NULL;
	int err;

	if (h == NULL)
		return -ENOMEM;
	h->tid = tid;
	h->uid = caller_uid;
	err = version_get(fs, id, flags, &version);
	if (err != 0)
		goto out;
	pthread_mutex_lock(&shard->lock.mutex);
	err = attach_handle(fs->nodes, shard, id, h);
	if (err != 0) {
		pthread_mutex_unlock(&shard->lock.mutex);
		goto out;
	}
	*caching = caching_of(fs->nodes, h->node, version);
	if (*caching != NODE_UNCACHED && h->node->cached != NULL) {
		spare = version;
		version = version_share(h->node->cached);
	}
	h->version = version;
	h->drops_cache = *caching == NODE_DROPS_CACHE;
	if (*caching != NODE_UNCACHED)
		join_cache(fs->nodes, h, version);
	pthread_mutex_unlock(&shard->lock.mutex);
	version_drop(fs, spare);
	*handle = h;
	return 0;

out:
	version_drop(fs, version);
	free(h);
	return err;
}

int node_open_writer(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, bool pin,
                     const struct quiver_attr *create, struct handle **handle)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct handle *h = calloc(1, sizeof(*h));
	int err;

	if (h == NULL)
		return -ENOMEM;
	h->tid = tid;
	h->uid = caller_uid;
	h->writable = true;
	if (pin) {
		err = version_get(fs, id, flags, &h->version);
		if (err == 0)
			h->stage.attr = h->version->ref.attr;
	} else {
		err = quiver_stat(fs->store, id, flags, &h->stage.attr, NULL);
	}
	if (err == -ENOENT && create != NULL) {
		h->created = true;
		h->stage.active = true;
		h->stage.attr = *create;
		err = 0;
	}
	if (err != 0)
		goto out;
	h->dir_seen = atomic_load(&fs->dir_attr_given);
	pthread_mutex_lock(&shard->lock.mutex);
	err = attach_handle(fs->nodes, shard, id, h);
	pthread_mutex_unlock(&shard->lock.mutex);
	if (err != 0)
		goto out;
	*handle = h;
	return 0;

out:
	version_drop(fs, h->version);
	free(h);
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
	free(h);
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
	/* A writer's own version may be older than what is committed by now. */
	if (h->writable)
		err = version_get(fs, h->node->id, flags, &own);
	else
		err = handle_version(fs, h, flags, &own);
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

bool node_is_written(struct fs *fs, uint64_t id)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct node *node;
	bool written;

	if (atomic_load(&fs->nodes->writable) == 0) /* mostly, and cheaper */
		return false;
	pthread_mutex_lock(&shard->lock.mutex);
	node = find_node(shard, id);
	written = node != NULL && node->writable > 0;
	pthread_mutex_unlock(&shard->lock.mutex);
	return written;
}

/* The writable handle that a request without one is taken to mean: one of thread `tid`,
 * else the newest; of those only that have had no request, where `untouched`. NULL. */
static struct handle *pick_writable(const struct node *node, pid_t tid, bool untouched)
{
	struct handle *newest = NULL;

	for (struct handle *h = node->handles; h != NULL; h = h->next) {
		if (!h->writable || (untouched && h->touched))
			continue;
		if (h->tid == tid)
			return h;
		if (newest == NULL)
			newest = h;
	}
	return newest;
}

/* The same, or the newest handle. */
static struct handle *pick(const struct node *node, pid_t tid)
{
	struct handle *h = pick_writable(node, tid, false);

	return h != NULL ? h : node->handles;
}

bool node_is_alone(const struct handle *h)
{
	return h->node->handles == h && h->next == NULL;
}

uint32_t node_size(const struct fs *fs, const struct handle *h)
{
	if (!h->stage.active)
		return fs->geometry.vector_bytes;
	for (const struct handle *p = h->node->handles; p != NULL; p = p->next) {
		if (!p->created)
			return fs->geometry.vector_bytes;
	}
	return h->stage.size;
}

bool node_view(struct fs *fs, uint64_t id, pid_t tid, struct node_view *view)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct handle *h;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = find_node(shard, id);
	if (node == NULL) {
		pthread_mutex_unlock(&shard->lock.mutex);
		return false;
	}
	h = pick(node, tid);
	view->attr = h->writable ? h->stage.attr : h->version->ref.attr;
	/* To others a vector has N bytes or is not there: their path may have led to the one
	 * before, which had this node number, too. */
	view->size = h->tid == tid ? node_size(fs, h) : fs->geometry.vector_bytes;
	view->links = h->created && !h->orphan;
	if (h->orphan)
		view->attr.ctime_ns = h->orphan_ns;
	view->renamed = !h->orphan && h->id != id;
	view->id = h->id;
	view->mtime_staged = h->writable && h->tid == tid && h->stage.active &&
	                     (h->stage.attr_mask & QUIVER_ATTR_MTIME) != 0;
	pthread_mutex_unlock(&shard->lock.mutex);
	return true;
}

bool node_stage_attr(struct fs *fs, uint64_t id, pid_t tid, bool others,
                     const struct quiver_attr *attr, unsigned mask, bool explicit_mtime)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct handle *h = NULL;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = find_node(shard, id);
	if (node != NULL)
		h = pick(node, tid);
	if (h != NULL && (!h->writable || (h->tid != tid && !others) || !h->stage.active))
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

bool node_truncate_newest(struct fs *fs, uint64_t id, pid_t tid)
{
	struct shard *shard = shard_of(fs->nodes, id);
	struct handle *found = NULL;
	struct node *node;

	pthread_mutex_lock(&shard->lock.mutex);
	node = find_node(shard, id);
	if (node != NULL)
		found = pick_writable(node, tid, true);
	if (found != NULL) {
		/* No request yet, so nothing but perhaps an empty stage. */
		found->touched = true;
		found->stage.active = true;
	}
	pthread_mutex_unlock(&shard->lock.mutex);
	return found != NULL;
}

/* What becomes of a handle whose vector was removed, or is `to` now. */
static void set_orphan(struct nodes *nodes, struct handle *h, uint64_t to)
{
	(void)nodes;
	(void)to;
	h->orphan = true;
	h->orphan_ns = clock_now_ns();
}

static void set_id(struct nodes *nodes, struct handle *h, uint64_t to)
{
	bool was = h->id != h->node->id;

	h->id = to;
	if (was && to == h->node->id)
		atomic_fetch_sub(&nodes->renamed, 1);
	else if (!was && to != h->node->id)
		atomic_fetch_add(&nodes->renamed, 1);
}

typedef void change_fn(struct nodes *nodes, struct handle *h, uint64_t to);

/* Those of `node` that have vector `id` open. The caller holds the lock. */
static void change_handles(struct nodes *nodes, struct node *node, uint64_t id, change_fn *change,
                           uint64_t to)
{
	for (struct handle *h = node->handles; h != NULL; h = h->next) {
		if (!h->created && !h->orphan && h->id == id)
			change(nodes, h, to);
	}
}

/* All that have vector `id` open. One that was renamed since is with the node that it was
 * opened as, which may be any: then all are gone through, which is rare. */
static void change_all(struct nodes *nodes, uint64_t id, change_fn *change, uint64_t to)
{
	struct shard *shard = shard_of(nodes, id);
	struct node *node;

	if (atomic_load(&nodes->renamed) == 0) {
		pthread_mutex_lock(&shard->lock.mutex);
		node = find_node(shard, id);
		if (node != NULL)
			change_handles(nodes, node, id, change, to);
		pthread_mutex_unlock(&shard->lock.mutex);
		return;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		shard = &nodes->shards[i];
		pthread_mutex_lock(&shard->lock.mutex);
		for (unsigned b = 0; b < SHARD_BUCKETS; b++)
			for (node = shard->buckets[b]; node != NULL; node = node->next)
				change_handles(nodes, node, id, change, to);
		pthread_mutex_unlock(&shard->lock.mutex);
	}
}

void node_removed(struct fs *fs, uint64_t id)
{
	change_all(fs->nodes, id, set_orphan, 0);
}

void node_renamed(struct fs *fs, uint64_t from, uint64_t to)
{
	if (from != to)
		change_all(fs->nodes, from, set_id, to);
}
