/* view_attr.c - lookup and attributes of views. */
#include "fs/view/view_attr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/view_bytes.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_attr.h"
#include "fs/view/view.h"
#include "fs/view/view_content.h"
#include "fs/view/view_stage.h"

/* A request for attributes. */
struct view_attr_op {
	struct attempt attempt;
	uint64_t ino; /* 0: a lookup of: */
	uint64_t id;
	enum tree_form form;
	pid_t tid;
	/* SETATTR: */
	struct view_handle *h; /* of ftruncate; else NULL */
	bool resize;
	uint64_t size;
	bool set_attr; /* these are set, if only the ctime: */
	unsigned mask; /* QUIVER_ATTR_* */
	bool explicit_mtime;
	struct quiver_attr attr;
};

/* The length of a version that nobody has open. A text has to be made to know it. A
 * damaged vector has no length; who reads it hears why. -EAGAIN, -ENOMEM. */
static int view_size(struct fs *fs, uint64_t id, enum tree_form form, uint64_t lsn, bool may_wait,
                     size_t *size)
{
	struct view_content content;
	int err;

	*size = view_npy_bytes(&fs->geometry);
	if (form == TREE_FORM_NPY || view_known_size(fs, id, lsn, size))
		return 0;
	if (!may_wait)
		return -EAGAIN;
	*size = 0;
	err = view_make(fs, id, form, &content);
	if (err == -EIO || err == -ENOENT)
		return 0;
	if (err != 0)
		return err;
	*size = content.size;
	free(content.bytes);
	return 0;
}

static void view_fill(const struct fs *fs, uint64_t id, enum tree_form form,
                      const struct quiver_attr *attr, size_t size, unsigned links, struct stat *st)
{
	attr_file(fs, tree_view_inode(id, form), attr, size, links, st);
}

/* ---- lookup ---- */

static int view_lookup_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_attr_op *op = (const struct view_attr_op *)attempt;
	struct fuse_entry_param entry;
	struct fs *fs = op->attempt.fs;
	struct view *view = NULL;
	struct quiver_attr attr;
	size_t size = 0;
	uint64_t lsn = 0;
	int err;

	err = quiver_stat(fs->store, op->id, attempt_flags(may_wait), &attr, &lsn);
	if (err == 0)
		err = view_size(fs, op->id, op->form, lsn, may_wait, &size);
	if (err == -EAGAIN)
		return err;
	if (err == 0)
		err = view_add(fs, op->id, op->form, &view);
	if (err != 0) {
		reply_error(op->attempt.req, err);
		return 0;
	}
	memset(&entry, 0, sizeof(entry)); /* no timeouts */
	entry.ino = view->ino;
	entry.generation = 1;
	view_fill(fs, op->id, op->form, &attr, size, 1, &entry.attr);
	if (fuse_reply_entry(op->attempt.req, &entry) != 0)
		view_forget(fs, entry.ino, 1);
	view_put(fs, view);
	return 0;
}

int view_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry)
{
	struct view *view = view_get(fs, ino);
	struct quiver_attr attr;
	int err;

	if (view == NULL)
		return -ENOENT;
	err = quiver_stat(fs->store, view->id, flags, &attr, NULL);
	if (err == 0) {
		memset(entry, 0, sizeof(*entry));
		entry->ino = ino;
		entry->generation = 1;
		/* Its length is asked for when it is needed: there is no timeout. */
		view_fill(fs, view->id, view->form, &attr, 0, 1, &entry->attr);
		view_looked_up(fs, view);
	}
	view_put(fs, view);
	return err;
}

/* ---- stat ---- */

/* What an open file says of itself. */
struct seen {
	bool open; /* somebody has it open: the members below count */
	bool writer;
	bool sized; /* its size is known */
	size_t size;
	struct quiver_attr attr; /* a reader's */
	uint64_t lsn; /* a reader's */
};

static struct seen look(struct fs *fs, struct view *view, pid_t tid)
{
	struct seen seen = { 0 };
	const struct view_handle *h;

	views_lock(fs);
	h = view_pick(view, tid);
	if (h != NULL) {
		seen.open = true;
		seen.writer = h->vector != NULL;
		seen.sized = h->shown;
		seen.size = h->shown_size;
		if (!seen.writer) {
			seen.attr = h->attr;
			seen.lsn = h->lsn;
		}
	}
	views_unlock(fs);
	return seen;
}

/* Of a vector that is not there, to who has it open still: a writer has made it, or it was
 * removed. -ESTALE. */
static int stat_gone(struct fs *fs, const struct view *view, const struct seen *seen, pid_t tid,
                     struct stat *st)
{
	struct node_view of_vector;

	if (!seen->open)
		return -ESTALE;
	if (!seen->writer)
		view_fill(fs, view->id, view->form, &seen->attr, seen->size, 0, st);
	else if (node_view(fs, view->id, tid, &of_vector))
		view_fill(fs, view->id, view->form, &of_vector.attr, seen->size, of_vector.links,
		          st);
	else
		return -ESTALE;
	return 0;
}

