/* view_file.c - open, read, write and close of views. */
#include "fs/view/view_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/caller.h"
#include "fs/base/errors.h"
#include "fs/base/inside.h"
#include "fs/base/reply.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/stage.h"
#include "fs/view/view.h"
#include "fs/view/view_attr.h"
#include "fs/view/view_content.h"
#include "fs/view/view_stage.h"

/* A request on an open file, or to open one. */
struct view_op {
	struct attempt attempt; /* of a write also the bytes */
	struct view_handle *h;
	uint64_t ino;
	struct fuse_file_info fi; /* of an OPEN or CREATE */
	uint64_t id; /* of a CREATE, as: */
	enum tree_form form;
	mode_t mode;
	size_t size;
	uint64_t offset;
	bool append;
};

/* ---- open ---- */

static struct view_handle *handle_new(struct view *view, pid_t tid)
{
	struct view_handle *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	(void)pthread_mutex_init(&h->lock, NULL); /* cannot fail with default attributes */
	h->view = view;
	h->tid = tid;
	h->uid = caller_uid;
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
	err = view_charge(fs, h, content.room);
	if (err != 0) {
		free(content.bytes);
		return err == -ENOSPC ? -ENFILE : err;
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

/* Who left an empty text writes it now. */
static void back_again(struct fs *fs, const struct view_handle *h)
{
	if (h->vector == NULL || h->view->form != TREE_FORM_TXT)
		return;
	/* In this order: the RELEASE of what he left may be on its way. */
	node_follow(h->vector);
	errors_take_back(fs->errors, h->view->id, h->tid);
}

/* A handle for who opens `view`, whose user becomes the handle's. -ESTALE gone by now,
 * errors of opening. */
static int open_handle(struct fs *fs, struct view *view, pid_t tid, int flags,
                       struct view_handle **handle)
{
	struct view_handle *h = handle_new(view, tid);
	int err;

	if (h == NULL) {
		view_put(fs, view);
		return -ENOMEM;
	}
	if ((flags & O_ACCMODE) == O_RDONLY)
		err = open_reader(fs, h);
	else
		err = node_open_writer(fs, view->id, tid, 0, (flags & O_ACCMODE) == O_RDWR, NULL,
		                       &h->vector);
	view_attach(fs, h);
	if (err != 0) {
		bool again = view->form != TREE_FORM_SAME; /* it was, already */

		view_detach(fs, h);
		return err == -ENOENT && again ? -ESTALE : err;
	}
	if (h->vector != NULL) {
		stage_keep(h->vector);
		h->vector->durable = (flags & O_DSYNC) != 0;
	}
	*handle = h;
	back_again(fs, h);
	return 0;
}

/* A second node is for readers. Who opens it to write has found it by a name that he looked up when
 * an earlier open of his had come to nothing; or by way of /proc. */
static bool is_for_readers(struct fs *fs, const struct view *view, pid_t tid, int flags)
{
	return view->form == TREE_FORM_SAME && (flags & O_ACCMODE) != O_RDONLY &&
	       gone_takes_back(fs, view->id, tid);
}

static int view_open_answer(struct attempt *attempt, bool may_wait)
{
	struct view_op *op = (struct view_op *)attempt;
	struct fuse_file_info *fi = &op->fi;
	struct fs *fs = attempt->fs;
	struct view *view = view_get(fs, op->ino);
	pid_t tid = fuse_req_ctx(attempt->req)->pid;
	struct view_handle *h = NULL;
	int err = -ESTALE; /* look again */

	(void)may_wait; /* on workers only */
	if (view != NULL && is_for_readers(fs, view, tid, fi->flags))
		view_put(fs, view);
	else if (view != NULL)
		err = open_handle(fs, view, tid, fi->flags, &h);
	if (err != -ESTALE)
		gone_over(fs, tid);
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	fi->direct_io = h->vector != NULL;
	fi->noflush = h->vector == NULL;
	fi->fh = (uintptr_t)h;
	handoff_give(&h->handoff);
	if (inside_reply_open(fs, attempt->req, fi) != 0)
		view_detach(fs, h); /* its opener was killed: no RELEASE will come */
	return 0;
}

static void view_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct view_op op = {
		.attempt = attempt_for(req, view_open_answer),
		.ino = ino,
		.fi = *fi,
	};

	if ((fi->flags & O_ACCMODE) != O_RDONLY && op.attempt.fs->read_only)
		reply_error(req, -EROFS);
	else
		attempt_defer(&op.attempt, sizeof(op), WORKER_READ);
}

/* The writer of a new vector, or of one that somebody has made meanwhile. -EEXIST. */
static int create_writer(const struct view_op *op, struct view_handle *h, unsigned store_flags)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(op->attempt.req);
	const struct fuse_file_info *fi = &op->fi;
	struct fs *fs = op->attempt.fs;
	bool drops = attr_drops_setid(fs, ctx, fi) && (fi->flags & O_TRUNC) != 0;
	int flags = fi->flags;
	struct quiver_attr attr = attr_new(fs, ctx, op->mode);
	int err;

