/* vector_file.c - open, write and close of vectors. */
#include "fs/vector/vector_file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/inside.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/vector/copies.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/stage.h"
#include "fs/vector/vector_attr.h"
#include "fs/vector/vector_read.h"

/* A request that changes a handle. */
struct vector_op {
	struct attempt attempt; /* of a write also the bytes */
	struct handle *h;
	uint64_t offset;
	uint64_t length; /* of fallocate, */
	int mode; /* as this */
	bool append;
	bool durable;
};

/* ---- open ---- */

/* Open for writing what is gone by now. O_CREAT, which the kernel keeps to itself, must
 * not end in ENOENT. -ESTALE look again; errors of opening. */
static int open_gone(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct handle **handle)
{
	struct quiver_attr attr;
	int err = gone_answer(fs, id, tid, &attr);

	if (err != 0)
		return err;
	err = node_open_writer(fs, id, tid, flags, false, &attr, handle);
	if (err == 0 && (*handle)->created) {
		handle_lock(*handle);
		(*handle)->created = false;
		(*handle)->orphan = true;
		handle_unlock(*handle);
	}
	return err;
}

/* A reader's handle. Where another version is cached: -ESTALE, which gives it a node of its own. */
static int open_reader(struct fs *fs, uint64_t id, pid_t tid, unsigned flags,
                       struct handle **handle, enum node_caching *caching)
{
	int err = node_open_reader(fs, id, tid, flags, handle, caching);

	if (err != 0)
		return err;
	if (*caching == NODE_BESIDE_CACHE && gone_ask_alias(fs, id, tid)) {
		node_close(fs, *handle);
		*handle = NULL;
		return -ESTALE;
	}
	return 0;
}

struct vector_open_op {
	struct attempt attempt;
	uint64_t id;
	pid_t tid;
	mode_t mode; /* of a CREATE */
	struct fuse_file_info fi;
};

static int vector_open_answer(struct attempt *attempt, bool may_wait)
{
	struct vector_open_op *op = (struct vector_open_op *)attempt;
	struct fs *fs = attempt->fs;
	struct fuse_file_info *fi = &op->fi;
	unsigned flags = attempt_flags(may_wait);
	uint64_t id = op->id;
	pid_t tid = op->tid;
	struct handle *h = NULL;
	enum node_caching caching = NODE_UNCACHED;
	struct quiver_attr found;
	int err;

	if ((fi->flags & O_ACCMODE) == O_RDONLY) {
		err = open_reader(fs, id, tid, flags, &h, &caching);
		fi->noflush = 1;
	} else if (fs->read_only) {
		err = -EROFS;
	} else {
		err = node_open_writer(fs, id, tid, flags, (fi->flags & O_ACCMODE) == O_RDWR, NULL,
		                       &h);
	}
	if (err == 0)
		gone_over(fs, tid);
	else if (err == -ENOENT && (fi->flags & O_ACCMODE) != O_RDONLY)
		err = open_gone(fs, id, tid, flags, &h);
	else if (err == -ENOENT && gone_answer(fs, id, tid, &found) != 0)
		err = -ESTALE; /* look again */
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	h->durable = (fi->flags & O_DSYNC) != 0; /* O_SYNC contains it */
	/* Pages are for private maps alone where others change the store: all that are there of an
	 * open vector are of the version that everybody who has it open has. */
	fi->direct_io = fs->shared || node_is_uncached(caching);
	fi->keep_cache = !fs->shared && caching == NODE_KEEPS_CACHE;
	fi->fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (inside_reply_open(fs, attempt->req, fi) != 0)
		node_close(fs, h); /* its opener was killed: no RELEASE will come */
	return 0;
}

