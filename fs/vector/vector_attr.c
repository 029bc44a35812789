/* vector_attr.c - attributes of vectors: lookup, stat, chmod, touch, truncate. */
#include "fs/vector/vector_attr.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/clock.h"
#include "fs/base/invalidate.h"
#include "fs/base/proc_thread.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/vector/copies.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/stage.h"

/* Attributes may be cached unless a writable handle can change them unseen. */
static double attr_timeout(struct fs *fs, uint64_t id)
{
	return fs->shared || node_is_written(fs, id) ? 0 : FS_CACHE_SECONDS;
}

/* Attributes of a vector were read, and go to the kernel. */
static void note_given(struct fs *fs, double timeout)
{
	if (timeout > 0)
		atomic_fetch_add(&fs->attr_given, 1);
}

/* The entry of vector `id`, which has `attr`. */
static void fill_entry(struct fs *fs, uint64_t id, const struct quiver_attr *attr,
                       struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->ino = tree_node_of_id(id);
	entry->generation = 1;
	entry->entry_timeout = fs->shared ? 0 : FS_CACHE_SECONDS;
	entry->attr_timeout = attr_timeout(fs, id);
	note_given(fs, entry->attr_timeout);
	attr_file(fs, entry->ino, attr, fs->geometry.vector_bytes, 1, &entry->attr);
}

int vector_entry(struct fs *fs, uint64_t id, unsigned flags, struct fuse_entry_param *entry)
{
	struct quiver_attr attr;
	int err = quiver_stat(fs->store, id, flags, &attr, NULL);

	if (err == 0)
		fill_entry(fs, id, &attr, entry);
	return err;
}

int vector_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry)
{
	return vector_entry(fs, tree_id_of_node(ino), flags, entry);
}

/* The attributes of `id` for a LOOKUP of thread `tid`, and what answers the rest of its call. */
static int look_up(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct quiver_attr *attr)
{
	uint32_t stamp = copies_stamp(fs, id);
	struct version *version = NULL;
	int err = -EIO;

	if (copies_wanted(fs, tid))
		err = version_get(fs, id, flags, &version);
	if (err == 0)
		*attr = version->ref.attr;
	else if (err == -EIO) /* or it is damaged, and can be removed all the same */
		return quiver_stat(fs->store, id, flags, attr, NULL);
	if (err == 0 || err == -ENOENT)
		copies_keep(fs, id, tid, stamp, version);
	version_drop(fs, version);
	return err;
}

int vector_lookup(struct fs *fs, uint64_t id, pid_t tid, unsigned flags,
                  struct fuse_entry_param *entry)
{
	struct quiver_attr attr;
	int err = look_up(fs, id, tid, flags, &attr);

	if (err == 0) {
		fill_entry(fs, id, &attr, entry);
		gone_found(fs, id, tid, &attr);
	}
	return err;
}

void vector_show_staged(const struct node_view *view, struct quiver_attr *attr)
{
	if (!view->mtime_staged)
		return;
	attr->mtime_ns = view->attr.mtime_ns;
	if (view->attr.ctime_ns > attr->ctime_ns)
		attr->ctime_ns = view->attr.ctime_ns;
}

/*
 * How long an open file is that has not committed. To who may have the name of the vector before
 * it in hand, which had this node number too, a vector has N bytes or is not there. Who is out of
 * sight, as the one who makes it is, is rather he than that.
 */
static uint64_t staged_size(struct fs *fs, uint64_t id, const struct node_user *user,
                            const struct node_view *view)
{
	bool unseen = user->tid == 0 && view->tids[0] == 0;

	if (view->own || unseen || !gone_before(fs, id) ||
	    proc_same_process(user->tid, view->tids[0]) ||
	    proc_same_process(user->tid, view->tids[1]))
		return view->size;
	return fs->geometry.vector_bytes;
}

/* The same as vector_stat, of what is not there by name or is not what has that name. */
static int stat_open(struct fs *fs, uint64_t id, const struct node_user *user,
                     const struct node_view *view, unsigned flags, struct stat *st)
{
	uint64_t ino = tree_node_of_id(id);
	struct quiver_attr attr = view->attr;
	int err = -ENOENT;

	if (view->renamed)
		err = quiver_stat(fs->store, view->id, flags, &attr, NULL);
	if (err != 0 && err != -ENOENT)
		return err;
	if (err == 0)
		vector_show_staged(view, &attr);
	attr_file(fs, ino, &attr,
	          err == 0 ? fs->geometry.vector_bytes : staged_size(fs, id, user, view),
	          err == 0 ? 1 : view->links, st);
	return 0;
}

/*
 * A committed vector has its N bytes for everyone, since the kernel keeps one size for
 * readers and writers; an mtime that the user has staged shows. One not committed, or removed
 * but open, is what its handles say. Where there is neither: gone.h.
 */
int vector_stat(struct fs *fs, uint64_t id, const struct node_user *user, unsigned flags,
                struct stat *st, double *timeout)
{
	uint64_t ino = tree_node_of_id(id);
	struct node_view view;
	struct quiver_attr attr;
	bool open = false;
	int err;