	err = node_open_writer(fs, h->view->id, ctx->pid, store_flags,
	                       (flags & O_ACCMODE) == O_RDWR, &attr, &h->vector);
	if (err != 0)
		return err;
	stage_keep(h->vector);
	handle_lock(h->vector);
	h->loaded = h->vector->created;
	h->cut = !h->vector->created && (flags & O_TRUNC) != 0;
	if (drops)
		h->vector->stage.attr_mask |= QUIVER_ATTR_DROP_SETID;
	h->vector->exclusive = (flags & O_EXCL) != 0;
	err = !h->vector->created && (flags & O_EXCL) ? -EEXIST : 0;
	handle_unlock(h->vector);
	h->vector->durable = (flags & O_DSYNC) != 0;
	h->meant = h->loaded || (flags & O_EXCL) != 0;
	h->dirty = h->loaded;
	h->shown = h->loaded || h->cut;
	h->touched = true; /* O_TRUNC has come with it */
	return err;
}

static int view_create_answer(struct attempt *attempt, bool may_wait)
{
	struct view_op *op = (struct view_op *)attempt;
	const struct fuse_ctx *ctx = fuse_req_ctx(attempt->req);
	struct fs *fs = attempt->fs;
	struct fuse_entry_param entry;
	struct view_handle *h = NULL;
	struct view *view = NULL;
	int err;

	err = view_add(fs, op->id, op->form, NULL, &view);
	if (err == 0)
		h = handle_new(view, ctx->pid);
	if (err == 0 && h == NULL) {
		err = -ENOMEM;
		view_forget(fs, view->ino, 1);
		view_put(fs, view);
	}
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	err = create_writer(op, h, attempt_flags(may_wait));
	view_attach(fs, h);
	if (err == 0) {
		memset(&entry, 0, sizeof(entry)); /* no timeouts */
		entry.ino = view->ino;
		entry.generation = 1;
		handle_lock(h->vector);
		attr_file(fs, tree_view_inode(op->id, op->form), &h->vector->stage.attr, 0, 1,
		          &entry.attr);
		handle_unlock(h->vector);
		op->fi.direct_io = 1;
		op->fi.fh = (uintptr_t)h;
		back_again(fs, h);
		handoff_give(&h->handoff);
		if (fuse_reply_create(attempt->req, &entry, &op->fi) == 0)
			return 0;
	}
	view_forget(fs, view->ino, 1);
	view_detach(fs, h);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0)
		reply_error(attempt->req, err);
	return 0;
}

