/* attempt.c - a request that is tried at once, and else handed to a worker. */
#include "fs/base/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/caller.h"
#include "fs/base/clock.h"
#include "fs/base/inside.h"
#include "fs/base/payload.h"
#include "fs/base/proc_signal.h"
#include "fs/base/reply.h"

#define NS_PER_MS INT64_C(1000000)

static struct attempt *attempt_of(struct work *work)
{
	return (struct attempt *)(void *)((char *)work - offsetof(struct attempt, work));
}

static void end(struct attempt *attempt)
{
	if (attempt->end != NULL)
		attempt->end(attempt);
}

static _Thread_local int64_t waits_until_ns; /* by the monotonic clock; 0: as long as it takes */

void attempt_wait_at_most(unsigned wait_ms)
{
	waits_until_ns = wait_ms > 0 ? clock_steady_ns() + wait_ms * NS_PER_MS : 0;
}

/* Whose request is worked on by this thread, for as long as it has not been answered. */
struct waiter {
	struct fs *fs;
	fuse_req_t req;
	int64_t look_ns; /* when to look at it again; monotonic clock */
};

/* Of a local store the kernel does not tell, so it is looked at now and then: libfuse would have to keep a
 * list of all requests, most of which are over at once, and has none of those that come through a ring. */
#define LOOK_NS (50 * NS_PER_MS)

static bool is_interrupted(struct waiter *waiter)
{
	pid_t tid = fuse_req_ctx(waiter->req)->pid;
	int64_t now_ns;

	if (waiter->fs->shared)
		return fuse_req_interrupted(waiter->req) && proc_is_called_off(tid);
	now_ns = clock_steady_ns();
	if (now_ns < waiter->look_ns)
		return false;
	waiter->look_ns = now_ns + LOOK_NS;
	return proc_is_surely_called_off(tid);
}

/* Whether who waits for a store that lies on other machines, or for all of one to be looked at, is to
 * give up. */
static bool gives_up(void *arg)
{
	struct waiter *waiter = arg;

	return atomic_load(&fs_whole(waiter->fs)->cut_off) || is_interrupted(waiter) ||
	       (waits_until_ns != 0 && clock_steady_ns() > waits_until_ns);
}

/* Have `attempt` answer, which may be gone then. What comes after the answer waits for nothing. */
static void answer(struct attempt *attempt)
{
	struct waiter waiter = { .fs = attempt->fs, .req = attempt->req };

	quiver_set_interrupt(gives_up, &waiter);
	caller_uid = fuse_req_ctx(attempt->req)->uid;
	fs_visited = waiter.fs->guest != NULL ? waiter.fs : NULL;
	(void)attempt->answer(attempt, true); /* always answers */
	fs_visited = NULL;
	caller_uid = CALLER_NOBODY;
	quiver_set_interrupt(NULL, NULL);
}

/* Less than this is copied to memory that is allocated for it. */
#define PAYLOAD_BYTES_MIN (64u << 10)

static void free_copy(struct attempt *copy)
{
	if (copy->payload != NULL)
		payload_give(fs_whole(copy->fs)->payloads, copy->payload);
	free(copy);
}

static void run_copy(struct work *work)
{
	struct attempt *attempt = attempt_of(work);
	struct fs *fs = attempt->fs;

	answer(attempt);
	end(attempt);
	free_copy(attempt);
	inside_let_go(fs);
}

/* A copy of the `bytes` of the struct around it, and of its data where that does not last. NULL without
 * memory. */
static struct attempt *copy_attempt(const struct attempt *attempt, size_t bytes)
{
	bool lasts = attempt->data == NULL || reply_keeps(attempt->req, attempt->data);
	bool is_large = !lasts && attempt->data_bytes >= PAYLOAD_BYTES_MIN &&
	                attempt->data_bytes <= fs_whole(attempt->fs)->max_write_bytes;
	struct attempt *copy = malloc(bytes + (lasts || is_large ? 0 : attempt->data_bytes));
	char *to = (char *)copy + bytes;

	if (copy == NULL)
		return NULL;
	memcpy(copy, attempt, bytes);
	if (is_large) {
		copy->payload = payload_take(fs_whole(attempt->fs)->payloads);
		if (copy->payload == NULL) {
			free(copy);
			return NULL;
		}
		to = copy->payload->bytes;
	}
	if (!lasts) {
		memcpy(to, attempt->data, attempt->data_bytes);
		copy->data = to;
	}
	return copy;
}

void attempt_defer(struct attempt *attempt, size_t bytes, enum worker_class kind)
{
	struct attempt *copy = copy_attempt(attempt, bytes);

	if (copy == NULL) {
		reply_error(attempt->req, -ENOMEM);
		end(attempt);
		return;
	}
	copy->work.run = run_copy;
	copy->work.user = fuse_req_ctx(copy->req)->uid;
	inside_hold(copy->fs);
	workers_submit(copy->fs->workers, kind, &copy->work);
}

static void run_in_place(struct work *work)
{
	struct fs *fs = attempt_of(work)->fs;

	answer(attempt_of(work));
	inside_let_go(fs);
}

void attempt_defer_in_place(struct attempt *attempt, enum worker_class kind)
{
	attempt->work.run = run_in_place;
	attempt->work.user = fuse_req_ctx(attempt->req)->uid;
	inside_hold(attempt->fs);
	workers_submit(attempt->fs->workers, kind, &attempt->work);
}
