/* inside_file.c - whatever is in a snapshot, its own folder first. */
#include "fs/snapshot/inside_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/reply.h"
#include "fs/folder/names.h"
#include "fs/scratch/scratch.h"
#include "fs/snapshot/snapshots.h"

/* A request that may have to wait until the snapshot is open. */
struct inside_op {
	struct attempt attempt;
	/* How it goes on, with the view and the inner number. */
	void (*go_on)(struct inside_op *op, const struct node_ops *ops, uint64_t ino);
	enum visit_kind kind;
	uint64_t outer;
	struct fuse_file_info fi;
	bool has_fi;
	bool plus;
	size_t size;
	off_t offset;
	char name[SCRATCH_NAME_MAX + 1];
};

static struct inside_op inside_op_for(fuse_req_t req, fuse_ino_t outer, attempt_fn *answer)
{
	return (struct inside_op){
		.attempt = attempt_for(req, answer),
		.kind = VISIT_OPEN,
		.outer = outer,
	};
}

static struct fuse_file_info *fi_of(struct inside_op *op)
{
	return op->has_fi ? &op->fi : NULL;
}

static int inside_answer(struct attempt *attempt, bool may_wait)
{
	struct inside_op *op = (struct inside_op *)attempt;
	struct fs *fs = attempt->fs;
	struct visit visit;
	int err = visit_begin(fs, op->outer, op->kind, may_wait, &visit);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	fs_visited = visit.fs;
	op->go_on(op, node_ops_of(visit.fs, visit.ino), visit.ino);
	fs_visited = NULL;
	visit_end(fs, &visit);
	return 0;
}

static void inside_start(struct inside_op *op, const struct fuse_file_info *fi)
{
	op->has_fi = fi != NULL;
	if (fi != NULL)
		op->fi = *fi;
	attempt_start(&op->attempt, sizeof(*op), WORKER_READ);
}

/* ---- names ---- */

/* The folder of a snapshot itself, and the one that it is in, without opening it. */
static void look_up_folder(struct fs *fs, fuse_req_t req, const struct visit *visit, bool itself)
{
	struct fuse_entry_param entry;
	int err;

	if (!itself) {
		names_lookup_node(req, TREE_SNAPSHOTS, true);
		return;
	}
	err = snapshot_entry(fs, visit->snapshot, &entry);
	if (err != 0)
		reply_error(req, err);
	else if (fuse_reply_entry(req, &entry) != 0)
		inside_forget(fs->inside, entry.ino, 1);
}

static int lookup_answer(struct attempt *attempt, bool may_wait)
{
	struct inside_op *op = (struct inside_op *)attempt;
	bool dots = names_is_dots(op->name);
	struct fs *fs = attempt->fs;
	struct visit visit;
	int err = visit_begin(fs, op->outer, dots ? VISIT_FOLDER : VISIT_NEW, may_wait, &visit);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err == -ESTALE ? -ENOENT : err);
		return 0;
	}
	if (dots && visit.ino == TREE_ROOT) {
		look_up_folder(fs, attempt->req, &visit, op->name[1] == '\0');
	} else {
		const struct node_ops *ops = node_ops_of(visit.fs, visit.ino);

		fs_visited = visit.fs;
		if (dots)
			names_lookup_node(attempt->req, visit.ino, op->name[1] == '\0');
		else if (ops->lookup != NULL)
			ops->lookup(attempt->req, visit.ino, op->name);
		else
			reply_error(attempt->req, -ENOENT);
		fs_visited = NULL;
	}
	visit_end(fs, &visit);
	return 0;
}

static void inside_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct inside_op op = inside_op_for(req, parent, lookup_answer);

	strcpy(op.name, name); /* op_lookup has looked at its length */
	inside_start(&op, NULL);
}

/* ---- attributes ---- */

static int getattr_answer(struct attempt *attempt, bool may_wait)
{
	struct inside_op *op = (struct inside_op *)attempt;
	struct fs *fs = attempt->fs;
	struct visit visit;
	struct stat st;
	int err = visit_begin(fs, op->outer, VISIT_FOLDER, may_wait, &visit);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	if (visit.ino == TREE_ROOT) {
		snapshot_stat(fs, visit.snapshot, &st);
		reply_attr(attempt->req, 0, &st, FS_CACHE_SECONDS);
	} else {
		fs_visited = visit.fs;
		node_getattr(attempt->req, visit.ino, fi_of(op));
		fs_visited = NULL;
	}
	visit_end(fs, &visit);
	return 0;
}

