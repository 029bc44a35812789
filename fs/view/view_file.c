/* view_file.c - open, read, write and close of views. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attr.h"
#include "fs/base/reply.h"
#include "fs/base/worker.h"
#include "fs/vector/node.h"
#include "fs/view/view.h"
#include "fs/view/view_bytes.h"

/* A request that was handed to a worker. */
struct file_op {
	struct work work;
	fuse_req_t req;
	struct fs *fs;
	struct view_handle *h;
	uint64_t ino;
	struct fuse_file_info fi; /* of an OPEN */
	size_t size;
	uint64_t offset;
	bool append;
	char data[]; /* `size` bytes, of a write */
};

static void defer(const struct file_op *op, enum worker_class kind, const char *data,
                  void (*run)(struct work *work))
{
	struct file_op *copy = malloc(sizeof(*copy) + (data != NULL ? op->size : 0));

	if (copy == NULL) {
		fs_reply(op->req, -ENOMEM);
		return;
	}
	memcpy(copy, op, sizeof(*copy));
	if (data != NULL)
		memcpy(copy->data, data, op->size);
	copy->work.run = run;
	workers_submit(op->fs->workers, kind, &copy->work);
}

struct view_handle *view_handle_of(const struct fuse_file_info *fi)
{
	struct view_handle *h = (struct view_handle *)(uintptr_t)fi->fh;

	handoff_take(&h->handoff);
	return h;
}

int view_make(struct fs *fs, uint64_t id, enum tree_form form, struct view_content *content)
{
	unsigned char *vector = malloc(fs->geometry.vector_bytes);
	struct quiver_ref ref;
	int err;

	if (vector == NULL)
		return -ENOMEM;
	err = quiver_get(fs->store, id, &ref);
	if (err != 0)
		goto out;
	err = quiver_ref_verify(fs->store, &ref);
	if (err == 0)
		err = quiver_ref_read(fs->store, &ref, 0, fs->geometry.vector_bytes, vector);
	content->attr = ref.attr;
	content->lsn = ref.lsn;
	quiver_unref(fs->store, &ref);
	if (err == 0)
		err = view_encode(&fs->geometry, form, vector, &content->bytes, &content->size,
		                  &content->room);
	if (err == 0 && form == TREE_FORM_TXT)
		view_remember_size(fs, id, content->lsn, content->size);
out:
	free(vector);
	return err;
}

/* ---- open ---- */

static struct view_handle *handle_new(struct view *view, pid_t tid)
{
	struct view_handle *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	(void)pthread_mutex_init(&h->lock, NULL); /* cannot fail with default attributes */
	h->view = view;
	h->tid = tid;
	return h;
}

/* What another reader of the same inode has, so that both have the same; the kernel keeps
 * one set of pages for them. False where there is none. -ENOMEM. */
static int copy_open(struct fs *fs, const struct view *view, struct view_content *content,
                     bool *found)
{
	const struct view_handle *other;
	int err = 0;

	*found = false;
	views_lock(fs);
	other = view->handles;
	while (other != NULL && other->vector != NULL)
		other = other->next;
	if (other != NULL) {
		*found = true;
		*content = (struct view_content){ .attr = other->attr,
			                          .lsn = other->lsn,
			                          .size = other->size,
			                          .room = other->size,
			                          .bytes = malloc(other->size) };
		if (content->bytes != NULL)
			memcpy(content->bytes, other->bytes, other->size);
		else
			err = -ENOMEM;
	}
	views_unlock(fs);
	return err;
}

static int open_reader(struct fs *fs, struct view_handle *h)
{
	struct view_content content;
	bool found = false;
	int err = copy_open(fs, h->view, &content, &found);

	if (err == 0 && !found)
		err = view_make(fs, h->view->id, h->view->form, &content);
	if (err != 0)
		return err;
	if (!view_take_bytes(fs, content.room)) {
		free(content.bytes);
		return -ENFILE;
	}
	h->bytes = content.bytes;
	h->size = content.size;
	h->room = content.room;
	h->attr = content.attr;
	h->lsn = content.lsn;
	h->shown = true;
	h->shown_size = content.size;
	return 0;
}

