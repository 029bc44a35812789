/* view_attr.c - lookup and attributes of views. */
#include "fs/view/view_attr.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/inside.h"
#include "fs/base/invalidate.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/view_bytes.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_attr.h"
#include "fs/view/view.h"
#include "fs/view/view_content.h"
#include "fs/view/view_stage.h"

/* Who asks. */
struct view_user {
	pid_t tid;
	struct view_handle *handle; /* of ftruncate and lseek; else NULL */
};

/* As whom the vector knows him. */
static struct node_user vector_user(const struct view_user *user)
{
	return (struct node_user){
		.tid = user->tid,
		.handle = user->handle != NULL ? user->handle->vector : NULL,
		.elsewhere = true,
	};
}

/* A request for attributes. */
struct view_attr_op {
	struct attempt attempt;
	uint64_t ino; /* 0: a lookup of: */
	uint64_t id;
	enum tree_form form;
	struct view_user user;
	struct attr_change change; /* SETATTR */
};

/* The length of a version that nobody has open. A text has to be made to know it. A
 * damaged vector has no length; who reads it hears why. -EAGAIN, -ENOMEM. */
static int view_size(struct fs *fs, uint64_t id, enum tree_form form, uint64_t lsn, bool may_wait,
                     size_t *size)
{
	struct view_content content;
	int err;

	*size = view_fixed_bytes(&fs->geometry, form);
	if (*size > 0 || view_known_size(fs, id, lsn, size))
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
	if (err == 0 && op->form == TREE_FORM_SAME)
		gone_found(fs, op->id, op->user.tid, &attr);
	if (err == 0)
		err = view_add(fs, op->id, op->form, &attr, &view);
	if (err != 0) {
		reply_error(op->attempt.req, err);
		return 0;
	}
	memset(&entry, 0, sizeof(entry)); /* no timeouts */
	entry.ino = view->ino;
	entry.generation = 1;
	view_fill(fs, op->id, op->form, &attr, size, 1, &entry.attr);
	err = inside_entry(fs, &entry);
	if (err != 0) {
		reply_error(op->attempt.req, err);
	} else if (fuse_reply_entry(op->attempt.req, &entry) != 0) {
		inside_entry_failed(fs, entry.ino);
		err = -ENOENT;
	}
	if (err != 0) /* the kernel does not know it */
		view_forget(fs, view->ino, 1);
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

static struct seen look(struct fs *fs, struct view *view, const struct view_user *user)
{
	struct seen seen = { 0 };
	const struct view_handle *h;

	views_lock(fs);
	h = user->handle != NULL ? user->handle : view_pick(view, user->tid);
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
static int stat_gone(struct fs *fs, const struct view *view, const struct seen *seen,
                     const struct view_user *user, unsigned flags, struct stat *st)
{
	const struct node_user as = vector_user(user);
	struct node_view of_vector;
	int err = -ENOENT;

	/* Who opens it was told to look again, and cannot be told once more (gone.h). */
	if (!seen->open && view->form == TREE_FORM_SAME) {
		view_fill(fs, view->id, view->form, &view->found[0], fs->geometry.vector_bytes, 0,
		          st);
		return 0;
	}
	if (!seen->open)
		return -ESTALE;
	if (!seen->writer) {
		view_fill(fs, view->id, view->form, &seen->attr, seen->size, 0, st);
		return 0;
	}
	if (!node_view(fs, view->id, &as, &of_vector))
		return -ESTALE;
	if (of_vector.renamed)
		err = quiver_stat(fs->store, of_vector.id, flags, &of_vector.attr, NULL);
	if (err != 0 && err != -ENOENT)
		return err;
	view_fill(fs, view->id, view->form, &of_vector.attr, seen->size,
	          err == 0 ? 1 : of_vector.links, st);
	return 0;
}

/* A reader of an older version sees that; one who writes sees what he has written. */
static int stat_view(struct fs *fs, struct view *view, const struct view_user *user, bool may_wait,
                     struct stat *st)
{
	const struct node_user as = vector_user(user);
	struct seen seen = look(fs, view, user);
	struct node_view of_vector;
	struct quiver_attr attr;
	uint64_t lsn = 0;
	int err;

	err = quiver_stat(fs->store, view->id, attempt_flags(may_wait), &attr, &lsn);
	if (err == -ENOENT)
		return stat_gone(fs, view, &seen, user, attempt_flags(may_wait), st);
	if (err != 0)
		return err;
	/* But of the vector itself all that have it open see the same. */
	if (seen.open && !seen.writer && seen.lsn != lsn && view->form != TREE_FORM_SAME) {
		view_fill(fs, view->id, view->form, &seen.attr, seen.size, 0, st);
		return 0;
	}
	if (!seen.sized) {
		err = view_size(fs, view->id, view->form, lsn, may_wait, &seen.size);
		if (err != 0)
			return err;
	}
	if (seen.writer && node_view(fs, view->id, &as, &of_vector))
		vector_show_staged(&of_vector, &attr);
	view_fill(fs, view->id, view->form, &attr, seen.size, 1, st);
	return 0;
}

/* Answer with attributes, or -EAGAIN. Gives the view back unless it is that. */
static int view_reply_stat(const struct view_attr_op *op, struct view *view, bool may_wait)
{
	struct stat st;
	int err = stat_view(op->attempt.fs, view, &op->user, may_wait, &st);

	if (err == -EAGAIN && !may_wait)
		return err;
	view_put(op->attempt.fs, view);
	if (op->user.handle != NULL)
		handoff_give(&op->user.handle->handoff);
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

/* It has the length that it was to be given: its times move all the same. */
static void touch(struct attr_change *change)
{
	if (change->cuts)
		change->mask |= QUIVER_ATTR_DROP_SETID;
	change->attr.mtime_ns = clock_now_ns();
	change->mask |= QUIVER_ATTR_MTIME;
	change->set = true;
}

/* truncate(2) by path, which cannot change what is committed; or O_TRUNC, which the kernel
 * sends as one right after the OPEN. */
static int resize_path(struct fs *fs, struct view *view, pid_t tid, struct attr_change *change)
{
	char name[TREE_VIEW_NAME_BYTES];
	size_t size = 0;
	uint64_t lsn = 0;
	int err;

	if (change->size == 0 && view_stage_cut(fs, view, tid, change->cuts))
		return 0;
	err = quiver_stat(fs->store, view->id, 0, NULL, &lsn);
	if (err == 0)
		err = view_size(fs, view->id, view->form, lsn, true, &size);
	if (err == 0 && change->size == size)
		touch(change);
	if (err != 0 || change->size == size)
		return err;
	tree_format_view(view->id, view->form, name);
	err = change->size > view_bytes_max(&fs->geometry, view->form) ? -EFBIG : -EINVAL;
	return refuse(fs, err, "%s: cannot be made %" PRIu64 " bytes long; it has %zu", name,
	              change->size, size);
}

static int resize(struct fs *fs, struct view *view, const struct view_user *user,
                  struct attr_change *change)
{
	struct view_handle *h = user->handle;
	bool same = false;
	int err;

	if (h == NULL || h->vector == NULL)
		return resize_path(fs, view, user->tid, change);
	if (change->cuts)
		stage_drops_setid(h->vector);
	pthread_mutex_lock(&h->lock);
	err = view_stage_truncate(fs, h, change->size, &same);
	pthread_mutex_unlock(&h->lock);
	if (err == 0 && same)
		touch(change);
	return err;
}

/* Waits. */
static int set(struct fs *fs, struct view *view, const struct view_user *user,
               struct attr_change change)
{
	const struct node_user as = vector_user(user);
	int err = 0;

	if (change.resize)
		err = resize(fs, view, user, &change);
	if (err != 0 || !change.set)
		return err;
	err = vector_set_attr(fs, view->id, &as, &change.attr, change.mask, change.explicit_mtime,
	                      true);
	if (err == 0)
		invalidate_vectors(fs, &view->id, 1);
	return err;
}

static int view_setattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct view_attr_op *op = (const struct view_attr_op *)attempt;
	struct view *view = view_get(op->attempt.fs, op->ino);
	struct quiver_attr found;
	int err = view == NULL ? -ESTALE : 0;

	if (err == 0)
		err = set(op->attempt.fs, view, &op->user, op->change);
	if (err == -ENOENT && (view->form != TREE_FORM_SAME ||
	                       gone_answer(op->attempt.fs, view->id, op->user.tid, &found) != 0))
		err = -ESTALE; /* look again */
	if (err == 0) {
		(void)view_reply_stat(op, view, may_wait); /* may wait, so always answers */
	} else {
		if (view != NULL)
			view_put(op->attempt.fs, view);
		if (op->user.handle != NULL)
			handoff_give(&op->user.handle->handoff);
		reply_error(op->attempt.req, err);
	}
	return 0;
}

int view_stat_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, bool may_wait, struct stat *st)
{
	const struct view_user user = { .handle = (struct view_handle *)(uintptr_t)fh };

	(void)ino;
	return stat_view(fs, user.handle->view, &user, may_wait, st);
}

int view_set_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, const struct attr_change *change,
                  bool may_wait)
{
	const struct view_user user = { .handle = (struct view_handle *)(uintptr_t)fh };

	(void)ino;
	return may_wait ? set(fs, user.handle->view, &user, *change) : -EAGAIN;
}

/* ---- the handlers ---- */

void view_lookup(fuse_req_t req, uint64_t id, enum tree_form form)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_lookup_answer),
		.id = id,
		.form = form,
		.user = { .tid = fuse_req_ctx(req)->pid },
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

static struct view_user user_of(fuse_req_t req, const struct fuse_file_info *fi)
{
	return (struct view_user){
		.tid = fuse_req_ctx(req)->pid,
		.handle = fi != NULL && fi->fh != 0 ? view_handle_of(fi) : NULL,
	};
}

void view_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_getattr_answer),
		.ino = ino,
		.user = user_of(req, fi),
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

void view_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                  struct fuse_file_info *fi)
{
	struct view_attr_op op = {
		.attempt = attempt_for(req, view_setattr_answer),
		.ino = ino,
		.user = user_of(req, fi),
		.change = attr_change_of(attr, to_set),
	};

	attempt_defer(&op.attempt, sizeof(op), WORKER_COMMIT);
}