static void vector_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vector_open_op op = {
		.attempt = attempt_for(req, vector_open_answer),
		.id = tree_id_of_node(ino),
		.tid = fuse_req_ctx(req)->pid,
		.fi = *fi,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* A handle for CREATE, and what the kernel may be told of it: *size, which its fstat shows, and
 * for how long. -EEXIST, errors of opening. */
static int create_handle(const struct vector_open_op *op, bool may_wait, struct handle **handle,
                         uint32_t *size, double *timeout)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(op->attempt.req);
	struct fs *fs = op->attempt.fs;
	struct quiver_attr attr = attr_new(fs, ctx, op->mode);
	int flags = op->fi.flags;
	uint64_t id = op->id;
	struct handle *h;
	int err;

	err = node_open_writer(fs, id, ctx->pid, attempt_flags(may_wait),
	                       (flags & O_ACCMODE) == O_RDWR, &attr, &h);
	if (err != 0)
		return err;
	if (!h->created && (flags & O_EXCL)) {
		node_close(fs, h);
		return -EEXIST;
	}
	gone_over(fs, ctx->pid);
	handle_lock(h);
	h->exclusive = (flags & O_EXCL) != 0;
	if (!h->created && (flags & O_TRUNC)) {
		h->touched = true;
		h->stage.active = true;
		if (attr_drops_setid(fs, ctx, &op->fi))
			h->stage.attr_mask |= QUIVER_ATTR_DROP_SETID;
	}
	*size = h->created ? node_size(fs, h) : fs->geometry.vector_bytes;
	/* The open at hand looks at the mode. Nobody else may have the node, to whom it does not
	 * have this size. */
	*timeout = h->created && node_is_alone(h) && !gone_before(fs, id) ? FS_MOMENT_SECONDS : 0;
	handle_unlock(h);
	h->durable = (flags & O_DSYNC) != 0;
	*handle = h;
	return 0;
}

static int vector_create_answer(struct attempt *attempt, bool may_wait)
{
	struct vector_open_op *op = (struct vector_open_op *)attempt;
	struct fs *fs = attempt->fs;
	struct fuse_entry_param entry;
	struct handle *h = NULL;
	uint32_t size = 0;
	int err;

	memset(&entry, 0, sizeof(entry));
	err = create_handle(op, may_wait, &h, &size, &entry.attr_timeout);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	entry.ino = tree_node_of_id(op->id);
	entry.generation = 1;
	handle_lock(h);
	attr_file(fs, entry.ino, &h->stage.attr, size, 1, &entry.attr);
	handle_unlock(h);
	if (entry.attr_timeout > 0)
		atomic_fetch_add(&fs->attr_given, 1);
	op->fi.direct_io = 1;
	op->fi.fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (fuse_reply_create(attempt->req, &entry, &op->fi) != 0)
		node_close(fs, h);
	return 0;
}

void vector_create(fuse_req_t req, uint64_t id, mode_t mode, struct fuse_file_info *fi)
{
	struct vector_open_op op = {
		.attempt = attempt_for(req, vector_create_answer),
		.id = id,
		.mode = mode,
		.fi = *fi,
	};

	if (op.attempt.fs->read_only)
		reply_error(req, -EROFS);
	else
		attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- write ---- */

static int vector_write_answer(struct attempt *attempt, bool may_wait)
{
	const struct vector_op *op = (const struct vector_op *)attempt;
	int err = stage_write(attempt->fs, op->h, attempt->data, attempt->data_bytes, op->offset,
	                      op->append, op->durable, may_wait);

	if (err == -EAGAIN && !may_wait)
		return err;
	handoff_give(&op->h->handoff);
	reply_written(attempt->req, err, attempt->data_bytes);
	return 0;
}

static void vector_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                         struct fuse_file_info *fi)
{
	struct vector_op op = {
		.attempt = attempt_with(req, vector_write_answer, buf, size),
		.h = handle_of(fi),
		.offset = (uint64_t)off,
		.append = (fi->flags & O_APPEND) != 0,
	};

	(void)ino;
	atomic_store_explicit(&op.h->user_tid, fuse_req_ctx(req)->pid, memory_order_relaxed);
	if (attr_drops_setid(op.attempt.fs, fuse_req_ctx(req), fi))
		stage_drops_setid(op.h);
	op.durable = op.h->durable || (fi->flags & O_DSYNC) != 0;
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static int vector_fallocate_answer(struct attempt *attempt, bool may_wait)
{
	const struct vector_op *op = (const struct vector_op *)attempt;
	int err = stage_allocate(attempt->fs, op->h, op->mode, op->offset, op->length, may_wait);

	if (err == -EAGAIN && !may_wait)
		return err;
	handoff_give(&op->h->handoff);
	reply_error(attempt->req, err);
	return 0;
}

static void vector_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
                             struct fuse_file_info *fi)
{
	struct vector_op op = {
		.attempt = attempt_for(req, vector_fallocate_answer),
		.h = handle_of(fi),
		.mode = mode,
		.offset = (uint64_t)off,
		.length = (uint64_t)length,
	};