void view_create(fuse_req_t req, uint64_t id, enum tree_form form, mode_t mode,
                 struct fuse_file_info *fi)
{
	struct view_op op = {
		.attempt = attempt_for(req, view_create_answer),
		.id = id,
		.form = form,
		.mode = mode,
		.fi = *fi,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- read ---- */

/* Answer with a part of `size` bytes at `bytes`. */
static void reply_part(const struct view_op *op, const char *bytes, size_t size, int err)
{
	size_t left = op->offset < size ? size - (size_t)op->offset : 0;
	size_t length = op->size < left ? op->size : left;
	struct reply reply;
	int made = reply_begin(&reply, op->attempt.req, err == 0 ? length : 0);

	if (err == 0)
		err = made;
	if (err == 0 && length > 0)
		memcpy(reply.data, bytes + op->offset, length);
	if (op->h != NULL)
		handoff_give(&op->h->handoff);
	reply_end(&reply, err, length);
}

/* A writer reads what it has staged, else what is committed. */
static void view_read_staged(const struct view_op *op)
{
	int err;

	pthread_mutex_lock(&op->h->lock);
	err = view_load_stage(op->attempt.fs, op->h);
	reply_part(op, op->h->bytes, op->h->size, err);
	pthread_mutex_unlock(&op->h->lock);
}

/* No handle (a read-only mount): make all of it, answer with a part. */
static void view_read_stateless(const struct view_op *op)
{
	struct fs *fs = op->attempt.fs;
	struct view *view = view_get(fs, op->ino);
	struct view_content content = { .bytes = NULL };
	int err = -ESTALE;

	if (view != NULL) {
		err = view_make(fs, view->id, view->form, &content);
		view_put(fs, view);
	}
	reply_part(op, content.bytes, content.size, err == -ENOENT ? -ESTALE : err);
	free(content.bytes);
}

/* Only a reader has its bytes at hand. */
static int view_read_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_op *op = (const struct view_op *)attempt;

	if (op->h != NULL && op->h->vector == NULL)
		reply_part(op, op->h->bytes, op->h->size, 0);
	else if (!may_wait)
		return -EAGAIN;
	else if (op->h != NULL)
		view_read_staged(op);
	else
		view_read_stateless(op);
	return 0;
}

static void view_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *fi)
{
	struct view_op op = {
		.attempt = attempt_for(req, view_read_answer),
		.h = fi->fh != 0 ? view_handle_of(fi) : NULL,
		.ino = ino,
		.size = size,
		.offset = (uint64_t)off,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- write, close and fsync; on workers ---- */

static int view_write_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_op *op = (const struct view_op *)attempt;
	int err;

	(void)may_wait;
	pthread_mutex_lock(&op->h->lock);
	err = view_stage_write(attempt->fs, op->h, attempt->data, attempt->data_bytes, op->offset,
	                       op->append);
	pthread_mutex_unlock(&op->h->lock);
	handoff_give(&op->h->handoff);
	reply_written(attempt->req, err, attempt->data_bytes);
	return 0;
}

static void view_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
	struct view_op op = {
		.attempt = attempt_with(req, view_write_answer, buf, size),
		.h = view_handle_of(fi),
		.offset = (uint64_t)off,
		.append = (fi->flags & O_APPEND) != 0,
	};

	(void)ino;
	if (op.h->vector != NULL)
		atomic_store_explicit(&op.h->vector->user_tid, fuse_req_ctx(req)->pid,
		                      memory_order_relaxed);
	if (op.h->vector != NULL && attr_drops_setid(op.attempt.fs, fuse_req_ctx(req), fi))
		stage_drops_setid(op.h->vector);
	attempt_defer(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static int view_fallocate_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_op *op = (const struct view_op *)attempt;
	int err;

	(void)may_wait;
	pthread_mutex_lock(&op->h->lock);
	err = view_stage_allocate(attempt->fs, op->h, op->offset);
	pthread_mutex_unlock(&op->h->lock);
	handoff_give(&op->h->handoff);
	reply_error(attempt->req, err);
	return 0;
}

/* There is nothing to be kept free for what does not get longer, and no hole in a text. */
static void view_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
                           struct fuse_file_info *fi)
{
	struct view_op op = {
		.attempt = attempt_for(req, view_fallocate_answer),
		.h = view_handle_of(fi),
		.offset = (uint64_t)off + (uint64_t)length,
	};

	(void)ino;
	if (mode == 0)
		attempt_defer(&op.attempt, sizeof(op), WORKER_COMMIT);
	else
		reply_error(req, mode == FALLOC_FL_KEEP_SIZE ? 0 : -EOPNOTSUPP);
}

