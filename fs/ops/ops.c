/* ops.c - the table of libfuse: each request goes to the handler of its node's kind. */
#include "fs/ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/charge.h"
#include "fs/base/node_ops.h"
#include "fs/base/payload.h"
#include "fs/base/refuse.h"
#include "fs/base/reply.h"
#include "fs/base/worker.h"
#include "fs/control/control.h"
#include "fs/folder/directory.h"
#include "fs/folder/listing.h"
#include "fs/folder/names.h"
#include "fs/folder/rename.h"
#include "fs/matrix/matrix_file.h"
#include "fs/nearest/neighbours_file.h"
#include "fs/ops/enter.h"
#include "fs/scratch/scratch.h"
#include "fs/scratch/scratch_file.h"
#include "fs/scratch/scratch_folder.h"
#include "fs/snapshot/inside_file.h"
#include "fs/snapshot/snapshots_folder.h"
#include "fs/vector/copies.h"
#include "fs/vector/vector_file.h"
#include "fs/view/view_file.h"

/* What one more vector takes on disk besides its bytes: ids.npy and meta.npy. */
#define ROW_BYTES 64u

static const struct node_ops nothing;

/* A kind may use those in the rows above it. */
static const struct node_ops *const kinds[TREE_CLASSES] = {
	[TREE_IS_DIR] = &directory_ops,       [TREE_IS_MATRIX] = &matrix_ops,
	[TREE_IS_CONTROL] = &control_ops,     [TREE_IS_VECTOR] = &vector_ops,
	[TREE_IS_SCRATCH] = &scratch_ops,     [TREE_IS_FOLDER] = &scratch_folder_ops,
	[TREE_IS_VIEW] = &view_ops,           [TREE_IS_NEIGHBOURS] = &neighbours_ops,
	[TREE_IS_SNAPSHOTS] = &snapshots_ops, [TREE_IS_INSIDE] = &inside_ops,
	[TREE_IS_NOTHING] = &nothing,
};

/* A request has come that is not of those that what a LOOKUP has read may answer. */
static inline void enter_other(fuse_req_t req)
{
	enter(req);
	copies_drop(fs_of(req), fuse_req_ctx(req)->pid);
}

/* Such a one, or one that may be, has come for `ino`: the row of that. */
static inline const struct node_ops *begin(fuse_req_t req, fuse_ino_t ino)
{
	enter_other(req);
	return node_ops_of(fs_of(req), ino);
}

/* Whether nothing of it can be changed: on a read-only mount, and in a snapshot. */
static bool is_read_only(fuse_req_t req, const struct node_ops *ops)
{
	return ops->read_only || (fs_of(req)->read_only && !ops->changes_read_only);
}

static inline const struct node_ops *begin_answered(fuse_req_t req, fuse_ino_t ino)
{
	if (tree_class(ino) != TREE_IS_VECTOR)
		return begin(req, ino);
	enter(req);
	return node_ops_of(fs_of(req), ino);
}

/* ---- attributes ---- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)begin_answered(req, ino);
	node_getattr(req, ino, fi);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);
	int err = attr_may_set(fs_of(req), attr, &to_set);

	if (is_read_only(req, ops))
		reply_error(req, -EROFS);
	else if (err != 0)
		reply_error(req, err);
	else if (ops->setattr != NULL)
		ops->setattr(req, ino, attr, to_set, fi);
	else
		reply_error(req, -EPERM);
}

/* ---- files ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin_answered(req, ino);

	if (fs_of(req)->no_open)
		reply_error(req, -ENOSYS); /* for the whole connection, from now on */
	else if (ops->open != NULL)
		ops->open(req, ino, fi);
	else
		reply_error(req, -ESTALE);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (ops->read != NULL)
		ops->read(req, ino, size, off, fi);
	else
		reply_error(req, -ESTALE);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (is_read_only(req, ops))
		reply_error(req, -EROFS);
	else if (ops->write != NULL)
		ops->write(req, ino, buf, size, off, fi);
	else
		reply_error(req, -EBADF);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
                         struct fuse_file_info *fi)
{
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	const struct node_ops *ops = begin(req, ino);

