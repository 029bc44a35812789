/* attempt.c - a request that is tried at once, and else handed to a worker. */
#include "fs/base/attempt.h"

#include <stdlib.h>
#include <string.h>

#include "fs/base/caller.h"
#include "fs/base/reply.h"

static struct attempt *attempt_of(struct work *work)
{
	return (struct attempt *)(void *)((char *)work - offsetof(struct attempt, work));
}

static void end(struct attempt *attempt)
{
	if (attempt->end != NULL)
		attempt->end(attempt);
}

static void run_copy(struct work *work)
{
	struct attempt *attempt = attempt_of(work);

	caller_uid = fuse_req_ctx(attempt->req)->uid;
	(void)attempt->answer(attempt, true); /* always answers */
	caller_uid = CALLER_NOBODY;
	end(attempt);
	free(attempt);
}

void attempt_defer(struct attempt *attempt, size_t bytes, enum worker_class kind)
{
	bool lasts = attempt->data == NULL || reply_keeps(attempt->req, attempt->data);
	struct attempt *copy = malloc(bytes + (lasts ? 0 : attempt->data_bytes));

	if (copy == NULL) {
		reply_error(attempt->req, -ENOMEM);
		end(attempt);
		return;
	}
	memcpy(copy, attempt, bytes);
	if (!lasts) {
		memcpy((char *)copy + bytes, attempt->data, attempt->data_bytes);
		copy->data = (char *)copy + bytes;
	}
	copy->work.run = run_copy;
	workers_submit(copy->fs->workers, kind, &copy->work);
}

static void run_in_place(struct work *work)
{
	struct attempt *attempt = attempt_of(work);

	caller_uid = fuse_req_ctx(attempt->req)->uid;
	(void)attempt->answer(attempt, true); /* always answers; may be gone now */
	caller_uid = CALLER_NOBODY;
}

void attempt_defer_in_place(struct attempt *attempt, enum worker_class kind)
{
	attempt->work.run = run_in_place;
	workers_submit(attempt->fs->workers, kind, &attempt->work);
}
