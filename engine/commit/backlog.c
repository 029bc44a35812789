#include "engine/commit/backlog.h"

#include "engine/base/sizes.h"

/* Less tells nothing of how fast the disk is. */
#define LEARN_BYTES_MIN (UINT64_C(32) << 20)
/* A turn is not further ahead than this: by then there may be no log to speak of any more. */
#define TURN_NS_MAX UINT64_C(500000000)
/* 256 bytes of memory each: 256 MiB. */
#define ATTRS_MAX UINT64_C(1048576)
#define SHARES UINT64_C(1024)

void backlog_init(struct backlog *backlog)
{
	backlog->slow_bytes = BACKLOG_SLOW_BYTES;
	backlog->max_bytes = BACKLOG_MAX_BYTES;
	backlog->attrs_max = ATTRS_MAX;
}

void backlog_learn(struct backlog *backlog, uint64_t log_bytes, uint64_t took_ns)
{
	if (log_bytes >= LEARN_BYTES_MIN)
		atomic_store(&backlog->ns_per_mib, took_ns / (log_bytes >> 20));
}

uint64_t backlog_turn_ns(struct backlog *backlog, uint64_t log_bytes, uint64_t bytes,
                         uint64_t now_ns)
{
	uint64_t above = log_bytes > backlog->slow_bytes ? log_bytes - backlog->slow_bytes : 0;
	uint64_t span = backlog->max_bytes - backlog->slow_bytes;
	uint64_t shares = above < span ? above / (span / SHARES + 1) : SHARES;
	/* At all of it twice as long as a checkpoint takes for as much. */
	uint64_t takes_ns =
		atomic_load(&backlog->ns_per_mib) * (bytes >> 10) / 1024 * shares / SHARES * 2;
	uint64_t free_ns = atomic_load(&backlog->free_ns);
	uint64_t turn_ns;

	do {
		turn_ns = free_ns > now_ns ? free_ns : now_ns;
		if (turn_ns > now_ns + TURN_NS_MAX)
			turn_ns = now_ns + TURN_NS_MAX;
	} while (!atomic_compare_exchange_weak(&backlog->free_ns, &free_ns, turn_ns + takes_ns));
	return turn_ns;
}