	*timeout = attr_timeout(fs, id);
	if (*timeout <= 0 || user->handle != NULL)
		open = node_view(fs, id, user, &view);
	if (open && user->handle != NULL && (view.orphan || view.renamed)) {
		*timeout = 0;
		return stat_open(fs, id, user, &view, flags, st);
	}
	/* Who is making it looks at his own. */
	if (open && fs->shared && view.own && view.created)
		return stat_open(fs, id, user, &view, flags, st);
	err = copies_stat(fs, id, user->tid, &attr)
	              ? 0
	              : quiver_stat(fs->store, id, flags, &attr, NULL);
	if (err == 0) {
		/* Before Linux 5.11 it asks for them amid an O_TRUNC, too. */
		if (*timeout <= 0 && fs->drops_setid)
			node_opened(fs, id, user->tid);
		if (open && !view.orphan && !view.renamed)
			vector_show_staged(&view, &attr);
		note_given(fs, *timeout);
		attr_file(fs, ino, &attr, fs->geometry.vector_bytes, 1, st);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	*timeout = 0;
	if (open || node_view(fs, id, user, &view))
		return stat_open(fs, id, user, &view, flags, st);
	err = gone_answer(fs, id, user->tid, &attr);
	if (err == 0)
		attr_file(fs, ino, &attr, fs->geometry.vector_bytes, 0, st);
	return err;
}

/* Answer with what stat shows, or return -EAGAIN where that would wait. */
static int vector_reply_stat(struct attempt *attempt, uint64_t id, const struct node_user *user,
                             bool may_wait)
{
	struct stat st;
	double timeout;
	int err = vector_stat(attempt->fs, id, user, attempt_flags(may_wait), &st, &timeout);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (user->handle != NULL)
		handoff_give(&user->handle->handoff);
	reply_attr(attempt->req, err, &st, timeout);
	return 0;
}

/* Who asks. */
static struct node_user user_of(fuse_req_t req, const struct fuse_file_info *fi)
{
	return (struct node_user){
		.tid = fuse_req_ctx(req)->pid,
		.handle = fi != NULL && fi->fh != 0 ? handle_of(fi) : NULL,
	};
}

struct vector_getattr_op {
	struct attempt attempt;
	uint64_t id;
	struct node_user user;
};

static int vector_getattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct vector_getattr_op *op = (const struct vector_getattr_op *)attempt;

	return vector_reply_stat(attempt, op->id, &op->user, may_wait);
}

