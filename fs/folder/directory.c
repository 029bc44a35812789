/* directory.c - the root, vectors/, control/ and nearest/ as files: their attributes. */
#include "fs/folder/directory.h"

#include <errno.h>
#include <string.h>

#include "fs/base/attempt.h"
#include "fs/base/attr.h"
#include "fs/base/reply.h"
#include "fs/folder/listing.h"
#include "fs/folder/names.h"
#include "fs/scratch/scratch.h"

/* vectors/ is kept by the store; scratch files change it in memory only. */
static int fill_vectors(struct fs *fs, unsigned flags, struct stat *st)
{
	int64_t mtime_ns = atomic_load(&fs->scratch_mtime_ns); /* 0 says nothing, */
	int64_t ctime_ns = atomic_load(&fs->scratch_ctime_ns); /* also beside times before 1970 */
	struct quiver_attr attr;
	int err;

	/* Counted before the attributes are read: see invalidate_vectors. */
	atomic_fetch_add(&fs->dir_attr_given, 1);
	err = quiver_dir_attr(fs->store, flags, &attr);
	if (err != 0)
		return err;
	attr_dir_seen(fs, &attr);
	st->st_mode = S_IFDIR | (attr.mode & 07777u);
	st->st_uid = attr_uid(fs, attr.uid);
	st->st_gid = attr_gid(fs, attr.gid);
	attr_set_times(st, mtime_ns && mtime_ns > attr.mtime_ns ? mtime_ns : attr.mtime_ns,
	               ctime_ns && ctime_ns > attr.ctime_ns ? ctime_ns : attr.ctime_ns);
	return 0;
}

/* nearest/ tells of vectors: who may not pass through vectors/, or may not know what is in it, is kept
 * out of this, too. Nothing is made in it. */
static int fill_nearest(struct fs *fs, unsigned flags, struct stat *st)
{
	struct quiver_attr attr;
	int err = quiver_dir_attr(fs->store, flags, &attr);

	if (err != 0)
		return err;
	/* As of all folders of a snapshot. */
	st->st_mode = S_IFDIR | (attr.mode & 0555u) | (fs->guest != NULL ? S_IWUSR : 0u);
	st->st_uid = attr_uid(fs, attr.uid);
	st->st_gid = attr_gid(fs, attr.gid);
	attr_set_times(st, fs->fixed_mtime_ns, fs->fixed_mtime_ns);
	return 0;
}

/* -EAGAIN, errors of the store. */
static int fill_directory(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = attr_inode(fs, ino);
	st->st_nlink = 2; /* ".", its name */
	if (ino == TREE_ROOT)
		st->st_nlink += fs->snapshots != NULL ? 4 : 3; /* directories in it */
	st->st_blksize = ATTR_DIR_BLOCK_BYTES;
	if (ino == TREE_VECTORS) {
		st->st_nlink += scratch_folders(fs);
		return fill_vectors(fs, flags, st);
	}
	if (ino == TREE_NEAREST)
		return fill_nearest(fs, flags, st);
	/* In a snapshot a change is refused because it is one, not for the mode. */
	st->st_mode = S_IFDIR | (fs->guest != NULL ? 0755 : 0555);
	st->st_uid = fs->owner_uid;
	st->st_gid = fs->owner_gid;
	attr_set_times(st, fs->fixed_mtime_ns, fs->fixed_mtime_ns);
	return 0;
}

/* The mode of nearest/ changes with that of vectors/, of which the kernel knows nothing. In a snapshot
 * neither does. */
static double timeout_of(const struct fs *fs, fuse_ino_t ino)
{
	if (ino == TREE_NEAREST && (fs->shared || !fs->read_only))
		return 0;
	return fs->shared && ino == TREE_VECTORS ? FS_SHARED_FOLDER_SECONDS : FS_CACHE_SECONDS;
}

static int directory_attr(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
                          double *timeout)
{
	*timeout = timeout_of(fs, ino);
	return fill_directory(fs, ino, flags, st);
}

/* ---- SETATTR of vectors/ ---- */

struct directory_op {
	struct attempt attempt;
	struct quiver_attr attr;
	unsigned mask;
};

/* Doing it again is harmless. */
static int directory_setattr_answer(struct attempt *attempt, bool may_wait)
{
	const struct directory_op *op = (const struct directory_op *)attempt;
	struct fs *fs = attempt->fs;
	struct stat st;
	int err;

	err = quiver_set_dir_attr(fs->store, &op->attr, op->mask, attempt_flags(may_wait));
	if (err == 0 && (op->mask & QUIVER_ATTR_MTIME))
		atomic_store(&fs->scratch_mtime_ns, 0);
	if (err == 0)
		err = fill_directory(fs, TREE_VECTORS, attempt_flags(may_wait), &st);
	if (err == -EAGAIN && !may_wait)
		return err;
	if (err != 0) {
		reply_error(attempt->req, err);
		return 0;
	}
	(void)fuse_reply_attr(attempt->req, &st, timeout_of(fs, TREE_VECTORS));
	return 0;
}

static void directory_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                              struct fuse_file_info *fi)
{
	struct directory_op op = {
		.attempt = attempt_for(req, directory_setattr_answer),
	};
	bool explicit_mtime;

	(void)fi;
	if (ino != TREE_VECTORS) {
		reply_error(req, -EPERM);
		return;
	}
	op.mask = attr_wanted(attr, to_set, &op.attr, &explicit_mtime);
	attempt_start(&op.attempt, sizeof(op), WORKER_COMMIT);
}

static int directory_init(struct fs *fs)
{
	return listing_new(&fs->listing);
}

static void directory_fini(struct fs *fs)
{
	listing_free(fs, fs->listing);
	fs->listing = NULL;
}

const struct node_ops directory_ops = {
	.init = directory_init,
	.fini = directory_fini,
	.attr = directory_attr,
	.setattr = directory_setattr,
	.lookup = names_lookup,
	.opendir = listing_open,
	.readdir = listing_read,
	.releasedir = listing_release,
};