static void open_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	bool write = (op->fi.flags & O_ACCMODE) != O_RDONLY;
	pid_t tid = fuse_req_ctx(op->req)->pid;
	struct view *view = view_get(op->fs, op->ino);
	struct view_handle *h;
	int err;

	if (view == NULL) {
		fs_reply(op->req, -ESTALE); /* look again */
		goto out;
	}
	h = handle_new(view, tid);
	if (h == NULL) {
		view_put(op->fs, view);
		fs_reply(op->req, -ENOMEM);
		goto out;
	}
	if (write)
		err = node_open_writer(op->fs, view->id, tid, (op->fi.flags & O_ACCMODE) == O_RDWR,
		                       NULL, &h->vector);
	else
		err = open_reader(op->fs, h);
	view_attach(op->fs, h);
	if (err != 0) {
		view_detach(op->fs, h);
		fs_reply(op->req, err == -ENOENT ? -ESTALE : err);
		goto out;
	}
	if (write) {
		stage_keep(h->vector);
		h->vector->durable = (op->fi.flags & O_DSYNC) != 0;
	}
	op->fi.direct_io = write;
	op->fi.noflush = !write;
	op->fi.fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (fuse_reply_open(op->req, &op->fi) != 0)
		view_detach(op->fs, h); /* its opener was killed: no RELEASE will come */
out:
	free(op);
}

void view_open(fuse_req_t req, fuse_ino_t ino, const struct fuse_file_info *fi)
{
	struct file_op op = { .req = req, .fs = fs_of(req), .ino = ino, .fi = *fi };

	if ((fi->flags & O_ACCMODE) != O_RDONLY && op.fs->read_only)
		fs_reply(req, -EROFS);
	else
		defer(&op, WORKER_READ, NULL, open_run);
}

/* The writer of a new vector, or of one that somebody has made meanwhile. -EEXIST. */
static int create_writer(struct fs *fs, struct view_handle *h, const struct fuse_ctx *ctx,
                         mode_t mode, int flags)
{
	struct quiver_attr attr = attr_new(fs, ctx, mode);
	int err;

	err = node_open_writer(fs, h->view->id, ctx->pid, (flags & O_ACCMODE) == O_RDWR, &attr,
	                       &h->vector);
	if (err != 0)
		return err;
	stage_keep(h->vector);
	node_lock(h->vector);
	h->loaded = h->vector->created;
	h->cut = !h->vector->created && (flags & O_TRUNC) != 0;
	h->vector->exclusive = (flags & O_EXCL) != 0;
	err = !h->vector->created && (flags & O_EXCL) ? -EEXIST : 0;
	node_unlock(h->vector);
	h->vector->durable = (flags & O_DSYNC) != 0;
	h->dirty = h->loaded;
	h->shown = h->loaded || h->cut;
	h->touched = true; /* O_TRUNC has come with it */
	return err;
}

void view_create(fuse_req_t req, uint64_t id, enum tree_form form, mode_t mode,
                 struct fuse_file_info *fi)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct fs *fs = fs_of(req);
	struct fuse_entry_param entry;
	struct view_handle *h = NULL;
	struct view *view = NULL;
	int err;

	err = view_add(fs, id, form, &view);
	if (err == 0)
		h = handle_new(view, ctx->pid);
	if (err == 0 && h == NULL) {
		err = -ENOMEM;
		view_forget(fs, view->ino, 1);
		view_put(fs, view);
	}
	if (err != 0) {
		fs_reply(req, err);
		return;
	}
	err = create_writer(fs, h, ctx, mode, fi->flags);
	view_attach(fs, h);
	if (err == 0) {
		memset(&entry, 0, sizeof(entry)); /* no timeouts */
		entry.ino = view->ino;
		entry.generation = 1;
		node_lock(h->vector);
		attr_file(fs, tree_view_inode(id, form), &h->vector->stage.attr, 0, 1, &entry.attr);
		node_unlock(h->vector);
		fi->direct_io = 1;
		fi->fh = (uintptr_t)h;
		handoff_give(&h->handoff);
		if (fuse_reply_create(req, &entry, fi) == 0)
			return;
	} else {
		fs_reply(req, err);
	}
	view_forget(fs, view->ino, 1);
	view_detach(fs, h);
}

/* ---- read ---- */

/* Answer with a part of `size` bytes at `bytes`. */
static void reply_part(const struct file_op *op, const char *bytes, size_t size, int err)
{
	size_t left = op->offset < size ? size - (size_t)op->offset : 0;
	size_t length = op->size < left ? op->size : left;
	struct reply reply;
	int made = reply_begin(&reply, op->req, err == 0 ? length : 0);

	if (err == 0)
		err = made;
	if (err == 0 && length > 0)
		memcpy(reply.data, bytes + op->offset, length);
	if (op->h != NULL)
		handoff_give(&op->h->handoff);
	reply_end(&reply, err, length);
}

