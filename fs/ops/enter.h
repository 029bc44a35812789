/*
 * enter.h - what a thread does before its first request.
 *
 *   - It becomes uncancellable. libfuse ends its ring threads with pthread_cancel, which
 *     would let go of a handler in the middle of a system call with the store's locks held.
 *     They are woken by other means as well.
 *   - When it ends, it first waits until the workers are idle: libfuse frees a ring's buffers
 *     after joining its thread, and a worker may still be about to write its reply there. No
 *     request of that ring can come after the thread's last, so none is missed.
 *   - fs->transport becomes what the request really came by, since libfuse falls back to
 *     /dev/fuse by itself where it cannot set up a ring.
 *
 * And at each request: whose it is (fs/base/caller.h).
 */
#ifndef ENTER_H
#define ENTER_H

#include <stdbool.h>

#include "fs/base/caller.h"
#include "fs/base/fs.h"

/* Before any thread calls `enter`. -EAGAIN, -ENOMEM. */
int enter_init(void);

/* The mount ends: wait until nothing is under way. What waits for other machines has a few seconds
 * for it, and is answered with errors then. Any thread but a worker. */
void settle_requests(struct fs *fs);

extern _Thread_local bool enter_done;
void enter_first(fuse_req_t req);

/* At each request but FORGETs: those come by /dev/fuse even under io_uring, and hand nothing
 * over. */
static inline void enter(fuse_req_t req)
{
	if (__builtin_expect(!enter_done, 0))
		enter_first(req);
	caller_uid = fuse_req_ctx(req)->uid;
}

#endif
