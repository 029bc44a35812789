/* change.c - vectors that are removed, replaced or renamed while somebody has them open. */
#include "fs/vector/change.h"

#include <errno.h>

#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/vector/copies.h"
#include "fs/vector/nodes.h"

/* What is done with a handle on the vector. True: look no further in this shard. */
typedef bool visit_fn(struct nodes *nodes, struct handle *h, const void *arg);

/* The caller holds the lock. */
static bool visit_node(struct nodes *nodes, struct node *node, uint64_t id, visit_fn *visit,
                       const void *arg)
{
	for (struct handle *h = node->handles; h != NULL; h = h->next) {
		if (!h->orphan && h->id == id && visit(nodes, h, arg))
			return true;
	}
	return false;
}

/* Those in a shard that have vector `id` open. One that was renamed since is with the node that
 * it was opened as, which may be any: then all are gone through, which is rare. The caller holds
 * the lock. */
static bool visit_shard(struct nodes *nodes, struct shard *shard, uint64_t id, visit_fn *visit,
                        const void *arg)
{
	struct node *node;

	if (atomic_load(&nodes->renamed) == 0) {
		node = nodes_find(shard, id);
		return node != NULL && visit_node(nodes, node, id, visit, arg);
	}
	for (unsigned b = 0; b < SHARD_BUCKETS; b++)
		for (node = shard->buckets[b]; node != NULL; node = node->next)
			if (visit_node(nodes, node, id, visit, arg))
				return true;
	return false;
}

/* The shards that may have handles on `id`: from *first up to the one returned. */
static unsigned shards_of(struct nodes *nodes, uint64_t id, unsigned *first)
{
	*first = 0;
	if (atomic_load(&nodes->renamed) != 0)
		return SHARDS;
	*first = (unsigned)(nodes_shard(nodes, id) - nodes->shards);
	return *first + 1;
}

static void visit_all(struct nodes *nodes, uint64_t id, visit_fn *visit, const void *arg)
{
	unsigned i, end = shards_of(nodes, id, &i);

	for (; i < end; i++) {
		struct shard *shard = &nodes->shards[i];

		pthread_mutex_lock(&shard->lock.mutex);
		(void)visit_shard(nodes, shard, id, visit, arg);
		pthread_mutex_unlock(&shard->lock.mutex);
	}
}

/* ---- holding commits off ---- */

static bool is_busy(struct nodes *nodes, struct handle *h, const void *arg)
{
	(void)nodes;
	(void)arg;
	return h->busy;
}

/* Wait for the commits to `id` that are under way. */
static int wait_idle(struct nodes *nodes, uint64_t id, bool may_wait)
{
	unsigned i, end = shards_of(nodes, id, &i);
	int err = 0;

	for (; err == 0 && i < end; i++) {
		struct shard *shard = &nodes->shards[i];

		pthread_mutex_lock(&shard->lock.mutex);
		while (err == 0 && visit_shard(nodes, shard, id, is_busy, NULL)) {
			if (may_wait)
				pthread_cond_wait(&shard->lock.idle, &shard->lock.mutex);
			else
				err = -EAGAIN;
		}
		pthread_mutex_unlock(&shard->lock.mutex);
	}
	return err;
}

/* Wait until nobody else is amid one. */
static int take_turn(struct nodes *nodes, bool may_wait)
{
	int err = 0;

	pthread_mutex_lock(&nodes->change_lock);
	while (nodes->change_taken && may_wait)
		pthread_cond_wait(&nodes->change_over, &nodes->change_lock);
	if (nodes->change_taken)
		err = -EAGAIN;
	else
		nodes->change_taken = true;
	pthread_mutex_unlock(&nodes->change_lock);
	return err;
}

static void end_turn(struct nodes *nodes)
{
	atomic_store(&nodes->changes.active, false);
	pthread_mutex_lock(&nodes->change_lock);
	nodes->change_taken = false;
	pthread_cond_broadcast(&nodes->change_over);
	pthread_mutex_unlock(&nodes->change_lock);
	if (atomic_load(&nodes->changes.waiting) == 0)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard_lock *lock = &nodes->shards[i].lock;

		pthread_mutex_lock(&lock->mutex);
		pthread_cond_broadcast(&lock->idle);
		pthread_mutex_unlock(&lock->mutex);
	}
}

int change_begin(struct fs *fs, uint64_t from, uint64_t to, bool may_wait, struct change *change)
{
	struct nodes *nodes = fs->nodes;
	int err = fs->shared ? 0 : take_turn(nodes, may_wait);

	if (err != 0)
		return err;
	*change = (struct change){ .number = atomic_fetch_add(&nodes->changes.begun, 1) + 1 };
	if (fs->shared)
		return 0;
	atomic_store(&nodes->changes.from, from);
	atomic_store(&nodes->changes.to, to);
	/* A commit looks at it with its shard locked, before it is busy: what is not seen to be
	 * busy from now on sees this. */
	atomic_store(&nodes->changes.active, true);
	err = wait_idle(nodes, from, may_wait);
	if (err == 0 && to != from)
		err = wait_idle(nodes, to, may_wait);
	if (err != 0)
		end_turn(nodes);
	return err;
}

