/* vector_file.c - open, write and close of vectors. */
#include "fs/vector/vector_file.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/tree.h"
#include "fs/base/worker.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"

/* A request that changes a handle and was handed to a worker. */
struct vector_op {
	struct work work;
	fuse_req_t req;
	struct fs *fs;
	struct handle *h;
	size_t size;
	uint64_t offset;
	bool append;
	bool durable;
	char data[]; /* `size` bytes, of a write */
};

/* Hand a request over, with a copy of `data` if not NULL. Answers -ENOMEM itself. */
static void defer(struct fs *fs, enum worker_class kind, const struct vector_op *op,
                  const char *data, void (*run)(struct work *work))
{
	struct vector_op *copy = malloc(sizeof(*copy) + (data != NULL ? op->size : 0));

	if (copy == NULL) {
		fs_reply(op->req, -ENOMEM);
		return;
	}
	memcpy(copy, op, sizeof(*copy));
	if (data != NULL)
		memcpy(copy->data, data, op->size);
	copy->fs = fs;
	copy->work.run = run;
	workers_submit(fs->workers, kind, &copy->work);
}

/* ---- open ---- */

/* Open for writing what is gone by now. O_CREAT, which the kernel keeps to itself, must
 * not end in ENOENT. -ESTALE look again; errors of opening. */
static int open_gone(struct fs *fs, uint64_t id, pid_t tid, struct handle **handle)
{
	struct quiver_attr attr;
	int err = gone_answer(fs, id, tid, &attr);

	if (err != 0)
		return err;
	err = node_open_writer(fs, id, tid, false, &attr, handle);
	if (err == 0 && (*handle)->created) {
		node_lock(*handle);
		(*handle)->created = false;
		(*handle)->orphan = true;
		node_unlock(*handle);
	}
	return err;
}

void vector_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	uint64_t id = tree_id_of_node(ino);
	pid_t tid = fuse_req_ctx(req)->pid;
	struct handle *h = NULL;
	enum node_caching caching = NODE_UNCACHED;
	struct quiver_attr found;
	int err;

	if ((fi->flags & O_ACCMODE) == O_RDONLY) {
		err = node_open_reader(fs, id, tid, &h, &caching);
		fi->noflush = 1;
	} else if (fs->read_only) {
		err = -EROFS;
	} else {
		err = node_open_writer(fs, id, tid, (fi->flags & O_ACCMODE) == O_RDWR, NULL, &h);
	}
	if (err == 0)
		gone_over(fs, tid);
	else if (err == -ENOENT && (fi->flags & O_ACCMODE) != O_RDONLY)
		err = open_gone(fs, id, tid, &h);
	else if (err == -ENOENT && gone_answer(fs, id, tid, &found) != 0)
		err = -ESTALE; /* look again */
	if (err != 0) {
		fs_reply(req, err);
		return;
	}
	h->durable = (fi->flags & O_DSYNC) != 0; /* O_SYNC contains it */
	fi->direct_io = caching == NODE_UNCACHED;
	fi->keep_cache = caching == NODE_KEEPS_CACHE;
	fi->fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (fuse_reply_open(req, fi) != 0)
		node_close(fs, h); /* its opener was killed: no RELEASE will come */
}

/* A handle for CREATE, and what the kernel may be told of it: *size, which its fstat shows, and
 * for how long. -EEXIST, errors of opening. */
static int create_handle(struct fs *fs, const struct fuse_ctx *ctx, uint64_t id, mode_t mode,
                         int flags, struct handle **handle, uint32_t *size, double *timeout)
{
	struct quiver_attr attr = attr_new(fs, ctx, mode);
	struct handle *h;
	int err;

	err = node_open_writer(fs, id, ctx->pid, (flags & O_ACCMODE) == O_RDWR, &attr, &h);
	if (err != 0)
		return err;
	if (!h->created && (flags & O_EXCL)) {
		node_close(fs, h);
		return -EEXIST;
	}
	gone_over(fs, ctx->pid);
	node_lock(h);
	h->exclusive = (flags & O_EXCL) != 0;
	if (!h->created && (flags & O_TRUNC)) {
		h->touched = true;
		h->stage.active = true;
	}
	*size = h->created ? node_size(fs, h) : fs->geometry.vector_bytes;
	/* The open at hand looks at the mode. Nobody else may have the node, to whom it does not
	 * have this size. */
	*timeout = h->created && node_is_alone(h) && !gone_before(fs, id) ? FS_MOMENT_SECONDS : 0;
	node_unlock(h);
	h->durable = (flags & O_DSYNC) != 0;
	*handle = h;
	return 0;
}