/* A reader of an older version sees that; one who writes sees what he has written. */
static int stat_view(struct fs *fs, struct view *view, pid_t tid, bool may_wait, struct stat *st)
{
	struct seen seen = look(fs, view, tid);
	struct node_view of_vector;
	struct quiver_attr attr;
	uint64_t lsn = 0;
	int err;

	err = quiver_stat(fs->store, view->id, attempt_flags(may_wait), &attr, &lsn);
	if (err == -ENOENT)
		return stat_gone(fs, view, &seen, tid, st);
	if (err != 0)
		return err;
	if (seen.open && !seen.writer && seen.lsn != lsn) {
		view_fill(fs, view->id, view->form, &seen.attr, seen.size, 0, st);
		return 0;
	}
	if (!seen.sized) {
		err = view_size(fs, view->id, view->form, lsn, may_wait, &seen.size);
		if (err != 0)
			return err;
	}
	if (seen.writer && node_view(fs, view->id, tid, &of_vector))
		vector_show_staged(&of_vector, &attr);
	view_fill(fs, view->id, view->form, &attr, seen.size, 1, st);
	return 0;
}

/* Answer with attributes, or -EAGAIN. Gives the view back unless it is that. */
static int view_reply_stat(const struct view_attr_op *op, struct view *view, bool may_wait)
{
	struct stat st;
	int err = stat_view(op->attempt.fs, view, op->tid, may_wait, &st);

	if (err == -EAGAIN && !may_wait)
		return err;
	view_put(op->attempt.fs, view);
	if (op->h != NULL)
		handoff_give(&op->h->handoff);
	reply_attr(op->attempt.req, err, &st, 0);
	return 0;
}

static int view_getattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_attr_op *op = (const struct view_attr_op *)attempt;
	struct view *view = view_get(op->attempt.fs, op->ino);
	int err;

	if (view == NULL) {
		reply_error(op->attempt.req, -ESTALE); /* look again */
		return 0;
	}
	err = view_reply_stat(op, view, may_wait);
	if (err == -EAGAIN)
		view_put(op->attempt.fs, view);
	return err;
}

/* ---- SETATTR; on workers ---- */

/* truncate(2) by path, which cannot change what is committed; or O_TRUNC, which the kernel
 * sends as one right after the OPEN. */
static int view_resize_path(const struct view_attr_op *op, struct view *view)
{
	struct fs *fs = op->attempt.fs;
	char name[TREE_VIEW_NAME_BYTES];
	size_t size = 0;
	uint64_t lsn = 0;
	int err;

	if (op->size == 0 && view_stage_cut(fs, view, op->tid))
		return 0;
	err = quiver_stat(fs->store, view->id, 0, NULL, &lsn);
	if (err == 0)
		err = view_size(fs, view->id, view->form, lsn, true, &size);
	if (err != 0 || op->size == size)
		return err;
	tree_format_view(view->id, view->form, name);
	err = op->size > view_bytes_max(&fs->geometry, view->form) ? -EFBIG : -EINVAL;
	return refuse(fs, err, "%s: cannot be made %" PRIu64 " bytes long, it is %zu", name,
	              op->size, size);
}

static int view_resize(const struct view_attr_op *op, struct view *view)
{
	int err;

	if (op->h == NULL || op->h->vector == NULL)
		return view_resize_path(op, view);
	pthread_mutex_lock(&op->h->lock);
	err = view_stage_truncate(op->attempt.fs, op->h, op->size);
	pthread_mutex_unlock(&op->h->lock);
	return err;
}

static int view_setattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_attr_op *op = (const struct view_attr_op *)attempt;
	struct view *view = view_get(op->attempt.fs, op->ino);
	int err = view == NULL ? -ESTALE : 0;

	if (err == 0 && op->resize)
		err = view_resize(op, view);
	if (err == 0 && op->set_attr) {
		err = vector_set_attr(op->attempt.fs, view->id, op->tid, &op->attr, op->mask,
		                      op->explicit_mtime, may_wait);
		if (err == 0)
			invalidate_vectors(op->attempt.fs, &view->id, 1);
	}
	if (err == 0) {
		(void)view_reply_stat(op, view, may_wait); /* may wait, so always answers */
	} else {
		if (view != NULL)
			view_put(op->attempt.fs, view);
		if (op->h != NULL)
			handoff_give(&op->h->handoff);
		reply_error(op->attempt.req, err == -ENOENT ? -ESTALE : err);
	}
	return 0;
}

/* ---- the handlers ---- */

void view_lookup(fuse_req_t req, uint64_t id, enum tree_form form)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_lookup_answer),
		.id = id,
		.form = form,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

void view_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_getattr_answer),
		.ino = ino,
		.tid = fuse_req_ctx(req)->pid,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

void view_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                  struct fuse_file_info *fi)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_setattr_answer),
		.ino = ino,
		.tid = fuse_req_ctx(req)->pid,
		.h = fi != NULL ? view_handle_of(fi) : NULL,
		.resize = (to_set & FUSE_SET_ATTR_SIZE) != 0,
		.size = (uint64_t)attr->st_size,
	};

	op.mask = attr_wanted(attr, to_set, &op.attr, &op.explicit_mtime);
	op.set_attr = op.mask != 0 || !op.resize;
	attempt_defer(&op.attempt, sizeof(op), WORKER_COMMIT);
}