static void inside_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inside_op op = inside_op_for(req, ino, getattr_answer);

	inside_start(&op, fi);
}

/* ---- files and folders ---- */

static void go_on_open(struct inside_op *op, const struct node_ops *ops, uint64_t ino)
{
	if (ops->open != NULL)
		ops->open(op->attempt.req, ino, fi_of(op));
	else
		reply_error(op->attempt.req, -ESTALE);
}

static void inside_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inside_op op = inside_op_for(req, ino, inside_answer);

	op.go_on = go_on_open;
	op.kind = VISIT_NEW;
	if ((fi->flags & O_ACCMODE) != O_RDONLY)
		reply_error(req, -EROFS);
	else
		inside_start(&op, fi);
}

static void go_on_opendir(struct inside_op *op, const struct node_ops *ops, uint64_t ino)
{
	if (ops->opendir != NULL)
		ops->opendir(op->attempt.req, ino, fi_of(op));
	else
		reply_error(op->attempt.req, -ENOTDIR);
}

static void inside_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct inside_op op = inside_op_for(req, ino, inside_answer);

	op.go_on = go_on_opendir;
	op.kind = VISIT_NEW;
	inside_start(&op, fi);
}

static void go_on_read(struct inside_op *op, const struct node_ops *ops, uint64_t ino)
{
	if (ops->read != NULL)
		ops->read(op->attempt.req, ino, op->size, op->offset, fi_of(op));
	else
		reply_error(op->attempt.req, -ESTALE);
}

static void inside_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
	struct inside_op op = inside_op_for(req, ino, inside_answer);

	op.go_on = go_on_read;
	op.size = size;
	op.offset = off;
	inside_start(&op, fi);
}

static void go_on_readdir(struct inside_op *op, const struct node_ops *ops, uint64_t ino)
{
	if (ops->readdir != NULL)
		ops->readdir(op->attempt.req, ino, op->size, op->offset, op->plus, fi_of(op));
	else
		reply_error(op->attempt.req, -ENOTDIR);
}

static void inside_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                           struct fuse_file_info *fi)
{
	struct inside_op op = inside_op_for(req, ino, inside_answer);

	op.go_on = go_on_readdir;
	op.size = size;
	op.offset = off;
	op.plus = plus;
	inside_start(&op, fi);
}

/* ---- closing ---- */

/* The open file was a user of the snapshot, which is open for as long, so this does not wait. */
static void close_open(fuse_req_t req, fuse_ino_t outer, struct fuse_file_info *fi, bool folder)
{
	struct fs *fs = fs_of(req);
	const struct node_ops *ops;
	struct visit visit;
	int err = visit_begin(fs, outer, VISIT_OPEN, false, &visit);

	if (err != 0) {
		reply_error(req, err);
		return;
	}
	ops = node_ops_of(visit.fs, visit.ino);
	fs_visited = visit.fs;
	if (folder && ops->releasedir != NULL)
		ops->releasedir(req, visit.ino, fi);
	else if (!folder && ops->release != NULL)
		ops->release(req, visit.ino, fi);
	else
		reply_error(req, 0);
	fs_visited = NULL;
	inside_let_go(visit.fs);
	visit_end(fs, &visit);
}

static void inside_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	close_open(req, ino, fi, false);
}

static void inside_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	close_open(req, ino, fi, true);
}

static void inside_forget_node(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	snapshots_forget(fs, ino, count);
}

/* Nothing was written, so there is nothing to be done at a FLUSH or fsync(2). */
const struct node_ops inside_ops = {
	.read_only = true,
	.getattr = inside_getattr,
	.open = inside_open,
	.read = inside_read,
	.release = inside_release,
	.forget = inside_forget_node,
	.lookup = inside_lookup,
	.opendir = inside_opendir,
	.readdir = inside_readdir,
	.releasedir = inside_releasedir,
};
