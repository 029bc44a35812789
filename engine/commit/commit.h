/*
 * commit.h - group commit: one leader at a time plans, logs, syncs and publishes the
 * commits of all who wait.
 *
 * After the leader/follower scheme of group commit as databases have it since DeWitt et
 * al., "Implementation Techniques for Main Memory Database Systems", SIGMOD 1984.
 */
#ifndef QUIVER_COMMIT_H
#define QUIVER_COMMIT_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/media/wal_record.h"
#include "engine/store/store.h"

struct commit_op {
	/* set by the caller */
	enum wal_type type; /* PUT, REMOVE, RENAME, MOVE, SETATTR, DIRATTR */
	uint64_t id;
	uint64_t from; /* RENAME: ID it was */
	uint64_t slot; /* PUT, RENAME, MOVE: taken, and the N bytes are written to it */
	uint64_t src_slot; /* RENAME, MOVE: slot whose bytes were copied */
	const void *data; /* PUT: N bytes, for the log */
	uint64_t bytes_hash; /* PUT, RENAME, MOVE: XXH3-64 of the N bytes */
	struct quiver_attr attr;
	unsigned mask; /* QUIVER_ATTR_* */
	/* set by the leader */
	uint64_t old_slot;
	struct meta_row row;
	uint64_t lsn;
};

/* Whether the op writes a slot of its own. */
static inline bool commit_op_has_slot(const struct commit_op *op)
{
	return op->type == WAL_PUT || op->type == WAL_RENAME || op->type == WAL_MOVE;
}

/* Ops that take effect together. With more than one op no two may name the same ID. */
struct commit_request {
	struct commit_op *ops;
	size_t count;
	unsigned flags; /* QUIVER_* */
	int result; /* -ECANCELED within commit.c: mode none does not do it this way */
	uint64_t lsn; /* of the last op */
	bool published;
	bool by_slot; /* set by the leader: the log names the slots, the bytes are there alone */
	bool done; /* the leader's; its own thread's after `woken` */
	sem_t woken; /* posted once it is done, or else is to lead */
	struct commit_request *next; /* queue lock */
};

void commit_queue_init(struct commit_queue *queue);
void commit_queue_destroy(struct commit_queue *queue);

/* The leader is about to wait for storage: who must not wait behind it is turned away with
 * -EAGAIN, until the end. Lock order: as the queue lock. */
void commit_wait_begin(struct quiver *store);
void commit_wait_end(struct quiver *store);

/* Commit, and wait until it is done; any thread, no lock held. 0 or the errors of quiver.h;
 * -ESTALE for a RENAME or MOVE whose source is no longer in src_slot (nothing changed). On
 * failure the slots of the ops are given back, unless the store has failed. */
int commit_submit(struct quiver *store, struct commit_request *request);

/* Let nobody commit until commit_resume; those who come wait (who must not is turned away).
 * Any thread, no lock held. */
void commit_pause(struct quiver *store);
void commit_resume(struct quiver *store);

#endif
