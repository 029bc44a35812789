/*
 * nodes.h - the table of the vectors that are open now; for node.c and change.c.
 */
#ifndef NODES_H
#define NODES_H

#include "fs/vector/handle.h"

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
	_Atomic unsigned writable; /* handles that are; of one ID: node.writable */
	struct proven *proven; /* of each ID: the lock of its shard */

	/* Handles whose vector has another ID now than when it was opened. The lock is taken with
	 * a shard's held, not the other way round. */
	pthread_mutex_t renamed_lock;
	struct handle *renamed_first; /* renamed_lock */
	_Atomic unsigned renamed; /* how many they are */

	struct changes changes;
	pthread_mutex_t change_lock;
	pthread_cond_t change_over;
	bool change_taken; /* change_lock */
	_Atomic uint64_t changed; /* how many there have been: see node_open_writer */
};

/* Spreads neighbouring IDs: the golden ratio times 2^64. */
static inline uint64_t nodes_hash(uint64_t id)
{
	return id * UINT64_C(0x9E3779B97F4A7C15);
}

static inline struct shard *nodes_shard(struct nodes *nodes, uint64_t id)
{
	return &nodes->shards[(nodes_hash(id) >> 58) % SHARDS];
}

static inline struct node **nodes_bucket(struct shard *shard, uint64_t id)
{
	return &shard->buckets[(nodes_hash(id) >> 40) % SHARD_BUCKETS];
}

/* The node of `id`, or NULL. The caller holds the shard's lock. */
static inline struct node *nodes_find(struct shard *shard, uint64_t id)
{
	struct node *node = *nodes_bucket(shard, id);

	while (node != NULL && node->id != id)
		node = node->next;
	return node;
}

/* Take `h` off the list of the renamed. The caller holds its shard's lock. */
static inline void nodes_unlist_renamed(struct nodes *nodes, struct handle *h)
{
	pthread_mutex_lock(&nodes->renamed_lock);
	if (h->renamed_prev != NULL)
		h->renamed_prev->renamed_next = h->renamed_next;
	else
		nodes->renamed_first = h->renamed_next;
	if (h->renamed_next != NULL)
		h->renamed_next->renamed_prev = h->renamed_prev;
	atomic_fetch_sub(&nodes->renamed, 1);
	pthread_mutex_unlock(&nodes->renamed_lock);
}

#endif