void change_end(struct fs *fs, struct change *change)
{
	if (!fs->shared)
		end_turn(fs->nodes);
	version_drop(fs, change->last);
}

/* ---- what becomes of the handles ---- */

static bool is_any(struct nodes *nodes, struct handle *h, const void *arg)
{
	(void)nodes;
	(void)h;
	(void)arg;
	return true;
}

int change_last(struct fs *fs, uint64_t id, bool may_wait, struct change *change)
{
	struct nodes *nodes = fs->nodes;
	unsigned i, end = shards_of(nodes, id, &i);
	bool open = false;
	int err;

	for (; !open && i < end; i++) {
		pthread_mutex_lock(&nodes->shards[i].lock.mutex);
		open = visit_shard(nodes, &nodes->shards[i], id, is_any, NULL);
		pthread_mutex_unlock(&nodes->shards[i].lock.mutex);
	}
	if (!open)
		return 0;
	err = version_get(fs, id, attempt_flags(may_wait), &change->last);
	return err == -EAGAIN ? err : 0;
}

struct loss {
	const struct change *change;
	bool ordered; /* versions are one sequence */
	bool replaced;
	int64_t now_ns;
};

/* Whether what is gone is what `h` has open, and not one made since. */
static bool is_lost(const struct handle *h, const struct loss *loss)
{
	const struct change *change = loss->change;

	if (loss->replaced && h->created && h->exclusive)
		return false;
	if (loss->ordered)
		return h->opened_lsn < change->lsn;
	/* One opened meanwhile may be either. */
	return h->opened_change < change->number ||
	       (change->last != NULL && h->opened_lsn == change->last->ref.lsn);
}

static bool set_orphan(struct nodes *nodes, struct handle *h, const void *arg)
{
	const struct loss *loss = arg;
	struct version *last = loss->change->last;
	unsigned staged = h->stage.active ? h->stage.attr_mask : 0u;
	struct quiver_attr attr;

	(void)nodes;
	if (!is_lost(h, loss))
		return false;
	if (!h->created && last != NULL) {
		attr = last->ref.attr;
		attr_merge(&attr, &h->stage.attr, staged);
		h->stage.attr = attr;
		if (h->version == NULL)
			h->version = version_share(last);
	}
	h->stage.attr.ctime_ns = loss->now_ns;
	h->orphan = true;
	h->orphan_lsn = loss->change->lsn;
	return false;
}

static void lose(struct fs *fs, uint64_t id, const struct change *change, bool replaced)
{
	const struct loss loss = {
		.change = change,
		.ordered = (quiver_capabilities(fs->store) & QUIVER_ORDERED) != 0,
		.replaced = replaced,
		.now_ns = clock_now_ns(),
	};

	atomic_fetch_add(&fs->nodes->changed, 1);
	copies_changed(fs, id);
	copies_lost(fs, id);
	visit_all(fs->nodes, id, set_orphan, &loss);
}

void change_removed(struct fs *fs, uint64_t id, const struct change *change)
{
	lose(fs, id, change, false);
}

void change_replaced(struct fs *fs, uint64_t id, const struct change *change)
{
	lose(fs, id, change, true);
}

struct move {
	uint64_t lsn;
	uint64_t to;
};

static void list_renamed(struct nodes *nodes, struct handle *h)
{
	pthread_mutex_lock(&nodes->renamed_lock);
	h->renamed_prev = NULL;
	h->renamed_next = nodes->renamed_first;
	if (h->renamed_next != NULL)
		h->renamed_next->renamed_prev = h;
	nodes->renamed_first = h;
	atomic_fetch_add(&nodes->renamed, 1);
	pthread_mutex_unlock(&nodes->renamed_lock);
}

static bool set_id(struct nodes *nodes, struct handle *h, const void *arg)
{
	const struct move *move = arg;

	if (h->opened_lsn >= move->lsn)
		return false;
	/* It has the file open that somebody else has made by now. */
	h->created = false;
	h->exclusive = false;
	if (h->id != h->node->id)
		nodes_unlist_renamed(nodes, h);
	pthread_mutex_lock(&nodes->renamed_lock);
	h->id = move->to;
	pthread_mutex_unlock(&nodes->renamed_lock);
	if (h->id != h->node->id)
		list_renamed(nodes, h);
	return false;
}

void change_renamed(struct fs *fs, uint64_t from, uint64_t to, const struct change *change)
{
	const struct move move = { .lsn = change->lsn, .to = to };

	atomic_fetch_add(&fs->nodes->changed, 1);
	visit_all(fs->nodes, from, set_id, &move);
}

void change_touch_orphan(struct handle *h)
{
	int64_t now_ns = clock_now_ns();

	for (struct handle *p = h->node->handles; p != NULL; p = p->next) {
		if (p->orphan && p->orphan_lsn == h->orphan_lsn)
			p->stage.attr.mtime_ns = p->stage.attr.ctime_ns = now_ns;
	}
}
