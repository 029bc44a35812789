/*
 * attempt.h - a request that is tried at once, and else handed to a worker.
 *
 * What a handler needs to answer one request is in a struct of its own that begins with a
 * struct attempt. The handler fills one in on its stack and starts it: `answer` is called
 * there and then, and where it would have to wait (-EAGAIN) it is called again by a worker,
 * for a copy. So it must not have changed anything when it says so.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "fs/base/fs.h"
#include "fs/base/worker.h"

struct attempt;

/*
 * Answer the request, whatever comes of it, and return 0; or return -EAGAIN where that would
 * wait and `may_wait` is false, and it is not answered. With `may_wait`, on a worker, it
 * always answers. It holds no lock when it does.
 */
typedef int attempt_fn(struct attempt *attempt, bool may_wait);

struct attempt {
	struct work work; /* of attempt.c */
	fuse_req_t req;
	struct fs *fs;
	attempt_fn *answer;
	/* Let go of what the struct around it owns, once it is over; NULL: nothing. */
	void (*end)(struct attempt *attempt);
	/* What came with the request and is copied with it, where it does not last. */
	const void *data;
	size_t data_bytes;
	struct payload *payload; /* of attempt.c: where it was copied to; NULL */
};

/*
 * Have a worker of `kind` answer. Copies the `bytes` of the struct that `attempt` is the
 * first member of, and its data. Where there is no memory the request is answered -ENOMEM.
 * Any thread; never waits.
 */
void attempt_defer(struct attempt *attempt, size_t bytes, enum worker_class kind);

/* The same without a copy, for what must not fail for memory: `attempt` is part of an object
 * that stays until it is answered, and `answer` may free that. */
void attempt_defer_in_place(struct attempt *attempt, enum worker_class kind);

/*
 * What a worker asks of a store on other machines (fs->shared), and which vectors are nearest, ends with
 * -EINTR when whoever sent the request is called off, when the mount comes to its
 * end (fs->cut_off), and after `wait_ms`, which the calling worker sets for what it asks from now on;
 * 0: there is no bound.
 */
void attempt_wait_at_most(unsigned wait_ms);

/* One of `req`, to begin with; the second with the bytes of a write. */
static inline struct attempt attempt_for(fuse_req_t req, attempt_fn *answer)
{
	return (struct attempt){ .req = req, .fs = fs_of(req), .answer = answer };
}

static inline struct attempt attempt_with(fuse_req_t req, attempt_fn *answer, const void *data,
                                          size_t bytes)
{
	return (struct attempt){
		.req = req, .fs = fs_of(req), .answer = answer, .data = data, .data_bytes = bytes
	};
}

/* The flag with which such an answer calls the store. */
static inline unsigned attempt_flags(bool may_wait)
{
	return may_wait ? 0u : QUIVER_NOWAIT;
}

/* Answer now, or else by a worker, as attempt_defer does. */
static inline void attempt_start(struct attempt *attempt, size_t bytes, enum worker_class kind)
{
	if (attempt->answer(attempt, false) == -EAGAIN)
		attempt_defer(attempt, bytes, kind);
	else if (attempt->end != NULL)
		attempt->end(attempt);
}

#endif
