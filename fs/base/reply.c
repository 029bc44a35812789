/* reply.c - replies, and what they tell the kernel beyond themselves. */
#include "fs/base/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "fs/base/tree.h"

/*
 * A reply that does not get through means that the request was given up by the
 * kernel (its caller was killed, or the connection aborted). Nothing is left to be
 * done then, except for an open, which node_close must undo.
 */
void fs_reply(fuse_req_t req, int err)
{
	(void)fuse_reply_err(req, -err);
}

int64_t fs_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
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

void reply_end(struct reply *reply, int err, size_t size)
{
	if (err != 0)
		fs_reply(reply->req, err);
	else
		(void)fuse_reply_buf(reply->req, reply->data, size);
	free(reply->heap);
}

void reply_cancel(struct reply *reply)
{
	free(reply->heap);
}

void fs_vectors_changed(struct fs *fs, const uint64_t *ids, size_t count)
{
	/* -ENOENT: the kernel does not know it, so has nothing to forget. Attributes
	 * only (offset -1): pages are looked after at open. */
	for (size_t i = 0; i < count; i++)
		(void)fuse_lowlevel_notify_inval_inode(fs->session, tree_node_of_id(ids[i]), -1, 0);
	(void)fuse_lowlevel_notify_inval_inode(fs->session, TREE_VECTORS, -1, 0);
}