static int view_commit(struct fs *fs, struct view_handle *h, enum stage_when when)
{
	int err;

	if (h->vector == NULL)
		return 0;
	pthread_mutex_lock(&h->lock);
	err = view_stage_commit(fs, h, when);
	pthread_mutex_unlock(&h->lock);
	return err;
}

static int view_flush_answer(struct attempt *attempt, bool may_wait)
{
	struct view_handle *h = ((struct view_op *)attempt)->h;
	int err = view_commit(attempt->fs, h, STAGE_FLUSH);

	(void)may_wait;
	handoff_give(&h->handoff);
	reply_error(attempt->req, err);
	return 0;
}

static int view_fsync_answer(struct attempt *attempt, bool may_wait)
{
	struct view_handle *h = ((struct view_op *)attempt)->h;
	int err = view_commit(attempt->fs, h, STAGE_FSYNC);

	(void)may_wait;
	handoff_give(&h->handoff);
	reply_error(attempt->req, err != 0 ? err : quiver_flush(attempt->fs->store));
	return 0;
}

static void view_defer(fuse_req_t req, const struct fuse_file_info *fi, attempt_fn *answer,
                       enum worker_class kind)
{
	struct view_op op = {
		.attempt = attempt_for(req, answer),
		.h = view_handle_of(fi),
	};

	attempt_defer(&op.attempt, sizeof(op), kind);
}

static void view_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	view_defer(req, fi, view_flush_answer, WORKER_COMMIT);
}

static void view_fsync(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	view_defer(req, fi, view_fsync_answer, WORKER_SYNC);
}

/* What went wrong was reported; nobody waits for the result of a RELEASE. */
static int view_release_answer(struct attempt *attempt, bool may_wait)
{
	struct view_handle *h =
		(struct view_handle *)(void *)((char *)attempt -
	                                       offsetof(struct view_handle, release));
	struct fs *fs = attempt->fs;
	fuse_req_t req = attempt->req;

	if (h->vector != NULL && !may_wait)
		return -EAGAIN;
	if (h->vector != NULL)
		caller_uid = h->vector->uid;
	(void)view_commit(fs, h, STAGE_RELEASE);
	view_detach(fs, h);
	reply_error(req, 0);
	return 0;
}

static void view_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct view_handle *h = view_handle_of(fi);

	(void)ino;
	h->release = attempt_for(req, view_release_answer);
	if (view_release_answer(&h->release, false) == -EAGAIN)
		attempt_defer_in_place(&h->release, WORKER_COMMIT);
}

static void view_close_open(struct fs *fs, uint64_t fh)
{
	struct view_handle *h = (struct view_handle *)(uintptr_t)fh;

	caller_uid = h->vector->uid;
	(void)view_commit(fs, h, STAGE_RELEASE); /* as at a RELEASE */
	view_detach(fs, h);
}

int view_open_heir(struct fs *fs, uint64_t id, enum tree_form form, uint64_t *ino, uint64_t *fh)
{
	struct view_handle *h;
	struct view *view;
	int err = view_add(fs, id, form, NULL, &view);

	if (err != 0)
		return err;
	*ino = view->ino;
	err = open_handle(fs, view, 0, O_WRONLY, &h);
	view_forget(fs, *ino, 1); /* the kernel does not know its number */
	if (err != 0)
		return err;
	h->touched = true;
	*fh = (uintptr_t)h;
	return 0;
}

static int view_init(struct fs *fs)
{
	return views_new(&fs->views);
}

static void view_fini(struct fs *fs)
{
	views_free(fs, fs->views);
	fs->views = NULL;
}

const struct node_ops view_ops = {
	.init = view_init,
	.fini = view_fini,
	.entry = view_node_entry,
	.getattr = view_getattr,
	.setattr = view_setattr,
	.open = view_open,
	.read = view_read,
	.write = view_write,
	.fallocate = view_fallocate,
	.flush = view_flush,
	.fsync = view_fsync,
	.release = view_release,
	.stat_open = view_stat_open,
	.set_open = view_set_open,
	.close_open = view_close_open,
	.forget = view_forget,
};
