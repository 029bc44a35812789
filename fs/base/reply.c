/* reply.c - answers to the kernel. */
#include "fs/base/reply.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A reply that does not get through means that the request was given up by the
 * kernel (its caller was killed, or the connection aborted). Nothing is left to be
 * done then, except for an open, which node_close must undo.
 */
void reply_error(fuse_req_t req, int err)
{
	(void)fuse_reply_err(req, -err);
}

void reply_attr(fuse_req_t req, int err, const struct stat *st, double timeout)
{
	(void)(err != 0 ? fuse_reply_err(req, -err) : fuse_reply_attr(req, st, timeout));
}

void reply_entry(fuse_req_t req, int err, const struct fuse_entry_param *entry)
{
	(void)(err != 0 ? fuse_reply_err(req, -err) : fuse_reply_entry(req, entry));
}

void reply_written(fuse_req_t req, int err, size_t size)
{
	(void)(err != 0 ? fuse_reply_err(req, -err) : fuse_reply_write(req, size));
}

bool reply_keeps(fuse_req_t req, const void *data)
{
	char *payload = NULL;
	size_t room = 0;
	void *mr = NULL;

	return fuse_req_is_uring(req) && fuse_req_get_payload(req, &payload, &room, &mr) == 0 &&
	       data == payload;
}

int reply_begin(struct reply *reply, fuse_req_t req, size_t size)
{
	size_t room = 0;
	void *mr = NULL;

	reply->req = req;
	reply->heap = NULL;
	reply->data = NULL;
	if (fuse_req_is_uring(req) && fuse_req_get_payload(req, &reply->data, &room, &mr) == 0 &&
	    size <= room)
		return 0;
	if (size <= sizeof(reply->inline_data)) {
		reply->data = reply->inline_data;
		return 0;
	}
	reply->heap = malloc(size);
	reply->data = reply->heap;
	return reply->heap != NULL ? 0 : -ENOMEM;
}

bool reply_finish(struct reply *reply, int err, size_t size)
{
	bool sent = err != 0 ? fuse_reply_err(reply->req, -err) == 0
	                     : fuse_reply_buf(reply->req, reply->data, size) == 0;

	free(reply->heap);
	return sent;
}

void reply_end(struct reply *reply, int err, size_t size)
{
	(void)reply_finish(reply, err, size); /* as above */
}

void reply_cancel(struct reply *reply)
{
	free(reply->heap);
}
