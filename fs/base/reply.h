/*
 * reply.h - answers to the kernel; those with data without a buffer in between where there is
 * a ring.
 */
#ifndef REPLY_H
#define REPLY_H

#include "fs/base/fs.h"

/* Answer `req` with 0 or a negative errno. */
void reply_error(fuse_req_t req, int err);

/* The same, or with what was asked for where there is no error. That an answer does not get
 * through is passed over: nothing is to be undone. */
void reply_attr(fuse_req_t req, int err, const struct stat *st, double timeout);
void reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *entry);
void reply_written(fuse_req_t req, int err, size_t size);

/* Data up to this size needs no allocation on /dev/fuse. */
#define REPLY_INLINE_BYTES 4096u

struct reply {
	fuse_req_t req;
	char *data; /* where the bytes go: the ring's own buffer, or one of these */
	char *heap;
	char inline_data[REPLY_INLINE_BYTES];
};

/* Make room for `size` bytes at reply->data. -ENOMEM. Always to be ended
 * by reply_end or reply_cancel, also after an error. */
int reply_begin(struct reply *reply, fuse_req_t req, size_t size);
/* Answer with `size` bytes, or with the error err (then size is not looked at). */
void reply_end(struct reply *reply, int err, size_t size);
/* The same for who gives the kernel something to keep: whether it got through. */
bool reply_finish(struct reply *reply, int err, size_t size);
/* End it without an answer: the request is still the caller's. */
void reply_cancel(struct reply *reply);

/* Whether `data`, which came with the request, stays there until it is answered. */
bool reply_keeps(fuse_req_t req, const void *data);

#endif
