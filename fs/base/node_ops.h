/*
 * node_ops.h - a kind of file: one row of a table.
 *
 * There is a row for each tree_class, which the folder of the kind exports; fs/ops has the
 * table of them. Each of the handlers answers its request exactly once, itself or from a
 * worker, and holds no lock when it does. `ino` is always a node of the kind.
 */
#ifndef NODE_OPS_H
#define NODE_OPS_H

#include "fs/base/attr.h"
#include "fs/base/fs.h"
#include "fs/base/tree.h"

/* What is NULL is answered as it says there. */
struct node_ops {
	/* What the kind keeps in struct fs: made before any request is served, after the
	 * workers and the kinds of the rows above; a negative errno. Gone after all
	 * requests and the kinds below; also where `init` failed or was not reached. */
	int (*init)(struct fs *fs);
	void (*fini)(struct fs *fs);

	/* Attributes now, and how long they may be cached. `flags`: 0, or QUIVER_NOWAIT where
	 * it must not wait. -ENOENT where this mount does not have it; -EAGAIN; errors of the
	 * store. NULL: `getattr` and `entry` are there instead. */
	int (*attr)(struct fs *fs, fuse_ino_t ino, unsigned flags, struct stat *st,
	            double *timeout);
	/* The entry of a node that is looked up by its number, as NFS does. `flags` as for
	 * `attr`. -ENOENT it is gone, -EAGAIN, other errors of reading it. */
	int (*entry)(struct fs *fs, fuse_ino_t ino, unsigned flags, struct fuse_entry_param *entry);

	/* Files. */
	/* By `attr`. `fi` is NULL but where the kernel says by which open file (lseek). */
	void (*getattr)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
	/* `fi` is NULL but for ftruncate. -EPERM */
	void (*setattr)(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
	                struct fuse_file_info *fi);
	void (*open)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* -ESTALE */
	/* fi->fh is 0 where there was no open (fs->no_open). -ESTALE */
	void (*read)(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	             struct fuse_file_info *fi);
	/* `buf` lasts as long as the call. -EBADF */
	void (*write)(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
	              struct fuse_file_info *fi);
	void (*flush)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* 0 */
	void (*fsync)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* 0 */
	void (*release)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* 0 */
	/* `mode` is of FALLOC_FL_KEEP_SIZE, _PUNCH_HOLE and _ZERO_RANGE. -EOPNOTSUPP */
	void (*fallocate)(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
	                  struct fuse_file_info *fi);
	/* The attributes of an open file, and a change of them, where another has become it
	 * (scratch.h). -EAGAIN where that would wait and must not; errors of `getattr` and
	 * `setattr`. */
	int (*stat_open)(struct fs *fs, fuse_ino_t ino, uint64_t fh, bool may_wait,
	                 struct stat *st);
	int (*set_open)(struct fs *fs, fuse_ino_t ino, uint64_t fh,
	                const struct attr_change *change, bool may_wait);
	/* Close one that the kernel has no RELEASE for. Waits. */
	void (*close_open)(struct fs *fs, uint64_t fh);
	/* The kernel has forgotten `count` lookups; nothing is answered. */
	void (*forget)(struct fs *fs, fuse_ino_t ino, uint64_t count);
	/* setattr and write are asked on a read-only mount, too, rather than -EROFS. */
	bool changes_read_only;
	/* Every change is -EROFS on any mount; none of those handlers is asked. */
	bool read_only;

	/* Directories. */
	void (*lookup)(fuse_req_t req, fuse_ino_t parent, const char *name); /* -ENOENT */
	void (*opendir)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* -ENOTDIR */
	/* `plus`: with attributes. fi->fh as for `read`. -ENOTDIR */
	void (*readdir)(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus,
	                struct fuse_file_info *fi);
	void (*releasedir)(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* 0 */
};

/* Make, in their order, what all kinds keep; a negative errno, and then kinds_fini is due all the same. */
int kinds_init(struct fs *fs);
void kinds_fini(struct fs *fs);

/* Answer a GETATTR, by `getattr` or `attr` of its kind. */
void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* The row of a node, which may be none: then all of it is NULL. */
static inline const struct node_ops *node_ops_of(const struct fs *fs, fuse_ino_t ino)
{
	return fs->kinds[tree_class(ino)];
}

#endif