/* A writer reads what it has staged, else what is committed. */
static void read_staged_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	int err;

	pthread_mutex_lock(&op->h->lock);
	err = view_load_stage(op->fs, op->h);
	reply_part(op, op->h->bytes, op->h->size, err);
	pthread_mutex_unlock(&op->h->lock);
	free(op);
}

/* No handle (a read-only mount): make all of it, answer with a part. */
static void read_stateless_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	struct view *view = view_get(op->fs, op->ino);
	struct view_content content = { .bytes = NULL };
	int err = -ESTALE;

	if (view != NULL) {
		err = view_make(op->fs, view->id, view->form, &content);
		view_put(op->fs, view);
	}
	reply_part(op, content.bytes, content.size, err == -ENOENT ? -ESTALE : err);
	free(content.bytes);
	free(op);
}

void view_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
               const struct fuse_file_info *fi)
{
	struct file_op op = {
		.req = req,
		.fs = fs_of(req),
		.h = fi->fh != 0 ? view_handle_of(fi) : NULL,
		.ino = ino,
		.size = size,
		.offset = (uint64_t)off,
	};

	if (op.h == NULL)
		defer(&op, WORKER_READ, NULL, read_stateless_run);
	else if (op.h->vector != NULL)
		defer(&op, WORKER_READ, NULL, read_staged_run);
	else
		reply_part(&op, op.h->bytes, op.h->size, 0);
}

/* ---- write, close and fsync ---- */

static void write_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	int err;

	pthread_mutex_lock(&op->h->lock);
	err = view_stage_write(op->fs, op->h, op->data, op->size, op->offset, op->append);
	pthread_mutex_unlock(&op->h->lock);
	handoff_give(&op->h->handoff);
	if (err != 0)
		fs_reply(op->req, err);
	else
		(void)fuse_reply_write(op->req, op->size);
	free(op);
}

void view_write(fuse_req_t req, const char *buf, size_t size, off_t off,
                const struct fuse_file_info *fi)
{
	struct file_op op = {
		.req = req,
		.fs = fs_of(req),
		.h = view_handle_of(fi),
		.size = size,
		.offset = (uint64_t)off,
		.append = (fi->flags & O_APPEND) != 0,
	};

	defer(&op, WORKER_COMMIT, buf, write_run);
}

static int commit(struct fs *fs, struct view_handle *h, enum stage_when when)
{
	int err;

	if (h->vector == NULL)
		return 0;
	pthread_mutex_lock(&h->lock);
	err = view_stage_commit(fs, h, when);
	pthread_mutex_unlock(&h->lock);
	return err;
}

static void flush_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	int err = commit(op->fs, op->h, STAGE_FLUSH);

	handoff_give(&op->h->handoff);
	fs_reply(op->req, err);
	free(op);
}

static void fsync_run(struct work *work)
{
	struct file_op *op = (struct file_op *)work;
	int err = commit(op->fs, op->h, STAGE_FSYNC);

	handoff_give(&op->h->handoff);
	if (err == 0)
		err = quiver_flush(op->fs->store);
	fs_reply(op->req, err);
	free(op);
}

void view_flush(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct file_op op = { .req = req, .fs = fs_of(req), .h = view_handle_of(fi) };

	defer(&op, WORKER_COMMIT, NULL, flush_run);
}

void view_fsync(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct file_op op = { .req = req, .fs = fs_of(req), .h = view_handle_of(fi) };

	defer(&op, WORKER_SYNC, NULL, fsync_run);
}

/* What went wrong was reported; nobody waits for the result of a RELEASE. */
static void release_run(struct work *work)
{
	struct view_handle *h =
		(struct view_handle *)(void *)((char *)work -
	                                       offsetof(struct view_handle, release));
	struct fs *fs = h->release_fs;
	fuse_req_t req = h->release_req;

	(void)commit(fs, h, STAGE_RELEASE);
	view_detach(fs, h);
	fs_reply(req, 0);
}

void view_release(fuse_req_t req, const struct fuse_file_info *fi)
{
	struct view_handle *h = view_handle_of(fi);
	struct fs *fs = fs_of(req);

	if (h->vector == NULL) {
		view_detach(fs, h);
		fs_reply(req, 0);
		return;
	}
	h->release_fs = fs;
	h->release_req = req;
	h->release.run = release_run;
	workers_submit(fs->workers, WORKER_COMMIT, &h->release);
}
