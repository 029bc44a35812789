/*
 * commit_queue.h - requests to commit, and who waits with one: group commit has one leader at a
 * time, which plans, logs, syncs and publishes the commits of all who wait (group.c).
 */
#ifndef QUIVER_COMMIT_QUEUE_H
#define QUIVER_COMMIT_QUEUE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/media/meta_row.h"
#include "engine/media/wal_record.h"

struct commit_op {
	/* set by the caller */
	enum wal_type type; /* PUT, REMOVE, RENAME, MOVE, SETATTR, DIRATTR */
	uint64_t id;
	uint64_t from; /* RENAME: ID it was */
	uint64_t slot; /* PUT, RENAME, MOVE: taken, and the N bytes are written to it */
	uint64_t src_slot; /* RENAME, MOVE: slot whose bytes were copied */
	uint64_t src_lsn; /* RENAME, MOVE: LSN of its row then */
	const void *data; /* PUT: N bytes, for the log */
	uint64_t bytes_hash; /* PUT, RENAME, MOVE: XXH3-64 of the N bytes */
	struct quiver_attr attr;
	unsigned mask; /* QUIVER_ATTR_* */
	/* set by the leader */
	uint64_t old_slot;
	struct meta_row row;
	uint64_t lsn;
	int result; /* of a request with `each`, once it is published: 0, or why this one is not */
};

/* Whether the op writes a slot of its own. */
static inline bool commit_op_has_slot(const struct commit_op *op)
{
	return op->type == WAL_PUT || op->type == WAL_RENAME || op->type == WAL_MOVE;
}

/* Ops that take effect together or, with `each`, moves that are commits of their own and go one
 * way. With more than one op no two may name the same ID. */
struct commit_request {
	struct commit_op *ops;
	size_t count;
	unsigned flags; /* QUIVER_* */
	bool each; /* an op that cannot be planned is left out */
	int result; /* -ECANCELED within commit/: mode none does not do it this way */
	uint64_t lsn; /* of the last op */
	bool published;
	bool by_slot; /* set by the leader: the log names the slots, the bytes are there alone */
	bool done; /* the leader's; its own thread's after `woken` */
	sem_t woken; /* posted once it is done, or else is to lead */
	struct commit_request *next; /* queue lock */
};

/* Whether one has to be planned when the other is visible. Of batches the first ID is compared
 * alone, unless each op is for itself. */
bool commit_requests_clash(const struct commit_request *a, const struct commit_request *b);

struct commit_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct commit_request *first; /* lock; a list, oldest first */
	struct commit_request **last; /* lock */
	size_t count; /* lock; requests in the list */
	bool led; /* lock; a leader plans and logs, or is called */
	unsigned pausing; /* lock; who waits for `changed` */
	pthread_cond_t arrived; /* lock; as many requests as the leader waits for */
	size_t awaited; /* lock; so many, 0 while it does not wait */
	size_t flights; /* lock; groups under way (commit_flight.h) */
	size_t aloft; /* lock; requests of theirs */
	pthread_cond_t landed; /* lock; a group is not under way any more */
	size_t expected; /* lock; requests under way and waiting when a group landed last */
	unsigned doubts; /* lock; halvings of the time that the leader waits for them */
	uint64_t landed_ns; /* lock; when that was, 0 once a group was logged since */
	uint64_t gather_ns; /* lock; until a group was logged then, for each of its requests */
	uint64_t sync_ns; /* lock; what a sync of the log takes */
	_Atomic unsigned waits; /* so many wait for the disk: leaders, and groups under way */
};

void commit_queue_init(struct commit_queue *queue);
void commit_queue_destroy(struct commit_queue *queue);

/* Somebody is about to wait for storage: who must not wait behind it is turned away with
 * -EAGAIN, until as many have ended. Lock order: as the queue lock. */
void commit_wait_begin(struct commit_queue *queue);
void commit_wait_end(struct commit_queue *queue);
/* The same, with the queue lock held. */
void commit_turn_away(struct commit_queue *queue);
/* A request is done: its thread goes on, and it may be gone when this returns. By the leader,
 * or with no leader there. */
void commit_request_end(struct commit_request *request);

#endif
