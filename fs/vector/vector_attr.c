/* vector_attr.c - attributes of vectors: lookup, stat, chmod, touch, truncate. */
#include "fs/vector/vector_attr.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/stage.h"

/* Attributes may be cached unless a writable handle can change them unseen. */
static double attr_timeout(struct fs *fs, uint64_t id)
{
	return node_is_written(fs, id) ? 0 : FS_CACHE_SECONDS;
}

/* Attributes of a vector were read, and go to the kernel. */
static void note_given(struct fs *fs, double timeout)
{
	if (timeout > 0)
		atomic_fetch_add(&fs->attr_given, 1);
}

/* vector_entry, with the attributes in *attr, too. */
static int entry_of(struct fs *fs, uint64_t id, unsigned flags, struct quiver_attr *attr,
                    struct fuse_entry_param *entry)
{
	int err;

	err = quiver_stat(fs->store, id, flags, attr, NULL);
	if (err != 0)
		return err;
	memset(entry, 0, sizeof(*entry));
	entry->ino = tree_node_of_id(id);
	entry->generation = 1;
	entry->entry_timeout = FS_CACHE_SECONDS;
	entry->attr_timeout = attr_timeout(fs, id);
	note_given(fs, entry->attr_timeout);
	attr_file(fs, entry->ino, attr, fs->geometry.vector_bytes, 1, &entry->attr);
	return 0;
}

int vector_entry(struct fs *fs, uint64_t id, unsigned flags, struct fuse_entry_param *entry)
{
	struct quiver_attr attr;

	return entry_of(fs, id, flags, &attr, entry);
}

int vector_node_entry(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry)
{
	return vector_entry(fs, tree_id_of_node(ino), flags, entry);
}

int vector_lookup(struct fs *fs, uint64_t id, pid_t tid, unsigned flags,
                  struct fuse_entry_param *entry)
{
	struct quiver_attr attr;
	int err = entry_of(fs, id, flags, &attr, entry);

