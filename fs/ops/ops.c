/* ops.c - the table of libfuse: each request goes to the handlers of its node. */
#include "fs/ops/ops.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/reply.h"
#include "fs/base/tree.h"
#include "fs/base/worker.h"
#include "fs/control/control.h"
#include "fs/folder/listing.h"
#include "fs/folder/names.h"
#include "fs/matrix/matrix_file.h"
#include "fs/scratch/scratch.h"
#include "fs/vector/gone.h"
#include "fs/vector/node.h"
#include "fs/vector/vector_file.h"
#include "fs/view/view.h"

/* What one more vector takes on disk besides its bytes: ids.npy and meta.npy. */
#define ROW_BYTES 48u

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	double timeout;
	int err;

	(void)fi;
	switch (tree_class(ino)) {
	case TREE_IS_VECTOR:
		vector_getattr(req, ino);
		return;
	case TREE_IS_SCRATCH:
		scratch_getattr(req, ino);
		return;
	case TREE_IS_VIEW:
		view_getattr(req, ino);
		return;
	default:
		break;
	}
	err = attr_fixed(fs_of(req), ino, &st, &timeout);
	if (err != 0)
		reply_error(req, err == -ENOENT ? -ESTALE : err);
	else
		(void)fuse_reply_attr(req, &st, timeout);
}

/* ---- SETATTR of the directory of vectors ---- */

struct setdir_op {
	struct attempt attempt;
	struct quiver_attr attr;
	unsigned mask;
};

static int setdir_answer(struct attempt *attempt, bool may_wait)
{
	const struct setdir_op *op = (const struct setdir_op *)attempt;
	struct fs *fs = attempt->fs;
	struct stat st;
	int err;

	err = quiver_set_dir_attr(fs->store, &op->attr, op->mask, may_wait ? 0u : QUIVER_NOWAIT);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	if (op->mask & QUIVER_ATTR_MTIME)
		atomic_store(&fs->scratch_mtime_ns, 0);
	attr_dir(fs, TREE_VECTORS, &st);
	(void)fuse_reply_attr(attempt->req, &st, FS_CACHE_SECONDS);
	return 0;
}

static void setattr_dir(fuse_req_t req, const struct stat *attr, int to_set)
{
	struct setdir_op op = {
		.attempt = { .req = req, .fs = fs_of(req), .answer = setdir_answer },
	};
	bool explicit_mtime;

	op.mask = attr_wanted(attr, to_set, &op.attr, &explicit_mtime);
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
	enum tree_class class = tree_class(ino);

	if (class == TREE_IS_CONTROL)
		control_setattr(req, ino, attr, to_set, fi);
	else if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (class == TREE_IS_VECTOR)
		vector_setattr(req, ino, attr, to_set, fi);
	else if (class == TREE_IS_SCRATCH)
		scratch_setattr(req, ino, attr, to_set);
	else if (class == TREE_IS_VIEW)
		view_setattr(req, ino, attr, to_set, fi);
	else if (ino == TREE_VECTORS)
		setattr_dir(req, attr, to_set);
	else
		reply_error(req, -EPERM);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_of(req)->no_open) {
		reply_error(req, -ENOSYS); /* for the whole connection, from now on */
		return;
	}
	switch (tree_class(ino)) {
	case TREE_IS_VECTOR:
		vector_open(req, ino, fi);
		break;
	case TREE_IS_SCRATCH:
		scratch_open(req, ino, fi);
		break;
	case TREE_IS_VIEW:
		view_open(req, ino, fi);
		break;
	case TREE_IS_CONTROL:
		control_open(req, ino, fi);
		break;
	case TREE_IS_MATRIX:
		matrix_open(req, ino, fi);
		break;
	default:
		reply_error(req, -ESTALE);
		break;
	}
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	switch (tree_class(ino)) {
	case TREE_IS_VECTOR:
		vector_read(req, ino, size, off, fi);
		break;
	case TREE_IS_SCRATCH:
		scratch_read(req, ino, size, off);
		break;
	case TREE_IS_VIEW:
		view_read(req, ino, size, off, fi);
		break;
	case TREE_IS_CONTROL:
		control_read(req, ino, size, off, fi);
		break;
	case TREE_IS_MATRIX:
		matrix_read(req, ino, size, off, fi);
		break;
	default:
		reply_error(req, -ESTALE);
		break;
	}
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
	enum tree_class class = tree_class(ino);

	if (class == TREE_IS_CONTROL)
		control_write(req, ino, buf, size, off, fi);
	else if (fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (class == TREE_IS_VECTOR)
		vector_write(req, ino, buf, size, off, fi);
	else if (class == TREE_IS_SCRATCH)
		scratch_write(req, ino, buf, size, off, fi);
	else if (class == TREE_IS_VIEW)
		view_write(req, buf, size, off, fi);
	else
		reply_error(req, -EBADF);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_of(req)->no_open)
		reply_error(req, -ENOSYS);
	else if (tree_class(ino) == TREE_IS_VECTOR)
		vector_flush(req, ino, fi);
	else if (tree_class(ino) == TREE_IS_VIEW)
		view_flush(req, fi);
	else if (tree_class(ino) == TREE_IS_CONTROL)
		control_flush(req, ino, fi);
	else
		reply_error(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	if (fs_of(req)->no_open)
		reply_error(req, 0); /* nothing is ever written */
	else if (tree_class(ino) == TREE_IS_VECTOR)
		vector_fsync(req, ino, fi);
	else if (tree_class(ino) == TREE_IS_VIEW)
		view_fsync(req, fi);
	else if (tree_class(ino) == TREE_IS_CONTROL)
		control_fsync(req, ino, datasync, fi);
	else
		reply_error(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	switch (tree_class(ino)) {
	case TREE_IS_VECTOR:
		vector_release(req, ino, fi);
		break;
	case TREE_IS_SCRATCH:
		scratch_release(req, ino);
		break;
	case TREE_IS_VIEW:
		view_release(req, fi);
		break;
	case TREE_IS_CONTROL:
		control_release(req, ino, fi);
		break;
	case TREE_IS_MATRIX:
		matrix_release(req, ino, fi);
		break;
	default:
		reply_error(req, 0);
		break;
	}
}

/* Only views have a table of what the kernel knows. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	if (tree_class(ino) == TREE_IS_VIEW)
		view_forget(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++) {
		if (tree_class(forgets[i].ino) == TREE_IS_VIEW)
			view_forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	}
	fuse_reply_none(req);
}

/* ---- directories ---- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (fs_of(req)->no_open)
		reply_error(req, -ENOSYS);
	else
		listing_open(req, ino, fi);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
	listing_read(req, ino, size, off, false, fi);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
	listing_read(req, ino, size, off, true, fi);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	listing_release(req, fi);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	listing_fsync(req);
}

/* The filesystem under the store, and how many vectors there are and could be. */
static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct quiver_space space;
	struct statvfs st;
	uint64_t count = quiver_count(fs->store);
	int err;

	(void)ino;
	err = quiver_space(fs->store, 0, &space);
	if (err != 0) {
		reply_error(req, err);
		return;
	}
	memset(&st, 0, sizeof(st));
	st.f_bsize = 4096;
	st.f_frsize = 4096;
	st.f_blocks = space.total_bytes / st.f_frsize;
	st.f_bfree = space.free_bytes / st.f_frsize;
	st.f_bavail = space.available_bytes / st.f_frsize;
	st.f_ffree =
		space.slots_free + space.available_bytes / (fs->geometry.vector_bytes + ROW_BYTES);
	st.f_favail = st.f_ffree;
	st.f_files = count + st.f_ffree;
	st.f_namemax = SCRATCH_NAME_MAX;
	(void)fuse_reply_statfs(req, &st);
}