void vector_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct vector_getattr_op op = {
		.attempt = attempt_for(req, vector_getattr_answer),
		.id = tree_id_of_node(ino),
		.user = user_of(req, fi),
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- SETATTR ---- */

struct vector_setattr_op {
	struct attempt attempt;
	uint64_t id;
	struct node_user user; /* with the handle of ftruncate */
	struct attr_change change;
};

/* It has the length that it was to be given: its times move all the same. */
static void touch(struct attr_change *change)
{
	if (change->cuts)
		change->mask |= QUIVER_ATTR_DROP_SETID;
	change->attr.mtime_ns = clock_now_ns();
	change->mask |= QUIVER_ATTR_MTIME;
	change->set = true;
}

/* truncate(2) by path, which cannot change what is committed. Opening with O_TRUNC
 * ends here as well: it has the handle that was opened just now staged as empty. */
static int resize_path(struct fs *fs, uint64_t id, pid_t tid, struct attr_change *change,
                       unsigned flags)
{
	uint32_t n = fs->geometry.vector_bytes;
	int err;

	if (change->size == 0 && node_truncate_opened(fs, id, tid, change->cuts))
		return 0;
	err = quiver_stat(fs->store, id, flags, NULL, NULL);
	if (err != 0)
		return err;
	if (change->size == n) {
		touch(change);
		return 0;
	}
	return refuse(fs, change->size > n ? -EFBIG : -EINVAL,
	              "vector %" PRIu64 ": cannot be made %" PRIu64
	              " bytes long; a vector here has %" PRIu32,
	              id, change->size, n);
}

/* ftruncate(2). */
static int resize_open(struct fs *fs, struct handle *h, struct attr_change *change, bool may_wait)
{
	bool same = false;
	int err;

	if (change->cuts)
		stage_drops_setid(h);
	err = stage_truncate(fs, h, change->size, &same, may_wait);
	if (err == 0 && same)
		touch(change);
	return err;
}

/* Attributes of vector `id`, which is committed and may have been opened as another. */
static int set_committed(struct fs *fs, uint64_t node_id, uint64_t id, const struct node_user *user,
                         const struct quiver_attr *attr, unsigned mask, bool explicit_mtime,
                         unsigned flags)
{
	bool staged;
	int err;

	if ((mask & QUIVER_ATTR_MODE) && (attr->mode & (S_ISUID | S_ISGID)))
		node_keep_setid(fs, node_id);
	staged = node_stage_attr(fs, node_id, id, user, explicit_mtime, attr,
	                         mask & QUIVER_ATTR_MTIME, explicit_mtime);

	staged = staged && node_stage_attr(fs, node_id, id, user, false, attr, 0, true);
	if (staged && mask == QUIVER_ATTR_MTIME)
		return 0;
	if (staged)
		mask &= ~(unsigned)QUIVER_ATTR_MTIME;
	err = quiver_set_attr(fs->store, id, attr, mask, flags);
	copies_changed(fs, id);
	return err;
}

/* Of what is not there by that name: it was renamed, is gone, or is yet to come. */
static int set_open(struct fs *fs, uint64_t id, const struct node_user *user,
                    const struct quiver_attr *attr, unsigned mask, bool explicit_mtime,
                    unsigned flags)
{
	struct node_view view;
	int err;

	if (!node_view(fs, id, user, &view))
		return -ENOENT;
	if (view.orphan) {
		node_set_orphan_attr(fs, id, user, attr, mask);
		return 0;
	}
	if (!view.renamed)
		return node_stage_attr(fs, id, id, user, true, attr, mask, explicit_mtime)
		               ? 0
		               : -ENOENT;
	err = set_committed(fs, id, view.id, user, attr, mask, explicit_mtime, flags);
	/* The kernel changes what it knows of the old node alone. */
	if (err == 0)
		invalidate_vectors(fs, &view.id, 1);
	return err;
}

int vector_set_attr(struct fs *fs, uint64_t id, const struct node_user *user,
                    const struct quiver_attr *attr, unsigned mask, bool explicit_mtime,
                    bool may_wait)
{
	unsigned flags = attempt_flags(may_wait);
	struct node_view view;
	int err = -ENOENT;

	if (user->handle == NULL || !node_view(fs, id, user, &view) ||
	    !(view.orphan || view.renamed))
		err = quiver_stat(fs->store, id, flags, NULL, NULL);
	if (err == 0)
		return set_committed(fs, id, id, user, attr, mask, explicit_mtime, flags);
	if (err != -ENOENT)
		return err;
	return set_open(fs, id, user, attr, mask, explicit_mtime, flags);
}

/* Doing it again is harmless. */
static int set(struct fs *fs, uint64_t id, const struct node_user *user, struct attr_change *change,
               bool may_wait)
{
	int err = 0;

	if (change->resize && user->handle != NULL)
		err = resize_open(fs, user->handle, change, may_wait);
	else if (change->resize)
		err = resize_path(fs, id, user->tid, change, attempt_flags(may_wait));
	if (err != 0)
		return err;
	/* O_TRUNC has found its handle and must not take another when it is tried again. */
	if (user->handle == NULL)
		change->resize = false;
	if (!change->set)
		return 0;
	return vector_set_attr(fs, id, user, &change->attr, change->mask, change->explicit_mtime,
	                       may_wait);
}

/* Answer an O_TRUNC or ftruncate with what the open file was when it was opened, without asking the
 * store: the kernel keeps nothing of it. False where nobody has it open. */
static bool reply_opened(struct attempt *attempt, uint64_t id, const struct node_user *user)
{
	struct node_view view;
	struct stat st;

	if (!node_view(attempt->fs, id, user, &view) || !view.own)
		return false;
	attr_file(attempt->fs, tree_node_of_id(id), &view.attr,
	          view.created ? view.size : attempt->fs->geometry.vector_bytes, 1, &st);
	if (user->handle != NULL)
		handoff_give(&user->handle->handoff);
	reply_attr(attempt->req, 0, &st, 0);
	return true;
}

static int vector_setattr_answer(struct attempt *attempt, bool may_wait)
{
	struct vector_setattr_op *op = (struct vector_setattr_op *)attempt;
	struct fs *fs = attempt->fs;
	struct quiver_attr found;
	int err = set(fs, op->id, &op->user, &op->change, may_wait);

	if (err == 0 && fs->shared && !op->change.set && reply_opened(attempt, op->id, &op->user))
		return 0;
	if (err == 0)
		return vector_reply_stat(attempt, op->id, &op->user, may_wait);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (op->user.handle != NULL)
		handoff_give(&op->user.handle->handoff);
	if (err == -ENOENT && gone_answer(fs, op->id, op->user.tid, &found) != 0)
		err = -ESTALE; /* look again */
	reply_error(attempt->req, err);
	return 0;
}

void vector_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi)
{
	struct vector_setattr_op op = {
		.attempt = attempt_for(req, vector_setattr_answer),
		.id = tree_id_of_node(ino),
		.user = user_of(req, fi),
		.change = attr_change_of(attr, to_set),
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

int vector_stat_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, bool may_wait, struct stat *st)
{
	const struct node_user user = { .handle = (struct handle *)(uintptr_t)fh };
	double timeout;

	return vector_stat(fs, tree_id_of_node(ino), &user, attempt_flags(may_wait), st, &timeout);
}

int vector_set_open(struct fs *fs, fuse_ino_t ino, uint64_t fh, const struct attr_change *change,
                    bool may_wait)
{
	const struct node_user user = { .handle = (struct handle *)(uintptr_t)fh };
	struct attr_change copy = *change;

	return set(fs, tree_id_of_node(ino), &user, &copy, may_wait);
}