	if (err == 0)
		gone_found(fs, id, tid, &attr);
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
 * What stat shows to thread `tid`. A committed vector has its N bytes for everyone,
 * since the kernel keeps one size for readers and writers; an mtime that this very
 * thread has staged shows. One not committed, or removed but open, is what its
 * handles say. Where there is neither: gone.h. -ESTALE, -EIO, -EAGAIN.
 */
static int vector_stat(struct fs *fs, uint64_t id, pid_t tid, unsigned flags, struct stat *st,
                       double *timeout)
{
	uint64_t ino = tree_node_of_id(id);
	struct node_view view;
	struct quiver_attr attr;
	int err;

	*timeout = attr_timeout(fs, id);
	err = quiver_stat(fs->store, id, flags, &attr, NULL);
	if (err == 0) {
		if (*timeout <= 0 && node_view(fs, id, tid, &view))
			vector_show_staged(&view, &attr);
		note_given(fs, *timeout);
		attr_file(fs, ino, &attr, fs->geometry.vector_bytes, 1, st);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	*timeout = 0;
	if (node_view(fs, id, tid, &view)) {
		err = view.renamed ? quiver_stat(fs->store, view.id, flags, &view.attr, NULL)
		                   : -ENOENT;
		if (err != 0 && err != -ENOENT)
			return err;
		attr_file(fs, ino, &view.attr, view.size, err == 0 ? 1 : view.links, st);
		return 0;
	}
	err = gone_answer(fs, id, tid, &attr);
	if (err == 0)
		attr_file(fs, ino, &attr, fs->geometry.vector_bytes, 0, st);
	return err;
}

/* Answer with what stat shows, or return -EAGAIN where that would wait. */
static int vector_reply_stat(struct attempt *attempt, uint64_t id, pid_t tid, bool may_wait)
{
	struct stat st;
	double timeout;
	int err = vector_stat(attempt->fs, id, tid, attempt_flags(may_wait), &st, &timeout);

	if (err == -EAGAIN && !may_wait)
		return err;
	reply_attr(attempt->req, err, &st, timeout);
	return 0;
}

struct vector_getattr_op {
	struct attempt attempt;
	uint64_t id;
	pid_t tid;
};

static int vector_getattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct vector_getattr_op *op = (const struct vector_getattr_op *)attempt;

	return vector_reply_stat(attempt, op->id, op->tid, may_wait);
}

void vector_getattr(fuse_req_t req, fuse_ino_t ino)
{
	struct vector_getattr_op op = {
		.attempt = attempt_for(req, vector_getattr_answer),
		.id = tree_id_of_node(ino),
		.tid = fuse_req_ctx(req)->pid,
	};

	attempt_start(&op.attempt, sizeof(op), WORKER_READ);
}

/* ---- SETATTR ---- */

struct vector_setattr_op {
	struct attempt attempt;
	struct handle *h; /* of ftruncate; else NULL */
	uint64_t id;
	pid_t tid;
	bool resize;
	uint64_t size;
	bool set_attr; /* these are set, if only the ctime: */
	unsigned mask; /* QUIVER_ATTR_* */
	bool explicit_mtime;
	struct quiver_attr attr;
};

/* truncate(2) by path, which cannot change what is committed. Opening with O_TRUNC
 * ends here as well: it has the newest handle staged as empty. */
static int vector_resize_path(const struct vector_setattr_op *op, unsigned flags)
{
	struct fs *fs = op->attempt.fs;
	uint32_t n = fs->geometry.vector_bytes;
	int err;

	if (op->size == 0 && node_truncate_newest(fs, op->id, op->tid))
		return 0;
	err = quiver_stat(fs->store, op->id, flags, NULL, NULL);
	if (err != 0)
		return err;
	if (op->size == n)
		return 0;
	return refuse(fs, op->size > n ? -EFBIG : -EINVAL,
	              "vector %" PRIu64 ": cannot be made %" PRIu64 " bytes long, only %" PRIu32,
	              op->id, op->size, n);
}

int vector_set_attr(struct fs *fs, uint64_t id, pid_t tid, const struct quiver_attr *attr,
                    unsigned mask, bool explicit_mtime, bool may_wait)
{
	unsigned flags = attempt_flags(may_wait);
	bool staged;
	int err;

	err = quiver_stat(fs->store, id, flags, NULL, NULL);
	if (err == -ENOENT)
		return node_stage_attr(fs, id, tid, true, attr, mask, explicit_mtime) ? 0 : -ENOENT;
	if (err != 0)
		return err;
	staged = node_stage_attr(fs, id, tid, explicit_mtime, attr, mask & QUIVER_ATTR_MTIME,
	                         explicit_mtime);
	staged = staged && node_stage_attr(fs, id, tid, false, attr, 0, true);
	if (staged && mask == QUIVER_ATTR_MTIME)
		return 0;
	if (staged)
		mask &= ~(unsigned)QUIVER_ATTR_MTIME;
	return quiver_set_attr(fs->store, id, attr, mask, flags);
}

/* Doing it again is harmless. */
static int vector_setattr_answer(struct attempt *attempt, bool may_wait)
{
	struct vector_setattr_op *op = (struct vector_setattr_op *)attempt;
	struct fs *fs = attempt->fs;
	struct quiver_attr found;
	bool resized;
	int err = 0;

	if (op->resize && op->h != NULL)
		err = stage_truncate(fs, op->h, op->size, may_wait);
	else if (op->resize)
		err = vector_resize_path(op, attempt_flags(may_wait));
	resized = err == 0;
	if (err == 0 && op->set_attr)
		err = vector_set_attr(fs, op->id, op->tid, &op->attr, op->mask, op->explicit_mtime,
		                      may_wait);
	if (err == -EAGAIN && !may_wait) {
		/* O_TRUNC has found its handle already and must not take another. */
		if (op->h == NULL && resized)
			op->resize = false;
		return err;
	}
	if (op->h != NULL)
		handoff_give(&op->h->handoff);
	if (err == -ENOENT && gone_answer(fs, op->id, op->tid, &found) != 0)
		err = -ESTALE; /* look again */
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	err = vector_reply_stat(attempt, op->id, op->tid, may_wait);
	if (err == -EAGAIN && op->h == NULL)
		op->resize = false;
	return err;
}

void vector_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                    struct fuse_file_info *fi)
{
	struct vector_setattr_op op = {
		.attempt = attempt_for(req, vector_setattr_answer),
		.h = fi != NULL ? handle_of(fi) : NULL,
		.id = tree_id_of_node(ino),
		.tid = fuse_req_ctx(req)->pid,
		.resize = (to_set & FUSE_SET_ATTR_SIZE) != 0,
		.size = (uint64_t)attr->st_size,
	};

	op.mask = attr_wanted(attr, to_set, &op.attr, &op.explicit_mtime);
	op.set_attr = op.mask != 0 || !op.resize;
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}