/*
 * What is left out answers ENOSYS, which the kernel remembers and turns into what
 * makes tools fall back: xattrs and ACLs, copy_file_range, O_TMPFILE and fallocate
 * EOPNOTSUPP; locks and lseek are done by the kernel itself.
 */
static const struct fuse_lowlevel_ops table = {
	.lookup = names_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mknod = names_mknod,
	.mkdir = names_mkdir,
	.unlink = names_unlink,
	.rmdir = names_rmdir,
	.symlink = names_symlink,
	.rename = names_rename,
	.link = names_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = names_create,
};

const struct fuse_lowlevel_ops *fs_ops(void)
{
	return &table;
}

/* ---- the life of it all ---- */

/* The next power of two >= n; stdio and others hand over that much at once. */
static uint32_t block_bytes(uint32_t n)
{
	uint32_t block = 1;

	while (block < n)
		block *= 2;
	return block;
}

int fs_init(struct fs *fs)
{
	struct quiver_attr attr;
	int err;

	(void)quiver_dir_attr(fs->store, 0, &attr); /* of a local folder: does not fail */
	fs->fixed_mtime_ns = attr.mtime_ns;
	fs->block_bytes = block_bytes(fs->geometry.vector_bytes);
	err = workers_new(&fs->workers);
	if (err == 0)
		err = nodes_new(fs->store, &fs->nodes);
	if (err == 0)
		err = gone_new(&fs->gone);
	if (err == 0)
		err = scratch_new(&fs->scratch);
	if (err == 0)
		err = views_new(&fs->views);
	if (err == 0)
		err = listing_new(&fs->listing);
	if (err == 0)
		err = control_init(fs);
	if (err == 0) {
		err = matrix_init(fs);
		if (err != 0)
			control_fini(fs);
	}
	if (err == 0)
		return 0;
	workers_free(fs->workers);
	listing_free(fs->listing);
	views_free(fs, fs->views); /* before the nodes: closes handles of theirs */
	scratch_free(fs->scratch);
	gone_free(fs->gone);
	nodes_free(fs, fs->nodes);
	return err;
}

void fs_destroy(struct fs *fs)
{
	workers_free(fs->workers); /* first: work uses all the rest */
	matrix_fini(fs);
	control_fini(fs);
	listing_free(fs->listing);
	views_free(fs, fs->views); /* before the nodes: closes handles of theirs */
	scratch_free(fs->scratch);
	gone_free(fs->gone);
	nodes_free(fs, fs->nodes);
}