	(void)ino;
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

/* ---- close and fsync ---- */

static int vector_commit_answer(struct attempt *attempt, enum stage_when when, bool may_wait)
{
	struct handle *h = ((struct vector_op *)attempt)->h;
	int err = h->writable ? stage_commit(attempt->fs, h, when, may_wait) : 0;

	if (err == -EAGAIN && !may_wait)
		return err;
	handoff_give(&h->handoff);
	if (err == 0 && when == STAGE_FSYNC)
		err = quiver_flush(attempt->fs->store);
	reply_error(attempt->req, err);
	return 0;
}

static int vector_flush_answer(struct attempt *attempt, bool may_wait)
{
	return vector_commit_answer(attempt, STAGE_FLUSH, may_wait);
}

static void vector_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vector_op op = { .attempt = attempt_for(req, vector_flush_answer),
		                .h = handle_of(fi) };

	(void)ino;
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static int vector_fsync_answer(struct attempt *attempt, bool may_wait)
{
	return vector_commit_answer(attempt, STAGE_FSYNC, may_wait);
}

static void vector_fsync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vector_op op = { .attempt = attempt_for(req, vector_fsync_answer),
		                .h = handle_of(fi) };

	(void)ino;
	attempt_defer(&op.attempt, sizeof(op), WORKER_SYNC);
}

/* What went wrong was reported; nobody waits for the result of a RELEASE. */
static int vector_release_answer(struct attempt *attempt, bool may_wait)
{
	struct handle *h =
		(struct handle *)(void *)((char *)attempt - offsetof(struct handle, release));
	struct fs *fs = attempt->fs;
	fuse_req_t req = attempt->req;
	int err;

	caller_uid = h->uid;
	err = h->writable ? stage_commit(fs, h, STAGE_RELEASE, may_wait) : 0;
	if (err == -EAGAIN && !may_wait)
		return err;
	node_close(fs, h);
	reply_error(req, 0);
	return 0;
}

static void vector_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);

	(void)ino;
	h->release = attempt_for(req, vector_release_answer);
	if (vector_release_answer(&h->release, false) == -EAGAIN)
		attempt_defer_in_place(&h->release, WORKER_COMMIT);
}

static void vector_close_open(struct fs *fs, uint64_t fh)
{
	struct handle *h = (struct handle *)(uintptr_t)fh;

	caller_uid = h->uid;
	(void)stage_commit(fs, h, STAGE_RELEASE, true); /* as at a RELEASE */
	node_close(fs, h);
}

int vector_open_heir(struct fs *fs, uint64_t id, uint64_t *fh)
{
	struct handle *h;
	int err = node_open_writer(fs, id, 0, 0, false, NULL, &h);

	if (err != 0)
		return err;
	stage_keep(h);
	*fh = (uintptr_t)h;
	return 0;
}

static int vector_init(struct fs *fs)
{
	int err = nodes_new(fs->store, &fs->nodes);

	if (err == 0)
		err = gone_new(&fs->gone);
	if (err == 0 && fs->shared)
		err = copies_new(fs->geometry.vector_bytes, &fs->copies);
	return err;
}

static void vector_fini(struct fs *fs)
{
	copies_free(fs, fs->copies);
	gone_free(fs->gone);
	nodes_free(fs, fs->nodes);
	fs->copies = NULL;
	fs->gone = NULL;
	fs->nodes = NULL;
}

const struct node_ops vector_ops = {
	.init = vector_init,
	.fini = vector_fini,
	.entry = vector_node_entry,
	.getattr = vector_getattr,
	.setattr = vector_setattr,
	.open = vector_open,
	.read = vector_read,
	.write = vector_write,
	.fallocate = vector_fallocate,
	.flush = vector_flush,
	.fsync = vector_fsync,
	.release = vector_release,
	.stat_open = vector_stat_open,
	.set_open = vector_set_open,
	.close_open = vector_close_open,
};