	if (ops->read_only || fs_of(req)->read_only)
		reply_error(req, -EROFS);
	else if (ops->fallocate != NULL && (mode & ~known) == 0)
		ops->fallocate(req, ino, mode, off, length, fi);
	else
		reply_error(req, -EOPNOTSUPP);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (fs_of(req)->no_open)
		reply_error(req, -ENOSYS);
	else if (ops->flush != NULL)
		ops->flush(req, ino, fi);
	else
		reply_error(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	(void)datasync;
	/* Without an open nothing is ever written. */
	if (ops->fsync != NULL && !fs_of(req)->no_open)
		ops->fsync(req, ino, fi);
	else
		reply_error(req, 0);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (ops->release != NULL)
		ops->release(req, ino, fi);
	else
		reply_error(req, 0);
}

static void forget(struct fs *fs, fuse_ino_t ino, uint64_t count)
{
	const struct node_ops *ops = node_ops_of(fs, ino);

	if (ops->forget != NULL)
		ops->forget(fs, ino, count);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- names ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct node_ops *ops = begin(req, parent);

	/* The kernel looks up each name that a call gives it, and takes longer ones. */
	if (strlen(name) > SCRATCH_NAME_MAX)
		reply_error(req, -ENAMETOOLONG);
	else if (names_is_dots(name) && tree_class(parent) != TREE_IS_INSIDE)
		names_lookup_node(req, parent, name[1] == '\0');
	else if (ops->lookup != NULL)
		ops->lookup(req, parent, name);
	else
		reply_error(req, -ENOENT);
}

/* What changes names looks at the folder itself: all but vectors/, folders in it, and snapshots/
 * refuse. In a snapshot nothing changes. */

static bool refuse_inside(fuse_req_t req, fuse_ino_t parent)
{
	if (tree_class(parent) != TREE_IS_INSIDE)
		return false;
	reply_error(req, -EROFS);
	return true;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
	enter(req); /* it is answered by what a LOOKUP has read, or drops it */
	if (!refuse_inside(req, parent))
		names_create(req, parent, name, mode, fi);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)rdev;
	enter_other(req);
	if (!refuse_inside(req, parent))
		names_mknod(req, parent, name, mode);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	enter_other(req);
	if (!refuse_inside(req, parent))
		names_unlink(req, parent, name);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
                      const char *newname, unsigned flags)
{
	enter_other(req);
	if (refuse_inside(req, parent) || refuse_inside(req, newparent))
		return;
	if (parent == TREE_SNAPSHOTS && !fs_of(req)->read_only)
		refuse_name(req, name, "a snapshot cannot be renamed; make another one", -EPERM);
	else
		rename_name(req, parent, name, newparent, newname, flags);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	enter_other(req);
	if (parent == TREE_SNAPSHOTS)
		snapshots_mkdir(req, name);
	else if (!refuse_inside(req, parent))
		names_mkdir(req, parent, name, mode);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	enter_other(req);
	if (!refuse_inside(req, parent))
		refuse_name(req, name, "symbolic links cannot be made", -EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino;
	enter_other(req);
	if (!refuse_inside(req, newparent))
		refuse_name(req, newname, "hard links cannot be made", -EPERM);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	enter_other(req);
	if (parent == TREE_SNAPSHOTS)
		snapshots_rmdir(req, name);
	else if (!refuse_inside(req, parent))
		names_rmdir(req, parent, name);
}

/* ---- directories ---- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (fs_of(req)->no_open)
		reply_error(req, -ENOSYS);
	else if (ops->opendir != NULL)
		ops->opendir(req, ino, fi);
	else
		reply_error(req, -ENOTDIR);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
                 struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (ops->readdir != NULL)
		ops->readdir(req, ino, size, off, plus, fi);
	else
		reply_error(req, -ENOTDIR);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                       struct fuse_file_info *fi)
{
	list(req, ino, size, off, false, fi);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
	list(req, ino, size, off, true, fi);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct node_ops *ops = begin(req, ino);

	if (ops->releasedir != NULL)
		ops->releasedir(req, ino, fi);
	else
		reply_error(req, 0);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	enter_other(req);
	listing_fsync(req);
}

/* The filesystem under the store, and how many vectors there are and could be. */
static int statfs_answer(struct attempt *attempt, bool may_wait)
{
	struct fs *fs = attempt->fs;
	struct quiver_space space;
	struct statvfs st;
	uint64_t count = quiver_count(fs->store);
	int err = quiver_space(fs->store, attempt_flags(may_wait), &space);

	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
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
	(void)fuse_reply_statfs(attempt->req, &st);
	return 0;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct attempt attempt = attempt_for(req, statfs_answer);

	(void)ino;
	enter_other(req);
	attempt_start(&attempt, sizeof(attempt), WORKER_READ);
}

/*
 * What is left out answers ENOSYS, which the kernel remembers and turns into what
 * makes tools fall back: xattrs and ACLs, copy_file_range and O_TMPFILE
 * EOPNOTSUPP; locks and lseek are done by the kernel itself.
 */
static const struct fuse_lowlevel_ops table = {
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.fallocate = op_fallocate,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = op_create,
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

	err = quiver_dir_attr(fs->store, 0, &attr);
	if (err != 0)
		return err;
	attr_dir_seen(fs, &attr);
	fs->fixed_mtime_ns = attr.mtime_ns;
	if (quiver_snapshot_stat(fs->store, NULL, &fs->snapshot) == 0)
		fs->fixed_mtime_ns = fs->snapshot.created_ns; /* as of one in snapshots/ */
	fs->block_bytes = block_bytes(fs->geometry.vector_bytes);
	fs->kinds = kinds;
	err = enter_init();
	if (err == 0)
		err = charges_new(&fs->charges);
	if (err == 0)
		err = payloads_new(fs->max_write_bytes, &fs->payloads);
	if (err == 0)
		err = workers_new(fs->shared, &fs->workers);
	if (err == 0)
		err = kinds_init(fs);
	if (err != 0)
		fs_destroy(fs);
	return err;
}

void fs_quiet(struct fs *fs)
{
	matrix_quiet(fs);
}

void fs_destroy(struct fs *fs)
{
	fs_quiet(fs);
	if (fs->workers != NULL)
		settle_requests(fs);
	workers_free(fs->workers); /* first: work uses all the rest */
	fs->workers = NULL;
	payloads_free(fs->payloads);
	fs->payloads = NULL;
	kinds_fini(fs);
	charges_free(fs->charges); /* the kinds have given all back */
	fs->charges = NULL;
}
