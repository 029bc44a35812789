/*
 * commit_flight.h - groups of commits that are in the log and not visible yet, as they, or one
 * before them, wait for a sync.
 *
 * A group is planned and logged with the writer lock held. Where nobody asked for a sync and no
 * group waits for one it becomes visible then and there. Else it is under way: the writer lock is
 * given back, and the next group is planned and logged while the disk works. Groups become visible
 * in the order of their LSNs, each that asked for a sync once its last LSN is durable, the others
 * behind it; where a sync fails none of those that are not durable does, and the store stops.
 *
 * So between planning and publishing others hold the writer lock. That is right because
 * - a group whose IDs are those of one under way, or that may be so (a batch, the directory's
 *   attributes), is planned when that has landed: what it would look up has not changed yet;
 * - room, in memory and on disk, is made for all that is under way and the new one together, and
 *   nobody takes of it: the versions know how much they have promised;
 * - who needs one state of LSN, log, lists and rows (a checkpoint's beginning, a snapshot, putting
 *   back what a checkpoint took, a change of the mode) waits until nothing is under way
 *   (committer_lock_settled, commit_pause), and nobody is planned before he had his turn;
 * - who must not wait is turned away while anything is under way;
 * - an append that fails takes back its own LSNs, which are the last.
 */
#ifndef QUIVER_COMMIT_FLIGHT_H
#define QUIVER_COMMIT_FLIGHT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/commit/commit_queue.h"

/* So many need no memory of their own. */
#define PLAN_FEW_OPS 4

/* A group on its way through the log. Arrays of one entry for each op. */
struct plan {
	struct commit_op **ops;
	struct wal_record *records;
	const void **payloads;
	size_t count;
	size_t pending; /* ops of the group and of those under way before it */
	int64_t time_ns; /* of all that it changes, but for what has changed later already */
	uint64_t first_lsn; /* to go back to where the log fails */
	struct commit_op *few_ops[PLAN_FEW_OPS];
	struct wal_record few_records[PLAN_FEW_OPS];
	const void *few_payloads[PLAN_FEW_OPS];
};

/* Belongs to who leads the group, until it has landed. */
struct commit_flight {
	struct plan plan;
	struct commit_request *const *group; /* the leader's */
	size_t count; /* of requests */
	size_t ends; /* rows that a snapshot may have and that it ends, at most */
	bool sync; /* it has to be durable before it is visible */
	bool landed; /* writer lock; visible, or it failed */
	int result; /* writer lock; of those of its requests that were planned */
	struct commit_flight *next; /* writer lock */
};

/* Those under way. Writer lock. */
struct commit_flights {
	struct commit_flight *first; /* ascending LSN */
	struct commit_flight **last;
	size_t ops; /* of all of them */
	unsigned settling; /* who waits for none to be there */
	pthread_cond_t landed;
};

void commit_flights_init(struct commit_flights *flights);
void commit_flights_destroy(struct commit_flights *flights);
/* Whether the group has to wait for one that is under way, or for who waits for all of them. Writer
 * lock. */
bool commit_flights_hinder(const struct commit_flights *flights,
                           struct commit_request *const *group, size_t count);
/* It is the last under way. Writer lock. */
void commit_flights_add(struct commit_flights *flights, struct commit_flight *flight);
/* The first has landed, and is the leader's again when the writer lock is given back. Writer
 * lock. */
void commit_flights_land(struct commit_flights *flights, int result);

#endif