void vector_create(fuse_req_t req, uint64_t id, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct handle *h = NULL;
	uint32_t size = 0;
	int err;

	memset(&entry, 0, sizeof(entry));
	err = fs->read_only ? -EROFS
	                    : create_handle(fs, fuse_req_ctx(req), id, mode, fi->flags, &h, &size,
	                                    &entry.attr_timeout);
	if (err != 0) {
		fs_reply(req, err);
		return;
	}
	entry.ino = tree_node_of_id(id);
	entry.generation = 1;
	node_lock(h);
	attr_file(fs, entry.ino, &h->stage.attr, size, 1, &entry.attr);
	node_unlock(h);
	if (entry.attr_timeout > 0)
		atomic_fetch_add(&fs->attr_given, 1);
	fi->direct_io = 1;
	fi->fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (fuse_reply_create(req, &entry, fi) != 0)
		node_close(fs, h);
}

/* ---- write ---- */

static void reply_write(fuse_req_t req, struct handle *h, int err, size_t size)
{
	handoff_give(&h->handoff);
	if (err != 0)
		fs_reply(req, err);
	else
		(void)fuse_reply_write(req, size);
}

static void write_run(struct work *work)
{
	struct vector_op *op = (struct vector_op *)work;
	int err = stage_write(op->fs, op->h, op->data, op->size, op->offset, op->append,
	                      op->durable, true);

	reply_write(op->req, op->h, err, op->size);
	free(op);
}

void vector_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                  struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct vector_op op = {
		.req = req,
		.h = node_handle(fi),
		.size = size,
		.offset = (uint64_t)off,
		.append = (fi->flags & O_APPEND) != 0,
	};
	int err;

	(void)ino;
	op.durable = op.h->durable || (fi->flags & O_DSYNC) != 0;
	err = stage_write(fs, op.h, buf, size, op.offset, op.append, op.durable, false);
	if (err == -EAGAIN)
		defer(fs, WORKER_COMMIT, &op, buf, write_run);
	else
		reply_write(req, op.h, err, size);
}

/* ---- close and fsync ---- */

static void flush_run(struct work *work)
{
	struct vector_op *op = (struct vector_op *)work;

	int err = stage_commit(op->fs, op->h, STAGE_FLUSH, true);

	handoff_give(&op->h->handoff);
	fs_reply(op->req, err);
	free(op);
}

void vector_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct vector_op op = { .req = req, .h = node_handle(fi) };
	int err = 0;

	(void)ino;
	if (op.h->writable)
		err = stage_commit(fs, op.h, STAGE_FLUSH, false);
	if (err == -EAGAIN) {
		defer(fs, WORKER_COMMIT, &op, NULL, flush_run);
		return;
	}
	handoff_give(&op.h->handoff);
	fs_reply(req, err);
}

static void fsync_run(struct work *work)
{
	struct vector_op *op = (struct vector_op *)work;
	int err = 0;

	if (op->h->writable)
		err = stage_commit(op->fs, op->h, STAGE_FSYNC, true);
	handoff_give(&op->h->handoff);
	if (err == 0)
		err = quiver_flush(op->fs->store);
	fs_reply(op->req, err);
	free(op);
}

void vector_fsync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vector_op op = { .req = req, .h = node_handle(fi) };

	(void)ino;
	defer(fs_of(req), WORKER_SYNC, &op, NULL, fsync_run);
}

/* What went wrong was reported; nobody waits for the result of a RELEASE. */
static void release_run(struct work *work)
{
	struct handle *h =
		(struct handle *)(void *)((char *)work - offsetof(struct handle, release));
	struct fs *fs = h->release_fs;
	fuse_req_t req = h->release_req;

	(void)stage_commit(fs, h, STAGE_RELEASE, true);
	node_close(fs, h);
	fs_reply(req, 0);
}

void vector_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = node_handle(fi);
	int err = 0;

	(void)ino;
	if (h->writable)
		err = stage_commit(fs, h, STAGE_RELEASE, false);
	if (err == -EAGAIN) {
		h->release_fs = fs;
		h->release_req = req;
		h->release.run = release_run;
		workers_submit(fs->workers, WORKER_COMMIT, &h->release);
		return;
	}
	node_close(fs, h);
	fs_reply(req, 0);
}
