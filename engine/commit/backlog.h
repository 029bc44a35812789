/*
 * backlog.h - commits that come faster than checkpoints can be made: they wait, the longer the more log
 * there is that no checkpoint has covered, so that it stays bounded and with it what a crash has to
 * replay. Nobody fails for that.
 */
#ifndef QUIVER_BACKLOG_H
#define QUIVER_BACKLOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One of each checkpointer, which says what it measures; commit.c waits. */
struct backlog {
	uint64_t slow_bytes; /* fixed; of log: commits begin to wait */
	uint64_t max_bytes; /* fixed; ... and wait for a checkpoint */
	uint64_t attrs_max; /* fixed; ... also at so many vectors with attributes in memory alone */
	_Atomic uint64_t ns_per_mib; /* of log, by the last checkpoint of much; 0: not known */
	_Atomic uint64_t free_ns; /* CLOCK_MONOTONIC; until then those before have their turns */
};

void backlog_init(struct backlog *backlog);
/* A checkpoint of so much log has taken so long. One at a time. */
void backlog_learn(struct backlog *backlog, uint64_t log_bytes, uint64_t took_ns);
static inline bool backlog_knows(const struct backlog *backlog)
{
	return atomic_load(&backlog->ns_per_mib) > 0;
}
/* When a commit of `bytes` may go on that comes at `now_ns` with so much log there: at slow_bytes at
 * once, and towards max_bytes half as fast as checkpoints are. Any thread. */
uint64_t backlog_turn_ns(struct backlog *backlog, uint64_t log_bytes, uint64_t bytes,
                         uint64_t now_ns);

#endif
